//! A kernel that asks a server, and what does what the server wants done.

use std::collections::BTreeSet;

use crate::cluster::group::Wire;
use crate::cluster::serve::Server;
use crate::cluster::serve::act::{Act, Done, Job, Look, Looked};
use crate::cluster::serve::record::Record;
use crate::cluster::state::order::NodeId;
use crate::cluster::ulog::packet::Packet;

/// The machine.
pub const ALONE: NodeId = 1;

/// Its server, which no other one hears.
pub fn alone() -> Server {
    Server::alone(ALONE, 1, 1)
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    pub errno: i32,
    pub data: Vec<u8>,
}

/// The kernel, the disk log and what was kept.
pub struct Kernel {
    pub server: Server,
    /// All that was to be done.
    pub acts: Vec<Act>,
    /// What the next server is told.
    pub records: Vec<Record>,
    /// What a look finds.
    pub looked: Looked,
    /// How jobs come out; none: the disk hangs.
    pub disk: Option<Done>,
    /// Jobs on a disk that hangs.
    pub jobs: Vec<Job>,
    /// What is on the disk.
    pub medium: Vec<u8>,
    /// What is to be said to all, where others hear it.
    pub said: Option<Vec<Wire>>,
    answers: Vec<(u32, Answer)>,
    seq: u32,
}

impl Kernel {
    pub fn new(server: Server) -> Kernel {
        let legs = ["a", "b"].map(String::from).to_vec();
        let devices = ["8:1", "8:2"].map(|word| word.parse().unwrap()).to_vec();
        Kernel {
            server,
            acts: Vec::new(),
            records: Vec::new(),
            looked: Looked {
                legs: Some(legs),
                devices,
                ..Looked::default()
            },
            disk: Some(Done::Written),
            jobs: Vec::new(),
            medium: Vec::new(),
            said: None,
            answers: Vec::new(),
            seq: 0,
        }
    }

    /// Ask; none where the answer is not there yet.
    pub fn ask(&mut self, luid: u64, kind: u32, data: &[u8]) -> Option<Answer> {
        let seq = self.send(luid, kind, data);
        self.answer(seq)
    }

    /// Ask, and answer by which number the answer is known.
    pub fn send(&mut self, luid: u64, kind: u32, data: &[u8]) -> u32 {
        self.seq += 1;
        let packet = Packet {
            luid,
            uuid: "log".into(),
            version: 3,
            seq: self.seq,
            kind,
            data: data.into(),
        };
        let acts = self.server.asked(packet);
        self.perform(acts);
        self.seq
    }

    pub fn answer(&self, seq: u32) -> Option<Answer> {
        let mut all = self.answers.iter();
        all.find(|(of, _)| *of == seq)
            .map(|(_, answer)| answer.clone())
    }

    /// Do all that is to be done at once.
    pub fn perform(&mut self, acts: Vec<Act>) {
        for act in acts {
            self.acts.push(act.clone());
            let more = match act {
                Act::Answer(message) => {
                    self.hear(&message);
                    Vec::new()
                }
                Act::Join(_) if self.said.is_some() => Vec::new(),
                Act::Send(_, wire) if self.said.is_some() => {
                    self.said
                        .iter_mut()
                        .for_each(|said| said.push((*wire).clone()));
                    Vec::new()
                }
                Act::Join(log) => self.server.joined(&log, BTreeSet::from([ALONE])),
                Act::Send(log, wire) => self.server.heard(&log, ALONE, *wire),
                Act::Keep(_, record) => {
                    self.records.push(record);
                    Vec::new()
                }
                Act::Leave(_) => {
                    self.records.clear();
                    Vec::new()
                }
                Act::Look(log, Look { luid, regions, .. }) => {
                    let clean = regions.and(self.looked.clean.clone());
                    let looked = Looked {
                        clean,
                        ..self.looked.clone()
                    };
                    self.server.looked(&log, luid, &looked)
                }
                Act::Write(log, job) => match self.disk {
                    Some(done) => {
                        let number = job.number;
                        self.write(&job, done);
                        self.server.written(&log, number, done)
                    }
                    None => {
                        self.jobs.push(job);
                        Vec::new()
                    }
                },
                Act::Cure(log, _) => self.server.cured(&log),
                Act::Warn(_) => Vec::new(),
            };
            self.perform(more);
        }
    }

    /// The disk goes on.
    pub fn goes_on(&mut self, done: Done) {
        for job in std::mem::take(&mut self.jobs) {
            self.write(&job, done);
            let acts = self.server.written("log", job.number, done);
            self.perform(acts);
        }
    }

    fn write(&mut self, job: &Job, done: Done) {
        if done == Done::Written {
            self.medium.resize(job.bytes.len(), 0xA5);
            for range in &job.changed {
                let range = range.start as usize..range.end as usize;
                self.medium[range.clone()].copy_from_slice(&job.bytes[range]);
            }
        }
    }

    fn hear(&mut self, message: &[u8]) {
        let request = &message[36..];
        let errno = i32::from_ne_bytes(request[144..148].try_into().unwrap());
        let seq = u32::from_ne_bytes(request[148..152].try_into().unwrap());
        let data = request[160..].to_vec();
        self.answers.push((seq, Answer { errno, data }));
    }

    /// A second goes by.
    pub fn tick(&mut self) {
        let acts = self.server.tick();
        self.perform(acts);
    }

    /// The server is killed, and another one started.
    pub fn restart(&mut self) {
        self.server = alone();
        self.jobs.clear();
        let acts = self.server.take_over("log", self.records.clone());
        self.perform(acts);
    }

    /// Numbers as they are asked with, and what is answered.
    pub fn done(&mut self, luid: u64, kind: u32, numbers: &[u64]) {
        let data: Vec<u8> = numbers.iter().flat_map(|n| n.to_ne_bytes()).collect();
        let answer = self.ask(luid, kind, &data).expect("an answer");
        assert_eq!((answer.errno, answer.data.len()), (0, 0), "{kind}");
    }

    pub fn numbers(&mut self, luid: u64, kind: u32, numbers: &[u64]) -> Vec<u64> {
        let data: Vec<u8> = numbers.iter().flat_map(|n| n.to_ne_bytes()).collect();
        let answer = self.ask(luid, kind, &data).expect("an answer");
        assert_eq!(answer.errno, 0, "{kind}");
        let (numbers, _) = answer.data.as_chunks();
        numbers.iter().map(|n| u64::from_ne_bytes(*n)).collect()
    }

    pub fn number(&mut self, luid: u64, kind: u32, numbers: &[u64]) -> u64 {
        self.numbers(luid, kind, numbers)[0]
    }

    pub fn text(&mut self, luid: u64, kind: u32) -> String {
        let answer = self.ask(luid, kind, &[]).expect("an answer");
        String::from_utf8(answer.data).unwrap()
    }

    /// A table is loaded; the device of its log is answered once.
    pub fn load(&mut self, luid: u64, words: &str) {
        let answer = self.ask(luid, 1, &zero_ended(words)).expect("made");
        assert_eq!(answer.errno, 0);
        let device = words.split(' ').nth(2).filter(|_| words.contains("disk"));
        let device = device.map_or(Vec::new(), |device| format!("{device}\0").into());
        assert_eq!(answer.data, device);
        self.numbers(luid, 6, &[]);
    }

    /// Nobody had answered the kernel: it makes the log once more and goes on.
    pub fn again(&mut self, luid: u64, words: &str) {
        let made = self.ask(luid, 1, &zero_ended(words)).expect("made");
        assert_eq!(
            made,
            Answer {
                errno: 0,
                data: Vec::new()
            }
        );
        self.resume(luid);
    }

    pub fn resume(&mut self, luid: u64) {
        self.done(luid, 5, &[]);
    }

    pub fn suspend(&mut self, luid: u64) {
        self.done(luid, 3, &[]);
        self.done(luid, 4, &[]);
    }
}

pub fn zero_ended(words: &str) -> Vec<u8> {
    format!("{words}\0").into()
}
