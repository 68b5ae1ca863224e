//! What a loaded table really holds. Of a kind of target that is not understood nobody
//! knows which devices its words name; the kernel does, once it has loaded it. They get
//! the checks that can still be made, before anything is written through them.

use super::admit::Admission;
use super::cycle;
use crate::engine::{Id, Info, Slot};
use crate::error::{Errno, Error, Result};
use crate::text::device::DeviceRef;
use crate::text::table::Table;

impl Admission {
    /// Check the devices of the table that is loaded beside the live one, but for those
    /// of `table`, which were admitted, and of the live one.
    ///
    /// # Errors
    /// EBUSY where somebody uses one, EROFS where it cannot be written and the device
    /// can, EINVAL where it stands on the device itself, and what asking for it answers.
    pub(crate) fn check_loaded(&self, id: &Id, table: &Table, read_only: bool) -> Result<()> {
        let mut admitted = table.clone();
        let mut known: Vec<DeviceRef> = admitted.devices().map(|one| one.clone()).collect();
        let loaded = self.engine.deps(id, Slot::Inactive)?;
        if loaded.iter().all(|device| known.contains(device)) {
            return Ok(());
        }
        let info = self.engine.info(id)?;
        if info.live {
            known.extend(self.engine.deps(id, Slot::Live)?);
        }
        let new = loaded.iter().filter(|device| !known.contains(device));
        let new: Vec<&DeviceRef> = new.collect();
        // It holds them already, which is no use by somebody else.
        known.push(DeviceRef::Number(info.dev));
        let mut new = new.into_iter();
        new.try_for_each(|device| self.check_one_held(&info, device, &known, read_only))
    }

    fn check_one_held(
        &self,
        info: &Info,
        device: &DeviceRef,
        known: &[DeviceRef],
        read_only: bool,
    ) -> Result<()> {
        let facts = self.devices.facts(device)?;
        let node = facts.node.display();
        let numbers = device.number();
        cycle::check_numbers(self.engine.as_ref(), info.dev, numbers.into_iter())?;
        if let Some(user) = self.devices.user(&facts, known)? {
            let sentence = format!("{node}, which the table uses, is {user}");
            return Err(Error::busy(sentence));
        }
        if facts.read_only && !read_only {
            let sentence = format!(
                "{node}, which the table uses, is read-only: `blockdev --setrw {node}`, or make the mirror read-only (NAME,,,ro,TABLE)"
            );
            return Err(Error::new(Errno::EROFS, sentence));
        }
        Ok(())
    }
}
