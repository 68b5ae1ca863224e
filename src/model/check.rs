//! What is known of whether the legs of a mirror are equal: what `NAME/check` shows, and
//! the record keeps.

use std::fmt::Write;
use std::time::{Duration, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use super::places::{Place, Places};
use super::rate::Rate;
use crate::text::size::SECTOR;
use crate::text::units::{duration, percent, rate};

/// Lines of places that the file shows at most.
const MOST_LINES: usize = 1000;

/// How far a check is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// It is under way.
    Running,
    /// It has ended before its end.
    Stopped,
    /// All was looked at.
    Done,
}

/// Which leg is right where they differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Right {
    /// The one that all reads come from.
    Source,
    /// The one at this place of each target.
    Leg(usize),
}

impl Right {
    /// The place of the leg in its targets; none of the source.
    pub fn place(self) -> Option<usize> {
        match self {
            Right::Source => None,
            Right::Leg(place) => Some(place),
        }
    }
}

/// A check of a mirror, the last one that there was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Check {
    /// How far it is.
    pub phase: Phase,
    /// What was compared: the legs, and where the mirror begins on each.
    pub legs: Vec<String>,
    /// When it ended, in seconds since 1970.
    pub ended: u64,
    /// Sectors of the mirror.
    pub length: u64,
    /// The first sector that was not looked at yet.
    pub at: u64,
    /// What differs, each place with the legs that do.
    pub differs: Places,
    /// What of a leg cannot be read.
    pub unreadable: Places,
    /// What was not compared, since not every leg is to have it.
    pub left_out: Places,
    /// Which leg is copied to the others where they differ; none where nothing is.
    pub repairs: Option<Right>,
    /// Whether only what was found is gone through.
    pub places_only: bool,
    /// Whether I/O is held for it at this moment.
    pub held: bool,
    /// Bytes that were copied.
    pub repaired: u64,
    /// The digest of all that was compared.
    pub digest: Option<String>,
    /// Why it has ended before its end.
    pub why: Option<String>,
}

/// How fast a check goes on, and what it waits for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CheckPace {
    /// Bytes of the mirror in a second.
    pub rate: Rate,
    /// What it waits for, as a word.
    pub waits: Option<&'static str>,
}

impl Check {
    /// One that begins, of legs that have so many sectors of the mirror.
    pub fn new(legs: Vec<String>, length: u64) -> Check {
        Check {
            phase: Phase::Running,
            legs,
            ended: 0,
            length,
            at: 0,
            differs: Places::default(),
            unreadable: Places::default(),
            left_out: Places::default(),
            repairs: None,
            places_only: false,
            held: false,
            repaired: 0,
            digest: None,
            why: None,
        }
    }

    /// Whether all was compared and found to be equal.
    pub fn is_clean(&self) -> bool {
        let nothing = self.left_out.is_empty() && self.repaired == 0;
        self.phase == Phase::Done && nothing && !self.finds_something()
    }

    /// Whether something differs, or cannot be read.
    pub fn finds_something(&self) -> bool {
        !self.differs.is_empty() || !self.unreadable.is_empty()
    }

    /// Percent of the mirror that was looked at, cut to a whole number.
    pub fn done(&self) -> u64 {
        let length = self.length;
        let done = u128::from(self.at.min(length)) * 100 / u128::from(length.max(1));
        u64::try_from(done).unwrap_or(0)
    }

    /// What was found, for a sentence.
    pub fn found(&self) -> String {
        let (bytes, places) = (self.differs.bytes(), self.differs.len());
        match self.unreadable.bytes() {
            0 => format!("{bytes} bytes in {places} places"),
            lost => format!("{bytes} bytes in {places} places, {lost} bytes cannot be read"),
        }
    }

    /// Its first line, of one that does not run.
    pub fn summary(&self) -> String {
        self.line(CheckPace::default())
    }

    /// The text of the file `check`.
    pub fn text(&self, pace: CheckPace) -> String {
        let mut text = self.line(pace) + "\n";
        let kinds = [
            ("differs", &self.differs),
            ("unreadable", &self.unreadable),
            ("left out", &self.left_out),
        ];
        let all = kinds
            .into_iter()
            .flat_map(|(what, places)| places.0.iter().map(move |place| (what, place)));
        for (what, place) in all.clone().take(MOST_LINES) {
            put(&mut text, what, place);
        }
        let more = all.count().saturating_sub(MOST_LINES);
        if more > 0 {
            // Into a string nothing can fail.
            let _ = writeln!(text, "and {more} more");
        }
        text
    }

    /// Its first line.
    pub fn line(&self, pace: CheckPace) -> String {
        let bytes = self.differs.bytes();
        let done = percent(self.at, self.length);
        let (time, places) = (time(self.ended), self.differs.len());
        let extra = self.extra();
        match (self.phase, &self.why) {
            (Phase::Running, _) => {
                let tail = self.tail(pace);
                format!("running {done}%{tail}, {bytes} bytes differ{extra}")
            }
            (Phase::Stopped, Some(why)) => {
                format!(
                    "stopped {time} at {done}%, {bytes} bytes differ in {places} places{extra}: {why}"
                )
            }
            (Phase::Stopped, None) => {
                format!("stopped {time} at {done}%, {bytes} bytes differ in {places} places{extra}")
            }
            (Phase::Done, _) => {
                format!("done {time}, {bytes} bytes differ in {places} places{extra}")
            }
        }
    }

    /// What it waits for, or how fast it is and how long it will take.
    fn tail(&self, pace: CheckPace) -> String {
        match (pace.waits, pace.rate) {
            (Some(waits), _) => format!(" {waits}"),
            (None, Rate::Moving(bytes)) => {
                let left = self.length.saturating_sub(self.at).saturating_mul(SECTOR);
                let left = duration(left.div_ceil(bytes.max(1)));
                format!(" {} {left} left", rate(bytes))
            }
            (None, Rate::Unknown | Rate::Standing) => String::new(),
        }
    }

    fn extra(&self) -> String {
        let figures = [
            (self.unreadable.bytes(), "cannot be read"),
            (self.left_out.bytes(), "left out"),
            (self.repaired, "repaired"),
        ];
        let figures = figures.into_iter().filter(|(bytes, _)| *bytes > 0);
        let digest = self.digest.iter().map(|hex| format!(", sha256={hex}"));
        figures
            .map(|(bytes, what)| format!(", {bytes} bytes {what}"))
            .chain(digest)
            .collect()
    }
}

fn time(seconds: u64) -> String {
    let time = UNIX_EPOCH.checked_add(Duration::from_secs(seconds));
    let time = time.unwrap_or(UNIX_EPOCH);
    humantime::format_rfc3339_seconds(time).to_string()
}

fn put(text: &mut String, what: &str, place: &Place) {
    let start = place.spot.start.saturating_mul(SECTOR);
    let size = place.spot.length.saturating_mul(SECTOR);
    let legs: String = place.legs.iter().map(|leg| format!(" {leg}")).collect();
    let word = match place.legs.len() {
        0 => "",
        1 => " leg",
        _ => " legs",
    };
    // Into a string nothing can fail.
    let _ = writeln!(text, "{what} 0x{start:08X} 0x{size:08X}{word}{legs}");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::places::places as at;
    use crate::model::spots::Spot;

    const LENGTH: u64 = 2048;

    fn check() -> Check {
        Check {
            at: 1024,
            ended: 1_700_000_000,
            ..Check::new(Vec::new(), LENGTH)
        }
    }

    fn first(check: &Check, pace: CheckPace) -> String {
        let text = check.text(pace);
        text.lines().next().unwrap_or_default().into()
    }

    #[test]
    fn the_first_line_says_how_far_it_is() {
        let mut check = check();
        let moving = |rate| CheckPace { rate, waits: None };
        let waits = CheckPace {
            waits: Some("paused"),
            rate: Rate::Moving(1),
        };
        for (pace, line) in [
            (CheckPace::default(), "running 50.00%, 0 bytes differ"),
            (
                moving(Rate::Moving(1 << 16)),
                "running 50.00% 64 KiB/s 8s left, 0 bytes differ",
            ),
            (moving(Rate::Standing), "running 50.00%, 0 bytes differ"),
            (waits, "running 50.00% paused, 0 bytes differ"),
        ] {
            assert_eq!(first(&check, pace), line);
        }
        check.phase = Phase::Stopped;
        let stopped = "stopped 2023-11-14T22:13:20Z at 50.00%, 0 bytes differ in 0 places";
        assert_eq!(first(&check, waits), stopped);
        check.why = Some("by request".into());
        assert_eq!(first(&check, waits), format!("{stopped}: by request"));
        (check.phase, check.why) = (Phase::Done, None);
        assert!(check.is_clean());
        check.digest = Some("ab".into());
        let done = "done 2023-11-14T22:13:20Z, 0 bytes differ in 0 places, sha256=ab";
        assert_eq!(first(&check, waits), done);
        assert_eq!(check.summary(), done);
    }

    #[test]
    fn what_was_found_has_a_line_each() {
        let found = Check {
            phase: Phase::Done,
            differs: at(&[(2, 3, &[0, 1])]),
            unreadable: at(&[(8, 16, &[1])]),
            left_out: at(&[(16, 20, &[])]),
            repaired: 512,
            ..check()
        };
        let text = found.text(CheckPace::default());
        let wanted = "done 2023-11-14T22:13:20Z, 512 bytes differ in 1 places, \
                      4096 bytes cannot be read, 2048 bytes left out, 512 bytes repaired\n\
                      differs 0x00000400 0x00000200 legs 0 1\n\
                      unreadable 0x00001000 0x00001000 leg 1\n\
                      left out 0x00002000 0x00000800\n";
        assert_eq!(text, wanted);
        assert!(found.finds_something() && !found.is_clean());
        let said = "512 bytes in 1 places, 4096 bytes cannot be read";
        assert_eq!(found.found(), said);
    }

    #[test]
    fn of_many_places_it_is_said_how_many_more_there_are() {
        let mut many = check();
        for number in 0..1100 {
            let spot = Spot {
                start: number * 2,
                length: 1,
            };
            many.differs.add(spot, &[0, 1]);
        }
        let text = many.text(CheckPace::default());
        assert_eq!(text.lines().count(), 1002);
        assert!(text.ends_with("\nand 100 more\n"), "{text}");
    }
}
