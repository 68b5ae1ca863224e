//! What the short form leaves to be chosen by how disks answer: how many parts are copied at
//! once, how large their regions are, and whether the kernel copies in large jobs.

use super::rooms::Rooms;
use crate::engine::Medium;
use crate::error::{Error, Result};
use crate::model::snapshot::SECTOR;
use crate::plan::divide::{by_itself, check, is_late};
use crate::text::device::DeviceRef;
use crate::text::simple_request::{LogAt, SimpleRequest};

/// A copy of fewer bytes is over before a few reads have told anything.
const SMALL: u64 = 64 << 20;

/// What was chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Chosen {
    /// How many segments there are.
    pub(super) segments: u64,
    /// Whether a disk answers late.
    pub(super) late: bool,
}

/// Choose for a mirror of so many sectors over these legs.
///
/// # Errors
/// EINVAL for a number of segments that is none, or that goes with no other key.
pub(super) fn choose(
    below: &Rooms,
    short: &SimpleRequest,
    legs: &[DeviceRef],
    length: u64,
) -> Result<Chosen> {
    let wanted = short.segments.map(u64::from);
    if let Some(segments) = wanted {
        check(segments)?;
        check_alone(short, segments)?;
    }
    let small = length.saturating_mul(SECTOR) < SMALL || short.equal;
    let media: Vec<Option<Medium>> = if small || !below.engine.carries_io() {
        Vec::new()
    } else {
        below.devices.media(legs)
    };
    for (leg, medium) in legs.iter().zip(&media) {
        let late = medium.as_ref().is_some_and(is_late);
        let number = leg.number().filter(|_| late);
        number
            .into_iter()
            .for_each(|dev| below.engine.note_late(dev));
    }
    let alone = check_alone(short, 2).is_err();
    let chosen = || if alone { 1 } else { by_itself(&media, length) };
    Ok(Chosen {
        segments: wanted.unwrap_or_else(chosen),
        late: media.iter().flatten().any(is_late),
    })
}

/// Several segments cannot share a log, and are no front that goes on in steps.
fn check_alone(short: &SimpleRequest, segments: u64) -> Result<()> {
    let others = [
        ("log=", matches!(short.log, LogAt::Device(_))),
        ("limit=", short.limit.is_some()),
        ("map=", short.map.is_some()),
    ];
    let mut others = others
        .into_iter()
        .filter(|(_, given)| *given && segments > 1);
    let refused = |(other, _)| {
        Err(Error::invalid(format!(
            "segments={segments} does not go with {other}: leave one of them out"
        )))
    };
    others.next().map_or(Ok(()), refused)
}
