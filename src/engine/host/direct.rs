//! The bytes of a device or file as they are on it.

use super::Host;
use crate::engine::direct::OpenFile;
use crate::engine::{Direct, Span};
use crate::error::Result;
use crate::text::device::DeviceRef;

impl Host {
    /// Open it past every cache, as [`crate::engine::Devices::direct`] has it.
    ///
    /// # Errors
    /// What open(2) answers.
    pub fn direct(&self, device: &DeviceRef, write: bool) -> Result<Box<dyn Direct>> {
        let facts = self.facts(device)?;
        let disk = self.block(&facts.device);
        let disk = disk.map(|block| block.whole().unwrap_or(block));
        let physical = disk.and_then(|disk| disk.number("queue/physical_block_size"));
        let block = physical.unwrap_or(facts.block_size);
        let units = (facts.block_size, block);
        let opened = OpenFile::open(&facts.way(), &facts.node, units, write)?;
        Ok(Box::new(opened))
    }

    /// Its first bytes, as [`crate::engine::PromptDevices::head`] has it.
    pub fn head(&self, device: &DeviceRef, size: u64) -> Option<Vec<u8>> {
        let (host, of) = (self.clone(), device.clone());
        self.heads.read(device, move || {
            let opened = host.direct(&of, false).ok()?;
            opened.read(Span { start: 0, size }).ok()
        })
    }
}
