//! A mirror that is recorded and is not there: why, and what comes next of it.

use std::time::{Duration, Instant};

use crate::daemon::records::record::Record;
use crate::error::{Errno, Error};
use crate::model::snapshot::Away;

/// A mirror that is recorded and could not be made again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Absent {
    /// The record that it is started from.
    pub record: Record,
    /// Why it is not there.
    pub reason: String,
    /// What comes next.
    pub next: Next,
}

/// What comes next of a mirror that is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// It is being started, since then.
    Started(Instant),
    /// It is started once a device is there that it lacks.
    Device,
    /// The same of a file: once its file system is mounted.
    Mount,
    /// Somebody says whether it is tried again.
    Word,
    /// Somebody says which leg has what is wanted.
    Choice,
}

/// How long a start may take before it is called a failure, and others wait for it.
pub const STARTS_WITHIN: Duration = Duration::from_secs(30);

impl Next {
    /// Whether it starts by itself once something is there.
    pub fn waits(self) -> bool {
        matches!(self, Next::Device | Next::Mount)
    }
}

impl Absent {
    /// One that somebody took away behind the daemon's back.
    pub fn withdrawn(record: Record) -> Absent {
        Absent {
            record,
            reason: "another program removed it".into(),
            next: Next::Word,
        }
    }

    /// What the error of a start says of it.
    pub fn after(record: Record, error: &Error) -> Absent {
        Absent {
            record,
            reason: error.sentence().into(),
            next: match error.errno() {
                Errno::ENODEV => Next::Device,
                Errno::ENOENT => Next::Mount,
                Errno::ENOTEMPTY => Next::Choice,
                _ => Next::Word,
            },
        }
    }

    /// What the files show of it.
    pub fn away(&self) -> Away {
        let starting = matches!(self.next, Next::Started(since) if since.elapsed() < STARTS_WITHIN);
        Away {
            reason: self.reason.clone(),
            remedy: self.remedy(),
            starting,
        }
    }

    /// What can be done about it.
    pub fn remedy(&self) -> &'static str {
        match self.next {
            Next::Choice => "nothing was written",
            Next::Started(_) => "nothing can be done before its devices answer",
            Next::Device => {
                "it starts once that is there; write `resume` to ctl to try again, `remove` to forget it"
            }
            Next::Mount => {
                "it starts once its file system is mounted; write `resume` to ctl to try again, `remove` to forget it"
            }
            Next::Word => "write `resume` to ctl to try again, `remove` to forget it",
        }
    }
}
