//! What happened: the newest events, one line each, as an append-only file.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::SystemTime;

use parking_lot::Mutex;

use super::counts::Counts;
use super::kind::Kind;
use super::waiters::Waiters;
use crate::error::{Result, one_line};
use crate::text::name;

/// How many lines are kept.
pub const KEPT: usize = 1024;

/// The most bytes of an event's text, so that all lines together have a bound: a table
/// of many targets is in the file `table`. A line fits into what any program reads at
/// once.
const LONGEST: usize = 1000;

#[derive(Debug, Default)]
struct Ring {
    lines: VecDeque<String>,
    /// Bytes of the lines that were dropped: where the oldest kept one begins.
    start: u64,
    /// Bytes of all lines ever.
    end: u64,
    /// When the newest was added.
    changed: Option<SystemTime>,
    counts: Arc<Counts>,
}

/// The events of a daemon. Byte offsets count from its start and never move,
/// so that a follower stays where it is when old lines are dropped.
#[derive(Debug, Default)]
pub struct Events {
    ring: Mutex<Ring>,
    /// Those who wait for an event, or for anything else that changes.
    pub waiters: Arc<Waiters>,
}

impl Events {
    /// Add an event; `name` is the mirror's, or `-`.
    pub fn add(&self, name: &str, kind: Kind, text: &str) {
        let (word, alarming) = (kind.word(), kind.is_alarming());
        let (shown, text) = (name::shown(name), text_shown(text));
        let level = if alarming {
            log::Level::Warn
        } else {
            log::Level::Info
        };
        log::log!(level, "{shown}: {word}: {text}");
        let now = SystemTime::now();
        let time = humantime::format_rfc3339_millis(now);
        let mut ring = self.ring.lock();
        ring.push(format!("{time} {shown} {word} {text}\n"));
        ring.changed = Some(now);
        Arc::make_mut(&mut ring.counts).count(name, kind);
        drop(ring);
        self.waiters.tell(name);
    }

    /// Add a failure, where others find its reason too.
    ///
    /// # Errors
    /// The result's own.
    pub fn report<T>(&self, name: &str, result: Result<T>) -> Result<T> {
        if let Err(error) = &result {
            let text = format!("{:?}: {error}", error.errno());
            self.add(name, Kind::Error, &text);
        }
        result
    }

    /// Add that a mirror has another name; `by` says who gave it, if not a request.
    pub fn renamed(&self, from: &str, to: &str, by: &str) {
        Arc::make_mut(&mut self.ring.lock().counts).rename(from, to);
        self.waiters.tell(from);
        self.add(to, Kind::Renamed, &format!("from {from}{by}"));
    }

    /// A mirror is recorded and not there: what happens to it counts as its own.
    pub fn enter(&self, name: &str) {
        Arc::make_mut(&mut self.ring.lock().counts).enter(name);
    }

    /// How many events there were.
    pub fn counts(&self) -> Arc<Counts> {
        Arc::clone(&self.ring.lock().counts)
    }

    /// Offsets of the oldest byte kept and of the end.
    pub fn span(&self) -> (u64, u64) {
        let ring = self.ring.lock();
        (ring.start, ring.end)
    }

    /// When the newest event was added; none before the first.
    pub fn changed(&self) -> Option<SystemTime> {
        self.ring.lock().changed
    }

    /// Up to `size` bytes from `offset`, whatever is kept of them; what was
    /// dropped reads as empty lines. As far as whole lines fit into it they end it:
    /// of a line that was read in part the rest may be dropped before it is read.
    pub fn read(&self, offset: u64, size: usize) -> Vec<u8> {
        let ring = self.ring.lock();
        if offset < ring.start {
            let gap = usize::try_from(ring.start - offset).unwrap_or(usize::MAX);
            return vec![b'\n'; gap.min(size)];
        }
        let mut skip = usize::try_from(offset - ring.start).unwrap_or(usize::MAX);
        let mut bytes = Vec::new();
        for line in &ring.lines {
            let line = line.as_bytes();
            let rest = line.get(skip..).unwrap_or_default();
            skip = skip.saturating_sub(line.len());
            if bytes.len() + rest.len() > size {
                if bytes.is_empty() {
                    bytes.extend(rest.iter().take(size));
                }
                break;
            }
            bytes.extend(rest);
        }
        bytes
    }
}

/// One line, and no longer than it may be.
fn text_shown(text: &str) -> String {
    let mut shown = String::new();
    for (at, c) in text.char_indices() {
        if shown.len() >= LONGEST {
            shown.push_str(&format!("… ({} bytes more)", text.len() - at));
            break;
        }
        shown.push(c);
    }
    one_line(&shown)
}

impl Ring {
    fn push(&mut self, line: String) {
        self.end += line.len() as u64;
        self.lines.push_back(line);
        if self.lines.len() > KEPT
            && let Some(oldest) = self.lines.pop_front()
        {
            self.start += oldest.len() as u64;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_holds_time_name_kind_and_text_whatever_the_text() {
        let events = Events::default();
        events.add("m0", Kind::Error, "two\nlines");
        let text = String::from_utf8(events.read(0, 4096)).expect("text");
        let words: Vec<&str> = text.split_whitespace().collect();
        assert!(words[0].ends_with('Z') && words[0].contains('T'), "{text}");
        assert_eq!(words[1..], ["m0", "error", "two\\nlines"]);
        assert_eq!(text.matches('\n').count(), 1);
    }

    #[test]
    fn nobody_forges_a_line_or_a_column() {
        let events = Events::default();
        let temporary_nosync = "x\n2026-01-01T00:00:00.000Z old health failed";
        events.add(temporary_nosync, Kind::Error, "a\u{2028}b\rc\u{85}");
        let text = String::from_utf8(events.read(0, 4096)).expect("text");
        assert_eq!(text.lines().count(), 1);
        assert_eq!(text.split(' ').nth(2), Some("error"), "{text}");
        assert!(text.ends_with("a\\u{2028}b\\rc\\u{85}\n"), "{text}");
    }

    #[test]
    fn a_text_has_an_end_and_so_have_all_lines_together() {
        let events = Events::default();
        for _ in 0..2 * KEPT {
            events.add("m0", Kind::Reloaded, &"é".repeat(500_000));
        }
        let (start, end) = events.span();
        assert!(end - start < (KEPT * (LONGEST + 100)) as u64);
        let text = String::from_utf8(events.read(start, 4096)).expect("whole characters");
        assert!(text.ends_with(" bytes more)\n"), "{text}");
    }

    #[test]
    fn what_is_read_ends_with_a_line() {
        let events = Events::default();
        for _ in 0..2 * KEPT {
            events.add("m0", Kind::Synced, "ä");
        }
        let (start, _) = events.span();
        let line = events
            .read(start, 4096)
            .iter()
            .position(|byte| *byte == b'\n');
        let line = line.expect("a line") + 1;
        assert_eq!(events.read(start, 2 * line + line / 2).len(), 2 * line);
        assert_eq!(events.read(start + 1, line).len(), line - 1);
        // Of a line that does not fit there is a part.
        assert_eq!(events.read(start, 10).len(), 10);
        assert_eq!(events.read(start + 10, line).len(), line - 10);
    }

    #[test]
    fn the_newest_stay_and_offsets_do_not_move() {
        let events = Events::default();
        for n in 0..KEPT + 10 {
            events.add("m0", Kind::Synced, &format!("event {n:05}"));
        }
        let (start, end) = events.span();
        let text = String::from_utf8(events.read(start, usize::MAX)).expect("text");
        assert_eq!(text.len() as u64, end - start);
        assert_eq!(text.lines().count(), KEPT);
        assert!(
            text.lines()
                .next()
                .is_some_and(|line| line.ends_with("00010"))
        );
        assert_eq!(events.read(start - 3, 10), b"\n\n\n");
        assert!(events.read(end, 10).is_empty());
    }
}
