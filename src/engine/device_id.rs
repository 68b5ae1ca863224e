//! What tells a block device from all others, and for how long.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// The key that holds as long as this boot does: `BOOT_ID DISKSEQ`.
pub const BOOT: &str = "boot";

/// What a block device is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeviceId {
    /// What it was called, for people.
    pub node: PathBuf,
    /// What kind of thing; none in a record of before, where the keys tell.
    #[serde(default)]
    pub kind: Option<DeviceKind>,
    /// What it says of itself, and its disk, by kind: `ID_SERIAL`, `dm/uuid`, …
    pub ids: BTreeMap<String, String>,
    /// Those of the keys that were seen on another device too: they can contradict, and
    /// prove nothing.
    #[serde(default)]
    pub common: BTreeSet<String>,
    /// Bytes.
    pub size: u64,
    /// Bytes of a logical block; none in a record of before.
    #[serde(default)]
    pub block_size: Option<u64>,
}

/// Kinds of block devices.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum DeviceKind {
    /// A whole disk.
    Disk,
    /// A partition of one.
    Partition {
        /// Its number in the table.
        number: u64,
        /// The byte of the disk where it begins; none in a record of before.
        start: Option<u64>,
    },
    /// A device of device-mapper.
    Mapping,
    /// An array of md.
    Array,
}

impl DeviceKind {
    /// Whether two are the same kind of thing at the same place.
    pub fn is(self, other: DeviceKind) -> bool {
        match (self, other) {
            (
                DeviceKind::Partition { number, start },
                DeviceKind::Partition {
                    number: other,
                    start: at,
                },
            ) => number == other && start.zip(at).is_none_or(|(start, at)| start == at),
            (one, other) => one == other,
        }
    }

    /// Whether such a thing may have become longer and be the same.
    fn grows(self) -> bool {
        !matches!(self, DeviceKind::Disk)
    }
}

impl DeviceId {
    /// The kind; of a record of before, what its keys tell.
    pub fn kind(&self) -> DeviceKind {
        let number = self.ids.get(PARTITION).and_then(|text| text.parse().ok());
        let has = |prefix: &str| self.ids.keys().any(|key| key.starts_with(prefix));
        match (self.kind, number) {
            (Some(kind), _) => kind,
            (None, Some(number)) => DeviceKind::Partition {
                number,
                start: None,
            },
            (None, None) if has("dm/") => DeviceKind::Mapping,
            (None, None) if has("md/") || has("MD_") => DeviceKind::Array,
            (None, None) => DeviceKind::Disk,
        }
    }

    /// Whether a device that is here now is this one: the same kind of thing at the same
    /// place, nothing contradicts, and something agrees that no other device has. What
    /// only one of them says proves nothing.
    pub fn is(&self, now: &DeviceId) -> bool {
        let mut agreed = false;
        for (key, id) in &self.ids {
            let Some(also) = now.ids.get(key) else {
                continue;
            };
            let unique = !self.common.contains(key) && !now.common.contains(key);
            match (key.as_str(), id == also) {
                (PARTITION, _) => {}
                // Plugged in again it has another count, and is the same.
                (BOOT, same) => agreed |= same,
                (_, false) => return false,
                (_, true) => agreed |= unique,
            }
        }
        agreed && self.kind().is(now.kind())
    }

    /// Whether it would be this one if a key that several devices here have were one's
    /// own.
    pub fn is_one_of(&self, now: &DeviceId) -> bool {
        let own = |id: &DeviceId| DeviceId {
            common: BTreeSet::new(),
            ..id.clone()
        };
        own(self).is(&own(now))
    }

    /// Whether this size can be its own now.
    pub fn has_size(&self, now: u64) -> bool {
        self.size == now || self.kind().grows() && now > self.size
    }

    /// Whether something tells it from others: as long as this boot lasts, or beyond.
    pub fn proof(&self) -> Proof {
        let mut own = self.ids.keys().filter(|key| *key != PARTITION);
        if own.clone().all(|key| key == BOOT) {
            Proof::ThisBoot
        } else if own.any(|key| key != BOOT && !self.common.contains(key)) {
            Proof::Lasting
        } else {
            Proof::None
        }
    }

    /// What is known of it by both; what was seen on another device stays so.
    pub(super) fn with(self, before: &DeviceId) -> DeviceId {
        let mut ids = before.ids.clone();
        ids.remove(PARTITION);
        ids.extend(self.ids);
        DeviceId {
            ids,
            common: self.common.union(&before.common).cloned().collect(),
            ..self
        }
    }
}

/// The key that a record of before has of a partition.
const PARTITION: &str = "partition";

/// For how long a device can be told from others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proof {
    /// What it says of itself, no other device here does.
    Lasting,
    /// It says nothing of itself: as long as this boot lasts.
    ThisBoot,
    /// All that it says of itself, another one says too.
    None,
}

impl fmt::Display for DeviceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lasting = self.ids.iter().filter(|(key, _)| *key != BOOT);
        let mut shown: Vec<_> = lasting.map(|(key, id)| format!("{key} {id}")).collect();
        match self.kind() {
            DeviceKind::Partition { number, .. } => shown.push(format!("partition {number}")),
            _ if shown.is_empty() => shown.push("known in one boot only".into()),
            _ => {}
        }
        write!(f, "{} ({})", self.node.display(), shown.join(", "))
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::engine) fn device(pairs: &[(&str, &str)]) -> DeviceId {
        let pairs = pairs
            .iter()
            .map(|(kind, id)| ((*kind).into(), (*id).into()));
        DeviceId {
            node: "/dev/sdb".into(),
            kind: None,
            ids: pairs.collect(),
            common: BTreeSet::new(),
            size: 4096,
            block_size: None,
        }
    }

    pub(in crate::engine) fn with_common(device: &DeviceId, key: &str) -> DeviceId {
        DeviceId {
            common: [key.to_string()].into(),
            ..device.clone()
        }
    }

    #[test]
    fn one_that_agrees_and_none_that_contradicts() {
        let known = device(&[("wwn", "1"), ("serial", "a")]);
        assert!(known.is(&known));
        assert!(known.is(&device(&[("serial", "a"), ("part_uuid", "z")])));
        assert!(!known.is(&device(&[("serial", "a"), ("wwn", "2")])));
        assert!(!known.is(&device(&[("part_uuid", "z")])));
        assert!(!device(&[]).is(&device(&[])));
    }

    #[test]
    fn what_another_device_says_too_proves_nothing_and_contradicts() {
        let dock = device(&[("serial", "0123")]);
        let both = with_common(&dock, "serial");
        assert!(!dock.is(&both) && !both.is(&dock) && dock.is_one_of(&both));
        assert_eq!((dock.proof(), both.proof()), (Proof::Lasting, Proof::None));
        let (here, boot) = (
            with_common(&device(&[("serial", "0123"), (BOOT, "b 7")]), "serial"),
            "b 7",
        );
        assert!(here.is(&here));
        assert_eq!(here.proof(), Proof::None);
        assert!(!here.is(&device(&[("serial", "4567"), (BOOT, boot)])));
        assert_eq!(device(&[(BOOT, boot)]).proof(), Proof::ThisBoot);
        let again = device(&[("wwn", "1"), (BOOT, "b 8")]);
        assert!(device(&[("wwn", "1"), (BOOT, boot)]).is(&again));
    }

    #[test]
    fn kind_and_place_are_equal_and_those_of_before_are_told_by_their_keys() {
        let at = |number, start| DeviceId {
            kind: Some(DeviceKind::Partition { number, start }),
            ..device(&[("serial", "a")])
        };
        let disk = DeviceId {
            kind: Some(DeviceKind::Disk),
            ..device(&[("serial", "a")])
        };
        let before = device(&[("serial", "a"), (PARTITION, "1")]);
        assert!(!disk.is(&at(1, Some(0))) && !at(1, Some(0)).is(&disk));
        assert!(!at(1, Some(0)).is(&at(1, Some(512))) && !at(1, None).is(&at(2, None)));
        assert!(before.is(&at(1, Some(512))) && !before.is(&at(2, Some(512))) && !before.is(&disk));
        assert!(device(&[("serial", "a")]).is(&disk));
        assert_eq!(device(&[("dm/uuid", "x")]).kind(), DeviceKind::Mapping);
        assert_eq!(device(&[("MD_UUID", "x")]).kind(), DeviceKind::Array);
        assert!(at(1, None).has_size(8192) && !at(1, None).has_size(512) && !disk.has_size(8192));
    }
}
