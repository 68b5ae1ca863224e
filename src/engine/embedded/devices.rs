//! The files and devices of this machine for the embedded engine: a regular file
//! is used as it is.

use std::sync::Arc;

use super::Embedded;
use super::exclusive::key;
use crate::engine::home::{Home, Lying};
use crate::engine::identity::Identity;
use crate::engine::{
    Attachment, Devices, Direct, Doomed, Facts, Found, Held, Holder, PromptDevices, Span, Traffic,
};
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

fn facts(engine: &Embedded, device: &DeviceRef) -> Result<Facts> {
    let mut facts = engine.host.facts(device)?;
    // As a loop device of the kernel engine's own: it goes with its mirror.
    facts.autoclear |= device.path().is_some() && engine.holds.has(&facts);
    Ok(facts)
}

impl PromptDevices for Files {
    fn sight(&self, device: &DeviceRef) -> Found {
        let Some(path) = device.path() else {
            return self.engine.host.sight(device);
        };
        let (engine, device) = (Arc::clone(&self.engine), device.clone());
        let lookers = &self.engine.host.lookers;
        lookers.look(path, move || facts(&engine, &device))
    }

    fn head(&self, device: &DeviceRef, size: u64) -> Option<Vec<u8>> {
        self.engine.host.head(device, size)
    }

    fn holders(&self, devices: &[&DeviceRef]) -> Vec<Vec<Holder>> {
        self.engine.host.holders(devices)
    }

    fn traffic(&self, dev: DevNo) -> Option<Traffic> {
        self.engine.host.traffic(dev)
    }

    fn lies_on(&self, home: &Home, dev: DevNo) -> Lying {
        self.engine.host.lies_on(home, dev)
    }

    fn let_go(&self, device: &DeviceRef) -> Result<()> {
        self.engine.host.let_go(device)
    }
}

impl Devices for Files {
    fn facts(&self, device: &DeviceRef) -> Result<Facts> {
        facts(&self.engine, device)
    }

    fn identity(&self, facts: &Facts) -> Result<Identity> {
        self.engine.host.identity(facts)
    }

    fn find(&self, identity: &Identity) -> Result<DeviceRef> {
        self.engine.host.find(identity)
    }

    fn attach(&self, facts: &Facts, _read_only: bool) -> Result<Attachment> {
        let guard = self.engine.holds.take(facts)?;
        Ok(Attachment {
            device: facts.device.clone(),
            guard: Box::new(guard),
        })
    }

    fn probe(&self, device: &DeviceRef, at: u64) -> Result<()> {
        self.engine.host.probe(device, at)
    }

    fn direct(&self, device: &DeviceRef, write: bool) -> Result<Box<dyn Direct>> {
        self.engine.host.direct(device, write)
    }

    fn flush(&self, device: &DeviceRef) -> Result<()> {
        self.engine.host.flush(device)
    }

    fn prove(&self, device: &DeviceRef, span: Span) -> Result<()> {
        self.engine.host.prove(device, span)
    }

    fn signature(&self, device: &DeviceRef, doomed: Doomed) -> Result<Option<Held>> {
        self.engine.host.signature(device, doomed)
    }

    fn carried(&self, device: &DeviceRef, span: Span) -> Result<Option<Held>> {
        self.engine.host.carried(device, span)
    }

    fn partitions(&self, device: &DeviceRef, span: Span) -> Result<Vec<Span>> {
        self.engine.host.partitions(device, span)
    }

    fn home(&self, device: &DeviceRef) -> Home {
        self.engine.host.home(device)
    }

    fn read_partitions(&self, device: &DeviceRef) -> Result<()> {
        self.engine.host.read_partitions(device)
    }

    fn user(&self, facts: &Facts, own: &[DeviceRef]) -> Result<Option<String>> {
        if let Some(name) = self.engine.user(&key(facts), own) {
            return Ok(Some(format!("used by the mirror {name}")));
        }
        self.engine.host.user(facts, own)
    }
}
