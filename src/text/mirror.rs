//! The parameters of a mirror target (drivers/md/dm-raid1.c). Every reason for
//! which the kernel's constructor refuses a line is found here first, in its
//! order: the kernel itself says only EINVAL. Whether devices exist and are
//! large enough is not known here.

use std::fmt;

use crate::error::{Error, Result};
use crate::text::device::{DeviceRef, check_end};
use crate::text::log::refused;
use crate::text::words::{Words, cut, quote, with_spaces};

pub use crate::text::log::{Log, Sync};

/// Legs that a mirror may have (`DM_KCOPYD_MAX_REGIONS + 1`, dm-kcopyd.h).
const LEGS: std::ops::RangeInclusive<u32> = 2..=9;

/// One copy of the data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leg {
    /// The device it lies on.
    pub device: DeviceRef,
    /// First sector there.
    pub offset: u64,
}

/// What a mirror does when a leg or the log fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Features {
    /// Hold writes to a failed leg until user space has acted.
    pub handle_errors: bool,
    /// Go on with a failed leg only while the log can be written.
    pub keep_log: bool,
}

/// A feature's word, and where it is kept.
type Feature = (&'static str, fn(&mut Features) -> &mut bool);

/// The words of a table for [`Features`], in the kernel's order of printing.
const FEATURES: &[Feature] = &[
    ("handle_errors", |features| &mut features.handle_errors),
    ("keep_log", |features| &mut features.keep_log),
];

/// Whether `word` is one of a mirror's parameters, thus no kind of target.
pub(super) fn is_parameter(word: &str) -> bool {
    Sync::find(word).is_some() || FEATURES.iter().any(|(name, _)| *name == word)
}

/// The parameters of a mirror target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mirror {
    /// The dirty region log.
    pub log: Log,
    /// The legs; 0 is the one that a new table reads and copies from.
    pub legs: Vec<Leg>,
    /// What it does when a device fails.
    pub features: Features,
}

impl Mirror {
    /// Read the parameters of a target of `length` sectors, what stands behind
    /// `mirror` (`mirror_ctr`, dm-raid1.c).
    pub fn parse(params: &str, length: u64) -> Result<Mirror> {
        let mut words = Words::new(params);
        let log = Log::parse(&mut words, length)?;
        let legs = legs(&mut words, length)?;
        let features = Features::parse(&mut words)?;
        let mirror = Mirror {
            log,
            legs,
            features,
        };
        words
            .end("the mirror's parameters")
            .map_err(|error| error.context("Too many mirror arguments"))?;
        Ok(mirror)
    }

    /// Sectors of a region; none where only a userspace log's daemon knows.
    pub fn region(&self) -> Option<u64> {
        self.log.region()
    }

    /// The device of a disk log.
    pub fn log_device(&self) -> Option<&DeviceRef> {
        self.log.device()
    }

    /// The log's sync word, if any.
    pub fn sync(&self) -> Option<Sync> {
        self.log.sync()
    }

    /// How many regions a target of `length` sectors has, the last maybe short.
    pub fn regions(&self, length: u64) -> Option<u64> {
        let region = self.region().filter(|&region| region > 0)?;
        Some(length.div_ceil(region))
    }
}

impl fmt::Display for Mirror {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.log, self.legs.len())?;
        for leg in &self.legs {
            write!(f, " {} {}", leg.device, leg.offset)?;
        }
        write!(f, "{}", self.features)
    }
}

impl Features {
    /// `parse_features`, dm-raid1.c: a count of 0 and a word twice are fine.
    fn parse(words: &mut Words<'_>) -> Result<Features> {
        let mut features = Features::default();
        for _ in 0..feature_count(words)? {
            *features.named(words.next("a feature")?)? = true;
        }
        if features.keep_log && !features.handle_errors {
            return Err(refused(
                "keep_log feature requires the handle_errors feature",
                "write `2 handle_errors keep_log`, or neither",
            ));
        }
        Ok(features)
    }

    fn named(&mut self, word: &str) -> Result<&mut bool> {
        let row = FEATURES.iter().find(|(name, _)| *name == word);
        let flag = row.map(|(_, flag)| flag(self));
        flag.ok_or_else(|| {
            refused(
                "Unrecognised feature requested",
                format!("{} is neither handle_errors nor keep_log", quote(word)),
            )
        })
    }
}

/// A space and what the kernel prints; nothing where there is no feature.
impl fmt::Display for Features {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut copy = *self;
        let set = FEATURES.iter().filter(|(_, flag)| *flag(&mut copy));
        let names: Vec<&str> = set.map(|(name, _)| *name).collect();
        if names.is_empty() {
            return Ok(());
        }
        write!(f, " {} {}", names.len(), names.join(" "))
    }
}

fn feature_count(words: &mut Words<'_>) -> Result<usize> {
    if words.peek().is_none() {
        return Ok(0);
    }
    let count: u32 = words
        .number("the number of features")
        .map_err(|error| error.context("Invalid number of features"))?;
    let left = words.left();
    let fits = usize::try_from(count).ok().filter(|&count| count <= left);
    fits.ok_or_else(|| {
        refused(
            "Not enough arguments to support feature count",
            format!("{count} features are announced, {left} follow"),
        )
    })
}

fn legs(words: &mut Words<'_>, length: u64) -> Result<Vec<Leg>> {
    let count: u32 = words
        .number("the number of legs")
        .map_err(|error| error.context(INVALID_LEGS))?;
    if !LEGS.contains(&count) {
        return Err(refused(
            INVALID_LEGS,
            format!("{count} legs, a mirror has 2 to 9"),
        ));
    }
    let (wanted, left) = (count as usize * 2, words.left());
    if left < wanted {
        return Err(refused(
            "Too few mirror arguments",
            format!("{count} legs need {wanted} words, DEVICE OFFSET for each; {left} follow"),
        ));
    }
    (0..count).map(|_| leg(words, length)).collect()
}

const INVALID_LEGS: &str = "Invalid number of mirrors";

/// `get_mirror`, dm-raid1.c: the offset is judged before the device.
fn leg(words: &mut Words<'_>, length: u64) -> Result<Leg> {
    let device = words.next("a leg's device")?;
    let offset = words
        .number("a leg's offset in sectors")
        .map_err(|error| error.context(format!("Invalid offset on {}", cut(device))))
        .map_err(with_spaces)?;
    check_end("Invalid offset", offset, length)?;
    let device = device
        .parse()
        .map_err(|error: Error| error.context("Device lookup failure"))?;
    Ok(Leg { device, offset })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn real_parameters_come_back_as_the_kernel_prints_them() {
        for (written, printed) in [
            ("core 1 1024 2 7:0 0 254:0 0", None),
            ("core 2 1024 nosync 2 7:0 0 254:0 0 1 handle_errors", None),
            ("disk 2 253:0 1024 2 253:1 0 253:2 8", None),
            (
                "disk 3 253:0 1024 sync 2 253:1 0 253:2 8 2 handle_errors keep_log",
                None,
            ),
            ("userspace 3 U clustered-core 1024 2 8:0 0 8:1 0", None),
            (
                " core 1  1024 2 7:0 0 254:0 0 0 ",
                Some("core 1 1024 2 7:0 0 254:0 0"),
            ),
            (
                "core 1 1024 2 7:0 0 254:0 0 3 keep_log handle_errors keep_log",
                Some("core 1 1024 2 7:0 0 254:0 0 2 handle_errors keep_log"),
            ),
        ] {
            let mirror = Mirror::parse(written, 131_072).unwrap();
            assert_eq!(mirror.to_string(), printed.unwrap_or(written));
        }
    }

    #[test]
    fn regions_are_counted_to_the_last_short_one() {
        let mirror = Mirror::parse("disk 3 /log 1024 nosync 2 8:0 0 8:1 0", 82_945).unwrap();
        assert_eq!(mirror.region(), Some(1024));
        assert_eq!(mirror.regions(82_944), Some(81));
        assert_eq!(mirror.regions(82_945), Some(82));
        assert_eq!(mirror.regions(u64::MAX), Some(1 << 54));
        assert_eq!(mirror.sync(), Some(Sync::NoSync));
        assert_eq!(mirror.log_device(), Some(&DeviceRef::Path("/log".into())));
    }

    #[test]
    fn the_first_error_is_the_kernels_first() {
        for (params, first) in [
            ("blah 9 1", "Insufficient mirror log arguments"),
            ("core 2 3 maybe 1", "unrecognised sync argument"),
            ("core 1 3 1", "invalid region size 3"),
            ("core 1 8 2 sda x sdb 0", "Invalid offset"),
            ("core 1 8 2 sda 0 sdb x 9", "Device lookup failure"),
            ("core 1 8 2 8:0 0 8:1 0 1 keep_log x", "keep_log feature"),
        ] {
            let error = Mirror::parse(params, 4096).unwrap_err();
            assert!(error.sentence().starts_with(first), "{params}: {error}");
        }
    }
}
