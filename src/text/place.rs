//! A place on a device, `DEVICE[@OFFSET]`, as verbs and requests name it.

use std::fmt;
use std::str::FromStr;

use super::device::DeviceRef;
use super::mirror::Leg;
use super::size;
use crate::error::{Error, Result};

/// Where a leg lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The device or file.
    pub device: DeviceRef,
    /// First sector there.
    pub offset: u64,
}

/// What stands behind the last `@` is an offset only where it begins with a digit:
/// names may have one.
impl FromStr for Place {
    type Err = Error;

    fn from_str(word: &str) -> Result<Self> {
        let cut = word.rsplit_once('@');
        let cut = cut.filter(|(_, offset)| offset.starts_with(|c: char| c.is_ascii_digit()));
        let (device, offset) = match cut {
            Some((device, offset)) => (device, size::sectors(offset, "the offset")?),
            None => (word, 0),
        };
        Ok(Place {
            device: device.parse()?,
            offset,
        })
    }
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
        let misread = name.rsplit_once('@');
        let misread = misread.is_some_and(|(_, end)| end.starts_with(|c: char| c.is_ascii_digit()));
        match self.offset {
            0 if !misread => f.write_str(&name),
            offset => write!(f, "{name}@{offset}s"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_a_device_and_where_it_begins_there() {
        for (word, device, offset) in [
            ("/dev/sdb", "/dev/sdb", 0),
            ("/dev/sdb@1M", "/dev/sdb", 2048),
            ("8:16@3s", "8:16", 3),
            ("/a@b", "/a@b", 0),
            ("/a@1@0", "/a@1", 0),
        ] {
            let place: Place = word.parse().expect(word);
            assert_eq!(
                (place.device.to_string().as_str(), place.offset),
                (device, offset)
            );
            assert_eq!(place.to_string().parse(), Ok(place));
        }
        for word in ["/dev/sdb@1", "@1M", "sdb", ""] {
            word.parse::<Place>().expect_err(word);
        }
    }
}
