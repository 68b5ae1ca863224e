//! The disk log of a log: which one it is, and who waits for it.

use super::act::{Act, Done};
use super::disk::Disk;
use super::log::{Log, answer};
use super::waiting::{For, Request};
use crate::cluster::state::table::Phase;
use crate::cluster::ulog::answer::Answer;
use crate::cluster::ulog::question::Question;
use crate::error::Errno;
use crate::text::device::DeviceRef;

impl Log {
    /// The devices of the logs of the tables that run, or have run.
    fn devices(&self) -> impl Iterator<Item = &DeviceRef> {
        let used = |luid: u64| self.phase(luid).is_some_and(|phase| phase != Phase::Loaded);
        let entries = self.entries.iter().filter(move |(luid, _)| used(**luid));
        entries.filter_map(|(_, entry)| entry.made.device.as_ref())
    }

    /// Whether it is to be on a disk.
    pub(super) fn has_disk(&self) -> bool {
        self.devices().next().is_some()
    }

    /// From now on the disk log of this table is written.
    pub(super) fn open_disk(&mut self, luid: u64) {
        let (Some(state), Some(entry)) = (&self.replica.state, self.entries.get_mut(&luid)) else {
            return;
        };
        let Some(device) = entry.made.device.clone() else {
            return;
        };
        let clean = entry.clean.take();
        if self.disk.as_ref().map(Disk::device) != Some(&device) {
            self.disk = Some(Disk::new(device, state, clean.as_deref()));
        }
    }

    /// A disk log that no table has any more is somebody else's.
    pub(super) fn close_disk(&mut self) {
        let device = self.disk.as_ref().map(Disk::device);
        if !self.devices().any(|other| Some(other) == device) {
            self.disk = None;
        }
    }

    /// A job of the disk log is done.
    pub fn written(&mut self, number: u64, done: Done, out: &mut Vec<Act>) {
        let Some(disk) = &mut self.disk else { return };
        if done == Done::Failed && !disk.has_failed() {
            let (name, device) = (&self.name, disk.device());
            let sentence = format!("the log {name} on {device} cannot be written: writes wait");
            out.push(Act::Warn(sentence));
        }
        disk.done(number, done);
        if done == Done::Failed {
            let on_disk = |request: &Request| matches!(request.awaits, For::Disk(_));
            for request in self.waiting.take(on_disk) {
                self.not_written(request, out);
            }
            return;
        }
        self.settle(out);
    }

    /// The kernel goes on without its log where it resumes, and lets no write go where it
    /// marks (`disk_resume`, `disk_flush`, drivers/md/dm-log.c).
    fn not_written(&mut self, request: Request, out: &mut Vec<Act>) {
        match request.question {
            Question::Resume => self.reply(request, out),
            question => {
                let refused = Answer::Refused(Errno::EIO);
                answer(&request.packet, Some(&question), &refused, out);
            }
        }
    }

    /// What makes regions clean on the disk, if it is time for nothing else.
    pub(super) fn clean_disk(&mut self, out: &mut Vec<Act>) {
        let (number, orders) = (self.number(), self.replica.orders);
        let Some(state) = &self.replica.state else {
            return;
        };
        let mut fitting = self.entries.iter();
        let fitting =
            fitting.find(|(luid, entry)| state.fits(self.id(**luid)) && !entry.legs.is_empty());
        let legs = fitting.map_or(Vec::new(), |(_, entry)| entry.legs.clone());
        if let Some(disk) = &mut self.disk {
            let job = disk.job(number, orders);
            let job = job.or_else(|| disk.cleaning(number, orders, &legs));
            out.extend(job.map(|job| Act::Write(self.name.clone(), job)));
        }
    }
}
