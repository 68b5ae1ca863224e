//! Names and UUIDs on their way into an ioctl: what `struct dm_ioctl` has no
//! room for, or cannot hold, is refused here with a sentence.

use devicemapper::{DevId, DmNameBuf, DmUuidBuf};

use super::raw::Header;
use crate::engine::Id;
use crate::error::{Error, Result};

/// An [`Id`] that fits into the ioctl's header.
pub(super) enum Fitting {
    Name(DmNameBuf),
    Uuid(DmUuidBuf),
}

impl Fitting {
    /// EINVAL for what [`name`] and [`uuid`] refuse.
    pub(super) fn new(id: &Id) -> Result<Self> {
        Ok(match id {
            Id::Name(text) => Fitting::Name(name(text)?),
            Id::Uuid(text) => Fitting::Uuid(uuid(text)?),
        })
    }

    pub(super) fn dev_id(&self) -> DevId<'_> {
        match self {
            Fitting::Name(name) => DevId::Name(name),
            Fitting::Uuid(uuid) => DevId::Uuid(uuid),
        }
    }
}

/// The header of a question about a device; EINVAL for what [`name`] and [`uuid`] refuse.
pub(super) fn header(id: &Id) -> Result<Header> {
    let header = match id {
        Id::Name(text) => is_name(text).then(|| Header::new(text, "").ok()),
        Id::Uuid(text) => is_uuid(text).then(|| Header::new("", text).ok()),
    };
    header.flatten().ok_or_else(|| match id {
        Id::Name(text) => refused("name", text, MOST_OF_NAME),
        Id::Uuid(text) => refused("UUID", text, MOST_OF_UUID),
    })
}

const MOST_OF_NAME: usize = 127;
const MOST_OF_UUID: usize = 128;

/// Whether a device can be called so, and addressed by it.
pub(super) fn is_name(text: &str) -> bool {
    (1..=MOST_OF_NAME).contains(&text.len()) && is_plain(text)
}

fn is_uuid(text: &str) -> bool {
    (1..=MOST_OF_UUID).contains(&text.len()) && is_plain(text)
}

// The kernel reads up to the first NUL: a name with one in it would address
// another device.
fn is_plain(text: &str) -> bool {
    text.is_ascii() && !text.contains('\0')
}

/// A name of 1 to 127 ASCII characters; EINVAL for any other.
pub(super) fn name(text: &str) -> Result<DmNameBuf> {
    let known = is_name(text).then(|| DmNameBuf::new(text.into()).ok());
    known
        .flatten()
        .ok_or_else(|| refused("name", text, MOST_OF_NAME))
}

/// A UUID of 1 to 128 ASCII characters; EINVAL for any other.
pub(super) fn uuid(text: &str) -> Result<DmUuidBuf> {
    let known = is_uuid(text).then(|| DmUuidBuf::new(text.into()).ok());
    known
        .flatten()
        .ok_or_else(|| refused("UUID", text, MOST_OF_UUID))
}

fn refused(what: &str, text: &str, most: usize) -> Error {
    Error::invalid(format!(
        "the {what} '{}' is not 1 to {most} ASCII characters",
        text.escape_debug()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Errno;

    #[test]
    fn what_the_header_cannot_hold_is_refused_without_a_panic() {
        for odd in ["", "m\0", "spiegel-ä", &"m".repeat(128)] {
            assert_eq!(name(odd).unwrap_err().errno(), Errno::EINVAL, "{odd:?}");
        }
        for odd in ["", "u\0", "ü", &"u".repeat(129)] {
            let id = Id::Uuid(odd.into());
            assert!(Fitting::new(&id).is_err(), "{odd:?}");
        }
    }

    #[test]
    fn the_longest_of_each_fits() {
        assert!(name(&"m".repeat(127)).is_ok());
        assert!(uuid(&"u".repeat(128)).is_ok());
    }
}
