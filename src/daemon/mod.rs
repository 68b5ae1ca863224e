//! The daemon: what runs between the files above and device-mapper below. It
//! knows no FUSE and no file names of the tree.

mod absent;
mod act;
mod admit;
mod answers;
mod beside;
pub mod caller;
mod change;
pub mod changes;
pub mod claims;
pub mod control;
pub mod counts;
pub mod create;
pub mod cycle;
pub mod desk;
pub mod durable;
mod earlier;
pub mod entry;
pub mod events;
mod failure;
mod keep;
mod let_go;
mod live;
mod loaded;
pub mod logfile;
pub mod look;
mod looks;
mod made;
mod own;
mod own_logs;
pub mod places;
pub mod record;
pub mod records;
pub mod registry;
mod restore;
mod retry;
mod rights;
pub mod running;
pub mod safe;
mod settings;
mod short;
mod spare;
mod successor;
mod switch;
mod told;
mod trust;
mod urgent;
mod uses;
pub mod watch;

use std::sync::Arc;

use crate::engine::home::Home;
use crate::engine::{Devices, Engine};
use crate::error::Result;
use crate::text::device::DeviceRef;

/// Everything that a mounted mirrorfs consists of, below the tree.
pub struct Daemon {
    /// Device-mapper.
    pub engine: Arc<dyn Engine>,
    /// The devices below it.
    pub devices: Arc<dyn Devices>,
    /// The mirrors.
    pub registry: registry::Registry,
    /// What happened.
    pub events: events::Events,
    /// Long work.
    pub desk: Arc<desk::Desk>,
    /// What is kept for the next mount.
    records: records::Records,
    /// What they lie on. Asked at once: later it may be on what does not answer.
    records_home: Home,
    own_logs: own_logs::OwnLogs,
    claims: claims::Claims,
    earlier: earlier::Earlier,
    uses: uses::Uses,
    bell: watch::Bell,
}

impl Daemon {
    /// A daemon over `engine` and `devices` that keeps `records`;
    /// [`watch::start`] sets it going.
    ///
    /// # Errors
    /// EAGAIN, EMFILE where the system has no room for a thread or a pipe.
    pub fn new(
        engine: Arc<dyn Engine>,
        devices: Arc<dyn Devices>,
        records: records::Records,
    ) -> Result<Arc<Daemon>> {
        let events = events::Events::default();
        let changes = Arc::clone(&events.changes);
        desk::spawn("readers", move || changes.serve())?;
        let records_home = devices.home(&DeviceRef::Path(records.folder().into()));
        Ok(Arc::new(Daemon {
            engine,
            devices,
            registry: registry::Registry::default(),
            events,
            desk: desk::Desk::open()?,
            own_logs: own_logs::OwnLogs::beside(&records),
            records_home,
            records,
            claims: claims::Claims::default(),
            earlier: earlier::Earlier::default(),
            uses: uses::Uses::default(),
            bell: watch::Bell::new()?,
        }))
    }
}
