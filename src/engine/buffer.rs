//! Memory that direct I/O can use: it begins where a page does.

use std::ops::Range;

/// What the start, the length and the place of direct I/O are multiples of:
/// the largest logical block in use.
pub(in crate::engine) const ALIGN: u64 = 4096;

/// An aligned buffer.
#[derive(Debug, Default)]
pub struct Buffer {
    memory: Vec<u8>,
    start: usize,
    size: usize,
}

impl Buffer {
    /// `size` bytes, all zero.
    pub(in crate::engine) fn new(size: usize) -> Buffer {
        let memory = vec![0; size + ALIGN as usize];
        // On no machine that Linux runs on can this fail for bytes.
        let start = memory.as_ptr().align_offset(ALIGN as usize);
        Buffer {
            start: start.min(ALIGN as usize),
            memory,
            size,
        }
    }

    /// Have room for `size` bytes, whatever is in them.
    pub(in crate::engine) fn reserve(&mut self, size: usize) {
        if self.size < size {
            *self = Buffer::new(size);
        }
    }

    /// What is in this range of it.
    pub fn bytes(&self, range: Range<usize>) -> &[u8] {
        let end = (self.start + range.end).min(self.start + self.size);
        let found = self.memory.get(self.start + range.start..end);
        found.unwrap_or_default()
    }

    /// Its first `size` bytes, or all.
    pub(in crate::engine) fn part(&mut self, size: usize) -> &mut [u8] {
        let end = self.start + size.min(self.size);
        self.memory.get_mut(self.start..end).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_begins_at_a_page_and_has_its_size() {
        for size in [0, 1, 4096, 1 << 20] {
            let mut buffer = Buffer::new(size);
            assert_eq!(buffer.part(usize::MAX).len(), size);
            buffer.reserve(8192);
            assert!(buffer.part(usize::MAX).len() >= 8192);
            buffer.part(4)[3] = 7;
            assert_eq!(buffer.bytes(2..4), [0, 7]);
            assert_eq!(buffer.bytes(2..usize::MAX / 2).len(), size.max(8192) - 2);
            assert!((buffer.part(1).as_ptr() as usize).is_multiple_of(ALIGN as usize));
        }
    }
}
