//! flock(2) on the tree's files. A file that takes commands has many inodes (`node.rs`),
//! and the kernel keeps its own locks by inode: two who open one path would both have
//! it. So they are kept here, by place.

use std::collections::HashMap;

use parking_lot::Mutex;

use crate::error::{Errno, Error, Result};

/// Hears whether a lock was got.
pub type Answer = Box<dyn FnOnce(Result<()>) + Send>;

/// What somebody wants of a lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Want {
    /// To share it with others who do.
    Shared,
    /// To have it alone.
    Alone,
}

/// Somebody with an open file, as the kernel numbers it.
type Owner = u64;

struct Waiter {
    ticket: u64,
    place: u64,
    owner: Owner,
    want: Want,
    answer: Answer,
}

#[derive(Default)]
struct Inner {
    held: HashMap<u64, HashMap<Owner, Want>>,
    waiting: Vec<Waiter>,
    last: u64,
}

/// The locks of all places, by their inode numbers.
#[derive(Default)]
pub struct Locks {
    inner: Mutex<Inner>,
}

impl Locks {
    /// Get a lock at once.
    ///
    /// # Errors
    /// EAGAIN where somebody else has it.
    pub fn get(&self, place: u64, owner: Owner, want: Want) -> Result<()> {
        let mut inner = self.inner.lock();
        let got = inner.get(place, owner, want);
        let granted = inner.wake(place);
        drop(inner);
        tell(granted);
        got.then_some(()).ok_or_else(taken)
    }

    /// Get a lock when it is free; the number stands for the wait, none where there is
    /// none.
    pub fn wait(&self, place: u64, owner: Owner, want: Want, answer: Answer) -> Option<u64> {
        let mut inner = self.inner.lock();
        if inner.get(place, owner, want) {
            let granted = inner.wake(place);
            drop(inner);
            answer(Ok(()));
            tell(granted);
            return None;
        }
        inner.last += 1;
        let ticket = inner.last;
        inner.waiting.push(Waiter {
            ticket,
            place,
            owner,
            want,
            answer,
        });
        Some(ticket)
    }

    /// Whether somebody still waits.
    pub fn is_waiting(&self, ticket: u64) -> bool {
        self.inner
            .lock()
            .waiting
            .iter()
            .any(|one| one.ticket == ticket)
    }

    /// Wait no longer: a signal has come.
    pub fn give_up(&self, ticket: u64) {
        let mut inner = self.inner.lock();
        let at = inner.waiting.iter().position(|one| one.ticket == ticket);
        let waiter = at.map(|at| inner.waiting.remove(at));
        drop(inner);
        if let Some(waiter) = waiter {
            (waiter.answer)(Err(Error::new(Errno::EINTR, "the lock is not free yet")));
        }
    }

    /// Let a lock go.
    pub fn release(&self, place: u64, owner: Owner) {
        let mut inner = self.inner.lock();
        inner.drop_of(place, owner);
        let granted = inner.wake(place);
        drop(inner);
        tell(granted);
    }
}

impl Inner {
    /// Whoever changes his lock lets the old one go first, and has none where he cannot
    /// get the new one (flock(2)).
    fn get(&mut self, place: u64, owner: Owner, want: Want) -> bool {
        self.drop_of(place, owner);
        let held = self.held.entry(place).or_default();
        let free = match want {
            Want::Alone => held.is_empty(),
            Want::Shared => held.values().all(|other| *other == Want::Shared),
        };
        if free {
            held.insert(owner, want);
        }
        free
    }

    fn drop_of(&mut self, place: u64, owner: Owner) {
        if let Some(held) = self.held.get_mut(&place) {
            held.remove(&owner);
            if held.is_empty() {
                self.held.remove(&place);
            }
        }
    }

    /// Those who have waited longest first.
    fn wake(&mut self, place: u64) -> Vec<Answer> {
        let (mut granted, mut at) = (Vec::new(), 0);
        while let Some(waiter) = self.waiting.get(at) {
            let (owner, want) = (waiter.owner, waiter.want);
            if waiter.place == place && self.get(place, owner, want) {
                granted.push(self.waiting.remove(at).answer)
            } else {
                at += 1
            }
        }
        granted
    }
}

fn tell(granted: Vec<Answer>) {
    granted.into_iter().for_each(|answer| answer(Ok(())));
}

fn taken() -> Error {
    Error::new(Errno::EAGAIN, "somebody else has the lock")
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, channel};

    use super::*;

    fn wait(locks: &Locks, owner: Owner, want: Want) -> (Option<u64>, Receiver<Result<()>>) {
        let (send, receive) = channel();
        let answer: Answer = Box::new(move |result| send.send(result).expect("sent"));
        (locks.wait(1, owner, want, answer), receive)
    }

    #[test]
    fn one_has_it_alone_or_several_share_it() {
        let locks = Locks::default();
        let get = |owner, want| locks.get(1, owner, want).map_err(|error| error.errno());
        assert_eq!(get(1, Want::Shared), Ok(()));
        assert_eq!(get(2, Want::Shared), Ok(()));
        assert_eq!(get(3, Want::Alone), Err(Errno::EAGAIN));
        locks.release(1, 2);
        assert_eq!(get(1, Want::Alone), Ok(()));
        assert_eq!(get(2, Want::Shared), Err(Errno::EAGAIN));
        assert!(locks.get(2, 2, Want::Alone).is_ok(), "another place");
        locks.release(1, 1);
        assert_eq!(get(3, Want::Alone), Ok(()));
    }

    #[test]
    fn who_waits_gets_it_or_is_called_away() {
        let locks = Locks::default();
        assert!(locks.get(1, 1, Want::Alone).is_ok());
        let (first, got) = wait(&locks, 2, Want::Alone);
        let (second, never) = wait(&locks, 3, Want::Shared);
        assert!(first.is_some() && got.try_recv().is_err());
        locks.release(1, 1);
        assert_eq!(got.try_recv(), Ok(Ok(())));
        let second = second.expect("it waits");
        assert!(locks.is_waiting(second));
        locks.give_up(second);
        assert!(!locks.is_waiting(second));
        let granted = never.try_recv().expect("granted");
        assert_eq!(granted.map_err(|error| error.errno()), Err(Errno::EINTR));
        locks.give_up(first.expect("it waited"));
        locks.release(1, 2);
        assert!(locks.inner.lock().held.is_empty());
        assert_eq!(wait(&locks, 4, Want::Alone).1.try_recv(), Ok(Ok(())));
    }
}
