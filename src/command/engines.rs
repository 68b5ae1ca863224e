//! Which engine, and what goes with it.

use std::path::Path;
use std::sync::Arc;

use super::config::EngineName;
use crate::daemon::Daemon;
use crate::daemon::records::store::Records;
use crate::engine::embedded::Embedded;
use crate::engine::embedded::devices::Files;
use crate::engine::kernel::Kernel;
use crate::engine::kernel::devices::Looped;
use crate::error::Result;

/// An engine that is open, with nothing done yet.
pub enum Opened {
    /// The kernel's device-mapper.
    Kernel(Kernel),
    /// This process.
    Embedded(Embedded),
}

/// Open an engine.
///
/// # Errors
/// ENODEV, EACCES, EPERM where there is no device-mapper for us.
pub fn open(name: EngineName) -> Result<Opened> {
    match name {
        EngineName::Kernel => Kernel::open().map(Opened::Kernel),
        EngineName::Embedded => Embedded::new().map(Opened::Embedded),
    }
}

/// A daemon over an engine, with its records below `state`.
///
/// # Errors
/// EAGAIN, EMFILE where the system has no room; EBUSY where another daemon has the
/// kernel's device-mapper.
pub fn daemon(opened: Opened, state: &Path) -> Result<Arc<Daemon>> {
    let records = Records::below(state);
    match opened {
        Opened::Kernel(engine) => {
            let engine = Arc::new(engine.claimed()?);
            Daemon::new(engine, Arc::<Looped>::default(), records)
        }
        Opened::Embedded(engine) => {
            let engine = Arc::new(engine);
            let files = Arc::new(Files::of(&engine));
            Daemon::new(engine, files, records)
        }
    }
}
