//! What the devices of a request are, each looked at once: a path may lead elsewhere a
//! moment later, and what was checked has to be what is used.

use std::cell::RefCell;
use std::collections::HashMap;

use crate::engine::{Devices, Facts};
use crate::error::Result;
use crate::text::device::DeviceRef;

/// The devices that were looked at for a request.
pub(crate) struct Looks<'d> {
    devices: &'d dyn Devices,
    known: RefCell<HashMap<DeviceRef, Facts>>,
}

impl<'d> Looks<'d> {
    /// None yet.
    pub(crate) fn at(devices: &'d dyn Devices) -> Self {
        let known = RefCell::default();
        Looks { devices, known }
    }

    /// What a device is, as it was when it was first asked for. One that is not there is
    /// looked for again.
    ///
    /// # Errors
    /// As those of [`Devices::facts`].
    pub(crate) fn facts(&self, device: &DeviceRef) -> Result<Facts> {
        if let Some(known) = self.known.borrow().get(device) {
            return Ok(known.clone());
        }
        let facts = self.devices.facts(device)?;
        self.note(device, facts.clone());
        Ok(facts)
    }

    /// This is what a device is.
    pub(crate) fn note(&self, device: &DeviceRef, facts: Facts) {
        self.known.borrow_mut().insert(device.clone(), facts);
    }
}
