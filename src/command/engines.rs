//! Which engine, and what goes with it.

use std::path::Path;
use std::sync::Arc;

use super::config::{EngineName, Options};
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
    Kernel(Box<Kernel>),
    /// This process.
    Embedded(Embedded),
}

/// Open the engine that the options name.
///
/// # Errors
/// ENODEV, EACCES, EPERM where there is no device-mapper for us.
pub fn open(options: &Options) -> Result<Opened> {
    match options.engine {
        EngineName::Kernel => {
            let kernel = Kernel::open()?;
            if !options.subjob {
                kernel.keep_subjobs();
            }
            Ok(Opened::Kernel(Box::new(kernel)))
        }
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
