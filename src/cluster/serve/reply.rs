//! What is answered from the state.

use super::entry::Entry;
use crate::cluster::state::State;
use crate::cluster::state::order::TableId;
use crate::cluster::ulog::answer::Answer;
use crate::cluster::ulog::question::Question;

/// A table of this machine, and the log that it has.
pub struct Asked<'a> {
    /// The state.
    pub state: &'a State,
    /// The table.
    pub id: TableId,
    /// What is known of it here.
    pub entry: &'a Entry,
    /// Whether the disk log cannot be written.
    pub is_failed: bool,
}

impl Asked<'_> {
    /// The answer; `work` is the region that the group has given to copy.
    pub fn reply(&self, question: &Question, work: Option<u64>) -> Answer {
        let (state, id) = (self.state, self.id);
        match question {
            Question::RegionSize => Answer::Number(self.entry.made.region),
            Question::IsClean(region) => Answer::Number(state.is_clean_for(id, *region).into()),
            Question::InSync(region) => Answer::Number(state.in_sync_for(id, *region).into()),
            Question::SyncCount => Answer::Number(state.sync_count(id)),
            Question::IsRemoteRecovering(region) => {
                let (waits, hint) = state.remote_recovering(id, *region);
                Answer::Pair(waits, hint)
            }
            Question::ResyncWork => Answer::Pair(work.is_some(), work.unwrap_or(0)),
            Question::StatusInfo => Answer::Text(self.status()),
            Question::StatusTable => Answer::Text(self.entry.words.clone()),
            _ => Answer::Done,
        }
    }

    /// As the kernel's own logs have it: the words that follow, the type, the device and
    /// `A`, or `D` where it is dead (`disk_status`, drivers/md/dm-log.c).
    fn status(&self) -> String {
        let kind = self.entry.made.kind();
        let health = if self.is_failed { 'D' } else { 'A' };
        match self.entry.disk.as_ref().or(self.entry.made.device.as_ref()) {
            Some(device) => format!("3 {kind} {device} {health}"),
            None => format!("1 {kind}"),
        }
    }
}
