//! The devicemapper crate's types as the seam has them, and back.

use devicemapper::Device;

use crate::error::{Error, Result};
use crate::text::device::DevNo;
use crate::text::table::Line;

/// A target as the crate takes it: start, length, type, parameters.
pub(super) type Target = (u64, u64, String, String);

/// The crate's device number.
pub(super) fn number(device: Device) -> DevNo {
    DevNo {
        major: device.major,
        minor: device.minor,
    }
}

/// `target_type` of `struct dm_target_spec`, with its final NUL; the crate panics
/// where a type does not fit.
const KIND_ROOM: usize = 16;

/// A line as a target; EINVAL for what the ioctl has no room for.
pub(super) fn target(line: &Line) -> Result<Target> {
    let Line {
        start,
        length,
        kind,
        params,
    } = line;
    if kind.len() >= KIND_ROOM || kind.contains('\0') {
        let kind = kind.escape_debug();
        return Err(Error::invalid(format!(
            "no target type can be called '{kind}': they have at most 15 bytes"
        )));
    }
    if params.contains('\0') {
        return Err(Error::invalid(format!(
            "a parameter of the target {kind} holds a NUL"
        )));
    }
    Ok((*start, *length, kind.clone(), params.clone()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(kind: &str, params: &str) -> Line {
        Line {
            start: 0,
            length: 8,
            kind: kind.into(),
            params: params.into(),
        }
    }

    #[test]
    fn a_target_type_that_would_panic_is_refused() {
        assert!(target(&of(&"m".repeat(15), "")).is_ok());
        assert!(target(&of(&"m".repeat(16), "")).is_err());
        assert!(target(&of(&"m".repeat(17), "")).is_err());
        assert!(target(&of("mirror", "core\0 1")).is_err());
    }
}
