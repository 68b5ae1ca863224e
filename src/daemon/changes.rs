//! Those who wait until something changes: poll(2) on a file. Each is told once.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};

/// Tells somebody that something may have changed.
pub type Tell = Box<dyn FnOnce() + Send>;

/// Those who wait.
#[derive(Default)]
pub struct Changes {
    waiting: Mutex<HashMap<u64, Tell>>,
}

impl Changes {
    /// Tell at the next change; who waits under this number already is replaced.
    pub fn wait(&self, number: u64, tell: Tell) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.insert(number, tell);
    }

    /// Nobody waits under this number any more.
    pub fn forget(&self, number: u64) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.remove(&number);
    }

    /// Something may have changed.
    pub fn tell(&self) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let told = std::mem::take(&mut *waiting);
        drop(waiting);
        told.into_values().for_each(|tell| tell());
    }
}

impl fmt::Debug for Changes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Changes")
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[test]
    fn each_is_told_once_and_not_after_it_left() {
        let (changes, told) = (Changes::default(), Arc::<AtomicU32>::default());
        let tell = |by: u32| -> Tell {
            let told = Arc::clone(&told);
            Box::new(move || {
                told.fetch_add(by, Ordering::Relaxed);
            })
        };
        changes.wait(1, tell(1));
        changes.wait(1, tell(10));
        changes.wait(2, tell(100));
        changes.forget(2);
        changes.tell();
        changes.tell();
        assert_eq!(told.load(Ordering::Relaxed), 10);
    }
}
