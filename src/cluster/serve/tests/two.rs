//! Two machines that have a log.

use std::collections::BTreeSet;

use super::kernel::{Kernel, zero_ended};
use super::{CORE, known};
use crate::cluster::group::Ring;
use crate::cluster::serve::Server;
use crate::cluster::serve::act::Act;
use crate::cluster::state::order::NodeId;

/// Machines 1 and 2, and how often the ring has changed.
struct Two {
    kernels: [Kernel; 2],
    rings: u64,
}

impl Two {
    /// Both hear each other, with quorum, and the first one has the log.
    fn new() -> Two {
        let kernel = |node| {
            let mut kernel = Kernel::new(Server::new(node, 1, u64::from(node) << 60));
            kernel.said = Some(Vec::new());
            kernel
        };
        let mut two = Two {
            kernels: [kernel(1), kernel(2)],
            rings: 0,
        };
        two.ring(&[1, 2], true);
        two
    }

    fn of(&mut self, node: NodeId) -> &mut Kernel {
        &mut self.kernels[node as usize - 1]
    }

    /// These hear each other from now on; the other one alone hears itself, without quorum.
    fn ring(&mut self, nodes: &[NodeId], quorate: bool) {
        for node in 1..=2 {
            let (ring, near) = if nodes.contains(&node) {
                (1, nodes.to_vec())
            } else {
                (node, vec![node])
            };
            let seq = self.rings + 4;
            let ring = Ring { seq, node: ring };
            let quorate = quorate && nodes.contains(&node);
            let kernel = self.of(node);
            let acts = kernel.server.ring(ring, near.into_iter().collect());
            kernel.perform(acts);
            let acts = kernel.server.quorum(ring, quorate);
            kernel.perform(acts);
        }
        self.rings += 4;
    }

    fn joined(&mut self, members: &[NodeId]) {
        for node in members {
            let members: BTreeSet<NodeId> = members.iter().copied().collect();
            let kernel = self.of(*node);
            let acts = kernel.server.joined("log", members);
            kernel.perform(acts);
        }
    }

    /// All that was said is heard, by these.
    fn hear(&mut self, nodes: &[NodeId]) {
        loop {
            let mut said = Vec::new();
            for node in nodes {
                let wires = self.of(*node).said.replace(Vec::new());
                said.extend(
                    wires
                        .unwrap_or_default()
                        .into_iter()
                        .map(|wire| (*node, wire)),
                );
            }
            if said.is_empty() {
                return;
            }
            for (from, wire) in said {
                for node in nodes {
                    let kernel = self.of(*node);
                    let acts = kernel.server.heard("log", from, wire.clone());
                    kernel.perform(acts);
                }
            }
        }
    }

    /// A machine asks, and all hear all; the answer's errno and numbers.
    fn ask(&mut self, node: NodeId, kind: u32, numbers: &[u64]) -> (i32, Vec<u64>) {
        let data: Vec<u8> = numbers.iter().flat_map(|n| n.to_ne_bytes()).collect();
        let seq = self.of(node).send(1, kind, &data);
        self.hear(&[1, 2]);
        let answer = self.of(node).answer(seq).expect("an answer");
        let (numbers, _) = answer.data.as_chunks();
        let numbers = numbers.iter().map(|n| u64::from_ne_bytes(*n)).collect();
        (answer.errno, numbers)
    }

    /// A machine loads a table, becomes a member, and goes on.
    fn come(&mut self, node: NodeId, members: &[NodeId]) {
        self.of(node).send(1, 1, &zero_ended(CORE));
        self.joined(members);
        self.hear(members);
        for kind in [6, 5] {
            self.of(node).send(1, kind, &[]);
            self.hear(members);
        }
    }

    /// Both have it, and all is in sync.
    fn whole() -> Two {
        let mut two = Two::new();
        // Who is heard and runs no server may have it.
        two.come(1, &[1]);
        assert_eq!(known(two.of(1)), None);
        two.come(2, &[1, 2]);
        two.of(1).send(1, 6, &[]);
        two.of(1).send(1, 5, &[]);
        two.hear(&[1, 2]);
        for region in 0..64 {
            let node = 1 + region as u32 % 2;
            assert_eq!(two.ask(node, 12, &[]), (0, vec![1, region]));
            two.ask(node, 13, &[region, 1]);
        }
        assert_eq!(two.ask(1, 14, &[]), (0, vec![64]));
        assert_eq!(two.ask(2, 14, &[]), (0, vec![64]));
        two
    }
}

#[test]
fn both_copy_and_both_know() {
    let mut two = Two::whole();
    assert_eq!(known(&two.kernels[0]), known(&two.kernels[1]));
    two.ask(1, 10, &[3]);
    assert_eq!(two.ask(2, 7, &[3]), (0, vec![0]));
    two.ask(1, 11, &[3]);
    assert_eq!(two.ask(2, 7, &[3]), (0, vec![1]));
}

#[test]
fn a_mark_is_answered_once_the_other_one_has_it() {
    let mut two = Two::whole();
    let seq = two.of(1).send(1, 10, &3_u64.to_ne_bytes());
    // Heard by itself alone, it is not known to all.
    let wires = two.of(1).said.replace(Vec::new()).unwrap();
    for wire in &wires {
        let acts = two.of(1).server.heard("log", 1, wire.clone());
        two.of(1).perform(acts);
    }
    assert_eq!(two.of(1).answer(seq), None);
    for wire in wires {
        let acts = two.of(2).server.heard("log", 1, wire);
        two.of(2).perform(acts);
    }
    two.hear(&[1, 2]);
    assert_eq!(two.of(1).answer(seq).unwrap().errno, 0);
}

#[test]
fn without_quorum_nothing_is_answered_and_afterwards_all_is() {
    let mut two = Two::whole();
    two.ask(1, 10, &[7]);
    two.ring(&[2], true);
    two.joined(&[2]);
    two.hear(&[2]);
    let mark = two.of(1).send(1, 10, &3_u64.to_ne_bytes());
    let sync = two.of(1).send(1, 8, &3_u64.to_ne_bytes());
    two.hear(&[1]);
    assert_eq!(
        (two.of(1).answer(mark), two.of(1).answer(sync)),
        (None, None)
    );
    // The half with quorum goes on, and waits with what the other one was writing.
    assert_eq!(known(two.of(2)).unwrap().in_sync(), 64);
    two.of(2).send(1, 10, &5_u64.to_ne_bytes());
    two.hear(&[2]);
    two.ring(&[1, 2], true);
    two.joined(&[1, 2]);
    two.hear(&[1, 2]);
    let [mark, sync] = [mark, sync].map(|seq| two.of(1).answer(seq).unwrap());
    assert_eq!((mark.errno, sync.errno), (0, 0));
    assert_eq!(known(&two.kernels[0]), known(&two.kernels[1]));
    assert_eq!(
        two.ask(1, 7, &[5]),
        (0, vec![0]),
        "what the other one has marked"
    );
}

#[test]
fn what_a_dead_machine_was_writing_is_copied_again() {
    let mut two = Two::whole();
    two.ask(1, 10, &[7]);
    two.ask(1, 10, &[9]);
    two.ask(1, 11, &[9]);
    two.ring(&[2], true);
    two.joined(&[2]);
    two.hear(&[2]);
    assert_eq!(
        known(two.of(2)).unwrap().in_sync(),
        64,
        "it has time to be held"
    );
    for _ in 0..20 {
        two.of(2).tick();
        two.hear(&[2]);
    }
    assert_eq!(known(two.of(2)).unwrap().in_sync(), 63);
    let seq = two.of(2).send(1, 12, &[]);
    two.hear(&[2]);
    let work = two.of(2).answer(seq).unwrap().data;
    assert_eq!(
        work[..16],
        [1_u64.to_ne_bytes(), 7_u64.to_ne_bytes()].concat()
    );
}

#[test]
fn who_knows_nothing_waits_for_those_who_may_and_begins_without_them_in_the_end() {
    let mut two = Two::new();
    two.of(1).send(1, 1, &zero_ended(CORE));
    two.joined(&[1]);
    two.hear(&[1]);
    for _ in 0..20 {
        two.of(1).tick();
        two.hear(&[1]);
    }
    assert!(known(two.of(1)).is_none());
    for _ in 0..20 {
        two.of(1).tick();
        two.hear(&[1]);
    }
    assert!(known(two.of(1)).is_some());
    let warned = |act: &Act| matches!(act, Act::Warn(text) if text.contains('2'));
    assert!(two.of(1).acts.iter().any(warned));
}
