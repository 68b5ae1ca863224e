//! The devices of this machine for the kernel's device-mapper: a regular file is
//! a device by way of a loop device.

use std::path::Path;

use super::loops;
use crate::engine::host::Host;
use crate::engine::identity::Identity;
use crate::engine::{Attachment, Devices, Facts, Traffic};
use crate::error::Result;
use crate::text::device::{DevNo, DeviceRef};

/// This machine's devices, files by loop devices.
#[derive(Debug, Default)]
pub struct Looped(Host);

impl Devices for Looped {
    fn facts(&self, device: &DeviceRef) -> Result<Facts> {
        self.0.facts(device)
    }

    fn identity(&self, facts: &Facts) -> Result<Identity> {
        self.0.identity(facts)
    }

    fn find(&self, identity: &Identity) -> Result<DeviceRef> {
        let found = self.0.find(identity)?;
        // Who set up a loop device for it means that one.
        let own = found.path().and_then(|path| self.0.lasting_loop(path));
        Ok(own.map_or(found, DeviceRef::Number))
    }

    fn attach(&self, file: &Path, read_only: bool) -> Result<Attachment> {
        loops::attach(file, read_only)
    }

    fn probe(&self, device: &DeviceRef, at: u64) -> Result<()> {
        self.0.probe(device, at)
    }

    fn flush(&self, device: &DeviceRef) -> Result<()> {
        self.0.flush(device)
    }

    fn signature(&self, device: &DeviceRef, offset: u64) -> Result<Option<String>> {
        self.0.signature(device, offset)
    }

    fn traffic(&self, dev: DevNo) -> Option<Traffic> {
        self.0.traffic(dev)
    }

    fn stands_on(&self, above: DevNo, below: DevNo) -> bool {
        self.0.stands_on(above, below)
    }

    fn user(&self, facts: &Facts, own: &[DeviceRef]) -> Result<Option<String>> {
        self.0.user(facts, own)
    }
}
