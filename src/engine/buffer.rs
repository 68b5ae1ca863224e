//! Memory that direct I/O can use: it begins where a page does.

/// What the start, the length and the place of direct I/O are multiples of:
/// the largest logical block in use.
pub(in crate::engine) const ALIGN: u64 = 4096;

/// An aligned buffer.
#[derive(Debug)]
pub(in crate::engine) struct Buffer {
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
            assert!((buffer.part(1).as_ptr() as usize).is_multiple_of(ALIGN as usize));
        }
    }
}
