//! A device with a number of one's own choice; the devicemapper crate has no way
//! to pass one.

use std::fs::File;

use super::raw::{Call, Header, PERSISTENT, call};
use crate::error::Errno;
use crate::text::device::MAX_MINOR;

/// Create `name` with this minor number; an empty `uuid` is none.
///
/// EINVAL for a number or text that does not fit, EBUSY where the name or the UUID
/// is taken, ENXIO where the number is (drivers/md/dm-ioctl.c, dev_create).
pub(super) fn create(control: &File, name: &str, uuid: &str, minor: u32) -> Result<(), Errno> {
    if minor > MAX_MINOR {
        return Err(Errno::EINVAL);
    }
    let header = Header::new(name, uuid)?;
    call(
        control,
        Call::Create,
        &mut header.flags(PERSISTENT).minor(minor),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_that_no_device_can_have_is_not_asked_for() {
        let null = File::open("/dev/null").unwrap();
        assert_eq!(create(&null, "m0", "", MAX_MINOR + 1), Err(Errno::EINVAL));
        assert_eq!(create(&null, "m0", "", MAX_MINOR), Err(Errno::ENOTTY));
    }
}
