//! The dirty region log of a mirror as its table names it (drivers/md/dm-log.c,
//! dm-log-userspace-base.c). Refuses what the kernel's constructor would, in
//! its order and with its words, so that a sentence can be searched for.

use std::fmt;

use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};

use crate::text::device::DeviceRef;
use crate::text::name::MAX_UUID;
use crate::text::words::{Words, cut, is_digits, quote};

/// What a log's last word declares the legs to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Sync {
    /// `sync`: forget what the log says and copy everything.
    Sync,
    /// `nosync`: believe that the legs are equal and copy nothing.
    NoSync,
}

/// The words of a table for [`Sync`].
const SYNC: &[(Sync, &str)] = &[(Sync::Sync, "sync"), (Sync::NoSync, "nosync")];

impl Sync {
    pub(super) fn find(word: &str) -> Option<Self> {
        let row = SYNC.iter().find(|(_, known)| *known == word);
        row.map(|(sync, _)| *sync)
    }

    /// The word; an error that says what it is not.
    ///
    /// # Errors
    /// It is neither (`EINVAL`).
    pub fn parse(word: &str) -> Result<Self> {
        Sync::find(word).ok_or_else(|| {
            refused(
                "unrecognised sync argument to dirty region log",
                format!("{} is neither sync nor nosync", quote(word)),
            )
        })
    }
}

impl fmt::Display for Sync {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let row = SYNC.iter().find(|(sync, _)| sync == self);
        row.map_or(Ok(()), |(_, word)| f.write_str(word))
    }
}

/// Where a mirror keeps which of its regions are clean.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Log {
    /// In memory: lost at any reload.
    Core {
        /// Sectors of a region.
        region: u64,
        /// The sync word, if any.
        sync: Option<Sync>,
    },
    /// On a device, where it outlives a crash.
    Disk {
        /// The device that the log is on, from its first sector.
        device: DeviceRef,
        /// Sectors of a region.
        region: u64,
        /// The sync word, if any.
        sync: Option<Sync>,
    },
    /// With a daemon in user space; its arguments are the daemon's.
    Userspace {
        /// `UUID [integrated_flush] clustered-core|clustered-disk …`
        args: Vec<String>,
    },
}

impl Log {
    /// Take the log's words of a target of `length` sectors
    /// (`create_dirty_log`, dm-raid1.c).
    pub(super) fn parse(words: &mut Words<'_>, length: u64) -> Result<Self> {
        if words.left() < 2 {
            return Err(refused(
                INSUFFICIENT,
                "the line ends too early: expected LOG_TYPE #LOGARGS, like `core 1 2048`",
            ));
        }
        let kind = words.next("the log type")?;
        let args = take_args(words, kind)?;
        match kind {
            "core" => core(&args, length),
            "disk" => disk(&args, length),
            "userspace" => userspace(&args),
            _ => Err(Error::invalid(format!(
                "Module for logging type {} not found: a log is core, disk or userspace",
                quote(kind)
            ))),
        }
    }

    /// Sectors of a region; none where only the daemon knows.
    pub fn region(&self) -> Option<u64> {
        match self {
            Log::Core { region, .. } | Log::Disk { region, .. } => Some(*region),
            Log::Userspace { args } => {
                let (_, region, _) = dig(args)?;
                region.parse().ok().filter(|_| is_digits(region))
            }
        }
    }

    /// The disk log's device.
    pub fn device(&self) -> Option<&DeviceRef> {
        match self {
            Log::Disk { device, .. } => Some(device),
            Log::Core { .. } | Log::Userspace { .. } => None,
        }
    }

    /// The sync word, if any.
    pub fn sync(&self) -> Option<Sync> {
        match self {
            Log::Core { sync, .. } | Log::Disk { sync, .. } => *sync,
            Log::Userspace { args } => dig(args)?.2.and_then(Sync::find),
        }
    }
}

impl fmt::Display for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = |least, sync: &Option<Sync>| least + usize::from(sync.is_some());
        let sync = match self {
            Log::Core { region, sync } => {
                write!(f, "core {} {region}", count(1, sync))?;
                sync
            }
            Log::Disk {
                device,
                region,
                sync,
            } => {
                write!(f, "disk {} {device} {region}", count(2, sync))?;
                sync
            }
            Log::Userspace { args } => {
                write!(f, "userspace {}", args.len())?;
                args.iter().try_for_each(|arg| write!(f, " {arg}"))?;
                &None
            }
        };
        sync.iter().try_for_each(|sync| write!(f, " {sync}"))
    }
}

const INSUFFICIENT: &str = "Insufficient mirror log arguments";

/// An error that begins with the `kernel`'s own words.
pub(super) fn refused(kernel: &str, why: impl fmt::Display) -> Error {
    Error::invalid(format!("{kernel}: {why}"))
}

fn take_args<'a>(words: &mut Words<'a>, kind: &str) -> Result<Vec<&'a str>> {
    let count: u32 = words
        .number("the number of log arguments")
        .map_err(|error| error.context("Invalid mirror log argument count"))?;
    let left = words.left();
    if usize::try_from(count).map_or(true, |count| count > left) {
        return Err(refused(
            INSUFFICIENT,
            format!(
                "`{} {count}` announces {count} words, {left} follow",
                cut(kind)
            ),
        ));
    }
    (0..count).map(|_| words.next("a log argument")).collect()
}

/// `core_ctr`, dm-log.c
fn core(args: &[&str], length: u64) -> Result<Log> {
    let (region, sync) = region_and_sync(args, length)?;
    Ok(Log::Core { region, sync })
}

/// `disk_ctr`, dm-log.c
fn disk(args: &[&str], length: u64) -> Result<Log> {
    match args {
        [device, rest @ ..] if (1..=2).contains(&rest.len()) => {
            let device = device
                .parse()
                .map_err(|error: Error| error.context("Error creating mirror dirty log"))?;
            let (region, sync) = region_and_sync(rest, length)?;
            Ok(Log::Disk {
                device,
                region,
                sync,
            })
        }
        _ => Err(refused(
            "wrong number of arguments to disk dirty region log",
            format!(
                "found {}, expected 2 or 3: LOGDEV REGION [sync|nosync]",
                args.len()
            ),
        )),
    }
}

/// `create_log_context`, dm-log.c
fn region_and_sync(args: &[&str], length: u64) -> Result<(u64, Option<Sync>)> {
    match args {
        [region] => Ok((region_size(region, length)?, None)),
        [region, sync] => {
            let sync = Sync::parse(sync)?;
            Ok((region_size(region, length)?, Some(sync)))
        }
        _ => Err(refused(
            "wrong number of arguments to dirty region log",
            format!(
                "found {}, expected 1 or 2: REGION [sync|nosync]",
                args.len()
            ),
        )),
    }
}

/// The sectors of a region (`_check_region_size`, dm-log.c).
///
/// # Errors
/// A target of `length` sectors cannot have such regions (`EINVAL`).
pub fn region_size(word: &str, length: u64) -> Result<u64> {
    let region = word.parse::<u32>().ok().filter(|_| is_digits(word));
    let region = region.map(u64::from);
    let region = region.filter(|size| size.is_power_of_two() && (2..=length).contains(size));
    let region = region.ok_or_else(|| {
        Error::invalid(format!(
            "invalid region size {} sectors: it must be a power of two from 2 to 2147483648, and at most the target's {length}",
            cut(word)
        ))
    })?;
    check_count(region, length)
}

/// The kernel counts regions in 32 bits and would drop the rest unseen
/// (`region_count`, dm-log.c).
fn check_count(region: u64, length: u64) -> Result<u64> {
    let regions = length.div_ceil(region);
    if u32::try_from(regions).is_ok() {
        return Ok(region);
    }
    Err(Error::invalid(format!(
        "invalid region size {region}: {length} sectors make {regions} such regions, the kernel counts to {}; use a larger power of two",
        u32::MAX
    )))
}

/// `userspace_ctr`, dm-log-userspace-base.c
fn userspace(args: &[&str]) -> Result<Log> {
    let uuid = args.first().copied().unwrap_or_default();
    if args.len() < 3 {
        return Err(refused(
            "Too few arguments to userspace dirty log",
            format!(
                "found {}, expected at least 3: UUID clustered-core|clustered-disk …",
                args.len()
            ),
        ));
    }
    if uuid.len() > MAX_UUID {
        return Err(refused(
            "UUID argument too long",
            format!(
                "{} has {} bytes, at most {MAX_UUID} fit",
                quote(uuid),
                uuid.len()
            ),
        ));
    }
    let args = args.iter().map(|&arg| arg.to_owned()).collect();
    Ok(Log::Userspace { args })
}

/// Device, region and sync word of the two userspace logs that are known
/// (Documentation/admin-guide/device-mapper/dm-log.rst).
fn dig(args: &[String]) -> Option<(Option<&str>, &str, Option<&str>)> {
    let mut words = args.iter().skip(1).map(String::as_str).peekable();
    words.next_if(|word| word.eq_ignore_ascii_case("integrated_flush"));
    let device = match words.next()? {
        "clustered-core" => None,
        "clustered-disk" => Some(words.next()?),
        _ => return None,
    };
    Some((device, words.next()?, words.next()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Log> {
        Log::parse(&mut Words::new(text), 4096)
    }

    #[test]
    fn the_region_of_a_userspace_log_is_found() {
        for (text, region, sync) in [
            (
                "userspace 4 U clustered-core 1024 nosync",
                Some(1024),
                Some(Sync::NoSync),
            ),
            (
                "userspace 5 U integrated_flush clustered-disk 8:1 512",
                Some(512),
                None,
            ),
            ("userspace 3 U clustered-core +1", None, None),
            ("userspace 3 U clustered-disk 8:1", None, None),
            ("userspace 3 U other 1024", None, None),
        ] {
            let log = parse(text).unwrap();
            assert_eq!((log.region(), log.sync()), (region, sync), "{text}");
            assert_eq!(log.to_string(), text);
        }
    }

    #[test]
    fn the_count_of_regions_fits_the_kernel() {
        let check = |length| Log::parse(&mut Words::new("core 1 2"), length);
        check(u64::from(u32::MAX) * 2).unwrap();
        let error = check(u64::from(u32::MAX) * 2 + 1).unwrap_err();
        assert!(error.sentence().contains("invalid region size 2:"));
    }
}
