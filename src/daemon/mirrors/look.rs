//! One look at a mapping: its status, and the table that it is a status of. A table is the
//! same as long as its life lasts: where it is known, the status alone is asked for.

use std::sync::Arc;

use super::tables::{Read, Tables};
use crate::engine::{Id, Info, Listed, PromptEngine, Slot};
use crate::error::{Errno, Error, Result};
use crate::model::snapshot::Snapshot;
use crate::text::device::DevNo;
use crate::text::printed::Printed;
use crate::text::table::Line;

/// What a look has found.
pub(super) struct Look {
    pub(super) info: Info,
    pub(super) status: Vec<Line>,
    pub(super) printed: Printed,
    /// Read after the status: what it shows is not of a later life.
    pub(super) life: Option<u64>,
}

impl Tables {
    /// Look at the mapping that has this address and number.
    ///
    /// # Errors
    /// ENODEV where it is gone.
    pub(super) fn look(&self, engine: &dyn PromptEngine, id: &Id, dev: DevNo) -> Result<Look> {
        let life = engine.life(dev).ok();
        let look = self.glance(engine, id, dev, life)?;
        match look.filter(|_| engine.life(dev).ok() == life) {
            Some(look) => Ok(look),
            None => self.look_anew(engine, id, dev, life),
        }
    }

    /// The status alone, of a table that is known in this life; none where it is not, or
    /// where the status may be of another. Whoever asks sees to it that the life is the same
    /// afterwards.
    pub(super) fn glance(
        &self,
        engine: &dyn PromptEngine,
        id: &Id,
        dev: DevNo,
        life: Option<u64>,
    ) -> Result<Option<Look>> {
        let Some(known) = self.known(dev, life) else {
            return Ok(None);
        };
        let (info, status) = engine.status(id)?;
        Ok(known.look(dev, info, status))
    }

    /// The same of one that was just listed.
    pub(super) fn glance_at(&self, engine: &dyn PromptEngine, device: &Listed) -> Option<Look> {
        let id = self.known(device.dev, device.life)?.info.id();
        self.glance(engine, &id, device.dev, device.life).ok()?
    }

    /// A status of one that was just listed, with its table where it is of that.
    pub(super) fn fitting(&self, device: &Listed, info: Info, status: Vec<Line>) -> Option<Look> {
        let known = self.known(device.dev, device.life)?;
        known.look(device.dev, info, status)
    }

    /// Both; `life` is that of before.
    fn look_anew(
        &self,
        engine: &dyn PromptEngine,
        id: &Id,
        dev: DevNo,
        life: Option<u64>,
    ) -> Result<Look> {
        let (info, lines) = engine.table(id, Slot::Live)?;
        check(&info, dev)?;
        let printed = Printed::from(lines);
        let (_, status) = engine.status(id)?;
        let after = engine.life(dev).ok();
        if after == life && self.known(dev, life).is_none() {
            self.keep(engine, id, (&info, &printed), life);
        }
        Ok(Look {
            info,
            status,
            printed,
            life: after,
        })
    }
}

impl Look {
    /// What was seen before, and is so again.
    pub(super) fn again(seen: &Snapshot) -> Look {
        Look {
            info: seen.info.clone(),
            status: seen.status.clone(),
            printed: Printed {
                lines: Arc::clone(&seen.lines),
                table: Arc::clone(&seen.table),
            },
            life: seen.life,
        }
    }
}

impl Read {
    /// A status of the device with this number, with its table where it is of that. What is
    /// suspended may be at the switch to another table.
    fn look(&self, dev: DevNo, info: Info, status: Vec<Line>) -> Option<Look> {
        let here = info.dev == dev && !info.suspended && info.live;
        (here && self.printed.is_of(&status)).then(|| Look {
            info,
            status,
            printed: self.printed.clone(),
            life: self.life,
        })
    }
}

fn check(info: &Info, dev: DevNo) -> Result<()> {
    let gone = || Error::new(Errno::ENODEV, format!("{dev} is gone"));
    (info.dev == dev).then_some(()).ok_or_else(gone)
}
