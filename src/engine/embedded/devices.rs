//! The files and devices of this machine for the embedded engine: a regular file
//! is used as it is.

use std::path::Path;
use std::sync::Arc;

use super::Embedded;
use super::hold::key;
use crate::engine::identity::Identity;
use crate::engine::{Attachment, Devices, Facts, Traffic};
use crate::error::Result;
use crate::text::device::{DevNo, DeviceRef};

/// What the mirrors of an engine in this process stand on.
pub struct Files {
    engine: Arc<Embedded>,
}

impl Files {
    /// The devices below `engine`.
    pub fn of(engine: &Arc<Embedded>) -> Files {
        let engine = Arc::clone(engine);
        Files { engine }
    }
}

impl Devices for Files {
    fn facts(&self, device: &DeviceRef) -> Result<Facts> {
        let mut facts = self.engine.host.facts(device)?;
        // As a loop device of the kernel engine's own: it goes with its mirror.
        facts.autoclear |= device.path().is_some() && self.engine.holds.has(&facts);
        Ok(facts)
    }

    fn identity(&self, facts: &Facts) -> Result<Identity> {
        self.engine.host.identity(facts)
    }

    fn find(&self, identity: &Identity) -> Result<DeviceRef> {
        self.engine.host.find(identity)
    }

    fn attach(&self, file: &Path, _read_only: bool) -> Result<Attachment> {
        let facts = self.engine.host.facts(&DeviceRef::Path(file.into()))?;
        let guard = self.engine.holds.take(&facts)?;
        Ok(Attachment {
            device: facts.device,
            guard: Box::new(guard),
        })
    }

    fn probe(&self, device: &DeviceRef, at: u64) -> Result<()> {
        self.engine.host.probe(device, at)
    }

    fn flush(&self, device: &DeviceRef) -> Result<()> {
        self.engine.host.flush(device)
    }

    fn signature(&self, device: &DeviceRef, offset: u64) -> Result<Option<String>> {
        self.engine.host.signature(device, offset)
    }

    fn traffic(&self, dev: DevNo) -> Option<Traffic> {
        self.engine.host.traffic(dev)
    }

    fn stands_on(&self, above: DevNo, below: DevNo) -> bool {
        self.engine.host.stands_on(above, below)
    }

    fn user(&self, facts: &Facts, own: &[DeviceRef]) -> Result<Option<String>> {
        if let Some(name) = self.engine.user(&key(facts), own) {
            return Ok(Some(format!("used by the mirror {name}")));
        }
        self.engine.host.user(facts, own)
    }
}
