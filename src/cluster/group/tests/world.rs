//! The machines, and the wires between them.

use std::collections::{BTreeMap, BTreeSet};

use super::machine::{Event, Machine, REGIONS};
use crate::cluster::group::{Member, Ring, Wire};
use crate::cluster::state::order::{NodeId, Order};

pub struct World {
    machines: Vec<Machine>,
    /// In which ring each machine is.
    rings: BTreeMap<NodeId, Ring>,
    seq: u64,
    /// What was written by a machine that is gone, and was not copied.
    lost: BTreeSet<u64>,
}

impl World {
    pub fn new(count: u32) -> World {
        let mut world = World {
            machines: (0..count).map(Machine::new).collect(),
            rings: BTreeMap::new(),
            seq: 0,
            lost: BTreeSet::new(),
        };
        world.wire(|_| 0, 0, true);
        world
    }

    fn at(&mut self, node: NodeId) -> &mut Machine {
        &mut self.machines[node as usize]
    }

    /// Those who hear a machine.
    fn near(&self, node: NodeId) -> BTreeSet<NodeId> {
        let ring = self.rings.get(&node);
        let near = self.rings.iter().filter(|(_, other)| Some(*other) == ring);
        near.map(|(node, _)| *node).collect()
    }

    /// Those of them who run a server.
    fn members(&self, near: &BTreeSet<NodeId>) -> BTreeSet<NodeId> {
        let runs = |node: &&NodeId| self.machines[**node as usize].member.is_some();
        near.iter().filter(runs).copied().collect()
    }

    fn tell(&mut self, near: &BTreeSet<NodeId>, event: &Event) {
        for node in near {
            let machine = self.at(*node);
            if machine.member.is_some() {
                machine.inbox.push_back(event.clone());
            }
        }
    }

    fn say(&mut self, node: NodeId, wires: Vec<Wire>) {
        let near = self.near(node);
        for wire in wires {
            self.tell(&near, &Event::Said(node, wire));
        }
    }

    /// Who hears whom is otherwise: each machine that is up is in the ring of this number. Of
    /// what was said last, `lost` messages at most reach nobody in a ring.
    fn wire(&mut self, of: impl Fn(NodeId) -> u8, lost: usize, ring_first: bool) {
        let up = self.machines.iter().filter(|machine| machine.up);
        let mut groups: BTreeMap<u8, BTreeSet<NodeId>> = BTreeMap::new();
        for machine in up {
            groups
                .entry(of(machine.node))
                .or_default()
                .insert(machine.node);
        }
        let before = std::mem::take(&mut self.rings);
        for near in groups.into_values() {
            // Those who come from one ring have heard the same.
            let old: BTreeSet<Ring> = near
                .iter()
                .filter_map(|node| before.get(node))
                .copied()
                .collect();
            if old.len() == 1
                && before.values().filter(|ring| old.contains(ring)).count() == near.len()
            {
                let ring = old.first().copied().unwrap_or_default();
                self.rings.extend(near.iter().map(|node| (*node, ring)));
                continue;
            }
            for ring in &old {
                let from = near.iter().filter(|node| before.get(node) == Some(ring));
                let from: Vec<NodeId> = from.copied().collect();
                self.lose(&from, lost);
            }
            self.seq += 4;
            let node = near.first().copied().unwrap_or_default();
            let ring = Ring {
                seq: self.seq,
                node,
            };
            self.rings.extend(near.iter().map(|node| (*node, ring)));
            let members = Event::Members(self.members(&near));
            let ring = Event::Ring(ring, near.clone());
            let (first, second) = if ring_first {
                (ring, members)
            } else {
                (members, ring)
            };
            self.tell(&near, &first);
            self.tell(&near, &second);
        }
    }

    fn lose(&mut self, from: &[NodeId], lost: usize) {
        for _ in 0..lost {
            let last = |node: &NodeId| {
                matches!(
                    self.machines[*node as usize].inbox.back(),
                    Some(Event::Said(..))
                )
            };
            let run: Vec<NodeId> = from
                .iter()
                .copied()
                .filter(|node| self.machines[*node as usize].member.is_some())
                .collect();
            if run.is_empty() || !run.iter().all(last) {
                return;
            }
            for node in run {
                self.at(node).inbox.pop_back();
            }
        }
    }

    fn members_changed(&mut self, node: NodeId) {
        let near = self.near(node);
        let members = Event::Members(self.members(&near));
        self.tell(&near, &members);
    }

    /// One thing happens.
    pub fn step(&mut self, (what, which, more): (u8, u8, u8)) {
        let node = u32::from(which) % self.machines.len() as u32;
        let machine = self.at(node);
        if !machine.up {
            if what % 4 == 0 {
                self.boot(node);
            }
            return;
        }
        match what % 32 {
            0..14 => {
                let wires = machine.hear();
                self.say(node, wires);
            }
            14..18 => self.quorum(node),
            18 | 19 => self.start(node),
            20..24 => self.write(node, more),
            24 | 25 => self.clear(node, more),
            26 if more % 4 == 0 => self.die(node),
            27 => self.stop(node),
            28 => self.wire(
                |node| more >> (node % 8) & 1,
                usize::from(more % 5),
                more % 3 == 0,
            ),
            29 => self.wire(|_| 0, usize::from(more % 3), more % 2 == 0),
            30 => self.down(node),
            _ => {
                let again = self.at(node).member.as_ref().and_then(Member::again);
                let wires = self.at(node).perform(again.into_iter().collect());
                self.say(node, wires);
            }
        }
    }

    fn quorum(&mut self, node: NodeId) {
        let Some(ring) = self.rings.get(&node).copied() else {
            return;
        };
        let quorate = self.near(node).len() * 2 > self.machines.len();
        let wires = self.at(node).quorum(ring, quorate);
        self.say(node, wires);
    }

    fn start(&mut self, node: NodeId) {
        if self.at(node).member.is_some() {
            return;
        }
        self.at(node).start();
        // Who joins knows the ring from the quorum's service.
        let near = self.near(node);
        let ring = self.rings.get(&node).copied().unwrap_or_default();
        self.at(node).inbox.push_back(Event::Ring(ring, near));
        self.members_changed(node);
        if self.at(node).luid == 0 {
            let wires = self.at(node).come();
            self.say(node, wires);
        }
    }

    /// The server ends, and its machine goes on.
    fn stop(&mut self, node: NodeId) {
        if self.at(node).member.take().is_some() {
            self.members_changed(node);
        }
    }

    fn write(&mut self, node: NodeId, more: u8) {
        let machine = self.at(node);
        let runs = machine.member.is_some() && machine.luid > 0 && !machine.is_coming();
        if runs && machine.waits.len() < 4 {
            let order = Order::Mark(vec![u64::from(more) % REGIONS]);
            let wires = self.at(node).order(order);
            self.say(node, wires);
        }
    }

    fn clear(&mut self, node: NodeId, more: u8) {
        let machine = self.at(node);
        let region = u64::from(more) % REGIONS;
        let idle = machine.waits.is_empty() && machine.member.is_some();
        if idle && machine.writes.contains(&region) {
            machine.writes.remove(&region);
            let wires = machine.order(Order::Clear(vec![region]));
            self.say(node, wires);
        }
    }

    fn die(&mut self, node: NodeId) {
        let machine = self.at(node);
        machine.up = false;
        let (writes, boot) = (std::mem::take(&mut machine.writes), machine.boot);
        *machine = Machine::new(node);
        (machine.up, machine.boot) = (false, boot + 1);
        self.lost.extend(writes);
        let rings = self.rings.clone();
        let place = |node: NodeId| {
            rings
                .get(&node)
                .map_or(0, |ring| (ring.seq / 4 % 250) as u8 + 1)
        };
        self.wire(place, usize::from(node as u8 % 3), true);
    }

    fn boot(&mut self, node: NodeId) {
        self.at(node).up = true;
        let (rings, other) = (self.rings.clone(), self.rings.keys().next().copied());
        let place = |node: NodeId| {
            let ring = rings.get(&node).or_else(|| rings.get(&other?));
            ring.map_or(0, |ring| (ring.seq / 4 % 250) as u8 + 1)
        };
        self.wire(place, 0, true);
    }

    /// Who is not heard is down, once its writers had time to be held.
    fn down(&mut self, node: NodeId) {
        let machine = &self.machines[node as usize];
        let near = self.near(node);
        let member = machine.member.as_ref().filter(|member| member.is_settled());
        let Some(member) = member.filter(|member| member.members().first() == Some(&node)) else {
            return;
        };
        let _ = member;
        let gone = machine.replica.unheard(&near);
        for gone in gone {
            let held = self.at(gone);
            let writes = std::mem::take(&mut held.writes);
            self.lost.extend(writes);
            self.say(node, vec![Wire::Down(gone)]);
        }
    }

    pub fn check(&mut self) {
        // Who begins a log that nobody has declares the legs equal.
        if self.machines.iter().any(|machine| machine.born) {
            self.lost.clear();
            for machine in &mut self.machines {
                machine.born = false;
                machine.writes.clear();
            }
        }
        let writes = self
            .machines
            .iter()
            .flat_map(|machine| machine.writes.iter());
        let dirty: BTreeSet<u64> = writes.chain(&self.lost).copied().collect();
        let settled: Vec<&Machine> = self
            .machines
            .iter()
            .filter(|machine| machine.is_settled())
            .collect();
        for machine in &settled {
            let Some(state) = &machine.replica.state else {
                continue;
            };
            if !state.is_born() {
                continue;
            }
            for region in &dirty {
                assert!(
                    !state.is_clean(*region),
                    "{region} at {}: {:#?}",
                    machine.node,
                    self.machines
                );
            }
        }
        let known = |machine: &Machine| (machine.replica.epochs(), machine.replica.orders);
        for one in &settled {
            for other in settled.iter().filter(|other| known(other) == known(one)) {
                assert_eq!(
                    one.replica, other.replica,
                    "{} and {}",
                    one.node, other.node
                );
            }
        }
    }

    /// All are up, hear each other and are heard to the end.
    pub fn come_to_rest(&mut self) {
        for node in 0..self.machines.len() as u32 {
            self.at(node).up = true;
        }
        self.wire(|_| 0, 0, true);
        for node in 0..self.machines.len() as u32 {
            self.start(node);
        }
        for round in 0..60 {
            for node in 0..self.machines.len() as u32 {
                self.quorum(node);
                while !self.at(node).inbox.is_empty() {
                    let wires = self.at(node).hear();
                    self.say(node, wires);
                    self.check();
                }
            }
            if round % 20 == 10 {
                self.step((31, 0, 0));
            }
        }
        for machine in &self.machines {
            assert!(
                machine.is_settled(),
                "{}: {:#?}",
                machine.node,
                self.machines
            );
            assert!(
                machine.waits.is_empty(),
                "{}: {:#?}",
                machine.node,
                self.machines
            );
        }
    }
}
