//! Tables of device-mapper: lines as the kernel has them, and what those of a
//! mirror say. Two readers: what a person writes is judged strictly, what the
//! kernel printed is kept even where it is not understood.

use std::fmt;

use crate::error::{Error, Result};
use crate::text::device::{DeviceRef, check_end};
use crate::text::log::refused;
use crate::text::mirror::{Leg, Log, Mirror};
use crate::text::words::{Words, quote};

pub use crate::text::linear::Linear;

/// Longest kind of a target in bytes (`DM_MAX_TYPE_NAME` less its NUL,
/// dm-ioctl.h).
const MAX_KIND: usize = 15;

/// One line of a table or status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// First sector of the device that it maps.
    pub start: u64,
    /// Sectors.
    pub length: u64,
    /// The target's kind, `mirror`.
    pub kind: String,
    /// The rest of the line, as it stands.
    pub params: String,
}

/// As `dmsetup` prints it: without parameters a space stays at the end.
impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Line {
            start,
            length,
            kind,
            params,
        } = self;
        write!(f, "{start} {length} {kind} {params}")
    }
}

/// What a target does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mapping {
    /// `mirror`
    Mirror(Mirror),
    /// `linear`
    Linear(Linear),
    /// Any other kind, or what the kernel printed and is not understood.
    Other {
        /// The target's kind.
        kind: String,
        /// Its parameters, as they stand.
        params: String,
    },
}

impl Mapping {
    /// The target's kind: `mirror`, `linear`, …
    pub fn kind(&self) -> &str {
        match self {
            Mapping::Mirror(_) => "mirror",
            Mapping::Linear(_) => "linear",
            Mapping::Other { kind, .. } => kind,
        }
    }

    fn parse(kind: &str, params: &str, length: u64) -> Result<Mapping> {
        match kind {
            "mirror" => Mirror::parse(params, length).map(Mapping::Mirror),
            "linear" => Linear::parse(params, length).map(Mapping::Linear),
            _ => Ok(Mapping::other(kind, params)),
        }
    }

    fn other(kind: &str, params: &str) -> Mapping {
        let (kind, params) = (kind.to_owned(), params.to_owned());
        Mapping::Other { kind, params }
    }
}

/// The parameters, as a table has them.
impl fmt::Display for Mapping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Mapping::Mirror(mirror) => mirror.fmt(f),
            Mapping::Linear(linear) => linear.fmt(f),
            Mapping::Other { params, .. } => f.write_str(params),
        }
    }
}

/// One line of a table, understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// First sector of the device that it maps.
    pub start: u64,
    /// Sectors.
    pub length: u64,
    /// Its type with its parameters.
    pub mapping: Mapping,
}

impl Target {
    /// Read a line that a person wrote: `START LENGTH KIND PARAMS`.
    pub fn parse(line: &str) -> Result<Target> {
        let mut words = Words::new(line);
        let start = words.number("the target's start in sectors")?;
        let length = words.number("the target's length in sectors")?;
        let kind = words.next("the target's kind")?;
        check_kind(kind)?;
        if length == 0 {
            return Err(refused(
                "zero-length target",
                format!("the {kind} target at sector {start} has a length of 0"),
            ));
        }
        check_end("Invalid length", start, length)?;
        let mapping = Mapping::parse(kind, words.rest(), length)?;
        Ok(Target {
            start,
            length,
            mapping,
        })
    }

    /// What of a mirror lies on one leg alone, which begins where the mirror does.
    pub fn on_leg(leg: &Leg, start: u64, length: u64) -> Target {
        let linear = Linear {
            device: leg.device.clone(),
            offset: leg.offset.saturating_add(start),
        };
        Target {
            start,
            length,
            mapping: Mapping::Linear(linear),
        }
    }

    /// The line as the kernel takes and prints it.
    pub fn to_line(&self) -> Line {
        Line {
            start: self.start,
            length: self.length,
            kind: self.mapping.kind().to_owned(),
            params: self.mapping.to_string(),
        }
    }

    /// First sector behind it.
    pub fn end(&self) -> u64 {
        self.start.saturating_add(self.length)
    }

    /// What is not understood is kept as text: a table that goes back to the
    /// kernel must not lose a word.
    fn from_line(line: &Line) -> Target {
        let read = Mapping::parse(&line.kind, &line.params, line.length);
        let mapping = read.unwrap_or_else(|_| Mapping::other(&line.kind, &line.params));
        Target {
            start: line.start,
            length: line.length,
            mapping,
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.to_line().fmt(f)
    }
}

/// A device's table.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Table {
    /// Its targets, in order of their starts.
    pub targets: Vec<Target>,
}

impl Target {
    fn devices(&mut self) -> Vec<&mut DeviceRef> {
        match &mut self.mapping {
            Mapping::Mirror(mirror) => {
                let log = match &mut mirror.log {
                    Log::Disk { device, .. } => Some(device),
                    Log::Core { .. } | Log::Userspace { .. } => None,
                };
                let legs = mirror.legs.iter_mut().map(|leg| &mut leg.device);
                log.into_iter().chain(legs).collect()
            }
            Mapping::Linear(linear) => vec![&mut linear.device],
            Mapping::Other { .. } => vec![],
        }
    }
}

impl Table {
    /// Read lines that a person wrote: targets without a gap, from sector 0.
    pub fn parse(lines: &[&str]) -> Result<Table> {
        if lines.is_empty() {
            return Err(Error::invalid("the table is empty: write a target"));
        }
        let mut table = Table {
            targets: Vec::new(),
        };
        for line in lines {
            let target = Target::parse(line)?;
            check_gap(&target, table.length())?;
            table.targets.push(target);
        }
        Ok(table)
    }

    /// Read what the kernel printed; nothing of it is refused.
    pub fn from_lines(lines: &[Line]) -> Table {
        let targets = lines.iter().map(Target::from_line).collect();
        Table { targets }
    }

    /// The lines as the kernel takes and prints them.
    pub fn to_lines(&self) -> Vec<Line> {
        self.targets.iter().map(Target::to_line).collect()
    }

    /// Sectors of the device.
    pub fn length(&self) -> u64 {
        self.targets.last().map_or(0, Target::end)
    }

    /// The mirror targets that are understood.
    pub fn mirrors(&self) -> impl Iterator<Item = (&Target, &Mirror)> {
        self.targets
            .iter()
            .filter_map(|target| match &target.mapping {
                Mapping::Mirror(mirror) => Some((target, mirror)),
                Mapping::Linear(_) | Mapping::Other { .. } => None,
            })
    }

    /// The devices of the disk logs of its mirror targets.
    pub fn log_devices(&self) -> impl Iterator<Item = &DeviceRef> {
        self.mirrors().filter_map(|(_, mirror)| mirror.log_device())
    }

    /// Its lines as one, for a person: without keys.
    pub fn joined(&self) -> String {
        let lines = self.targets.iter().map(Target::to_line);
        let lines: Vec<String> = lines.map(|line| line.shown().to_string()).collect();
        lines.join(",")
    }

    /// Every device that an understood target names: logs, legs, linear ones.
    pub fn devices(&mut self) -> impl Iterator<Item = &mut DeviceRef> {
        self.targets.iter_mut().flat_map(Target::devices)
    }

    /// Whether there is a mirror target, understood or not.
    pub fn has_mirror(&self) -> bool {
        let mut targets = self.targets.iter();
        targets.any(|target| target.mapping.kind() == "mirror")
    }
}

fn check_kind(kind: &str) -> Result<()> {
    let plain = kind.bytes().all(|b| b.is_ascii_graphic() && b != b'\\');
    if plain && kind.len() <= MAX_KIND {
        return Ok(());
    }
    Err(Error::invalid(format!(
        "{} is not a target type: write one like `mirror`, at most {MAX_KIND} letters",
        quote(kind)
    )))
}

fn check_gap(target: &Target, end: u64) -> Result<()> {
    if target.start == end {
        return Ok(());
    }
    Err(refused(
        "Gap in table",
        format!(
            "the {} target starts at {}, it must start at {end}: a table goes from 0 on without gaps",
            target.mapping.kind(),
            target.start
        ),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn real_lines_come_back() {
        for line in [
            "0 131072 mirror core 1 1024 2 7:0 0 254:0 0",
            "0 65536 linear 8:16 2048",
            "0 8 error ",
            "0 65536 striped 2 128 8:0 0 8:16 0",
        ] {
            assert_eq!(Target::parse(line).unwrap().to_string(), line);
        }
    }

    #[test]
    fn broken_lines_are_refused_and_named() {
        for (line, named) in [
            ("", "start"),
            ("x 8 error", "\"x\""),
            ("-1 8 error", "\"-1\""),
            ("0", "length"),
            ("0 18446744073709551616 error", "18446744073709551616"),
            ("0 8", "kind"),
            ("0 0 error", "zero-length target"),
            ("18446744073709551615 1 error", "18446744073709551615"),
            ("0 18014398509481984 error", "18014398509481984"),
            ("0 8 mir\\ ror", r#""mir\ ror""#),
            ("0 8 a-kind-too-long!", "\"a-kind-too-long!\""),
        ] {
            let error = Target::parse(line).unwrap_err();
            assert!(error.sentence().contains(named), "{line}: {error}");
        }
    }

    #[test]
    fn targets_follow_each_other() {
        let table = Table::parse(&["0 8 error", "8 8 linear 8:0 0"]).unwrap();
        assert_eq!(table.length(), 16);
        assert!(!table.has_mirror());
        for lines in [&["8 8 error"][..], &["0 8 error", "9 8 error"], &[]] {
            Table::parse(lines).unwrap_err();
        }
        let error = Table::parse(&["0 8 error", "9 8 error"]).unwrap_err();
        assert!(error.sentence().contains("Gap in table"), "{error}");
    }

    #[test]
    fn what_the_kernel_printed_is_kept() {
        let line = |kind: &str, params: &str| Line {
            start: 0,
            length: 4096,
            kind: kind.to_owned(),
            params: params.to_owned(),
        };
        let lines = [
            line("mirror", "future 1 8 2 8:0 0 8:1 0"),
            line("mirror", "core 1 8 2 8:0 0 8:1 0"),
        ];
        let table = Table::from_lines(&lines);
        assert_eq!(table.to_lines(), lines);
        assert!(table.has_mirror());
        assert_eq!(table.mirrors().count(), 1);
        let strange = Table::from_lines(&lines[..1]);
        assert!(strange.has_mirror());
    }
}
