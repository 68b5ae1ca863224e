//! From a request in the short form to a table: what it leaves out is chosen here.
//! Pure.

use super::change::Change;
use crate::error::{Errno, Error, Result};
use crate::model::policy::OnFailure;
use crate::model::settings::Settings;
use crate::model::snapshot::{SECTOR, Snapshot};
use crate::text::device::DeviceRef;
use crate::text::linear::Linear;
use crate::text::mirror::{Features, Leg, Log, Mirror, Sync};
use crate::text::place::Place;
use crate::text::simple_request::SimpleRequest;
use crate::text::table::{Mapping, Table, Target};

/// Sectors of a region that keep the copier busy: 4 MiB, eight jobs of 512 KiB
/// (drivers/md/dm-kcopyd.c, `SPLIT_COUNT` and `DEFAULT_SUB_JOB_SIZE_KB`).
const REGION: u64 = 8192;

/// The same where disks answer late: eight jobs of 1024 KiB.
const LARGE_REGION: u64 = 16384;

/// Most regions of a target: the kernel rewrites the log's whole bitset at each
/// flush.
const REGIONS: u64 = 1 << 20;

/// Sectors of a region of so long a target, where nobody says how many; `late` are its
/// disks.
pub fn region(length: u64, late: bool) -> u64 {
    let mut region = if late { LARGE_REGION } else { REGION };
    while length / region >= REGIONS {
        region *= 2;
    }
    while region > length && region > 2 {
        region /= 2;
    }
    region
}

/// The table of a new mirror; `size` is the source's, in bytes.
///
/// # Errors
/// ENOSPC for more than the source has; EINVAL for what is no table to the kernel,
/// and for a source whose end would be left out.
pub fn table(
    short: &SimpleRequest,
    size: u64,
    log: Option<DeviceRef>,
    late: bool,
) -> Result<Table> {
    let length = length(short, size)?;
    let target = mirror(short, &short.source, (0, length), log, late)?;
    let targets = vec![target];
    Ok(Table { targets })
}

fn length(short: &SimpleRequest, size: u64) -> Result<u64> {
    let source = &short.source;
    let left = (size / SECTOR).saturating_sub(source.offset);
    match short.length {
        Some(length) if length > left => Err(Error::new(
            Errno::ENOSPC,
            format!("the source {source} has {left} sectors from there on, not {length}"),
        )),
        Some(length) => Ok(length),
        None if !size.is_multiple_of(SECTOR) => Err(Error::invalid(format!(
            "the source {source} has {size} bytes, which is not a multiple of {SECTOR}: enlarge it, or set length="
        ))),
        None if left == 0 => Err(Error::invalid(format!(
            "the source {source} has nothing to copy from there on: it has {size} bytes"
        ))),
        None => Ok(left),
    }
}

/// The tables that slide a mirror under a running device: each of its targets
/// becomes one. `logs` are the logs, one for each or none.
///
/// # Errors
/// EINVAL where a target is not linear or a key does not go with `live=yes`, EBUSY
/// where the device is suspended.
pub fn slide_under(
    snapshot: &Snapshot,
    short: &SimpleRequest,
    logs: &[DeviceRef],
    late: bool,
) -> Result<Change> {
    check_live(snapshot, short)?;
    let mut table = Table::clone(&snapshot.table);
    for (number, target) in table.targets.iter_mut().enumerate() {
        let Mapping::Linear(Linear { device, offset }) = &target.mapping else {
            return Err(Error::invalid(format!(
                "{} has a {} target at sector {}: a mirror can be slid under linear ones only",
                snapshot.info.name,
                target.mapping.kind(),
                target.start
            )));
        };
        let source = Place::at(device.clone(), *offset);
        let log = logs.get(number).cloned();
        let range = (target.start, target.length);
        *target = mirror(short, &source, range, log, late)?;
    }
    Ok(Change {
        table,
        ..Change::default()
    })
}

fn check_live(snapshot: &Snapshot, short: &SimpleRequest) -> Result<()> {
    let name = &snapshot.info.name;
    let refused = |why: String| Err(Error::invalid(why));
    if snapshot.info.suspended {
        Err(Error::busy(format!(
            "{name} is suspended: resume it first (dmsetup resume {name})"
        )))
    } else if !snapshot.info.live {
        refused(format!("{name} has no table"))
    } else if snapshot.table.has_mirror() {
        refused(format!(
            "{name} is a mirror already: write `add DEVICE` to its ctl"
        ))
    } else if short.source.offset != 0 || short.length.is_some() {
        refused(format!(
            "with live=yes all of {name} is mirrored: leave the source's offset and length= out"
        ))
    } else if short.segments.is_some() && snapshot.table.targets.len() > 1 {
        refused(format!(
            "with live=yes the targets of {name} become as many mirrors: leave segments= out"
        ))
    } else if short.limit.is_some() && snapshot.table.targets.len() > 1 {
        refused(format!(
            "{name} has several targets: with live=yes they become as many mirrors, leave limit= out"
        ))
    } else if short.equal {
        refused(format!(
            "with live=yes nothing can be equal yet: {name} is in use, leave sync=no out"
        ))
    } else {
        Ok(())
    }
}

/// One mirror target, as the kernel's constructor takes it. Its targets' offsets
/// are those of the request, as far on as it begins.
fn mirror(
    short: &SimpleRequest,
    source: &Place,
    (start, length): (u64, u64),
    log: Option<DeviceRef>,
    late: bool,
) -> Result<Target> {
    let region = short.region.unwrap_or_else(|| region(length, late));
    let sync = short.equal.then_some(Sync::NoSync);
    let leg = |place: &Place, start: u64| Leg {
        device: place.device.clone(),
        offset: place.offset.saturating_add(start),
    };
    let targets = short.targets.iter().map(|target| leg(target, start));
    let mirror = Mirror {
        log: match log {
            Some(device) => Log::Disk {
                device,
                region,
                sync,
            },
            None => Log::Core { region, sync },
        },
        legs: std::iter::once(leg(source, 0)).chain(targets).collect(),
        features: Features {
            handle_errors: true,
            keep_log: false,
        },
    };
    let target = Target {
        start,
        length,
        mapping: Mapping::Mirror(mirror),
    };
    // What the kernel would refuse is refused here, with its reason.
    Target::parse(&target.to_string())
}

/// What is set for the mirror beside its table.
pub fn settings(short: &SimpleRequest) -> Settings {
    Settings {
        on_failure: if short.hold {
            OnFailure::Hold
        } else {
            OnFailure::Drop
        },
        limit: short.limit,
        ..Settings::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn short(line: &str) -> SimpleRequest {
        SimpleRequest::parse(line).expect(line)
    }

    fn made(line: &str, size: u64) -> Result<String> {
        let table = table(&short(line), size, None, false)?;
        Ok(table.to_lines().iter().map(ToString::to_string).collect())
    }

    #[test]
    fn regions_saturate_the_copier_and_are_about_a_million_at_most() {
        for (length, wanted) in [
            (1, 2),
            (2, 2),
            (3, 2),
            (8191, 4096),
            (8192, 8192),
            (209_715_200, 8192),
            (8192 * (1 << 20) - 1, 8192),
            (8192 * (1 << 20), 16384),
            (u64::MAX / 2, 1 << 43),
        ] {
            assert_eq!(region(length, false), wanted, "{length}");
        }
    }

    #[test]
    fn a_line_becomes_the_table_of_an_expert() {
        for (line, wanted) in [
            (
                "/dev/sdb /dev/sdc",
                "0 209715200 mirror core 1 8192 2 /dev/sdb 0 /dev/sdc 0 1 handle_errors",
            ),
            (
                "/dev/sdb@1M /dev/sdc@2M /dev/sdd length=8M region=64K sync=no",
                "0 16384 mirror core 2 128 nosync 3 /dev/sdb 2048 /dev/sdc 4096 /dev/sdd 0 1 handle_errors",
            ),
            (
                "/dev/sdb@1M /dev/sdc",
                "0 209713152 mirror core 1 8192 2 /dev/sdb 2048 /dev/sdc 0 1 handle_errors",
            ),
        ] {
            assert_eq!(made(line, 100 << 30), Ok(wanted.into()), "{line}");
        }
        let log = "/l".parse().ok();
        let table = table(&short("/a /b"), 1 << 20, log, false).expect("a table");
        let line = "0 2048 mirror disk 2 /l 2048 2 /a 0 /b 0 1 handle_errors";
        assert_eq!(table, Table::parse(&[line]).expect(line));
    }

    #[test]
    fn what_cannot_be_a_table_is_refused() {
        for (line, size, errno, word) in [
            ("/a /b", 1000, Errno::EINVAL, "1000 bytes"),
            ("/a /b", 0, Errno::EINVAL, "nothing to copy"),
            ("/a@1M /b", 1 << 20, Errno::EINVAL, "nothing to copy"),
            (
                "/a@512K /b length=1M",
                1 << 20,
                Errno::ENOSPC,
                "1024 sectors",
            ),
            ("/a /b length=0", 1 << 20, Errno::EINVAL, "zero-length"),
            ("/a /b region=2M", 1 << 20, Errno::EINVAL, "region size"),
        ] {
            let error = made(line, size).expect_err(line);
            assert_eq!(error.errno(), errno, "{line}: {error}");
            assert!(error.sentence().contains(word), "{line}: {error}");
        }
        assert!(made("/a /b length=1K", 1500).is_ok());
    }
}
