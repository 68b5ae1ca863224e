//! Those who wait until something changes: poll(2) on a file. Each is told once, by a
//! thread that does nothing else: there may be thousands, and whoever has something to
//! tell has better things to do, such as taking out a leg. Who waits for one mirror is not
//! woken for another.

use std::collections::{HashMap, HashSet, VecDeque};
use std::fmt;
use std::thread::sleep;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

/// Tells somebody that something may have changed.
pub type Tell = Box<dyn FnOnce() + Send>;

/// What stands for the files that show all mirrors: no mirror is called so.
pub const ALL: &str = "";

/// How many are told before others have their turn. Each of them reads and asks again, by
/// threads of ours that come before ordinary programs, and all together they are to take a
/// quarter of the time: so they are waited for, and then three times as long again.
const BATCH: usize = 16;
const REST: u32 = 3;

/// The most that is waited for one who does not come back.
const BACK_WITHIN: Duration = Duration::from_secs(1);

#[derive(Default)]
struct Inner {
    /// By the mirror's name, and by their numbers.
    waiting: HashMap<String, HashMap<u64, Tell>>,
    /// For which mirror each waits.
    of: HashMap<u64, String>,
    /// The mirrors of which there is something that nobody was told of yet.
    news: HashSet<String>,
    /// How many have begun to wait so far, or have left.
    through: usize,
}

/// Those who wait.
#[derive(Default)]
pub struct Waiters {
    inner: Mutex<Inner>,
    changed: Condvar,
    /// Somebody has begun to wait, or has left.
    back: Condvar,
}

impl Waiters {
    /// Tell at the next change of the mirror of this name, or of [`ALL`]; who waits under
    /// this number already is replaced.
    pub fn wait(&self, number: u64, name: &str, tell: Tell) {
        let mut inner = self.inner.lock();
        let before = inner.forget(number);
        inner.of.insert(number, name.into());
        let waiting = inner.waiting.entry(name.into()).or_default();
        waiting.insert(number, tell);
        inner.through += 1;
        drop(inner);
        drop(before);
        self.back.notify_one();
    }

    /// Nobody waits under this number any more.
    pub fn forget(&self, number: u64) {
        let before = self.inner.lock().forget(number);
        drop(before);
    }

    /// Who waited under this number, or was told, does not come back.
    pub fn leave(&self, number: u64) {
        let mut inner = self.inner.lock();
        let before = inner.forget(number);
        inner.through += 1;
        drop(inner);
        drop(before);
        self.back.notify_one();
    }

    /// Something may have changed of a mirror, which all of them show too.
    pub fn tell(&self, name: &str) {
        let mut inner = self.inner.lock();
        let before = inner.news.len();
        for name in [name, ALL] {
            if inner.waiting.contains_key(name) && !inner.news.contains(name) {
                inner.news.insert(name.into());
            }
        }
        if inner.news.len() > before {
            self.changed.notify_one();
        }
    }

    /// Tell those who wait, for ever.
    pub fn serve(&self) {
        loop {
            self.serve_once();
        }
    }

    fn serve_once(&self) {
        let mut groups = VecDeque::new();
        let mut inner = self.inner.lock();
        self.changed
            .wait_while(&mut inner, |inner| inner.news.is_empty());
        groups.extend(inner.take_woken());
        drop(inner);
        // Those of a mirror with few come between those of one with thousands.
        while let Some(mut batch) = groups.pop_front() {
            let rest = batch.split_off(batch.len().min(BATCH));
            groups.extend((!rest.is_empty()).then_some(rest));
            self.tell_batch(batch, !groups.is_empty());
            groups.extend(self.inner.lock().take_woken());
        }
    }

    fn tell_batch(&self, batch: Vec<Tell>, more: bool) {
        let (told, before) = (batch.len(), self.inner.lock().through);
        let start = Instant::now();
        batch.into_iter().for_each(|tell| tell());
        if more {
            self.wait_for_those(before + told, start + BACK_WITHIN);
            sleep(start.elapsed().min(BACK_WITHIN) * REST);
        }
    }

    /// Wait until so many have begun to wait, or have left: those who were told are
    /// through.
    fn wait_for_those(&self, through: usize, end: Instant) {
        let mut inner = self.inner.lock();
        let under_way = |inner: &mut Inner| inner.through < through;
        self.back.wait_while_until(&mut inner, under_way, end);
    }
}

impl Inner {
    fn forget(&mut self, number: u64) -> Option<Tell> {
        let name = self.of.remove(&number)?;
        let waiting = self.waiting.get_mut(&name)?;
        let tell = waiting.remove(&number);
        if waiting.is_empty() {
            self.waiting.remove(&name);
        }
        tell
    }

    /// Those who are to be told, by mirror.
    fn take_woken(&mut self) -> Vec<Vec<Tell>> {
        let mut groups = Vec::new();
        for name in std::mem::take(&mut self.news) {
            let woken = self.waiting.remove(&name).unwrap_or_default();
            for number in woken.keys() {
                self.of.remove(number);
            }
            groups.push(woken.into_values().collect());
        }
        groups
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

    /// Those who wait, and the sum of what each adds when it is told.
    #[derive(Default)]
    struct Room {
        waiters: Waiters,
        told: Arc<AtomicU32>,
    }

    impl Room {
        fn wait(&self, number: u64, name: &str, adds: u32) {
            let told = Arc::clone(&self.told);
            let tell = move || {
                told.fetch_add(adds, Ordering::Relaxed);
            };
            self.waiters.wait(number, name, Box::new(tell));
        }

        fn told(&self) -> u32 {
            self.told.load(Ordering::Relaxed)
        }
    }

    #[test]
    fn each_is_told_once_and_not_after_it_left() {
        let room = Room::default();
        room.wait(1, "m0", 1);
        room.wait(1, "m0", 10);
        room.wait(2, "m0", 100);
        room.waiters.forget(2);
        room.waiters.tell("m0");
        assert_eq!(room.told(), 0, "not by who has the news");
        room.waiters.serve_once();
        assert_eq!(room.told(), 10);
        room.waiters.tell("m0");
        let inner = room.waiters.inner.lock();
        assert!(inner.news.is_empty() && inner.waiting.is_empty() && inner.of.is_empty());
    }

    #[test]
    fn of_many_each_batch_is_waited_for_and_no_longer_than_for_its_end() {
        let room = Room::default();
        let many = 3 * BATCH as u64;
        (0..many).for_each(|number| room.wait(number, "m0", 1));
        room.waiters.tell("m0");
        let begun = Instant::now();
        std::thread::scope(|scope| {
            scope.spawn(|| room.waiters.serve_once());
            // Each leaves as soon as it is told.
            let mut left = 0;
            while left < many {
                while left < u64::from(room.told()) {
                    room.waiters.leave(left);
                    left += 1;
                }
                sleep(Duration::from_millis(1));
            }
        });
        assert_eq!(u64::from(room.told()), many);
        assert!(begun.elapsed() < BACK_WITHIN, "{:?}", begun.elapsed());
    }

    #[test]
    fn who_waits_for_another_mirror_is_not_woken() {
        let room = Room::default();
        room.wait(1, "m0", 1);
        room.wait(2, "m1", 10);
        room.wait(3, ALL, 100);
        room.waiters.tell("m0");
        room.waiters.serve_once();
        assert_eq!(room.told(), 101);
        room.wait(2, "m0", 1000);
        room.waiters.tell("m1");
        room.waiters.tell("m0");
        room.waiters.serve_once();
        assert_eq!(room.told(), 1101);
    }
}
