//! What a server keeps, so that one that is started after it knows what this one knew: it
//! is kept before the kernel is answered, in memory that ends with the boot.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::cluster::group::Replica;
use crate::cluster::state::order::{Order, TableId};

/// What is kept at once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Record {
    /// All that was known then.
    All(Box<Kept>),
    /// The words with which this machine's kernel makes a table's log.
    Words(u64, String),
    /// An order that was applied, and how many were then.
    Order(u64, TableId, Order),
}

/// All that is known of a log.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// Its state.
    pub replica: Replica,
    /// The words of the tables of this machine.
    pub words: BTreeMap<u64, String>,
}

impl Kept {
    /// What is known after these.
    pub fn of(records: impl IntoIterator<Item = Record>) -> Kept {
        let mut kept = Kept::default();
        for record in records {
            match record {
                Record::All(all) => kept = *all,
                Record::Words(luid, words) => drop(kept.words.insert(luid, words)),
                // All at once may have been kept after it.
                Record::Order(orders, ..) if orders <= kept.replica.orders => {}
                Record::Order(_, id, order) => drop(kept.replica.apply(id, &order)),
            }
        }
        kept
    }
}

/// A record as bytes, with their count before them.
///
/// # Errors
/// What cannot be told in bytes: nothing that there is.
pub fn to_bytes(record: &Record) -> postcard::Result<Vec<u8>> {
    let bytes = postcard::to_stdvec(record)?;
    Ok([&(bytes.len() as u32).to_le_bytes(), bytes.as_slice()].concat())
}

/// The records in bytes. The last one may have been cut short: then nobody was answered
/// for it.
pub fn parse(mut bytes: &[u8]) -> Vec<Record> {
    let mut records = Vec::new();
    while let Some((size, rest)) = bytes.split_first_chunk() {
        let size = u32::from_le_bytes(*size) as usize;
        let Some((record, rest)) = rest.split_at_checked(size) else {
            break;
        };
        let Ok(record) = postcard::from_bytes(record) else {
            break;
        };
        records.push(record);
        bytes = rest;
    }
    records
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::state::order::{Geometry, Heard, Make};

    fn records() -> Vec<Record> {
        let id = TableId { node: 1, luid: 7 };
        let geometry = Geometry {
            length: 640,
            region: 8,
        };
        let resume = Order::Resume {
            legs: Some(vec!["a".into(), "b".into()]),
            clean: Some(vec![0xFF; 8]),
            heard: Heard::AtOnce,
        };
        vec![
            Record::Words(7, "640 clustered-core 8".into()),
            Record::Order(
                1,
                id,
                Order::Construct(Make {
                    geometry,
                    sync: None,
                }),
            ),
            Record::Order(2, id, resume),
            Record::Order(3, id, Order::Mark(vec![3, 70])),
        ]
    }

    #[test]
    fn what_was_kept_is_known_again_up_to_what_was_cut_short() {
        let all: Vec<u8> = records()
            .iter()
            .flat_map(|r| to_bytes(r).unwrap())
            .collect();
        assert_eq!(parse(&all), records());
        for cut in 1..20 {
            let cut = parse(&all[..all.len() - cut]);
            assert!(records().starts_with(&cut) && cut.len() < 4);
        }
        assert_eq!(parse(&[0xFF; 40]), []);
    }

    #[test]
    fn all_at_once_is_as_good_as_one_by_one() {
        let kept = Kept::of(records());
        let (state, orders) = (kept.replica.state.clone().unwrap(), kept.replica.orders);
        assert_eq!((orders, state.in_sync()), (3, 64));
        assert!(!state.is_clean(3) && state.is_clean(4) && !state.is_clean(70));
        let bytes = to_bytes(&Record::All(Box::new(kept.clone()))).unwrap();
        let again = records().split_off(2);
        assert_eq!(Kept::of(parse(&bytes).into_iter().chain(again)), kept);
    }
}
