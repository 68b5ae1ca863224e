//! The devicemapper crate's types as the seam has them, and back.

use devicemapper::{Device, DeviceInfo, DmFlags};

use crate::engine::Info;
use crate::error::{Error, Result};
use crate::text::device::DevNo;
use crate::text::table::Line;

/// A target as the crate takes it: start, length, type, parameters.
pub(super) type Target = (u64, u64, String, String);

/// The header that an ioctl answered with.
pub(super) fn info(header: &DeviceInfo) -> Info {
    let has = |flag| header.flags().contains(flag);
    Info {
        name: header.name().map(ToString::to_string).unwrap_or_default(),
        uuid: header.uuid().map(ToString::to_string).unwrap_or_default(),
        dev: number(header.device()),
        event_nr: header.event_nr(),
        open_count: header.open_count().try_into().unwrap_or(0),
        suspended: has(DmFlags::DM_SUSPEND),
        read_only: has(DmFlags::DM_READONLY),
        live: has(DmFlags::DM_ACTIVE_PRESENT),
        inactive: has(DmFlags::DM_INACTIVE_PRESENT),
        deferred: has(DmFlags::DM_DEFERRED_REMOVE),
    }
}

/// The crate's device number.
pub(super) fn number(device: Device) -> DevNo {
    DevNo {
        major: device.major,
        minor: device.minor,
    }
}

/// A line of a table or a status.
pub(super) fn line((start, length, kind, params): Target) -> Line {
    Line {
        start,
        length,
        kind,
        params,
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
        line((0, 8, kind.into(), params.into()))
    }

    #[test]
    fn a_target_type_that_would_panic_is_refused() {
        assert!(target(&of(&"m".repeat(15), "")).is_ok());
        assert!(target(&of(&"m".repeat(16), "")).is_err());
        assert!(target(&of(&"m".repeat(17), "")).is_err());
        assert!(target(&of("mirror", "core\0 1")).is_err());
    }

    #[test]
    fn a_line_survives_the_way_there_and_back() {
        let given = of("mirror", "core 1 64 2 7:0 0 7:1 0");
        assert_eq!(line(target(&given).unwrap()), given);
    }
}
