//! Settings of a mirror: what is kept of it beside its table, each changed by a
//! line of text or by `chmod` and `chown`, and recorded at once.

use super::rooms::Rooms;
use crate::daemon::events::kind::Kind;
use crate::daemon::journal::begun::Begun;
use crate::daemon::mirrors::not_started;
use crate::daemon::mirrors::query::Detail;
use crate::error::{Error, Result};
use crate::model::id::MirrorId;
use crate::model::ownership::Ownership;
use crate::model::policy::OnFailure;
use crate::model::settings::Settings;
use crate::model::snapshot::Snapshot;
use crate::plan::{pace, steps};
use crate::text::size;
use crate::text::words::{quote, trim};

/// Sets what is set for a mirror.
pub struct Preferences {
    below: Rooms,
}

impl Preferences {
    /// That of a daemon.
    pub fn new(below: &Rooms) -> Preferences {
        Preferences {
            below: below.clone(),
        }
    }

    /// Set whether a mirror is brought back when it is not there.
    ///
    /// # Errors
    /// EINVAL for what is neither yes nor no, for a mirror without a UUID, and where
    /// record or log do not outlive a reboot; EPERM where LVM owns it.
    pub fn set_persist(&self, mirror_id: MirrorId, line: &str) -> Result<()> {
        let set = yes_or_no(trim(line)).and_then(|persist| {
            let check = |snapshot: &Snapshot| {
                if persist {
                    self.check_can_persist(snapshot)
                } else {
                    Ok(())
                }
            };
            self.set(mirror_id, check, |kept| &mut kept.persist, persist)
        });
        self.tell_set(mirror_id, "persist", line, set)
    }

    /// Set the share of time that copying may take.
    ///
    /// # Errors
    /// EINVAL for what is no number from 1 to 100.
    pub fn throttle(&self, line: &str) -> Result<()> {
        let word = trim(line);
        let percent = word.strip_suffix('%').unwrap_or(word).parse::<u32>();
        let result = percent
            .map_err(|_| Error::invalid("throttle is one number from 1 to 100 (percent)"))
            .and_then(|percent| self.below.engine.set_throttle(percent));
        if result.is_ok() {
            self.below
                .events
                .add("-", Kind::Set, &format!("throttle {}", trim(line)));
        }
        self.below.events.report("-", result)
    }

    /// Set what is done when a leg or the log fails.
    ///
    /// # Errors
    /// EINVAL for what is neither drop nor hold; EPERM where LVM owns the mirror.
    pub fn set_on_failure(&self, mirror_id: MirrorId, line: &str) -> Result<()> {
        let parsed = trim(line).parse::<OnFailure>();
        let set = parsed.and_then(|policy| {
            self.set(mirror_id, |_| Ok(()), |kept| &mut kept.on_failure, policy)
        });
        // What has failed already is judged anew.
        self.below.registry.update(mirror_id, |entry| {
            entry
                .pending_failure
                .iter_mut()
                .for_each(|pending_failure| pending_failure.reason.clear());
        });
        self.below.bell.ring();
        self.tell_set(mirror_id, "on_failure", line, set)
    }

    /// Set how many bytes may be copied in a second. A copy that is under way is stopped at
    /// once as far as it is ahead of that.
    ///
    /// # Errors
    /// EINVAL for what is no amount, and for a mirror that cannot be copied in steps; EPERM
    /// where LVM owns it.
    pub fn set_limit(&self, mirror_id: MirrorId, line: &str) -> Result<()> {
        let parsed = size::limit(trim(line), "limit");
        let set = parsed
            .and_then(|limit| self.set(mirror_id, pace::check, |kept| &mut kept.limit, limit));
        self.below.registry.update(mirror_id, |entry| {
            entry.front.unmoved = None;
        });
        self.below.bell.ring();
        self.tell_set(mirror_id, "limit", line, set)
    }

    /// Keep owner and mode of a file of a mirror, by its path below the mirror.
    pub fn set_ownership(&self, mirror_id: MirrorId, path: &str, look: Ownership) {
        let changed = self.below.registry.update(mirror_id, |entry| {
            let kept = entry.settings.get_or_insert_default();
            let old = kept.ownership.get(path).copied().unwrap_or_default();
            kept.ownership.insert(path.into(), look.over(old));
        });
        if changed.is_some() && self.below.registry.absent(mirror_id).is_none() {
            self.below.journal.keep_soon(mirror_id, Begun::Still);
        }
    }

    /// Set one field of what is kept, and nothing else: a verb or another setting may
    /// change the others at this moment.
    fn set<T: Copy + PartialEq>(
        &self,
        mirror_id: MirrorId,
        check: impl FnOnce(&Snapshot) -> Result<()>,
        field: fn(&mut Settings) -> &mut T,
        value: T,
    ) -> Result<()> {
        let snapshot = self.below.mirrors.snapshot(mirror_id, Detail::Kernel)?;
        steps::check_owner(&snapshot)?;
        if let Some(absent) = self.below.registry.absent(mirror_id) {
            return Err(not_started(&absent));
        }
        check(&snapshot)?;
        let put = |value: T| {
            self.below.registry.update(mirror_id, |entry| {
                let kept = entry.settings.get_or_insert_default();
                std::mem::replace(field(kept), value)
            })
        };
        let before = put(value);
        self.below
            .journal
            .keep_with(mirror_id, Begun::Still)
            .inspect_err(|_| {
                before.map(put);
            })
    }

    fn check_can_persist(&self, snapshot: &Snapshot) -> Result<()> {
        if snapshot.info.uuid.is_empty() {
            let name = &snapshot.info.name;
            return Err(Error::invalid(format!(
                "{name} has no UUID by which it could be known again"
            )));
        }
        self.below.journal.check_comes_back(&snapshot.table)
    }

    fn tell_set(&self, mirror_id: MirrorId, what: &str, line: &str, set: Result<()>) -> Result<()> {
        let name = self.below.registry.name_of(mirror_id);
        if set.is_ok() {
            let text = format!("{what} {}", trim(line));
            self.below.events.add(&name, Kind::Set, &text);
        }
        self.below.events.report(&name, set)
    }
}

fn yes_or_no(word: &str) -> Result<bool> {
    match word {
        "yes" => Ok(true),
        "no" => Ok(false),
        other => {
            let other = quote(other);
            Err(Error::invalid(format!("persist is yes or no, not {other}")))
        }
    }
}
