//! A new mirror of which some is copied already, as a mapfile of ddrescue says: that is not
//! copied again, and what could not be read is tried last. Pure.

use crate::error::{Error, Result};
use crate::model::snapshot::SECTOR;
use crate::model::spots::{Spot, common, outside, sectors, union};
use crate::plan::held_back::{Segment, held_back, todo};
use crate::plan::segments::fewer;
use crate::text::device::DeviceRef;
use crate::text::mapfile::{Block, Status};
use crate::text::mirror::{Leg, Log, Mirror};
use crate::text::table::{Mapping, Table, Target};

/// What a mapfile says of a mirror, in sectors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mapped {
    /// What is copied: whole sectors.
    pub copied: Vec<Spot>,
    /// What is tried last: all sectors that have something of it.
    pub last: Vec<Spot>,
    /// What is not copied yet, since there is a limit.
    pub ahead: Vec<Spot>,
    /// Sectors of what is copied at once.
    pub first: u64,
}

impl Mapped {
    /// What these blocks say of a mirror of so many sectors.
    pub fn of(blocks: &[Block], length: u64) -> Mapped {
        let of = |status: Status| blocks.iter().filter(move |block| block.status == status);
        let end = |block: &Block| block.start.saturating_add(block.size);
        let copied = of(Status::Finished)
            .filter_map(|block| Spot::between(block.start.div_ceil(SECTOR), end(block) / SECTOR));
        let last = of(Status::Bad)
            .filter_map(|block| Spot::between(block.start / SECTOR, end(block).div_ceil(SECTOR)));
        let whole: Vec<Spot> = Spot::between(0, length).into_iter().collect();
        let inside = |spots: Vec<Spot>| common(&union(&spots, &[]), &whole);
        let last = inside(last.collect());
        let last = fewer(last, length);
        let copied = outside(&inside(copied.collect()), &last);
        Mapped {
            copied,
            last,
            ahead: Vec::new(),
            first: 0,
        }
    }

    /// Have no more than so many sectors be copied at first, of a mirror that is yet of one
    /// target.
    pub fn hold_back(&mut self, table: &Table, most: u64) {
        let mirror = table.mirrors().next();
        let region = mirror.and_then(|(_, mirror)| mirror.region());
        let region = region.unwrap_or(1).max(1);
        let whole: Vec<Spot> = Spot::between(0, table.length()).into_iter().collect();
        let stretches = outside(&whole, &self.last).into_iter().map(|spot| {
            let region = region_of(region, spot);
            let todo = todo(spot, region, &self.bits_of(spot, region));
            Segment { spot, region, todo }
        });
        let segments: Vec<Segment> = stretches.collect();
        let all = segments.iter().map(|segment| sectors(&segment.todo)).sum();
        self.ahead = held_back(&segments, self.last.len(), most);
        self.first = u64::saturating_sub(all, sectors(&self.ahead));
    }

    /// The table of a mirror with what is tried last or copied later on leg 0 alone; `log` names one for
    /// each segment.
    ///
    /// # Errors
    /// EINVAL where the table is not one mirror target with its log on a disk, or nothing
    /// of it is left; what `log` answers.
    pub fn table(
        &self,
        table: &Table,
        log: &mut dyn FnMut() -> Result<DeviceRef>,
    ) -> Result<Table> {
        let [target] = table.targets.as_slice() else {
            return Err(Error::invalid("map= is for a mirror of one target"));
        };
        let Mapping::Mirror(mirror) = &target.mapping else {
            return Err(Error::invalid("map= is for a mirror"));
        };
        let whole: Vec<Spot> = Spot::between(0, target.length).into_iter().collect();
        let gaps = union(&self.last, &self.ahead);
        let mut targets = Vec::new();
        for stretch in outside(&whole, &gaps) {
            targets.push(segment(mirror, stretch, log()?)?);
        }
        if targets.is_empty() {
            return Err(Error::invalid("the mapfile says that nothing can be read"));
        }
        let gaps = gaps.iter().zip(mirror.legs.first().into_iter().cycle());
        targets.extend(gaps.map(|(spot, leg)| Target::on_leg(leg, spot.start, spot.length)));
        targets.sort_by_key(|target| target.start);
        Ok(Table { targets })
    }

    /// The bitset of a target's log: a region is clean where all of it is copied.
    pub fn bits(&self, target: &Target) -> Vec<u8> {
        let Mapping::Mirror(mirror) = &target.mapping else {
            return Vec::new();
        };
        let region = mirror.region().unwrap_or(1).max(1);
        let spot = Spot::between(target.start, target.end());
        spot.map_or_else(Vec::new, |spot| self.bits_of(spot, region))
    }

    fn bits_of(&self, stretch: Spot, region: u64) -> Vec<u8> {
        let regions = stretch.length.div_ceil(region);
        let bytes = regions.div_ceil(64).saturating_mul(8);
        let mut bits = vec![0_u8; usize::try_from(bytes).unwrap_or_default()];
        for spot in common(&self.copied, &[stretch]) {
            let (from, to) = (spot.start - stretch.start, spot.end() - stretch.start);
            // The last region may be a short one.
            let end = if spot.end() == stretch.end() {
                regions
            } else {
                to / region
            };
            for number in from.div_ceil(region)..end {
                let byte = usize::try_from(number / 8).unwrap_or(usize::MAX);
                bits.get_mut(byte)
                    .into_iter()
                    .for_each(|byte| *byte |= 1 << (number % 8));
            }
        }
        bits
    }
}

/// The region of a stretch: one that is shorter than a region has smaller ones.
fn region_of(region: u64, stretch: Spot) -> u64 {
    region.min(1 << stretch.length.ilog2())
}

/// The part of a mirror that is one segment; shorter than a region it has smaller ones.
fn segment(mirror: &Mirror, stretch: Spot, device: DeviceRef) -> Result<Target> {
    let region = region_of(mirror.region().unwrap_or(1), stretch);
    let legs = mirror.legs.iter().map(|leg| Leg {
        device: leg.device.clone(),
        offset: leg.offset.saturating_add(stretch.start),
    });
    let mirror = Mirror {
        log: Log::Disk {
            device,
            region,
            sync: None,
        },
        legs: legs.collect(),
        features: mirror.features,
    };
    let target = Target {
        start: stretch.start,
        length: stretch.length,
        mapping: Mapping::Mirror(mirror),
    };
    // What the kernel would refuse is refused here, with its reason.
    Target::parse(&target.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::spots::spots;
    use crate::text::mapfile::parse;

    fn mapped(blocks: &str, length: u64) -> Mapped {
        Mapped::of(&parse(&format!("0 ? 1\n{blocks}")).expect(blocks), length)
    }

    fn lines(mapped: &Mapped, line: &str) -> Result<Vec<String>> {
        let table = Table::parse(&[line]).expect(line);
        let mut next = 0;
        let table = mapped.table(&table, &mut || {
            next += 1;
            format!("7:{next}").parse()
        })?;
        Ok(table.to_lines().iter().map(ToString::to_string).collect())
    }

    #[test]
    fn what_was_read_is_clean_and_what_was_not_is_last() {
        // To a byte: of the regions of 8 sectors only those are clean that are read wholly.
        let mapped = mapped("0 20000 +\n20000 1000 -\n21000 11768 +\n", 64);
        assert_eq!(mapped.last, spots(&[(39, 42)]));
        assert_eq!(mapped.copied, spots(&[(0, 39), (42, 64)]));
        let line = "0 64 mirror disk 2 7:0 8 2 8:0 4 8:1 0 1 handle_errors";
        let lines = lines(&mapped, line).expect("a table");
        let wanted = [
            "0 39 mirror disk 2 7:1 8 2 8:0 4 8:1 0 1 handle_errors",
            "39 3 linear 8:0 43",
            "42 22 mirror disk 2 7:2 8 2 8:0 46 8:1 42 1 handle_errors",
        ];
        assert_eq!(lines, wanted);
        let bits = |line: &str| mapped.bits(&Target::parse(line).expect(line))[0];
        assert_eq!(bits(wanted[0]), 0b11111);
        assert_eq!(bits(wanted[2]), 0b111);
    }

    #[test]
    fn with_a_limit_the_rest_waits() {
        // Regions of 8 sectors: 2 are clean, then 20 are not, 2 are; one sector is bad; 5 are not.
        let map = "0 8192 +\n8192 81920 ?\n90112 8192 +\n98304 512 -\n98816 20480 ?\n";
        let line = "0 233 mirror disk 2 7:0 8 2 8:0 4 8:1 0 1 handle_errors";
        let table = Table::parse(&[line]).expect(line);
        let begun = |most| {
            let mut mapped = mapped(map, 233);
            mapped.hold_back(&table, most);
            (
                mapped.ahead.clone(),
                mapped.first,
                lines(&mapped, line).expect("a table"),
            )
        };
        let (ahead, first, lines) = begun(16);
        assert_eq!((ahead, first), (spots(&[(32, 176), (193, 233)]), 16));
        let wanted = [
            "0 32 mirror disk 2 7:1 8 2 8:0 4 8:1 0 1 handle_errors",
            "32 144 linear 8:0 36",
            "176 16 mirror disk 2 7:2 8 2 8:0 180 8:1 176 1 handle_errors",
            "192 41 linear 8:0 196",
        ];
        assert_eq!(lines, wanted);
        let (ahead, first, lines) = begun(u64::MAX);
        assert_eq!((ahead, first, lines.len()), (vec![], 200, 3));
    }

    #[test]
    fn what_is_partly_read_is_copied_again() {
        let mapped = mapped("0 5000 +\n5000 3192 ?\n8192 16384 +\n24576 1 ?\n", 64);
        assert_eq!(mapped.last, []);
        let line = "0 64 mirror disk 2 7:0 8 2 8:0 4 8:1 0 1 handle_errors";
        let bits = mapped.bits(&Target::parse(line).expect(line));
        assert_eq!(bits[0], 0b0011_1101);
        assert_eq!(lines(&mapped, line).expect("a table").len(), 1);
        // Of what is not there nothing is said, nor of what is behind the end.
        let far = Mapped::of(&parse("0 ? 1\n0 9999999 -\n").expect("one"), 64);
        assert_eq!(far.last, spots(&[(0, 64)]));
        assert!(lines(&far, line).is_err());
    }
}
