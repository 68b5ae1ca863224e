//! What the kernel asks of a log.

use super::packet::Packet;

/// A request, understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Question {
    /// A table with this log was loaded: the words of its constructor.
    Construct(String),
    /// That table is gone.
    Destroy,
    /// The device is about to be suspended: I/O is still under way.
    Presuspend,
    /// It is suspended: no I/O is under way.
    Postsuspend,
    /// It goes on.
    Resume,
    /// Sectors of a region.
    RegionSize,
    /// Whether a region is not being written.
    IsClean(u64),
    /// Whether a region is the same on all legs.
    InSync(u64),
    /// All marks before it, and these, are to last.
    Flush(Vec<u64>),
    /// These regions are about to be written.
    Mark(Vec<u64>),
    /// These regions are not being written any more.
    Clear(Vec<u64>),
    /// A region to copy.
    ResyncWork,
    /// A region was copied, or is not the same on all legs any more.
    SetSync {
        /// The region.
        region: u64,
        /// Whether it is the same on all legs.
        in_sync: bool,
    },
    /// How many regions are in sync.
    SyncCount,
    /// What `dmsetup status` shows of the log.
    StatusInfo,
    /// What `dmsetup table` shows of it.
    StatusTable,
    /// Whether a write of a region has to wait since another machine copies it.
    IsRemoteRecovering(u64),
}

impl Question {
    /// What a request asks; none where there is no such request, or its data is not whole.
    pub fn of(packet: &Packet) -> Option<Question> {
        let regions = || numbers(&packet.data);
        let region = || match *numbers(&packet.data)? {
            [region] => Some(region),
            _ => None,
        };
        Some(match packet.kind {
            1 => Question::Construct(words(&packet.data)?),
            2 => Question::Destroy,
            3 => Question::Presuspend,
            4 => Question::Postsuspend,
            5 => Question::Resume,
            6 => Question::RegionSize,
            7 => Question::IsClean(region()?),
            8 => Question::InSync(region()?),
            9 => Question::Flush(regions()?),
            10 => Question::Mark(regions()?),
            11 => Question::Clear(regions()?),
            12 => Question::ResyncWork,
            13 => match *regions()? {
                [region, in_sync] => Question::SetSync {
                    region,
                    in_sync: in_sync != 0,
                },
                _ => return None,
            },
            14 => Question::SyncCount,
            15 => Question::StatusInfo,
            16 => Question::StatusTable,
            17 => Question::IsRemoteRecovering(region()?),
            _ => return None,
        })
    }

    /// How much room the kernel has for the answer, in bytes. A request whose log is not
    /// known is asked again with as much room as the refusal had data.
    pub fn room(&self) -> usize {
        match self {
            Question::RegionSize
            | Question::IsClean(_)
            | Question::InSync(_)
            | Question::SyncCount => 8,
            Question::ResyncWork | Question::IsRemoteRecovering(_) => 16,
            Question::StatusInfo | Question::StatusTable => 64,
            _ => 0,
        }
    }
}

/// Numbers of eight bytes each; none where the last one is not whole.
fn numbers(bytes: &[u8]) -> Option<Vec<u64>> {
    let (numbers, rest) = bytes.as_chunks();
    let numbers = numbers.iter().map(|number| u64::from_ne_bytes(*number));
    rest.is_empty().then(|| numbers.collect())
}

/// The words of a constructor, without the zero that ends them.
fn words(bytes: &[u8]) -> Option<String> {
    let bytes = bytes.split(|byte| *byte == 0).next()?;
    std::str::from_utf8(bytes).ok().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn question(kind: u32, data: Vec<u8>) -> Option<Question> {
        Question::of(&Packet {
            luid: 1,
            uuid: "u".into(),
            version: 3,
            seq: 1,
            kind,
            data,
        })
    }

    fn asked(kind: u32, numbers: &[u64]) -> Option<Question> {
        let numbers = numbers.iter();
        question(
            kind,
            numbers.flat_map(|number| number.to_ne_bytes()).collect(),
        )
    }

    #[test]
    fn each_request_is_known_by_its_number() {
        let all = (0..20).filter_map(|kind| asked(kind, &[5]));
        assert_eq!(all.count(), 16, "all but the one with two numbers");
        assert_eq!(asked(9, &[]), Some(Question::Flush(vec![])));
        assert_eq!(asked(10, &[4, 9]), Some(Question::Mark(vec![4, 9])));
        let set = |in_sync| Question::SetSync { region: 4, in_sync };
        assert_eq!(asked(13, &[4, 1]), Some(set(true)));
        assert_eq!(asked(13, &[4, 0]), Some(set(false)));
        assert_eq!(asked(8, &[]), None);
        assert_eq!(asked(13, &[4]), None);
    }

    #[test]
    fn a_constructor_ends_at_its_zero() {
        let words = Question::Construct("4096 clustered-core 8".into());
        let sent = b"4096 clustered-core 8\0".to_vec();
        assert_eq!(question(1, sent), Some(words));
        assert_eq!(question(7, vec![0; 9]), None);
    }
}
