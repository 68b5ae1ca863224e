//! A place on a device, `DEVICE[@OFFSET]`, as verbs and requests name it.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use super::device::DeviceRef;
use super::mirror::Leg;
use super::size;
use super::words::unquoted;
use crate::error::{Error, Result};

/// Where a leg lies.
#[derive(Debug, Clone)]
pub struct Place {
    /// The device or file.
    pub device: DeviceRef,
    /// First sector there.
    pub offset: u64,
    /// How the word reads too, until [`Place::settle`] has decided.
    other: Option<Other>,
}

/// A word with an `@` in it, read as the name of one file.
#[derive(Debug, Clone)]
struct Other {
    device: DeviceRef,
    /// Why what stands behind the `@` is no offset, where it is none.
    bad: Option<Error>,
}

/// Past any device: what is used without having been settled is refused.
const NOWHERE: u64 = u64::MAX;

impl Place {
    /// A device from one of its sectors on.
    pub fn at(device: DeviceRef, offset: u64) -> Place {
        Place {
            device,
            offset,
            other: None,
        }
    }

    /// Decide what a word with an `@` in it means: the file of that whole name, where
    /// there is one; else a device and an offset.
    ///
    /// # Errors
    /// EINVAL where there is none and what stands behind the `@` is no offset.
    pub fn settle(&mut self, exists: impl FnOnce(&Path) -> bool) -> Result<()> {
        let Some(Other { device, bad }) = self.other.take() else {
            return Ok(());
        };
        match (device.path().is_some_and(exists), bad) {
            (true, _) => *self = Place::at(device, 0),
            (false, Some(bad)) => return Err(bad),
            (false, None) => {}
        }
        Ok(())
    }
}

/// What was decided is the same, in whatever way it was written.
impl PartialEq for Place {
    fn eq(&self, other: &Place) -> bool {
        (&self.device, self.offset) == (&other.device, other.offset)
    }
}

impl Eq for Place {}

/// What stands behind the last `@` is an offset where it begins with a digit and no
/// slash follows, unless a backslash stands before the `@`.
impl FromStr for Place {
    type Err = Error;

    fn from_str(word: &str) -> Result<Self> {
        let Some((device, offset)) = cut(word) else {
            return Ok(Place::at(word.parse()?, 0));
        };
        let (device, offset) = (device.parse()?, size::sectors(offset, "the offset"));
        let whole: Option<DeviceRef> = word.parse().ok();
        match (whole, offset) {
            (None, offset) => Ok(Place::at(device, offset?)),
            (Some(whole), offset) => Ok(Place {
                device,
                offset: *offset.as_ref().unwrap_or(&NOWHERE),
                other: Some(Other {
                    device: whole,
                    bad: offset.err(),
                }),
            }),
        }
    }
}

/// The two sides of the `@` that may begin an offset.
fn cut(word: &str) -> Option<(&str, &str)> {
    let (at, _) = unquoted(word).filter(|(_, c)| *c == '@').last()?;
    let (device, offset) = (word.get(..at)?, word.get(at + 1..)?);
    let is_one = offset.starts_with(|c: char| c.is_ascii_digit()) && !offset.contains('/');
    is_one.then_some((device, offset))
}

impl From<&Place> for Leg {
    fn from(place: &Place) -> Leg {
        Leg {
            device: place.device.clone(),
            offset: place.offset,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.device.to_string();
        match self.offset {
            0 => f.write_str(&match cut(&name) {
                Some((before, behind)) => format!("{before}\\@{behind}"),
                None => name,
            }),
            offset => write!(f, "{name}@{offset}s"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settled(word: &str, there: &[&str]) -> Result<Place> {
        let mut place: Place = word.parse()?;
        let there = |path: &Path| there.iter().any(|other| Path::new(other) == path);
        place.settle(there).map(|()| place)
    }

    #[test]
    fn a_place_is_a_device_and_where_it_begins_there() {
        for (word, device, offset) in [
            ("/dev/sdb", "/dev/sdb", 0),
            ("/dev/sdb@1M", "/dev/sdb", 2048),
            ("8:16@3s", "8:16", 3),
            ("/a@b", "/a@b", 0),
            ("/a@1@0", "/a@1", 0),
            (r"/a\@1", "/a@1", 0),
            (r"/a\@1@512", "/a@1", 1),
            ("/snap@2024-01-01/a", "/snap@2024-01-01/a", 0),
            ("/x:@0", "/x:", 0),
        ] {
            let place = settled(word, &[]).expect(word);
            assert_eq!(
                (place.device.to_string().as_str(), place.offset),
                (device, offset)
            );
            let shown = place.to_string();
            assert_eq!(settled(&shown, &[]), Ok(place), "{shown}");
        }
        for word in ["/dev/sdb@1", "@1M", "sdb", "", "8:16@1"] {
            settled(word, &[]).expect_err(word);
        }
    }

    #[test]
    fn a_word_that_is_a_file_s_name_is_that_file() {
        let there = ["/pool/vol@1024", "/a@1"];
        for (word, device, offset) in [
            ("/pool/vol@1024", "/pool/vol@1024", 0),
            ("/pool/vol@2s", "/pool/vol", 2),
            ("/a@1", "/a@1", 0),
            ("/a@1@1K", "/a@1", 2),
        ] {
            let place = settled(word, &there).expect(word);
            assert_eq!(
                (place.device.to_string().as_str(), place.offset),
                (device, offset)
            );
        }
        let forgotten: Place = "/dev/sdb@1".parse().expect("it may be a file");
        assert_eq!(forgotten.offset, NOWHERE);
    }
}
