//! The machine as the daemon sees it: device-mapper, and the disks below it.

use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::PathBuf;
use std::sync::Arc;

use mirrorfs::engine::home::{Home, Lying};
use mirrorfs::engine::identity::{DeviceId, DeviceKind, Identity};
use mirrorfs::engine::{
    self, Attachment, Devices, Direct, Doomed, Engine, Extent, Facts, Found, Holder, Id, Info,
    Kind, Listed, PromptDevices, PromptEngine, Slot, Span, Suspend, Traffic, Versions,
};
use mirrorfs::error::{Errno, Error, Result};
use mirrorfs::text::device::{DevNo, DeviceRef};
use mirrorfs::text::table::Line;

use super::device::{DISK, Loaded};
use super::disks::{BLOCKS, Disk, SECTORS};
use super::machine::Sim;
use super::mirror::Held;

/// Bytes of a block.
const BYTES: u64 = SECTORS * 512;

impl PromptEngine for Sim {
    fn kind(&self) -> Kind {
        Kind::Kernel
    }

    fn versions(&self) -> Result<Versions> {
        Ok(Versions {
            dm: "4.47.0".into(),
            mirror: Some("1.14.0".into()),
        })
    }

    fn list(&self) -> Result<Arc<[Listed]>> {
        let state = self.state();
        let listed = state.devices.iter().map(|device| Listed {
            name: device.name.clone(),
            dev: device.dev(),
            event_nr: device.event_nr,
            life: Some(device.life),
        });
        Ok(listed.collect())
    }

    fn info(&self, id: &Id) -> Result<Info> {
        Ok(self.state().find(id)?.info())
    }

    fn status(&self, id: &Id) -> Result<(Info, Vec<Line>)> {
        let mut state = self.state();
        let device = state.find(id)?;
        Ok((device.info(), device.status()))
    }

    fn table(&self, id: &Id, slot: Slot) -> Result<(Info, Vec<Line>)> {
        let mut state = self.state();
        let device = state.find(id)?;
        let table = match slot {
            Slot::Live => &device.live,
            Slot::Inactive => &device.inactive,
        };
        let lines = table.as_ref().map(|table| table.lines.clone());
        Ok((device.info(), lines.unwrap_or_default()))
    }

    fn deps(&self, id: &Id, slot: Slot) -> Result<Vec<DeviceRef>> {
        let (_, lines) = self.table(id, slot)?;
        let mut table = mirrorfs::text::table::Table::from_lines(&lines);
        let deps = table.devices().map(|device| device.clone());
        Ok(deps.collect())
    }

    fn life(&self, dev: DevNo) -> Result<u64> {
        Sim::life(self, dev)
    }

    /// Unknown: whoever asks must look at every table.
    fn lives(&self) -> Result<u64> {
        Err(Error::new(
            Errno::ENOTSUP,
            "the simulation does not sum the lives",
        ))
    }

    fn arm(&self) -> Result<()> {
        self.count_arm();
        Ok(())
    }

    fn events(&self) -> Vec<BorrowedFd<'_>> {
        vec![self.bell.as_fd()]
    }

    fn throttle(&self) -> Result<u32> {
        Ok(self.state().throttle)
    }
}

impl Engine for Sim {
    fn create(&self, name: &str, uuid: &str, _: Option<u32>) -> Result<Info> {
        self.change(|state| state.create(name, uuid).map(|device| device.info()))
    }

    fn load(&self, id: &Id, table: &[Line], _: bool) -> Result<()> {
        let ambush = self.state().ambush.take();
        if let Some(ambush) = ambush {
            self.change(ambush);
        }
        self.change(|state| {
            let loaded = Loaded::new(table, state.ground.disks.len())?;
            state.find(id)?.inactive = Some(loaded);
            Ok(())
        })
    }

    fn clear(&self, id: &Id) -> Result<()> {
        self.change(|state| {
            state.find(id)?.inactive = None;
            Ok(())
        })
    }

    fn suspend(&self, id: &Id, how: Suspend) -> Result<()> {
        let held = if how.noflush {
            Held::Requeue
        } else {
            Held::Fail
        };
        self.change(|state| {
            let hurt = |live: &Loaded| live.mirrors().any(|mirror| mirror.faults.any);
            // What fails only in the course of it nobody could know.
            let sound = !state.find(id)?.live.as_ref().is_some_and(hurt);
            state.writer.others_flush = sound;
            let suspended = state.suspend(id, held);
            state.changed();
            state.writer.others_flush = false;
            suspended
        })
    }

    fn resume(&self, id: &Id) -> Result<()> {
        let resumed = self.change(|state| {
            let device = state.find(id)?;
            // As the kernel's engine does, whose resume would else flush.
            if device.live.is_some() && device.inactive.is_some() {
                state.suspend(id, Held::Requeue)?;
            }
            state.resume(id)
        });
        let witness = self.witness.lock().expect("nobody panics with it").clone();
        if let Some(witness) = witness {
            witness();
        }
        resumed
    }

    fn remove(&self, id: &Id, _: bool) -> Result<()> {
        self.change(|state| state.remove(id))
    }

    fn rename(&self, id: &Id, name: &str) -> Result<()> {
        self.change(|state| state.rename(id, name))
    }

    fn set_throttle(&self, percent: u32) -> Result<()> {
        self.state().throttle = percent;
        Ok(())
    }
}

fn node(number: DevNo) -> PathBuf {
    format!("/dev/sim{}-{}", number.major, number.minor).into()
}

impl PromptDevices for Sim {
    fn sight(&self, device: &DeviceRef) -> Found {
        match self.facts(device) {
            Ok(facts) => Found::There(facts.sight()),
            Err(_) => Found::Gone,
        }
    }

    fn holders(&self, devices: &[&DeviceRef]) -> Vec<Vec<Holder>> {
        vec![Vec::new(); devices.len()]
    }

    fn lies_on(&self, _: &Home, _: DevNo) -> Lying {
        Lying::Elsewhere
    }

    fn let_go(&self, _: &DeviceRef) -> Result<()> {
        Ok(())
    }

    fn head(&self, _: &DeviceRef, _: u64) -> Option<Vec<u8>> {
        None
    }

    fn traffic(&self, dev: DevNo) -> Option<Traffic> {
        let state = self.state();
        let device = state.devices.iter().find(|device| device.dev() == dev)?;
        Some(Traffic {
            done: state.writer.acknowledged + state.writer.failed,
            under_way: device.under_way() as u64,
        })
    }
}

/// A disk as it was when it was opened.
struct Blocks(Disk);

impl Direct for Blocks {
    fn block(&self) -> u64 {
        BYTES
    }

    fn read(&self, span: Span) -> Result<Vec<u8>> {
        let mut bytes = vec![0; span.size as usize];
        let blocks = span.start / BYTES..span.end().div_ceil(BYTES);
        let read = match self.0.file {
            Some(_) => self.0.read_log(&mut bytes),
            None => blocks
                .into_iter()
                .try_for_each(|block| self.0.read(block as usize).map(drop)),
        };
        let failed = |_| Error::new(Errno::EIO, "reading a disk");
        read.map(|()| bytes).map_err(failed)
    }

    fn write(&self, at: u64, bytes: &[u8]) -> Result<()> {
        assert_eq!(at, 0, "only logs are written");
        let written = self.0.clone().write_log(bytes);
        written.map_err(|_| Error::new(Errno::EIO, "writing a log"))
    }
}

impl Devices for Sim {
    fn facts(&self, device: &DeviceRef) -> Result<Facts> {
        let gone = || Error::new(Errno::ENOENT, format!("there is no {device}"));
        let number = device.number().ok_or_else(gone)?;
        let state = self.state();
        let blocks = match number.major {
            DISK => {
                let disks = &state.ground.disks;
                disks.get(number.minor as usize).map(|_| BLOCKS)
            }
            _ => {
                let mut devices = state.devices.iter();
                let found = devices.find(|device| device.dev() == number);
                found.map(|device| device.length())
            }
        };
        let size = blocks.ok_or_else(gone)? as u64 * BYTES;
        let disk = state.ground.disks.get(number.minor as usize);
        let log = disk.filter(|_| number.major == DISK);
        let log = log.and_then(|disk| disk.file.clone());
        Ok(Facts {
            device: device.clone(),
            node: log.unwrap_or_else(|| node(number)),
            file: None,
            autoclear: false,
            size,
            block_size: 512,
            read_only: false,
            extent: Extent {
                base: number.to_string(),
                start: 0,
                size,
            },
            pin: None,
        })
    }

    fn identity(&self, facts: &Facts) -> Result<Identity> {
        let mirror_id = ("mirror_id".to_string(), facts.extent.base.clone());
        Ok(Identity::Device(DeviceId {
            node: facts.node.clone(),
            kind: Some(DeviceKind::Disk),
            ids: BTreeMap::from([mirror_id]),
            common: BTreeSet::new(),
            size: facts.size,
            block_size: Some(facts.block_size),
        }))
    }

    fn find(&self, identity: &Identity) -> Result<DeviceRef> {
        let Identity::Device(device) = identity else {
            return Err(Error::new(Errno::ENODEV, "a machine without files"));
        };
        device.ids["mirror_id"].parse()
    }

    fn attach(&self, facts: &Facts, _: bool) -> Result<Attachment> {
        let sentence = format!("{}: a machine without files", facts.node.display());
        Err(Error::new(Errno::ENODEV, sentence))
    }

    fn probe(&self, device: &DeviceRef, at: u64) -> Result<()> {
        let number = device.number().map_or(0, |number| number.minor);
        let state = self.state();
        let read = state.ground.disks[number as usize].read((at / BYTES) as usize);
        read.map(drop).map_err(|_| Error::sys(device, Errno::EIO))
    }

    fn direct(&self, device: &DeviceRef, _: bool) -> Result<Box<dyn Direct>> {
        let number = device.number().map_or(0, |number| number.minor);
        let disk = self.state().ground.disks[number as usize].clone();
        Ok(Box::new(Blocks(disk)))
    }

    fn flush(&self, device: &DeviceRef) -> Result<()> {
        let number = device.number().map_or(0, |number| number.minor);
        let state = self.state();
        if state.ground.disks[number as usize].flushes() {
            Ok(())
        } else {
            Err(Error::sys(device, Errno::EIO))
        }
    }

    /// What was written back would be the same: only whether it could be counts.
    fn prove(&self, device: &DeviceRef, span: Span) -> Result<()> {
        self.probe(device, span.start)?;
        self.probe(device, span.end().saturating_sub(1))?;
        self.flush(device)
    }

    fn carried(&self, _: &DeviceRef, _: Span) -> Result<Option<engine::Held>> {
        Ok(None)
    }

    fn signature(&self, _: &DeviceRef, _: Doomed) -> Result<Option<engine::Held>> {
        Ok(None)
    }

    fn partitions(&self, _: &DeviceRef, _: Span) -> Result<Vec<Span>> {
        Ok(Vec::new())
    }

    fn home(&self, _: &DeviceRef) -> Home {
        Home::default()
    }

    fn read_partitions(&self, _: &DeviceRef) -> Result<()> {
        Ok(())
    }

    fn user(&self, _: &Facts, _: &[DeviceRef]) -> Result<Option<String>> {
        Ok(None)
    }
}
