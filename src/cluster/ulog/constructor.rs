//! The words with which a table makes a userspace log, as the kernel hands them on: the
//! target's length and what follows the uuid (`build_constructor_string`,
//! drivers/md/dm-log-userspace-base.c).

use crate::error::{Error, Result};
use crate::text::device::DeviceRef;
use crate::text::log::{Sync, region_size};
use crate::text::words::{Words, quote};

/// A log that is to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Constructor {
    /// Sectors of the target.
    pub length: u64,
    /// Sectors of a region.
    pub region: u64,
    /// The device of a log on a disk.
    pub device: Option<DeviceRef>,
    /// The sync word, if any.
    pub sync: Option<Sync>,
}

impl Constructor {
    /// Parse the words.
    ///
    /// # Errors
    /// The word that is none, or is not as it has to be.
    pub fn parse(words: &str) -> Result<Constructor> {
        let mut words = Words::new(words);
        let length = words.number("the length")?;
        if length == 0 {
            return Err(Error::invalid("the length is 0 sectors"));
        }
        let device = device(&mut words)?;
        let region = region_size(words.next("the region size")?, length)?;
        let mut sync = None;
        while let Some(word) = words.peek() {
            // What old tables have: the kernel decides what is done about errors now.
            if word != "block_on_error" {
                sync = Some(Sync::parse(word)?);
            }
            words.next("a word of the log")?;
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

/// The device of the log, where its type has one.
fn device(words: &mut Words<'_>) -> Result<Option<DeviceRef>> {
    match words.next("clustered-core or clustered-disk")? {
        "clustered-core" | "clustered_core" => Ok(None),
        "clustered-disk" | "clustered_disk" => {
            let device = words.next("the device of the log")?.parse();
            let device = device.map_err(|error: Error| error.context("the device of the log"));
            device.map(Some)
        }
        kind => Err(Error::invalid(format!(
            "{} is no log: clustered-core or clustered-disk",
            quote(kind)
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_are_understood() {
        let words = "4096 clustered-disk 253:1 1024 nosync block_on_error";
        let made = Constructor::parse(words).unwrap();
        assert_eq!((made.length, made.region), (4096, 1024));
        assert_eq!(
            (made.sync, made.kind()),
            (Some(Sync::NoSync), "clustered-disk")
        );
        assert_eq!(made.device.unwrap().to_string(), "253:1");
        let made = Constructor::parse("4096 clustered_core 8 sync").unwrap();
        assert_eq!(
            (made.sync, made.kind()),
            (Some(Sync::Sync), "clustered-core")
        );
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
            ("18446744073709551615 clustered-core 2", "region size 2:"),
            ("16 clustered-disk", "the device of the log"),
            ("16 clustered-disk x 8", "the device of the log"),
            ("16 clustered-core 8 maybe", "\"maybe\""),
        ] {
            let error = Constructor::parse(words).unwrap_err();
            assert!(error.sentence().contains(piece), "{words}: {error:?}");
        }
    }
}
