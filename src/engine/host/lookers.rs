//! Looking at files whose file system may not answer: each on a thread of its own, of
//! which there is one for each file at most. Whoever asks waits for a moment, and only as
//! long as nobody has waited for this very look in vain.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use crate::engine::facts::{Facts, Found, Sight};
use crate::error::{Errno, Result};

/// How long a look is waited for.
const WITHIN: Duration = Duration::from_millis(200);

/// A look makes a few calls.
const STACK: usize = 128 * 1024;

/// Who looks at what.
#[derive(Debug, Default)]
pub(in crate::engine) struct Lookers {
    looks: Mutex<HashMap<PathBuf, Look>>,
    ended: Condvar,
}

/// A look that has not ended, and what was seen before.
#[derive(Debug)]
struct Look {
    since: Instant,
    before: Option<Sight>,
    /// What it has seen, once it has ended.
    seen: Option<Found>,
}

impl Lookers {
    /// What there is to be known of a file, by `facts`.
    pub(in crate::engine) fn look(
        self: &Arc<Self>,
        path: &Path,
        facts: impl FnOnce() -> Result<Facts> + Send + 'static,
    ) -> Found {
        let mut looks = self.looks.lock();
        let before = match looks.get(path) {
            Some(look) if look.seen.is_none() => None,
            Some(look) => Some(look.before.clone()),
            None => Some(None),
        };
        if let Some(before) = before {
            let look = Look {
                since: Instant::now(),
                before,
                seen: None,
            };
            looks.insert(path.into(), look);
            let (lookers, path_of) = (Arc::clone(self), path.to_path_buf());
            let work = move || lookers.end(path_of, found(facts()));
            let thread = thread::Builder::new().name("look".into()).stack_size(STACK);
            if thread.spawn(work).is_err() {
                looks.remove(path);
                return Found::Unknown;
            }
        }
        let end = looks
            .get(path)
            .map_or_else(Instant::now, |look| look.since + WITHIN);
        let runs = |looks: &mut HashMap<PathBuf, Look>| {
            looks.get(path).is_some_and(|look| look.seen.is_none())
        };
        self.ended.wait_while_until(&mut looks, runs, end);
        let seen = match looks.get(path) {
            Some(look) => look.seen.clone().unwrap_or_else(|| Found::Late {
                since: look.since.elapsed(),
                before: look.before.clone(),
            }),
            None => Found::Gone,
        };
        if seen == Found::Gone {
            looks.remove(path);
        }
        seen
    }

    fn end(&self, path: PathBuf, seen: Found) {
        let mut looks = self.looks.lock();
        match looks.get_mut(&path) {
            Some(look) => {
                if let Found::There(sight) = &seen {
                    look.before = Some(sight.clone());
                }
                look.seen = Some(seen);
            }
            None => log::debug!("{}: nobody waits any more", path.display()),
        }
        drop(looks);
        self.ended.notify_all();
    }
}

fn found(facts: Result<Facts>) -> Found {
    match facts {
        Ok(facts) => Found::There(facts.sight()),
        Err(error) if matches!(error.errno(), Errno::ENODEV | Errno::ENOENT) => Found::Gone,
        Err(_) => Found::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;
    use crate::engine::host::Host;
    use crate::text::device::DeviceRef;

    #[test]
    fn who_does_not_answer_keeps_one_reader_for_a_moment() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let path = file.path().to_path_buf();
        let facts = |path: &Path| Host::new().facts(&DeviceRef::Path(path.into()));
        let (lookers, (send, hung)) = (Arc::<Lookers>::default(), channel::<()>());
        let quick = path.clone();
        let seen = lookers.look(&path, move || facts(&quick));
        assert!(matches!(seen, Found::There(_)), "{seen:?}");
        let slow = path.clone();
        let late = lookers.look(&path, move || {
            let _ = hung.recv();
            facts(&slow)
        });
        assert!(
            matches!(
                &late,
                Found::Late {
                    before: Some(_),
                    ..
                }
            ),
            "{late:?}"
        );
        let begun = Instant::now();
        let again = lookers.look(&path, || panic!("there is one who looks"));
        assert!(matches!(again, Found::Late { .. }) && begun.elapsed() < WITHIN);
        drop(send);
        let quick = path.clone();
        let mut seen = Found::Unknown;
        while !matches!(seen, Found::There(_)) {
            let quick = quick.clone();
            seen = lookers.look(&path, move || facts(&quick));
        }
        drop(file);
        assert_eq!(lookers.look(&path, move || facts(&quick)), Found::Gone);
    }
}
