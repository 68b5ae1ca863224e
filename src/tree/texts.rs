//! The texts that open files keep. Whoever opens one file a thousand times keeps one
//! text, as long as it is the same.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;

use super::limits::Share;

/// How many are remembered before those that are gone are looked for.
const ROOM: usize = 256;

/// A text that is kept for one user.
#[derive(Debug)]
pub struct SharedText {
    /// It.
    pub bytes: Vec<u8>,
    /// What it takes of what he may have.
    _share: Share,
}

/// Which file, and whose.
type Key = (u64, u32);

#[derive(Debug, Default)]
struct Inner {
    newest: HashMap<Key, Weak<SharedText>>,
    room: usize,
}

/// The newest text of each file and user.
#[derive(Debug, Default)]
pub struct Texts {
    inner: Mutex<Inner>,
}

impl Texts {
    /// Keep a text of the file with this inode number for a user, `share` being asked
    /// for its bytes where he does not have it already. Two users share none: what one
    /// keeps would be another's.
    ///
    /// # Errors
    /// That of `share`.
    pub fn keep<E>(
        &self,
        key: Key,
        text: String,
        share: impl FnOnce(usize) -> Result<Share, E>,
    ) -> Result<Arc<SharedText>, E> {
        let mut inner = self.inner.lock();
        let old = inner.newest.get(&key).and_then(Weak::upgrade);
        if let Some(old) = old.filter(|old| old.bytes == text.as_bytes()) {
            return Ok(old);
        }
        let mut bytes = text.into_bytes();
        bytes.shrink_to_fit();
        let _share = share(bytes.len())?;
        let kept = Arc::new(SharedText { bytes, _share });
        if inner.newest.len() >= inner.room.max(ROOM) {
            inner.newest.retain(|_, text| text.strong_count() > 0);
            inner.room = inner.newest.len() * 2;
        }
        inner.newest.insert(key, Arc::downgrade(&kept));
        Ok(kept)
    }
}

#[cfg(test)]
mod tests {
    use super::super::limits::{Limits, Resource};
    use super::*;
    use crate::daemon::admission::permission::Caller;

    #[test]
    fn the_same_text_of_one_user_is_kept_once() {
        let (texts, limits) = (Texts::default(), Arc::<Limits>::default());
        let keep = |key, text: &str| {
            let share = |size| limits.take(&Caller::daemon(), Resource::Bytes, size);
            texts.keep(key, text.into(), share).expect("kept")
        };
        let one = keep((1, 0), "a");
        assert!(Arc::ptr_eq(&one, &keep((1, 0), "a")));
        assert!(!Arc::ptr_eq(&one, &keep((1, 7), "a")));
        assert!(!Arc::ptr_eq(&one, &keep((2, 0), "a")));
        let other = keep((1, 0), "b");
        assert!(!Arc::ptr_eq(&one, &other));
        assert!(Arc::ptr_eq(&other, &keep((1, 0), "b")));
        for number in 0..10 * ROOM as u64 {
            keep((number, 0), "x");
        }
        assert!(texts.inner.lock().newest.len() <= 2 * ROOM);
    }
}
