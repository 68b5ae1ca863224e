//! A leg as a verb names it: by its number, or by its path.

use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::model::snapshot::{Leg, Snapshot};
use crate::text::device::DeviceRef;
use crate::text::words::{Words, quote};

/// What a sentence calls it.
const LEG: &str = "a leg's number, from 0 on, or its path";

/// A leg of a mirror.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LegName {
    /// Its number in each mirror target, from 0 on.
    Number(usize),
    /// The path of its device, or of the file behind it.
    Path(PathBuf),
}

impl LegName {
    /// The next word.
    ///
    /// # Errors
    /// EINVAL for what is neither a number nor an absolute path.
    pub(super) fn parse(words: &mut Words<'_>) -> Result<LegName> {
        match words.peek() {
            Some(word) if word.starts_with('/') => {
                let device: DeviceRef = words.next(LEG)?.parse()?;
                Ok(LegName::Path(
                    device.path().unwrap_or(Path::new("/")).into(),
                ))
            }
            _ => words.number(LEG).map(LegName::Number),
        }
    }

    /// The number; of a path, one that no mirror has.
    pub fn number(&self) -> usize {
        match self {
            LegName::Number(number) => *number,
            LegName::Path(_) => usize::MAX,
        }
    }

    /// The same leg by its number in this snapshot.
    ///
    /// # Errors
    /// EINVAL where no leg has this path, or two have it.
    pub fn numbered(&self, snapshot: &Snapshot) -> Result<LegName> {
        let LegName::Path(path) = self else {
            return Ok(self.clone());
        };
        let named = |leg: &usize| {
            let leg = snapshot.legs.get(*leg);
            leg.is_some_and(|leg| is_at(leg, path))
        };
        let mut found: Vec<usize> = Vec::new();
        for part in &snapshot.parts {
            let legs = part.legs.iter().map(|leg| leg.number).enumerate();
            let at = legs.filter(|(_, number)| named(number));
            found.extend(at.map(|(place, _)| place));
        }
        found.sort_unstable();
        found.dedup();
        match found.as_slice() {
            [number] => Ok(LegName::Number(*number)),
            found => Err(unclear(snapshot, path, found.is_empty())),
        }
    }
}

/// Whether a leg's device, or the file behind it, has this path.
pub(super) fn is_at(leg: &Leg, path: &Path) -> bool {
    Path::new(&leg.path()) == path || Path::new(&leg.node()) == path
}

fn unclear(snapshot: &Snapshot, path: &Path, none: bool) -> Error {
    let legs = snapshot.legs.iter();
    let legs = legs.map(|leg| format!("leg {} {}", leg.number, leg.path()));
    let legs: Vec<String> = legs.collect();
    let (name, path) = (&snapshot.info.name, quote(&path.display().to_string()));
    let found = if none { "no leg" } else { "several legs" };
    let legs = legs.join(", ");
    Error::invalid(format!(
        "{name} has {found} on {path}: write a number, {legs}"
    ))
}
