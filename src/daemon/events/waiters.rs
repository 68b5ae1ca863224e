//! Those who wait until something changes: poll(2) on a file. Each is told once, by a
//! thread that does nothing else: there may be thousands, and whoever has something to
//! tell has better things to do, such as taking out a leg.

use std::collections::HashMap;
use std::fmt;

use parking_lot::{Condvar, Mutex};

/// Tells somebody that something may have changed.
pub type Tell = Box<dyn FnOnce() + Send>;

#[derive(Default)]
struct Inner {
    waiting: HashMap<u64, Tell>,
    /// Whether something changed that nobody was told of yet.
    news: bool,
}

/// Those who wait.
#[derive(Default)]
pub struct Waiters {
    inner: Mutex<Inner>,
    changed: Condvar,
}

impl Waiters {
    /// Tell at the next change; who waits under this number already is replaced.
    pub fn wait(&self, number: u64, tell: Tell) {
        let before = self.inner.lock().waiting.insert(number, tell);
        drop(before);
    }

    /// Nobody waits under this number any more.
    pub fn forget(&self, number: u64) {
        let before = self.inner.lock().waiting.remove(&number);
        drop(before);
    }

    /// Something may have changed.
    pub fn tell(&self) {
        self.inner.lock().news = true;
        self.changed.notify_one();
    }

    /// Tell those who wait, for ever.
    pub fn serve(&self) {
        loop {
            self.serve_once();
        }
    }

    fn serve_once(&self) {
        let mut inner = self.inner.lock();
        self.changed.wait_while(&mut inner, |inner| !inner.news);
        inner.news = false;
        let woken = std::mem::take(&mut inner.waiting);
        drop(inner);
        woken.into_values().for_each(|tell| tell());
    }
}

impl fmt::Debug for Waiters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Waiters")
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[test]
    fn each_is_told_once_and_not_after_it_left() {
        let (changes, woken) = (Waiters::default(), Arc::<AtomicU32>::default());
        let tell = |by: u32| -> Tell {
            let woken = Arc::clone(&woken);
            Box::new(move || {
                woken.fetch_add(by, Ordering::Relaxed);
            })
        };
        changes.wait(1, tell(1));
        changes.wait(1, tell(10));
        changes.wait(2, tell(100));
        changes.forget(2);
        changes.tell();
        assert_eq!(woken.load(Ordering::Relaxed), 0, "not by who has the news");
        changes.serve_once();
        changes.tell();
        changes.serve_once();
        assert_eq!(woken.load(Ordering::Relaxed), 10);
    }
}
