//! `follow`: the progress again each second, until the copy ends. A read waits for
//! its line outside of the threads that answer, and never longer than a second: a
//! caller cannot be interrupted before its answer.

use std::time::{Duration, Instant};

use crate::error::{Errno, Result};
use crate::model::progress::{Progress, SyncState};
use crate::model::snapshot::Snapshot;

/// Between two lines.
const BEAT: Duration = Duration::from_secs(1);

/// How far a reader has followed.
#[derive(Debug, Default)]
pub(super) struct Follow {
    /// When the next line is due; none before the first.
    due: Option<Instant>,
    /// What did not fit into the last read.
    rest: Vec<u8>,
    /// Whether the copy stood still at the last line: a table that is being
    /// switched looks so for a moment.
    stood: bool,
    ended: bool,
}

impl Follow {
    /// How long the next read has to wait.
    pub(super) fn pause(&self) -> Duration {
        match self.due.filter(|_| self.rest.is_empty() && !self.ended) {
            Some(due) => due.saturating_duration_since(Instant::now()).min(BEAT),
            None => Duration::ZERO,
        }
    }

    /// Whether the next read begins a line.
    pub(super) fn wants_line(&self) -> bool {
        self.rest.is_empty() && !self.ended
    }

    /// Up to `size` bytes of the next line; none at the end. `mirror` is what it is now,
    /// an error where it is gone; none where no line was wanted.
    pub(super) fn read(&mut self, size: usize, mirror: Option<Result<Snapshot>>) -> Vec<u8> {
        if let Some(mirror) = mirror.filter(|_| self.wants_line()) {
            self.rest = self.line(mirror).into_bytes();
            self.due = Some(Instant::now() + BEAT);
        }
        let end = size.min(self.rest.len());
        self.rest.drain(..end).collect()
    }

    fn line(&mut self, mirror: Result<Snapshot>) -> String {
        let mirror = match mirror {
            Ok(mirror) => mirror,
            Err(error) => {
                self.ended = true;
                return match error.errno() {
                    Errno::ENODEV => "removed\n".into(),
                    _ => format!("{error}\n"),
                };
            }
        };
        let progress = Progress::of(&mirror);
        let stands = progress.state == SyncState::Stopped;
        self.ended = match progress.state {
            SyncState::Syncing => false,
            SyncState::Stopped => self.stood,
            SyncState::InSync | SyncState::None => true,
        };
        self.stood = stands;
        Progress::line_of(&mirror) + "\n"
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;

    #[test]
    fn one_that_is_gone_is_said_to_be_and_that_is_the_end() {
        let mut follow = Follow::default();
        let gone = || Some(Err(Error::new(Errno::ENODEV, "gone")));
        assert_eq!(follow.read(4, gone()), b"remo");
        assert_eq!(follow.read(100, gone()), b"ved\n");
        assert_eq!(follow.pause(), Duration::ZERO);
        assert_eq!(follow.read(100, gone()), b"");
    }
}
