//! What the devicemapper crate calls an error, as an errno and a sentence.

use std::fmt::Display;

use devicemapper::DmError;
use devicemapper::errors::Error as Core;

use crate::error::{Errno, Error};

/// The error of asking for `asked` (`resuming m0`).
pub(super) fn failure(asked: impl Display, error: &DmError) -> Error {
    match error {
        DmError::Core(Core::Ioctl(_, _, _, errno)) => refusal(asked, **errno),
        DmError::Core(Core::InvalidArgument(why)) => Error::invalid(format!("{asked}: {why}")),
        other => Error::new(Errno::EIO, format!("{asked}: {other}")),
    }
}

/// The error of asking for `asked` where the kernel answered `errno`.
pub(super) fn refusal(asked: impl Display, errno: Errno) -> Error {
    Error::new(known(errno), format!("{asked}: {}", errno.desc()))
}

/// What the kernel answered, where it was asked at all.
pub(super) fn errno(error: &DmError) -> Option<Errno> {
    match error {
        DmError::Core(Core::Ioctl(_, _, _, errno)) => Some(**errno),
        _ => None,
    }
}

// dm-ioctl.c says ENXIO for a device it does not find; the seam says ENODEV.
fn known(errno: Errno) -> Errno {
    match errno {
        Errno::ENXIO => Errno::ENODEV,
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(errno: Errno) -> DmError {
        DmError::Core(Core::Ioctl(0, None, None, Box::new(errno)))
    }

    #[test]
    fn the_errno_is_kept_but_for_a_missing_device() {
        let table = [
            (Errno::ENXIO, Errno::ENODEV),
            (Errno::EBUSY, Errno::EBUSY),
            (Errno::EINVAL, Errno::EINVAL),
            (Errno::ENOMEM, Errno::ENOMEM),
            (Errno::EIO, Errno::EIO),
        ];
        for (kernel, ours) in table {
            let error = failure("resuming m0", &answered(kernel));
            assert_eq!(error.errno(), ours);
            assert!(error.sentence().starts_with("resuming m0: "), "{error}");
        }
    }

    #[test]
    fn what_is_no_ioctl_is_an_error_too() {
        let odd = DmError::Core(Core::InvalidArgument("too long".into()));
        assert_eq!(failure("x", &odd).errno(), Errno::EINVAL);
        let udev = DmError::Core(Core::UdevSync("no space".into()));
        assert_eq!(failure("x", &udev).errno(), Errno::EIO);
        assert_eq!(errno(&udev), None);
    }
}
