//! The devices of this machine for the kernel's device-mapper: a regular file is
//! a device by way of a loop device.

use super::loops;
use crate::engine::home::{Home, Lying};
use crate::engine::host::Host;
use crate::engine::identity::{Identity, LoopId, Window};
use crate::engine::{
    Attachment, Brought, Devices, Direct, Doomed, Facts, Found, Held, Holder, Medium,
    PromptDevices, Span, Traffic,
};
use crate::error::{Errno, Result};
use crate::text::device::{DevNo, DeviceRef};

/// This machine's devices, files by loop devices.
#[derive(Debug, Default)]
pub struct Looped(Host);

impl PromptDevices for Looped {
    fn sight(&self, device: &DeviceRef) -> Found {
        self.0.sight(device)
    }

    fn head(&self, device: &DeviceRef, size: u64) -> Option<Vec<u8>> {
        self.0.head(device, size)
    }

    fn holders(&self, devices: &[&DeviceRef]) -> Vec<Vec<Holder>> {
        self.0.holders(devices)
    }

    fn traffic(&self, dev: DevNo) -> Option<Traffic> {
        self.0.traffic(dev)
    }

    fn lies_on(&self, home: &Home, dev: DevNo) -> Lying {
        self.0.lies_on(home, dev)
    }

    fn let_go(&self, device: &DeviceRef) -> Result<()> {
        self.0.let_go(device)
    }
}

impl Devices for Looped {
    fn facts(&self, device: &DeviceRef) -> Result<Facts> {
        self.0.facts(device)
    }

    fn identity(&self, facts: &Facts) -> Result<Identity> {
        self.0.identity(facts)
    }

    fn find(&self, identity: &Identity) -> Result<DeviceRef> {
        self.0.find(identity)
    }

    fn attach(&self, facts: &Facts, read_only: bool) -> Result<Attachment> {
        let whole = Window::WHOLE;
        loops::attach(facts, Window { read_only, ..whole })
    }

    fn bring(&self, identity: &Identity) -> Result<Brought> {
        match (self.find(identity), identity) {
            (
                Err(error),
                Identity::Loop(LoopId {
                    file,
                    window: Some(window),
                }),
            ) if error.errno() == Errno::ENODEV => {
                let facts = self.0.facts(&DeviceRef::Path(file.path.clone()))?;
                loops::attach(&facts, *window).map(Brought::Attached)
            }
            (found, _) => found.map(Brought::There),
        }
    }

    fn probe(&self, device: &DeviceRef, at: u64) -> Result<()> {
        self.0.probe(device, at)
    }

    fn direct(&self, device: &DeviceRef, write: bool) -> Result<Box<dyn Direct>> {
        self.0.direct(device, write)
    }

    fn media(&self, devices: &[DeviceRef]) -> Vec<Option<Medium>> {
        self.0.media(devices)
    }

    fn flush(&self, device: &DeviceRef) -> Result<()> {
        self.0.flush(device)
    }

    fn prove(&self, device: &DeviceRef, span: Span) -> Result<()> {
        self.0.prove(device, span)
    }

    fn signature(&self, device: &DeviceRef, doomed: Doomed) -> Result<Option<Held>> {
        self.0.signature(device, doomed)
    }

    fn carried(&self, device: &DeviceRef, span: Span) -> Result<Option<Held>> {
        self.0.carried(device, span)
    }

    fn partitions(&self, device: &DeviceRef, span: Span) -> Result<Vec<Span>> {
        self.0.partitions(device, span)
    }

    fn home(&self, device: &DeviceRef) -> Home {
        self.0.home(device)
    }

    fn read_partitions(&self, device: &DeviceRef) -> Result<()> {
        self.0.read_partitions(device)
    }

    fn user(&self, facts: &Facts, own: &[DeviceRef]) -> Result<Option<String>> {
        self.0.user(facts, own)
    }
}
