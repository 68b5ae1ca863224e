//! Recovery of a mirror target: a region after the other is copied from the default
//! leg, and a suspend waits for the one under way.

use super::disks::JUNK;
use super::faults::Kind;
use super::mirror::{Ground, Held, Mirror, State};

impl Mirror {
    /// Let the copy get a little further: begin a region, or end the one that was
    /// begun. Whether there was anything to do.
    pub fn advance(&mut self, ground: &mut Ground) -> bool {
        if !self.copies {
            return false;
        }
        match self.copying {
            Some(region) if self.pending.contains_key(&region) => return false,
            Some(region) => self.copy(region, ground),
            None => match self.log.next() {
                None => return false,
                Some(region) => {
                    self.copying = Some(region);
                    self.states.insert(region, State::Recovering);
                }
            },
        }
        self.work(ground);
        true
    }

    /// `recover`, `recovery_complete`, `dm_rh_update_states`.
    fn copy(&mut self, region: usize, ground: &mut Ground) {
        let source = self.faults.default;
        let (mut unread, mut unwritten) = (false, vec![false; self.legs.len()]);
        for block in self.blocks(region) {
            let (disk, offset) = self.legs[source];
            let read = ground.disks[disk].read(block + offset);
            unread |= read.is_err();
            if unread && self.handled {
                break;
            }
            for (leg, (disk, offset)) in self.legs.iter().enumerate() {
                let version = read.unwrap_or(JUNK);
                let disk = &mut ground.disks[*disk];
                unwritten[leg] |= leg != source && disk.write(block + offset, version).is_err();
            }
        }
        if unread {
            self.fail(source, Kind::Sync, ground);
        }
        for leg in (0..self.legs.len()).filter(|leg| unwritten[*leg]) {
            self.fail(leg, Kind::Sync, ground);
        }
        let copied = !unread && !unwritten.contains(&true);
        if !copied && !self.handled {
            let start = self.start;
            ground
                .unsure
                .extend(self.blocks(region).map(|block| block + start));
        }
        self.states.remove(&region);
        self.log.set(region, copied || !self.handled);
        if copied {
            self.log.clear(region);
        }
        self.copying = None;
        self.queue.append(&mut self.delayed);
    }

    /// `mirror_presuspend`, `mirror_postsuspend`.
    pub fn suspend(&mut self, held: Held, ground: &mut Ground) {
        self.suspending = Some(held);
        for bio in std::mem::take(&mut self.holds) {
            self.hold(bio, ground);
        }
        loop {
            self.work(ground);
            match self.copying {
                Some(region) if !self.pending.contains_key(&region) => self.copy(region, ground),
                _ if self.queue.is_empty() && self.failures.is_empty() => break,
                _ => {}
            }
        }
        self.copies = false;
        self.flush(ground);
    }

    /// `mirror_resume`.
    pub fn resume(&mut self, ground: &mut Ground) {
        self.suspending = None;
        let failed = self.log.failed;
        self.log.resume(&mut ground.disks);
        self.faults.events += u32::from(self.log.failed && !failed);
        self.copies = true;
        self.work(ground);
    }
}
