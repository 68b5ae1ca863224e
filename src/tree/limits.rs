//! How much of the daemon each user may use up: open files, waiting polls, bytes of
//! text that are kept for them, commands under way. Everybody may look, so without a
//! limit everybody could take its memory, which is locked, and its time.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::daemon::admission::permission::Caller;
use crate::error::{Errno, Error};

/// What a user can use up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resource {
    /// Open files and folders.
    Handles,
    /// Polls that wait for a change.
    Pollers,
    /// Bytes of text that open files keep, and of commands under way.
    Bytes,
    /// Commands under way: each has a thread.
    Commands,
}

/// The most of one thing.
#[derive(Debug)]
pub struct Limit {
    /// What is limited.
    pub of: Resource,
    /// It, as a sentence has it behind a number.
    pub words: &'static str,
    /// For each user.
    pub each: usize,
    /// For all users together but the daemon's own and root.
    pub all: usize,
    /// For these two together, of whom there has to be an end too: a monitor that
    /// forgets to close.
    pub own: usize,
}

/// The limits, each at its own number. A monitor that polls each of a thousand mirrors
/// is below them.
pub const LIMITS: [Limit; 4] = [
    Limit {
        of: Resource::Handles,
        words: "open files",
        each: 2048,
        all: 8192,
        own: 16_384,
    },
    Limit {
        of: Resource::Pollers,
        words: "polls that wait",
        each: 1024,
        all: 4096,
        own: 8192,
    },
    Limit {
        of: Resource::Bytes,
        words: "bytes of text",
        each: 8 << 20,
        all: 32 << 20,
        own: 128 << 20,
    },
    Limit {
        of: Resource::Commands,
        words: "commands under way",
        each: 32,
        all: 128,
        own: 1024,
    },
];

/// How much of each is used.
type Used = [usize; LIMITS.len()];

#[derive(Debug, Default)]
struct User {
    used: Used,
    /// Whether it was told that he is at a limit; once, until he is well below it.
    warned: [bool; LIMITS.len()],
}

#[derive(Debug, Default)]
struct Inner {
    users: HashMap<u32, User>,
    others: Used,
    own: Used,
}

/// What all users have.
#[derive(Debug, Default)]
pub struct Limits {
    inner: Mutex<Inner>,
}

/// Why a user gets no more.
#[derive(Debug)]
pub struct Refused {
    /// EMFILE, and how much he has.
    pub error: Error,
    /// Whether it was not told of him yet.
    pub first: bool,
}

/// A part of what a user may have, until this is dropped.
#[derive(Debug)]
pub struct Share {
    limits: Arc<Limits>,
    uid: u32,
    own: bool,
    of: Resource,
    amount: usize,
}

impl Limits {
    /// So much for a caller.
    ///
    /// # Errors
    /// EMFILE where he, or all together, would have too much.
    pub fn take(
        self: &Arc<Self>,
        caller: &Caller,
        of: Resource,
        amount: usize,
    ) -> Result<Share, Refused> {
        let (uid, own) = (caller.uid(), caller.is_trusted());
        self.inner.lock().take(uid, own, of, amount)?;
        Ok(Share {
            limits: Arc::clone(self),
            uid,
            own,
            of,
            amount,
        })
    }
}

impl Inner {
    fn take(&mut self, uid: u32, own: bool, of: Resource, amount: usize) -> Result<(), Refused> {
        let (number, limit) = (of as usize, limit(of));
        let all = if own { &mut self.own } else { &mut self.others };
        let user = self.users.entry(uid).or_default();
        let (Some(used), Some(together)) = (user.used.get_mut(number), all.get_mut(number)) else {
            return Ok(());
        };
        let (each, most) = if own {
            (limit.own, limit.own)
        } else {
            (limit.each, limit.all)
        };
        let sentence = if *used + amount > each {
            limit.of_one(uid, *used, each)
        } else if *together + amount > most {
            limit.of_all(*together)
        } else {
            *used += amount;
            *together += amount;
            return Ok(());
        };
        let warned = user.warned.get_mut(number);
        Err(Refused {
            error: Error::new(Errno::EMFILE, sentence),
            first: warned.is_some_and(|warned| !std::mem::replace(warned, true)),
        })
    }

    fn give(&mut self, share: &Share) {
        let number = share.of as usize;
        let all = if share.own {
            &mut self.own
        } else {
            &mut self.others
        };
        if let Some(together) = all.get_mut(number) {
            *together -= share.amount;
        }
        let Some(user) = self.users.get_mut(&share.uid) else {
            return;
        };
        if let (Some(used), Some(warned)) = (user.used.get_mut(number), user.warned.get_mut(number))
        {
            *used -= share.amount;
            *warned &= *used > limit(share.of).each / 2;
        }
        if user.used.iter().all(|used| *used == 0) {
            self.users.remove(&share.uid);
        }
    }
}

impl Limit {
    fn of_one(&self, uid: u32, used: usize, each: usize) -> String {
        let words = self.words;
        format!(
            "user {uid} has {used} {words} in this mount, the limit for one user is {each}: close some"
        )
    }

    fn of_all(&self, used: usize) -> String {
        let words = self.words;
        format!(
            "there are {used} {words} in this mount, the limit for all users: close some, or try again later"
        )
    }
}

fn limit(of: Resource) -> &'static Limit {
    let [handles, pollers, bytes, commands] = &LIMITS;
    match of {
        Resource::Handles => handles,
        Resource::Pollers => pollers,
        Resource::Bytes => bytes,
        Resource::Commands => commands,
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.limits.inner.lock().give(self);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(limits: &mut Inner, uid: u32, own: bool, amount: usize) -> Result<(), Refused> {
        limits.take(uid, own, Resource::Handles, amount)
    }

    #[test]
    fn each_has_its_own_number() {
        for (number, row) in LIMITS.iter().enumerate() {
            assert_eq!(row.of as usize, number);
            assert_eq!(limit(row.of).words, row.words);
            assert!(row.each < row.all && row.all < row.own, "{row:?}");
        }
    }

    #[test]
    fn one_user_cannot_take_what_is_for_all_and_nobody_what_is_root_s() {
        let (mut limits, row) = (Inner::default(), &LIMITS[0]);
        assert!(take(&mut limits, 7, false, row.each).is_ok());
        let refused = take(&mut limits, 7, false, 1).expect_err("too many");
        assert_eq!(refused.error.errno(), Errno::EMFILE);
        assert!(refused.error.sentence().contains("user 7"), "{refused:?}");
        assert!(refused.first);
        assert!(!take(&mut limits, 7, false, 1).expect_err("too many").first);
        for uid in 8..7 + (row.all / row.each) as u32 {
            assert!(take(&mut limits, uid, false, row.each).is_ok(), "{uid}");
        }
        let refused = take(&mut limits, 99, false, 1).expect_err("all is taken");
        assert!(
            refused.error.sentence().contains("all users"),
            "{refused:?}"
        );
        assert!(take(&mut limits, 0, true, row.own).is_ok());
        assert!(take(&mut limits, 0, true, 1).is_err());
    }

    #[test]
    fn what_is_dropped_is_given_back() {
        let limits = Arc::<Limits>::default();
        let caller = Caller::daemon();
        let share = limits.take(&caller, Resource::Bytes, 1000).expect("free");
        assert_eq!(limits.inner.lock().own[Resource::Bytes as usize], 1000);
        drop(share);
        assert_eq!(limits.inner.lock().own, Used::default());
        assert!(limits.inner.lock().users.is_empty());
    }
}
