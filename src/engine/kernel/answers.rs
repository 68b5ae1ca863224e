//! device-mapper's looks by hand: a header, and the text that the kernel puts behind it
//! (include/uapi/linux/dm-ioctl.h). The devicemapper crate hands the kernel 16 KiB to copy
//! in for each; here it is as much as the answer has room for, in a buffer that each thread
//! keeps. It knows the layout and nothing of what is asked.
#![allow(unsafe_code)]

use std::cell::RefCell;
use std::fs::File;
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::raw::{Header, up_to_nul};
use crate::engine::Info;
use crate::error::Errno;
use crate::text::device::DevNo;
use crate::text::table::Line;

/// Bytes for an answer at first, enough for a mirror of eight legs.
const ROOM: usize = 1024;

/// More than all that the kernel may have to say.
const MOST: usize = 64 << 20;

/// Bytes of `struct dm_target_spec`, and of `struct dm_name_list` before the name.
const SPEC: usize = 40;
const NAME_AT: usize = 12;

nix::ioctl_readwrite!(list_devices, 0xfd, 2, Header);
nix::ioctl_readwrite!(table_status, 0xfd, 12, Header);

/// What can be asked.
#[derive(Debug, Clone, Copy)]
enum Ask {
    List,
    Status,
}

/// Bytes of the last list: where there was too little room the kernel has gone through all
/// devices for nothing.
static LISTED: AtomicUsize = AtomicUsize::new(0);

impl Ask {
    /// Bytes to begin with.
    fn room(self) -> usize {
        match self {
            Ask::List => (LISTED.load(Ordering::Relaxed) + ROOM).next_multiple_of(8),
            Ask::Status => ROOM,
        }
    }

    /// An answer had so many.
    fn note(self, size: usize) {
        if matches!(self, Ask::List) {
            LISTED.store(size.min(MOST / 2), Ordering::Relaxed);
        }
    }
}

thread_local! {
    // Words, so that the header in it is aligned.
    static BUFFER: RefCell<Vec<u64>> = const { RefCell::new(Vec::new()) };
}

/// Name, number and event number of a device, of the list of all.
pub(super) type Named<'a> = (&'a [u8], DevNo, u32);

/// The targets of a table or their status, after the header; none where both are as they
/// were seen before.
///
/// # Errors
/// The kernel's errno.
pub(super) fn lines_unless(
    control: &File,
    header: Header,
    seen: Option<(&Info, &[Line])>,
) -> Result<Option<(Info, Vec<Line>)>, Errno> {
    ask(control, Ask::Status, header, |header, text| {
        let same = seen.is_some_and(|(info, lines)| header.is_of(info) && are(text, header, lines));
        (!same).then(|| {
            let targets = targets(text, header.targets()).map(|spec| spec.line());
            (header.info(), targets.collect())
        })
    })
}

fn are(text: &[u8], header: &Header, lines: &[Line]) -> bool {
    let mut targets = targets(text, header.targets());
    let same = |line: &Line| targets.next().is_some_and(|spec| spec.is(line));
    header.targets() == lines.len() && lines.iter().all(same)
}

/// The list of all devices, for [`each_name`].
///
/// # Errors
/// The kernel's errno.
pub(super) fn list<T>(control: &File, mut look: impl FnMut(&[u8]) -> T) -> Result<T, Errno> {
    let header = Header::new("", "")?;
    ask(control, Ask::List, header, |_, text| look(text))
}

/// Each device of a list.
pub(super) fn each_name(mut list: &[u8], mut each: impl FnMut(Named<'_>)) {
    // Without any, the first has no number.
    while let Some((named, next)) = named(list).filter(|((_, dev, _), _)| dev.major > 0) {
        each(named);
        match list.get(next..) {
            Some(rest) if next > 0 => list = rest,
            _ => break,
        }
    }
}

/// Ask, with more room as long as it does not suffice, and read what is answered.
fn ask<T>(
    control: &File,
    what: Ask,
    mut header: Header,
    mut read: impl FnMut(&Header, &[u8]) -> T,
) -> Result<T, Errno> {
    BUFFER.with_borrow_mut(|words| {
        let mut room = what.room();
        loop {
            if words.len() * 8 < room {
                words.resize(room / 8, 0);
            }
            header.set_room(room);
            let (answer, bytes) = call(control, what, &header, words)?;
            if !answer.is_full() {
                what.note(answer.size());
                return Ok(read(answer, bytes.get(answer.text()).unwrap_or_default()));
            }
            room *= 4;
            if room > MOST {
                return Err(Errno::EOVERFLOW);
            }
        }
    })
}

/// The header of the answer, and all of its bytes, the header's too.
fn call<'a>(
    control: &File,
    what: Ask,
    header: &Header,
    words: &'a mut [u64],
) -> Result<(&'a Header, &'a [u8]), Errno> {
    let size = words.len() * 8;
    assert!(size >= header.size() && size >= size_of::<Header>());
    let place = words.as_mut_ptr().cast::<Header>();
    let control = control.as_raw_fd();
    // SAFETY: the buffer is aligned as a header has to be, and as large as the header says
    // that it is and as a header is, which is checked above; the kernel reads and writes
    // inside of that, and the buffer outlives the call.
    unsafe {
        place.copy_from_nonoverlapping(header, 1);
        match what {
            Ask::List => list_devices(control, place)?,
            Ask::Status => table_status(control, place)?,
        };
    }
    // SAFETY: all of the buffer is initialised, any bytes are a header, and nobody writes to
    // it for as long as it is borrowed.
    Ok(unsafe {
        (
            &*place,
            std::slice::from_raw_parts(place.cast::<u8>(), size),
        )
    })
}

/// `struct dm_target_spec`, with its parameters.
struct Spec<'a> {
    start: u64,
    length: u64,
    kind: &'a [u8],
    params: &'a [u8],
}

impl Spec<'_> {
    fn is(&self, line: &Line) -> bool {
        (self.start, self.length) == (line.start, line.length)
            && self.kind == line.kind.as_bytes()
            && self.params == line.params.as_bytes()
    }

    fn line(&self) -> Line {
        Line {
            start: self.start,
            length: self.length,
            kind: String::from_utf8_lossy(self.kind).into_owned(),
            params: String::from_utf8_lossy(self.params).into_owned(),
        }
    }
}

/// One after the other.
fn targets(text: &[u8], count: usize) -> impl Iterator<Item = Spec<'_>> {
    let mut at = 0;
    let next = move || {
        let (spec, next) = text.get(at..).and_then(target)?;
        // Counted from the first target (drivers/md/dm-ioctl.c, `retrieve_status`). What
        // does not lead on ends it: the kernel says nothing of the kind.
        at = if next > at { next } else { text.len() };
        Some(spec)
    };
    std::iter::from_fn(next).take(count)
}

fn target(spec: &[u8]) -> Option<(Spec<'_>, usize)> {
    let target = Spec {
        start: u64_at(spec, 0)?,
        length: u64_at(spec, 8)?,
        kind: up_to_nul(spec.get(24..SPEC)?),
        params: up_to_nul(spec.get(SPEC..)?),
    };
    Some((target, u32_at(spec, 20)? as usize))
}

fn named(list: &[u8]) -> Option<(Named<'_>, usize)> {
    let dev = Header::number(u64_at(list, 0)?);
    let name = up_to_nul(list.get(NAME_AT..)?);
    // Behind the name and its NUL, aligned (`list_devices`, drivers/md/dm-ioctl.c).
    let event_at = (NAME_AT + name.len() + 1).next_multiple_of(8);
    let event_nr = u32_at(list, event_at).unwrap_or(0);
    Some(((name, dev, event_nr), u32_at(list, 8)? as usize))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    let part = bytes.get(at..at.checked_add(8)?)?;
    part.try_into().ok().map(u64::from_ne_bytes)
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    let part = bytes.get(at..at.checked_add(4)?)?;
    part.try_into().ok().map(u32::from_ne_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(start: u64, next: u32, kind: &str, params: &str) -> Vec<u8> {
        let mut spec = Vec::new();
        spec.extend(start.to_ne_bytes());
        spec.extend(8_u64.to_ne_bytes());
        spec.extend(0_u32.to_ne_bytes());
        spec.extend(next.to_ne_bytes());
        spec.extend(kind.bytes());
        spec.resize(SPEC, 0);
        spec.extend(params.bytes());
        spec.push(0);
        spec.resize(spec.len().next_multiple_of(8), 0);
        spec
    }

    fn shown(text: &[u8], count: usize) -> Vec<String> {
        let lines = targets(text, count).map(|spec| spec.line());
        lines.map(|line| line.to_string()).collect()
    }

    #[test]
    fn targets_are_found_by_where_the_kernel_says_the_next_is() {
        let first = spec(0, 56, "mirror", "2 7:0 7:1");
        let text = [first, spec(8, 104, "linear", "")].concat();
        let both = ["0 8 mirror 2 7:0 7:1", "8 8 linear "];
        assert_eq!(shown(&text, 2), both);
        assert_eq!(shown(&text, 1), both[..1]);
        // What the kernel never says ends it.
        assert_eq!(shown(&text, usize::MAX), both);
        assert!(shown(&text[..SPEC - 1], 2).is_empty());
        assert!(shown(&[], 2).is_empty());
    }

    #[test]
    fn a_list_has_names_of_any_length_with_event_numbers_behind() {
        let one = |name: &str, next: u32, minor: u64| {
            let mut entry = Vec::new();
            entry.extend((253 << 8 | minor).to_ne_bytes());
            entry.extend(next.to_ne_bytes());
            entry.extend(name.bytes());
            entry.push(0);
            entry.resize(entry.len().next_multiple_of(8), 0);
            entry.extend(7_u32.to_ne_bytes());
            entry.resize(entry.len().next_multiple_of(8), 0);
            entry
        };
        let text = [one("m0", 24, 0), one("a-name", 0, 1)].concat();
        let (first, next) = named(&text).expect("one");
        let dev = |minor| DevNo { major: 253, minor };
        assert_eq!(first, (&b"m0"[..], dev(0), 7));
        assert_eq!(
            named(&text[next..]).map(|(one, _)| one),
            Some((&b"a-name"[..], dev(1), 7))
        );
        assert!(named(&[0; 8]).is_none());
    }

    #[test]
    fn the_errno_is_passed_on() {
        let null = File::open("/dev/null").unwrap();
        assert_eq!(list(&null, |_| ()).err(), Some(Errno::ENOTTY));
        let header = Header::new("m0", "").unwrap();
        assert_eq!(lines_unless(&null, header, None).err(), Some(Errno::ENOTTY));
    }
}
