//! An engine with several owners: [`Inject`] takes one for itself, and the
//! embedded engine's files need the same one.
//!
//! [`Inject`]: mirrorfs::engine::inject::Inject

use std::os::fd::BorrowedFd;
use std::sync::Arc;

use mirrorfs::engine::{Engine, Id, Info, Kind, Listed, PromptEngine, Slot, Suspend, Versions};
use mirrorfs::error::Result;
use mirrorfs::text::device::{DevNo, DeviceRef};
use mirrorfs::text::table::Line;

/// The engine that is shared.
pub struct Shared(pub Arc<dyn Engine>);

macro_rules! through {
    ($($call:ident($($arg:ident: $type:ty),*) -> $answer:ty;)*) => {
        $(fn $call(&self $(, $arg: $type)*) -> $answer {
            self.0.$call($($arg),*)
        })*
    };
}

impl PromptEngine for Shared {
    fn events(&self) -> Vec<BorrowedFd<'_>> {
        self.0.events()
    }

    fn messages(&self) -> Option<BorrowedFd<'_>> {
        self.0.messages()
    }

    fn hear(&self) {
        self.0.hear();
    }

    through! {
        kind() -> Kind;
        versions() -> Result<Versions>;
        list() -> Result<Arc<[Listed]>>;
        info(id: &Id) -> Result<Info>;
        status(id: &Id) -> Result<(Info, Vec<Line>)>;
        table(id: &Id, slot: Slot) -> Result<(Info, Vec<Line>)>;
        deps(id: &Id, slot: Slot) -> Result<Vec<DeviceRef>>;
        arm() -> Result<()>;
        life(dev: DevNo) -> Result<u64>;
        lives() -> Result<u64>;
        throttle() -> Result<u32>;
    }
}

impl Engine for Shared {
    through! {
        create(name: &str, uuid: &str, minor: Option<u32>) -> Result<Info>;
        load(id: &Id, table: &[Line], read_only: bool) -> Result<()>;
        clear(id: &Id) -> Result<()>;
        suspend(id: &Id, how: Suspend) -> Result<()>;
        resume(id: &Id) -> Result<()>;
        remove(id: &Id, deferred: bool) -> Result<()>;
        rename(id: &Id, name: &str) -> Result<()>;
        set_throttle(percent: u32) -> Result<()>;
    }
}
