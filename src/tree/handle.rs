//! An open file: the text that its reader gets, and the answer that its last
//! write owes.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use super::follow::Follow;
use super::limits::Share;
use super::stat::Attr;
use super::texts::SharedText;
use crate::daemon::admission::permission::Caller;
use crate::daemon::events::log::Events;
use crate::error::Result;
use crate::model::snapshot::Snapshot;

/// The most bytes of answers that are kept: who writes a thousand lines in one write
/// learns the last of what they came to.
const LONGEST: usize = 64 * 1024;

/// What a reader of this handle gets.
#[derive(Debug, Default)]
enum Text {
    /// Nothing was read yet.
    #[default]
    None,
    /// The file as it was when it was opened, or read from its beginning.
    Snapshot(Arc<SharedText>),
    /// The answer to a write. It begins where it is first read, since the
    /// write moved the descriptor's offset.
    Answer(Vec<u8>, Option<u64>),
    /// Events from `shift` on, that of the oldest kept for a reader who began at
    /// the beginning, 0 for one who follows; read up to `end`.
    Events { shift: u64, end: u64 },
    /// The progress of a copy.
    Follow(Follow),
}

/// An open file.
#[derive(Debug)]
pub struct Handle {
    /// The file, as it was when it was opened: what is open outlives its mirror.
    pub attr: Attr,
    /// Who opened it. Whoever writes into it acts with no other rights: a program of
    /// more rights may have been given it as its standard output.
    pub caller: Caller,
    text: Mutex<Text>,
    _share: Share,
}

impl Handle {
    /// A handle that nothing was read from.
    pub fn new(attr: Attr, caller: Caller, share: Share) -> Self {
        Handle {
            attr,
            caller,
            text: Mutex::default(),
            _share: share,
        }
    }

    /// The answer to a write, for the next reader of this handle.
    pub fn answer(&self, text: &str) {
        let text = text.trim_end();
        let cut = text.len().saturating_sub(LONGEST);
        let newline = |at: usize| text.get(at..).and_then(|rest| rest.find('\n'));
        let start = (cut > 0).then(|| (cut..text.len()).find(|at| text.is_char_boundary(*at)));
        let start = start
            .flatten()
            .map_or(0, |at| newline(at).map_or(at, |line| at + line + 1));
        let bytes = format!("{}\n", text.get(start..).unwrap_or_default());
        *self.text.lock() = Text::Answer(bytes.into_bytes(), None);
    }

    /// The same, unless an answer is there already that nobody may have read.
    pub fn answer_if_idle(&self, text: &str) {
        if !matches!(&*self.text.lock(), Text::Answer(..)) {
            self.answer(text);
        }
    }

    /// Whether a read at `offset` needs a new snapshot of the file.
    pub fn is_stale(&self, offset: u64) -> bool {
        match &*self.text.lock() {
            Text::None => true,
            Text::Snapshot(_) => offset == 0,
            Text::Answer(..) | Text::Events { .. } | Text::Follow(_) => false,
        }
    }

    /// Show `text` from now on.
    pub fn show(&self, text: Arc<SharedText>) {
        *self.text.lock() = Text::Snapshot(text);
    }

    /// Up to `size` bytes of the text at `offset`.
    pub fn read(&self, offset: u64, size: usize) -> Vec<u8> {
        match &mut *self.text.lock() {
            Text::None | Text::Events { .. } | Text::Follow(_) => Vec::new(),
            Text::Snapshot(text) => part(&text.bytes, offset, size),
            Text::Answer(bytes, base) => {
                // A reader who seeks back reads the answer once more.
                let start = base.filter(|base| *base <= offset).unwrap_or(offset);
                *base = Some(start);
                part(bytes, offset - start, size)
            }
        }
    }

    /// Up to `size` bytes of the events at `offset`.
    pub fn read_events(&self, events: &Events, offset: u64, size: usize) -> Vec<u8> {
        let mut text = self.text.lock();
        let shift = match &*text {
            Text::Events { shift, .. } if offset > 0 => *shift,
            _ if offset == 0 => events.span().0,
            _ => 0,
        };
        let start = offset.saturating_add(shift);
        let bytes = events.read(start, size);
        let end = start.saturating_add(bytes.len() as u64);
        *text = Text::Events { shift, end };
        bytes
    }

    /// Whether there are events that were not read.
    pub fn has_events(&self, events: &Events) -> bool {
        match &*self.text.lock() {
            Text::Events { end, .. } => *end < events.span().1,
            _ => true,
        }
    }

    /// Whether the file is another than the one that was read, `now` being it.
    pub fn differs(&self, now: &str) -> bool {
        match &*self.text.lock() {
            Text::None => true,
            Text::Snapshot(text) => text.bytes != now.as_bytes(),
            Text::Answer(..) | Text::Events { .. } | Text::Follow(_) => false,
        }
    }

    /// How long a read has to wait for its line.
    pub fn pause(&self) -> Duration {
        match &*self.text.lock() {
            Text::Follow(follow) => follow.pause(),
            _ => Duration::ZERO,
        }
    }

    /// Up to `size` bytes of the progress, `look` being the mirror now.
    pub fn follow(&self, size: usize, look: impl FnOnce() -> Result<Snapshot>) -> Vec<u8> {
        // Before the lock: who only asks whether to wait does not wait for a look.
        let mirror = self.wants_line().then(look);
        let mut text = self.text.lock();
        if !matches!(&*text, Text::Follow(_)) {
            *text = Text::Follow(Follow::default());
        }
        match &mut *text {
            Text::Follow(follow) => follow.read(size, mirror),
            _ => Vec::new(),
        }
    }

    fn wants_line(&self) -> bool {
        match &*self.text.lock() {
            Text::Follow(follow) => follow.wants_line(),
            _ => true,
        }
    }
}

fn part(bytes: &[u8], offset: u64, size: usize) -> Vec<u8> {
    let start = usize::try_from(offset)
        .unwrap_or(usize::MAX)
        .min(bytes.len());
    let end = start.saturating_add(size).min(bytes.len());
    bytes.get(start..end).unwrap_or_default().to_vec()
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::super::limits::{Limits, Resource};
    use super::super::node::Node;
    use super::super::stat::NodeType;
    use super::super::texts::Texts;
    use super::*;

    fn handle() -> Handle {
        let attr = Attr {
            node: Node::Root,
            sort: NodeType::File,
            mode: 0,
            uid: 0,
            gid: 0,
            size: 0,
            mtime: SystemTime::UNIX_EPOCH,
            fleeting: true,
        };
        let caller = Caller::daemon();
        let share = Arc::<Limits>::default().take(&caller, Resource::Handles, 1);
        Handle::new(attr, caller, share.expect("free"))
    }

    fn show(handle: &Handle, text: &str) {
        let limits = Arc::<Limits>::default();
        let share = |size| limits.take(&handle.caller, Resource::Bytes, size);
        let kept = Texts::default().keep((1, 0), text.into(), share);
        handle.show(kept.expect("kept"));
    }

    #[test]
    fn a_snapshot_is_read_in_parts_and_anew_from_its_beginning() {
        let handle = handle();
        assert!(handle.is_stale(0) && handle.is_stale(5));
        show(&handle, "0123456789");
        assert_eq!(handle.read(2, 3), b"234");
        assert_eq!(handle.read(8, 100), b"89");
        assert_eq!(handle.read(10, 100), b"");
        assert_eq!(handle.read(u64::MAX, usize::MAX), b"");
        assert!(handle.is_stale(0) && !handle.is_stale(3));
    }

    #[test]
    fn an_answer_begins_where_the_write_left_the_offset() {
        let handle = handle();
        handle.answer("mirror0");
        assert!(!handle.is_stale(0));
        assert_eq!(handle.read(57, 4), b"mirr");
        assert_eq!(handle.read(61, 100), b"or0\n");
        assert_eq!(handle.read(65, 100), b"");
        assert_eq!(handle.read(0, 100), b"mirror0\n");
    }

    #[test]
    fn of_very_many_answers_the_last_are_kept() {
        let handle = handle();
        handle.answer(&"done\n".repeat(LONGEST));
        let text = handle.read(0, usize::MAX);
        assert!(text.len() <= LONGEST + 1 && text.len() > LONGEST - 10);
        assert!(text.starts_with(b"done\n") && text.ends_with(b"done\n"));
        handle.answer(&"é".repeat(LONGEST));
        assert!(handle.read(0, usize::MAX).len() <= LONGEST + 1);
    }

    #[test]
    fn events_are_followed_by_the_same_offset() {
        use crate::daemon::events::kind::Kind;
        let (events, handle) = (Events::default(), handle());
        events.add("m", Kind::Synced, "one");
        let first = handle.read_events(&events, 0, 4096);
        events.add("m", Kind::Synced, "two");
        let second = handle.read_events(&events, first.len() as u64, 4096);
        assert!(second.ends_with(b"two\n"));
        assert_eq!(second.iter().filter(|byte| **byte == b'\n').count(), 1);
    }
}
