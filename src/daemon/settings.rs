//! Settings of a mirror: what is kept of it beside its table, each changed by a
//! line of text or by `chmod` and `chown`, and recorded at once.

use super::Daemon;
use super::absent::not_started;
use super::entry::Kept;
use super::events::Kind;
use super::keep::still_begun;
use super::look::Detail;
use crate::error::{Error, Result};
use crate::model::look::Look;
use crate::model::policy::OnFailure;
use crate::model::snapshot::Snapshot;
use crate::plan::build;
use crate::text::words::{quote, trim};

impl Daemon {
    /// Set whether a mirror is brought back when it is not there.
    ///
    /// # Errors
    /// EINVAL for what is neither yes nor no, for a mirror without a UUID, and where
    /// record or log do not outlive a reboot; EPERM where LVM owns it.
    pub fn set_persist(&self, serial: u64, line: &str) -> Result<()> {
        let set = yes_or_no(trim(line)).and_then(|persist| {
            let check = |snapshot: &Snapshot| match persist {
                true => self.check_can_persist(snapshot),
                false => Ok(()),
            };
            self.set(serial, check, |kept| &mut kept.persist, persist)
        });
        self.tell_set(serial, "persist", line, set)
    }

    /// Set what is done when a leg or the log fails.
    ///
    /// # Errors
    /// EINVAL for what is neither drop nor hold; EPERM where LVM owns the mirror.
    pub fn set_on_failure(&self, serial: u64, line: &str) -> Result<()> {
        let parsed = trim(line).parse::<OnFailure>();
        let set = parsed
            .and_then(|policy| self.set(serial, |_| Ok(()), |kept| &mut kept.on_failure, policy));
        // What has failed already is judged anew.
        self.registry.update(serial, |entry| {
            entry
                .trouble
                .iter_mut()
                .for_each(|trouble| trouble.reason.clear());
        });
        self.bell.ring();
        self.tell_set(serial, "on_failure", line, set)
    }

    /// Keep owner and mode of a file of a mirror, by its path below the mirror.
    pub fn dress(&self, serial: u64, path: &str, look: Look) {
        let changed = self.registry.update(serial, |entry| {
            let kept = entry.kept.get_or_insert_default();
            let old = kept.looks.get(path).copied().unwrap_or_default();
            kept.looks.insert(path.into(), look.over(old));
        });
        if changed.is_some() && self.registry.absent(serial).is_none() {
            self.keep_seen(&self.name_of(serial), serial);
        }
    }

    /// Set one field of what is kept, and nothing else: a verb or another setting may
    /// change the others at this moment.
    fn set<T: Copy + PartialEq>(
        &self,
        serial: u64,
        check: impl FnOnce(&Snapshot) -> Result<()>,
        field: fn(&mut Kept) -> &mut T,
        value: T,
    ) -> Result<()> {
        let snapshot = self.snapshot(serial, Detail::Kernel)?;
        build::check_owner(&snapshot)?;
        if let Some(absent) = self.registry.absent(serial) {
            return Err(not_started(&absent));
        }
        check(&snapshot)?;
        let put = |value: T| {
            self.registry.update(serial, |entry| {
                let kept = entry.kept.get_or_insert_default();
                std::mem::replace(field(kept), value)
            })
        };
        let before = put(value);
        self.keep_with(serial, still_begun).inspect_err(|_| {
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
        self.check_lasting(&snapshot.table)
    }

    fn tell_set(&self, serial: u64, what: &str, line: &str, set: Result<()>) -> Result<()> {
        let name = self.name_of(serial);
        if set.is_ok() {
            let text = format!("{what} {}", trim(line));
            self.events.add(&name, Kind::Set, &text);
        }
        self.report(&name, set)
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
