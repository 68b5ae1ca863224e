//! How much of the time copying may take: one value for all mirrors of the
//! kernel (drivers/md/dm-raid1.c, DECLARE_DM_KCOPYD_THROTTLE_WITH_MODULE_PARM).

use std::fs;

use crate::engine::check_throttle;
use crate::error::{Error, Result};

/// The parameter of the mirror target; it is there once dm-mirror is.
const PARAMETER: &str = "/sys/module/dm_mirror/parameters/raid1_resync_throttle";

/// Percent; ENOENT where dm-mirror is not loaded.
pub(super) fn get() -> Result<u32> {
    let text = fs::read_to_string(PARAMETER).map_err(|e| Error::io(PARAMETER, &e))?;
    text.trim().parse().map_err(|_| {
        let text = text.trim().escape_debug();
        Error::invalid(format!("{PARAMETER}: '{text}' is not a percentage"))
    })
}

/// EINVAL for anything but 1 to 100.
pub(super) fn set(percent: u32) -> Result<()> {
    check_throttle(percent)?;
    fs::write(PARAMETER, format!("{percent}\n")).map_err(|e| Error::io(PARAMETER, &e))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Errno;

    #[test]
    fn only_percentages_are_written() {
        for odd in [0, 101, u32::MAX] {
            assert_eq!(set(odd).unwrap_err().errno(), Errno::EINVAL);
        }
    }
}
