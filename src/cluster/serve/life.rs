//! How this machine's tables come to a log.

use super::act::{Act, Look, Looked};
use super::disk::Disk;
use super::entry::Entry;
use super::log::Log;
use super::record::Record;
use super::waiting::{For, Request};
use crate::cluster::state::order::{Geometry, Heard, Make, Order};
use crate::cluster::state::table::Phase;
use crate::cluster::ulog::answer::Answer;
use crate::cluster::ulog::constructor::Constructor;
use crate::cluster::ulog::packet::Packet;
use crate::cluster::ulog::question::Question;
use crate::error::Errno;

impl Log {
    /// A table is loaded; or its kernel, which nobody had answered, makes the log of one that
    /// runs once more, which only what it asks next tells.
    pub(super) fn construct(
        &mut self,
        packet: Packet,
        question: Question,
        words: &str,
        out: &mut Vec<Act>,
    ) {
        let made = match Constructor::parse(words) {
            Ok(made) => made,
            Err(error) => {
                out.push(Act::Warn(format!("a table of {}: {error}", self.name)));
                let refused = Answer::Refused(Errno::EINVAL);
                out.push(Act::Answer(refused.to_message(&packet, Some(&question))));
                return;
            }
        };
        let luid = packet.luid;
        let is_there = self.replica.has(self.id(luid));
        let entry = match self.entries.remove(&luid) {
            // Asked twice: the kernel had no room for the answer, or has not heard it.
            Some(before) if before.again => before,
            before => Entry {
                known: is_there,
                told: before.as_ref().is_some_and(|before| before.refused),
                legs: before.map(|before| before.legs).unwrap_or_default(),
                ..Entry::new(made, words)
            },
        };
        let (known, make) = (entry.known, make(&entry));
        self.entries.insert(luid, entry);
        out.push(Act::Keep(
            self.name.clone(),
            Record::Words(luid, words.into()),
        ));
        if known {
            return self.reply(Request::new(packet, question), out);
        }
        self.ordered(packet, question, Order::Construct(make), out);
    }

    /// What answers that a table was made: the device of its log, which the kernel opens.
    pub(super) fn made(&mut self, luid: u64) -> Answer {
        let runs = matches!(self.phase(luid), Some(Phase::Running | Phase::Suspending));
        match self.entries.get_mut(&luid) {
            Some(entry) if !entry.told && !runs => {
                let device = entry.made.device.as_ref();
                entry.told = device.is_some();
                device.map_or(Answer::Done, |device| Answer::Text(device.to_string()))
            }
            _ => Answer::Done,
        }
    }

    pub(super) fn phase(&self, luid: u64) -> Option<Phase> {
        let state = self.replica.state.as_ref()?;
        state.tables().get(&self.id(luid)).map(|table| table.phase)
    }

    /// Asked while a table is loaded alone. One that was known by the same number is gone.
    pub(super) fn size(&mut self, packet: Packet, question: Question, out: &mut Vec<Act>) {
        let Some(entry) = self.entries.get_mut(&packet.luid) else {
            return;
        };
        let anew = entry.again && entry.known;
        (entry.again, entry.told) = (false, false);
        if !anew {
            return self.reply(Request::new(packet, question), out);
        }
        let make = make(entry);
        self.send(packet.luid, Order::Destroy, out);
        self.ordered(packet, question, Order::Construct(make), out);
    }

    /// A device goes on; or its kernel does with a log that it has made once more.
    pub(super) fn resume(&mut self, packet: Packet, question: Question, out: &mut Vec<Act>) {
        let luid = packet.luid;
        let phase = self.phase(luid);
        let Some(entry) = self.entries.get_mut(&luid) else {
            return;
        };
        let goes_on = match phase {
            Some(Phase::Running) => true,
            Some(Phase::Suspending) => !entry.refused,
            _ => false,
        };
        if entry.again && entry.known && goes_on {
            // All that it has in mind is in the state.
            entry.again = false;
            return self.reply(Request::new(packet, question), out);
        }
        self.look(luid, out);
        self.waiting.add(packet, question, For::Look);
    }

    /// Find out what is below a table.
    fn look(&self, luid: u64, out: &mut Vec<Act>) {
        let Some(entry) = self.entries.get(&luid) else {
            return;
        };
        let open = self.disk.as_ref().map(Disk::device);
        let disk = entry.made.device.clone();
        let closed = disk.as_ref().is_some_and(|disk| Some(disk) != open);
        let regions = closed.then(|| geometry(entry).regions());
        let look = Look {
            luid,
            disk,
            regions,
        };
        out.push(Act::Look(self.name.clone(), look));
    }

    /// Somebody has looked.
    pub fn looked(&mut self, luid: u64, looked: &Looked, out: &mut Vec<Act>) {
        let Some(entry) = self.entries.get_mut(&luid) else {
            return;
        };
        entry.legs.clone_from(&looked.devices);
        let heard = match (entry.again, entry.known) {
            (false, _) => Heard::AtOnce,
            (true, true) => Heard::Late,
            (true, false) => Heard::Again,
        };
        entry.disk.clone_from(&looked.disk);
        entry.clean.clone_from(&looked.clean);
        let mut waits = self
            .waiting
            .take(|request| request.awaits == For::Look && request.packet.luid == luid);
        if waits.is_empty() {
            self.open_disk(luid);
        } else {
            self.forget_others(luid, looked, out);
            self.settled(luid);
            let born = self
                .replica
                .state
                .as_ref()
                .is_some_and(|state| state.is_born());
            let of_disk = !born && heard == Heard::AtOnce;
            let resume = Order::Resume {
                legs: looked.legs.clone(),
                clean: looked.clean.clone().filter(|_| of_disk),
                heard,
            };
            let key = self.send(luid, resume, out);
            for request in waits.drain(..) {
                self.waiting.back(request.awaiting(For::Order(key)));
            }
        }
        self.settle(out);
    }

    /// A table goes on that was made once more, if it was.
    fn settled(&mut self, luid: u64) {
        if let Some(entry) = self.entries.get_mut(&luid) {
            (entry.again, entry.known, entry.refused) = (false, true, false);
        }
    }

    /// Where one device has the log, another table of this machine that is thought to run
    /// went while there was no server to hear so: what it may have been writing is copied.
    fn forget_others(&mut self, luid: u64, looked: &Looked, out: &mut Vec<Act>) {
        if looked.legs.is_none() {
            return;
        }
        let runs =
            |luid: &u64| matches!(self.phase(*luid), Some(Phase::Running | Phase::Suspending));
        let others = self.entries.keys().copied();
        let gone: Vec<u64> = others
            .filter(|other| *other != luid && runs(other))
            .collect();
        for other in gone {
            self.entries.remove(&other);
            self.send(other, Order::Destroy, out);
        }
    }

    /// Whether a table asks what only one that runs does, and is thought not to: nobody heard
    /// that it was resumed.
    pub(super) fn is_unheard(&mut self, luid: u64, question: &Question) -> bool {
        let writes = match question {
            Question::Flush(regions) => !regions.is_empty(),
            Question::InSync(_)
            | Question::Mark(_)
            | Question::ResyncWork
            | Question::SetSync { .. }
            | Question::IsRemoteRecovering(_) => true,
            _ => false,
        };
        let unheard = match self.phase(luid) {
            Some(Phase::Loaded | Phase::Suspended) => writes,
            // Before it is told that it is to be, all copying has come to its end.
            Some(Phase::Suspending) => *question == Question::ResyncWork,
            _ => false,
        };
        if let Some(entry) = self.entries.get_mut(&luid).filter(|_| unheard) {
            entry.refused = true;
        }
        unheard
    }

    /// A server was started that knows this log from the one before.
    pub fn taken_over(&self, out: &mut Vec<Act>) {
        let running = |luid: &&u64| self.phase(**luid) == Some(Phase::Running);
        for luid in self.entries.keys().filter(running) {
            self.look(*luid, out);
        }
    }

    /// Time has gone by, a second or so: regions become clean on the disk, and devices are
    /// cured.
    pub fn tick(&mut self, out: &mut Vec<Act>) {
        self.tick_group(out);
        self.clean_disk(out);
        let Some(state) = &self.replica.state else {
            return;
        };
        let cure = state.cures(self.node).next().map(|(_, cure)| cure);
        if let Some(cure) = self.rest.due(cure) {
            out.push(Act::Cure(self.name.clone(), cure));
        }
    }

    /// The device was cured, or could not be.
    pub fn cured(&mut self) {
        self.rest.over();
    }
}

fn geometry(entry: &Entry) -> Geometry {
    Geometry {
        length: entry.made.length,
        region: entry.made.region,
    }
}

fn make(entry: &Entry) -> Make {
    Make {
        geometry: geometry(entry),
        sync: entry.made.sync,
    }
}
