//! The cure of a device: a program of its own, since a suspend waits for the server, and a
//! server that is killed meanwhile would wait for itself.

use std::env::current_exe;
use std::process::{Command, Stdio};
use std::str::FromStr;

use super::look::having;
use crate::cluster::state::cure::Cure;
use crate::engine::kernel::Kernel;
use crate::engine::kernel::devices::Looped;
use crate::engine::{Devices, Engine, Span, Suspend};
use crate::error::{Errno, Error, Result};
use crate::text::device::DeviceRef;

/// The words of the command line for each.
const WORDS: &[(Cure, &str)] = &[(Cure::Reload, "reload"), (Cure::Read, "read")];

/// What a reader reads, in bytes.
const BLOCK: u64 = 4096;

impl FromStr for Cure {
    type Err = String;

    fn from_str(word: &str) -> Result<Cure, String> {
        let row = WORDS.iter().find(|(_, known)| *known == word);
        row.map(|(cure, _)| *cure)
            .ok_or_else(|| format!("{word} is no cure"))
    }
}

/// Start the program and wait for its end.
pub fn start(log: &str, cure: Cure) {
    let word = WORDS.iter().find(|(known, _)| *known == cure);
    let word = word.map_or("", |(_, word)| word);
    let status = current_exe().and_then(|program| {
        let mut command = Command::new(program);
        command.args(["--cure", word, "--log", log]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).status()
    });
    match status {
        Ok(status) => log::debug!("the log {log}: {word}: {status}"),
        Err(error) => log::warn!("the log {log}: {word} was not started: {error}"),
    }
}

/// Do it, as that program.
///
/// # Errors
/// What device-mapper answers; EBUSY where somebody has loaded a table.
pub fn cure(log: &str, cure: Cure) -> Result<()> {
    let engine = Kernel::open()?;
    let mut found = having(&engine, log)?;
    let (Some(device), true) = (found.pop(), found.is_empty()) else {
        let sentence = format!("there is not one device with the log {log}");
        return Err(Error::new(Errno::ENODEV, sentence));
    };
    let (info, lines) = (&device.info, &device.lines);
    match cure {
        Cure::Read => {
            let devices = Looped::default();
            let disk = devices.direct(&DeviceRef::Number(info.dev), false)?;
            let span = Span {
                start: 0,
                size: BLOCK,
            };
            disk.read(span).map(drop)
        }
        Cure::Reload if info.inactive || info.suspended => Err(Error::busy(format!(
            "{} is being changed by somebody else",
            info.name
        ))),
        Cure::Reload => {
            let id = info.id();
            engine.load(&id, lines, info.read_only)?;
            let switched = engine.suspend(&id, Suspend::REQUEUE);
            let switched = switched.and_then(|()| engine.resume_at_once(&id));
            switched.inspect_err(|_| drop(engine.clear(&id)))
        }
    }
}
