//! A snapshot that is shared for as long as nothing of it is otherwise, with the texts that
//! were made of it: of a thousand mirrors most are as they were at the last look.

use std::ops::Deref;
use std::sync::Arc;

use parking_lot::Mutex;

use super::snapshot::Snapshot;

/// Which text it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Piece {
    /// Its lines of `status`.
    Status,
    /// Its lines of `table`.
    Table,
    /// Its line of `progress`.
    Progress,
    /// Its line of `health`.
    Health,
    /// Its line of `mirrors.json`.
    Json,
    /// Its figures in `metrics`.
    Figures,
    /// The counts of its events there.
    Events,
    /// What its file of this row shows.
    File(usize),
}

/// A text in parts.
#[derive(Debug, Default)]
pub struct Parts {
    text: String,
    ends: Vec<usize>,
}

impl Parts {
    /// A text of one part.
    pub fn whole(text: String) -> Parts {
        let ends = vec![text.len()];
        Parts { text, ends }
    }

    /// Add to the part that is written.
    pub fn write(&mut self) -> &mut String {
        &mut self.text
    }

    /// What is written from now on is of the next part.
    pub fn end(&mut self) {
        self.ends.push(self.text.len());
    }

    /// The part of this number; empty where there is none.
    pub fn part(&self, number: usize) -> &str {
        let end = |number: usize| self.ends.get(number).copied();
        let start = number.checked_sub(1).map_or(Some(0), end);
        let range = start.zip(end(number));
        range
            .and_then(|(start, end)| self.text.get(start..end))
            .unwrap_or_default()
    }
}

/// A text, what it is of beside the snapshot, and its parts.
type Made = (Piece, u64, Arc<Parts>);

/// It, and its texts.
#[derive(Debug)]
pub struct Shared {
    snapshot: Snapshot,
    texts: Mutex<Vec<Made>>,
}

impl Shared {
    /// A snapshot of which nothing was made yet.
    pub fn new(snapshot: Snapshot) -> Shared {
        let texts = Mutex::default();
        Shared { snapshot, texts }
    }

    /// A text of it, made where it was not before; `of` is what it is of beside.
    pub fn text(&self, piece: Piece, of: u64, make: impl FnOnce(&Snapshot) -> Parts) -> Arc<Parts> {
        let mut texts = self.texts.lock();
        let known = texts.iter().find(|known| (known.0, known.1) == (piece, of));
        if let Some((.., parts)) = known {
            return Arc::clone(parts);
        }
        let mut parts = make(&self.snapshot);
        parts.text.shrink_to_fit();
        let parts = Arc::new(parts);
        texts.retain(|(other, ..)| *other != piece);
        texts.push((piece, of, Arc::clone(&parts)));
        parts
    }

    /// The same of a text in one part that is of nothing else.
    pub fn line(&self, piece: Piece, make: impl FnOnce(&Snapshot) -> String) -> Arc<Parts> {
        self.text(piece, 0, |snapshot| Parts::whole(make(snapshot)))
    }
}

impl Deref for Shared {
    type Target = Snapshot;

    fn deref(&self) -> &Snapshot {
        &self.snapshot
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::snapshot::Known;
    use crate::model::tests::snapshot;

    #[test]
    fn a_text_is_made_once_for_what_it_is_of() {
        let shared = Shared::new(snapshot("core 2 8 nosync", 2, "8/8 AA", Known::default()));
        let made = |of, text: &str| {
            let parts = shared.text(Piece::Events, of, |_| Parts::whole(text.into()));
            parts.part(0).to_owned()
        };
        assert_eq!(made(1, "a"), "a");
        assert_eq!(made(1, "b"), "a");
        assert_eq!(made(2, "c"), "c");
        assert_eq!(made(1, "d"), "d");
        let line = shared.line(Piece::Status, |snapshot| snapshot.info.name.clone());
        assert_eq!((line.part(0), line.part(1)), ("m", ""));
        let mut parts = Parts::default();
        for text in ["one", "", "three"] {
            parts.write().push_str(text);
            parts.end();
        }
        assert_eq!(
            [0, 1, 2, 3].map(|n| parts.part(n)),
            ["one", "", "three", ""]
        );
    }
}
