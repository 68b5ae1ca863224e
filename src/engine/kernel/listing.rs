//! The list of devices, each with the life that its table was in before.

use devicemapper::{Device, DmNameBuf};

use super::Kernel;
use super::convert::number;
use super::failure::{self, failure};
use crate::engine::host::sysfs::Sysfs;
use crate::engine::{Id, Listed, PromptEngine};
use crate::error::Result;
use crate::text::device::DevNo;

impl Kernel {
    /// As [`PromptEngine::list`].
    ///
    /// # Errors
    /// What DM_LIST_DEVICES answers.
    pub(super) fn listed(&self) -> Result<Vec<Listed>> {
        let lives = self.lives.each().ok();
        let life = |dev: DevNo| lives.as_ref().map(|lives| lives.of(dev));
        match self.dm.list_devices() {
            Ok(devices) => Ok(devices.into_iter().map(|one| listed(one, &life)).collect()),
            Err(e) if failure::errno(&e).is_some() => Err(failure("listing the devices", &e)),
            Err(_) => Ok(self.listed_singly(&life)),
        }
    }

    /// One device after the other, where a single odd name makes the crate refuse
    /// the whole list. Such a device cannot be addressed either, so it is left out.
    fn listed_singly(&self, life: &dyn Fn(DevNo) -> Option<u64>) -> Vec<Listed> {
        let names = Sysfs::default().mapping_names().into_iter();
        let infos = names.filter_map(|name| self.info(&Id::Name(name)).ok());
        infos
            .map(|info| Listed {
                life: life(info.dev),
                name: info.name,
                dev: info.dev,
                event_nr: info.event_nr,
            })
            .collect()
    }
}

fn listed(
    (name, device, event_nr): (DmNameBuf, Device, Option<u32>),
    life: &dyn Fn(DevNo) -> Option<u64>,
) -> Listed {
    let dev = number(device);
    Listed {
        name: name.to_string(),
        dev,
        // Every interface that [`Kernel::open`] accepts has one.
        event_nr: event_nr.unwrap_or_default(),
        life: life(dev),
    }
}
