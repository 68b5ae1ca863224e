//! The words with which a table makes a userspace log, as the kernel hands them on: the
//! target's length and what follows the uuid (`build_constructor_string`,
//! drivers/md/dm-log-userspace-base.c).

use crate::error::{Error, Result};
use crate::text::device::DeviceRef;
use crate::text::words::quote;

/// A log that is to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Constructor {
    /// Sectors of the target.
    pub length: u64,
    /// Sectors of a region.
    pub region: u64,
    /// The device of a log on a disk.
    pub device: Option<DeviceRef>,
    /// Whether the legs are to be copied, or are equal; none where neither was said.
    pub sync: Option<bool>,
}

impl Constructor {
    /// Parse the words.
    ///
    /// # Errors
    /// The word that is none, or is not as it has to be.
    pub fn parse(words: &str) -> Result<Constructor> {
        let mut words = words.split_ascii_whitespace();
        let length = number(words.next(), "the length")?;
        let kind = words.next().unwrap_or_default();
        let device = match kind {
            "clustered-core" | "clustered_core" => None,
            "clustered-disk" | "clustered_disk" => Some(device(words.next())?),
            _ => {
                return Err(Error::invalid(format!(
                    "{} is no log: clustered-core or clustered-disk",
                    quote(kind)
                )));
            }
        };
        let region = number(words.next(), "the region size")?;
        let fits = region.is_power_of_two() && region >= 2 && region <= length;
        // What the bits of a log are counted by in the kernel (`region_count`).
        if !fits || length.div_ceil(region) > u64::from(u32::MAX) {
            return Err(Error::invalid(format!(
                "a region of {region} sectors: a power of two up to the length, {length}"
            )));
        }
        let mut sync = None;
        for word in words {
            match word {
                "sync" => sync = Some(true),
                "nosync" => sync = Some(false),
                // What old tables have: the kernel decides what is done about errors now.
                "block_on_error" => {}
                _ => {
                    return Err(Error::invalid(format!(
                        "{} is no word of a log: sync or nosync",
                        quote(word)
                    )));
                }
            }
        }
        Ok(Constructor {
            length,
            region,
            device,
            sync,
        })
    }

    /// What `dmsetup status` calls it.
    pub fn kind(&self) -> &'static str {
        match self.device {
            Some(_) => "clustered-disk",
            None => "clustered-core",
        }
    }
}

fn number(word: Option<&str>, what: &str) -> Result<u64> {
    let word = word.unwrap_or_default();
    let number = word.parse().ok().filter(|number| *number > 0);
    number.ok_or_else(|| Error::invalid(format!("{what} is {}: not a number", quote(word))))
}

fn device(word: Option<&str>) -> Result<DeviceRef> {
    let word = word.unwrap_or_default();
    let device = word.parse::<DeviceRef>();
    device.map_err(|error| error.context("the device of the log"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_are_understood() {
        let words = "4096 clustered-disk 253:1 1024 nosync block_on_error";
        let made = Constructor::parse(words).unwrap();
        assert_eq!((made.length, made.region), (4096, 1024));
        assert_eq!((made.sync, made.kind()), (Some(false), "clustered-disk"));
        assert_eq!(made.device.unwrap().to_string(), "253:1");
        let made = Constructor::parse("4096 clustered_core 8 sync").unwrap();
        assert_eq!((made.sync, made.kind()), (Some(true), "clustered-core"));
        assert!(made.device.is_none());
        assert_eq!(
            Constructor::parse("16 clustered-core 8").unwrap().sync,
            None
        );
    }

    #[test]
    fn what_is_none_is_named() {
        for (words, piece) in [
            ("", "the length"),
            ("0 clustered-core 8", "the length"),
            ("16 core 8", "\"core\""),
            ("16", "clustered-core or"),
            ("16 clustered-core", "the region size"),
            ("16 clustered-core 3", "3 sectors"),
            ("16 clustered-core 32", "32 sectors"),
            ("18446744073709551615 clustered-core 2", "2 sectors"),
            ("16 clustered-disk", "the device of the log"),
            ("16 clustered-disk x 8", "the device of the log"),
            ("16 clustered-core 8 maybe", "\"maybe\""),
        ] {
            let error = Constructor::parse(words).unwrap_err();
            assert!(error.sentence().contains(piece), "{words}: {error:?}");
        }
    }
}
