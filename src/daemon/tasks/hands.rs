//! Work for others to do: whoever hands it on waits for nothing, also where the system
//! has no room for one more thread.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};

use parking_lot::Mutex;

use super::realtime::{in_real_time, ordinary};
use super::thread::spawn;
use crate::error::Result;

type Job = Box<dyn FnOnce() + Send>;

/// Takes work.
#[derive(Debug)]
pub struct Hands {
    /// To a thread that is there from the beginning.
    spare: Mutex<Sender<Job>>,
}

impl Hands {
    /// With a spare thread that does, one after the other, what no other thread can.
    ///
    /// # Errors
    /// As [`spawn`].
    pub fn new() -> Result<Hands> {
        let (send, receive): (Sender<Job>, Receiver<Job>) = channel();
        spawn("spare", move || receive.into_iter().for_each(|job| job()))?;
        Ok(Hands {
            spare: Mutex::new(send),
        })
    }

    /// Do this on a thread of this name, for which nobody waits: an ordinary one, whoever
    /// hands it on.
    pub fn apart(&self, name: &str, job: impl FnOnce() + Send + 'static) {
        let job = move || {
            ordinary();
            job();
        };
        self.hand(name, Box::new(job));
    }

    /// The same of what others wait for: it comes before ordinary programs.
    pub fn at_once(&self, name: &str, job: impl FnOnce() + Send + 'static) {
        self.hand(name, Box::new(move || in_real_time(job)));
    }

    fn hand(&self, name: &str, job: Job) {
        // Whoever can have it takes it from here.
        let job = Arc::new(Mutex::new(Some(job)));
        let taken = Arc::clone(&job);
        let started = spawn(name, move || run(&taken));
        if let Err(error) = started {
            log::warn!("{error}: it is done as soon as another thread is free");
            // The spare thread ends with the daemon.
            let _ = self.spare.lock().send(Box::new(move || run(&job)));
        }
    }
}

/// Somebody whose calls may wait, for one who may not: all that can be done with him is to
/// have him called on another thread.
pub struct Apart<T> {
    hands: Arc<Hands>,
    who: Arc<T>,
}

impl<T> Clone for Apart<T> {
    fn clone(&self) -> Apart<T> {
        Apart {
            hands: Arc::clone(&self.hands),
            who: Arc::clone(&self.who),
        }
    }
}

impl<T: Send + Sync + 'static> Apart<T> {
    /// `who` is called by `hands`.
    pub fn new(hands: &Arc<Hands>, who: T) -> Apart<T> {
        Apart {
            hands: Arc::clone(hands),
            who: Arc::new(who),
        }
    }

    /// As [`Hands::apart`].
    pub fn apart(&self, name: &str, call: impl FnOnce(&T) + Send + 'static) {
        let who = Arc::clone(&self.who);
        self.hands.apart(name, move || call(&who));
    }

    /// As [`Hands::at_once`].
    pub fn at_once(&self, name: &str, call: impl FnOnce(&T) + Send + 'static) {
        let who = Arc::clone(&self.who);
        self.hands.at_once(name, move || call(&who));
    }
}

fn run(job: &Mutex<Option<Job>>) {
    let job = job.lock().take();
    job.into_iter().for_each(|job| job());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_that_waits_holds_up_no_other() {
        let hands = Hands::new().expect("a thread");
        let ((hold, held), (send, receive)) = (channel::<()>(), channel());
        hands.apart("waits", move || {
            let _ = held.recv();
        });
        for number in 0..3 {
            let send = send.clone();
            hands.at_once("quick", move || {
                let _ = send.send(number);
            });
        }
        drop(send);
        let mut done: Vec<u8> = receive.into_iter().collect();
        done.sort_unstable();
        assert_eq!(done, [0, 1, 2]);
        drop(hold);
    }

    #[test]
    fn the_spare_thread_does_what_no_other_can() {
        let hands = Hands::new().expect("a thread");
        let (send, receive) = channel();
        let spare = hands.spare.lock().clone();
        spare
            .send(Box::new(move || {
                let _ = send.send(1);
            }))
            .expect("it is there");
        assert_eq!(receive.recv(), Ok(1));
    }
}
