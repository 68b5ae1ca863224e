//! What is set for a mirror beside its table, kept in its record and shown by its files.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::check::Check;
use super::ownership::Ownership;
use super::policy::{Dropped, OnFailure};
use super::spots::Spot;

/// What a mirror has beside its table: one value in its record, in what the daemon
/// remembers, and in each snapshot.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// Whether the mirror is to be brought back.
    pub persist: bool,
    /// Owners and modes that were changed, by path.
    #[serde(rename = "looks")]
    pub ownership: BTreeMap<String, Ownership>,
    /// What is done when a leg or the log fails.
    #[serde(default)]
    pub on_failure: OnFailure,
    /// The legs that were taken out because they had failed.
    #[serde(default)]
    pub dropped: Vec<Dropped>,
    /// Whether the sync word of its disk log was not written by anybody, and is to go.
    #[serde(default, rename = "forged")]
    pub temporary_nosync: bool,
    /// Whether the mirror was slid under another program's device: its log is its own.
    #[serde(default)]
    pub adopted: bool,
    /// What of the source could not be read, in ascending order.
    #[serde(default, rename = "unreadable")]
    pub bad: Vec<Spot>,
    /// What was set aside since something in it cannot be read, and is yet to be tried.
    #[serde(default)]
    pub aside: Vec<Spot>,
    /// Whether that is tried when all else is copied, and not before.
    #[serde(default)]
    pub aside_last: bool,
    /// Bytes of it that may be copied in a second; none where as many as can be.
    #[serde(default)]
    pub limit: Option<u64>,
    /// What is on leg 0 alone since the copy has not come to it yet.
    #[serde(default)]
    pub ahead: Vec<Spot>,
    /// Whether there are more targets than have to be, until all is copied.
    #[serde(default)]
    pub apart: bool,
    /// The last check of whether its legs are equal.
    #[serde(default)]
    pub check: Option<Arc<Check>>,
}

/// What a switch of tables changes of what is kept, and nothing else: settings that
/// somebody makes meanwhile stay.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SettingsEdit {
    /// Of a mirror that is new: all of it.
    pub fresh: Option<Settings>,
    /// The legs that are out because they had failed.
    pub dropped: Option<Vec<Dropped>>,
    /// Whether the sync word of the disk log is to go.
    pub temporary_nosync: Option<bool>,
    /// What could not be read.
    pub bad: Option<Vec<Spot>>,
    /// What is yet to be tried of what was set aside.
    pub aside: Option<Vec<Spot>>,
    /// What the copy has not come to yet.
    pub ahead: Option<Vec<Spot>>,
    /// Whether there are more targets than have to be.
    pub apart: Option<bool>,
}

impl SettingsEdit {
    /// Change what is kept; answers what takes it back.
    pub fn apply(&self, kept: &mut Option<Settings>) -> SettingsEdit {
        let before = kept.clone().unwrap_or_default();
        let now = kept.get_or_insert_default();
        if let Some(fresh) = &self.fresh {
            now.clone_from(fresh);
        }
        if let Some(dropped) = &self.dropped {
            now.dropped.clone_from(dropped);
        }
        if let Some(bad) = &self.bad {
            now.bad.clone_from(bad);
        }
        if let Some(aside) = &self.aside {
            now.aside.clone_from(aside);
        }
        if let Some(ahead) = &self.ahead {
            now.ahead.clone_from(ahead);
        }
        now.apart = self.apart.unwrap_or(now.apart);
        now.temporary_nosync = self.temporary_nosync.unwrap_or(now.temporary_nosync);
        SettingsEdit {
            fresh: self.fresh.as_ref().map(|_| before.clone()),
            dropped: Some(before.dropped),
            temporary_nosync: Some(before.temporary_nosync),
            bad: Some(before.bad),
            aside: Some(before.aside),
            ahead: Some(before.ahead),
            apart: Some(before.apart),
        }
    }
}
