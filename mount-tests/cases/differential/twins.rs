//! Two of everything: disks of the same content, and a daemon on each engine that
//! is told the same. In this process, without FUSE.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};

use mirrorfs::daemon::Daemon;
use mirrorfs::daemon::admission::permission::Caller;
use mirrorfs::daemon::mirrors::query::Detail;
use mirrorfs::daemon::records::store::Records;
use mirrorfs::engine::embedded::Embedded;
use mirrorfs::engine::embedded::devices::Files;
use mirrorfs::engine::kernel::Kernel;
use mirrorfs::engine::kernel::devices::Looped;
use mirrorfs::model::id::MirrorId;
use mirrorfs::text::device::DevNo;
use mirrorfs::text::letter::Letter;
use mirrorfs::text::status::MirrorStatus;
use nix::errno::Errno;
use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};
use tempfile::TempDir;

use super::random::Random;
use crate::lab::Lab;
use crate::lab::disks::put;
use crate::lab::dm;
use crate::lab::shell::attempt;

/// How many disks each side has.
pub const DISKS: usize = 5;

/// Sectors of each.
pub const SECTORS: u64 = 2048;

/// The mirror that all scripts are about.
const NAME: &str = "m0";

/// What is the same on both sides once nothing moves any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Regions in sync, all regions, health letters, and the log's, of each mirror
    /// target.
    pub mirrors: Vec<(u64, u64, String, Option<Letter>)>,
    /// The table, its devices by their numbers on their side.
    pub table: String,
    pub event_nr: u32,
    pub suspended: bool,
}

/// One side.
pub struct Side {
    daemon: Arc<Daemon>,
    /// The disks' paths.
    pub disks: Vec<String>,
    /// What they lie on.
    below: Vec<String>,
    name: &'static str,
}

impl Side {
    fn new(name: &'static str, below: Vec<String>, daemon: Arc<Daemon>) -> Side {
        let make = |(number, disk): (usize, &String)| {
            let name = format!("{name}{number}");
            dm::create(&name, "", &format!("0 {SECTORS} linear {disk} 0"));
            format!("/dev/mapper/{name}")
        };
        Side {
            disks: below.iter().enumerate().map(make).collect(),
            below,
            daemon,
            name,
        }
    }

    /// A line with `{0}`, `{1}`, … for this side's disks, done.
    fn tell(&self, file: &str, line: &str) -> Result<(), (Errno, String)> {
        let mut line = line.to_string();
        for (number, path) in self.disks.iter().enumerate() {
            line = line.replace(&format!("{{{number}}}"), path);
        }
        let told = match file {
            "new" => self
                .daemon
                .create(&Caller::daemon(), &format!("{NAME}: {line}"))
                .map(drop),
            "table" => self
                .mirror_id()
                .and_then(|m| self.daemon.reload(&Caller::daemon(), m, &line)),
            _ => self
                .mirror_id()
                .and_then(|m| self.daemon.verb(&Caller::daemon(), m, &line)),
        };
        told.map_err(|error| (error.errno(), error.sentence().into()))
    }

    fn mirror_id(&self) -> mirrorfs::error::Result<MirrorId> {
        self.daemon.view.find(NAME)
    }

    fn seen(&self) -> Option<Seen> {
        let snapshot = self
            .mirror_id()
            .and_then(|m| self.daemon.view.snapshot(m, Detail::Kernel));
        let snapshot = snapshot.ok()?;
        let status = |line: &mirrorfs::text::table::Line| {
            let status = MirrorStatus::parse(&line.params).ok()?;
            let log = snapshot.log().map(|log| log.letter);
            Some((
                status.in_sync,
                status.total,
                status.health.iter().map(ToString::to_string).collect(),
                log,
            ))
        };
        let mut table: String = snapshot.lines.iter().map(|l| format!("{l}\n")).collect();
        for (number, path) in self.disks.iter().enumerate() {
            table = table.replace(&device_number(path), &format!("{{{number}}}"));
        }
        Some(Seen {
            mirrors: snapshot.status.iter().filter_map(status).collect(),
            table,
            event_nr: snapshot.info.event_nr,
            suspended: snapshot.info.suspended,
        })
    }

    /// From now on I/O to these sectors of a disk fails; none: to none.
    fn hurt(&self, number: usize, hole: Option<(u64, u64)>) {
        let disk = &self.below[number];
        let linear = |start: u64, length: u64| match length {
            0 => String::new(),
            _ => format!("{start} {length} linear {disk} {start}\n"),
        };
        let table = match hole {
            None => linear(0, SECTORS),
            Some((start, length)) => format!(
                "{}{start} {length} error\n{}",
                linear(0, start),
                linear(start + length, SECTORS - start - length)
            ),
        };
        dm::reload(&format!("{}{number}", self.name), &table);
    }
}

impl Drop for Side {
    fn drop(&mut self) {
        if let Ok(mirror_id) = self.mirror_id() {
            let _ = self.daemon.verb(&Caller::daemon(), mirror_id, "resume");
            let _ = self.daemon.verb(&Caller::daemon(), mirror_id, "remove");
        }
        for number in 0..DISKS {
            attempt(&format!("dmsetup remove --retry {}{number}", self.name));
        }
    }
}

/// All of a disk, past the page cache's old copy. Without starting a program: this
/// is asked ten times after each step.
fn bytes(path: &str) -> Vec<u8> {
    let mut file = File::open(path).expect(path);
    posix_fadvise(&file, 0, 0, PosixFadviseAdvice::POSIX_FADV_DONTNEED).expect("dropped");
    let mut bytes = vec![0; SECTORS as usize * 512];
    file.read_exact(&mut bytes).expect(path);
    bytes
}

/// A device's number as a table has it.
fn device_number(path: &str) -> String {
    let stat = std::fs::metadata(path).expect(path);
    DevNo::of_dev_t(stat.rdev()).to_string()
}

fn is_same((kernel, embedded): &(Option<Seen>, Option<Seen>), more: u32) -> bool {
    let events = |seen: &Option<Seen>| seen.as_ref().map_or(0, |seen| seen.event_nr);
    let (most, least) = (events(kernel), events(embedded));
    let close = most >= least && most - least <= more;
    let same = embedded.clone().map(|seen| Seen {
        event_nr: most,
        ..seen
    });
    close && *kernel == same
}

/// Both sides.
pub struct Twins {
    pub kernel: Side,
    pub embedded: Side,
    // After the mirrors that are recorded in it.
    _state: TempDir,
}

impl Twins {
    /// Sides without a mirror; each disk has the same bytes on both.
    pub fn new(lab: &Lab, seed: u64) -> Twins {
        let state = tempfile::tempdir_in(lab.folder()).expect("a folder");
        let records = |side| Records::below(&state.path().join(side));
        let engine = Arc::new(Kernel::open().expect("device-mapper"));
        let kernel =
            Daemon::new(engine, Arc::<Looped>::default(), records("ka")).expect("a daemon");
        let engine = Arc::new(Embedded::new().expect("an engine"));
        let files = Arc::new(Files::of(&engine));
        let embedded = Daemon::new(engine, files, records("eb")).expect("a daemon");
        let disks = |first: usize| (first..first + DISKS).map(|number| lab.disk(number));
        let twins = Twins {
            kernel: Side::new("ka", disks(0).collect(), kernel),
            embedded: Side::new("eb", disks(DISKS).collect(), embedded),
            _state: state,
        };
        twins.fill(seed);
        twins
    }

    /// Other bytes, the same on both sides.
    pub fn fill(&self, seed: u64) {
        // A debug build makes noise slowly: a little of it, another one each time.
        let mut random = Random::new(seed);
        let noise: Vec<u8> = (0..8192).map(|_| random.below(256) as u8).collect();
        for number in 0..DISKS {
            let tag = [number as u8; 512];
            let blocks = (0..SECTORS * 512 / 8704).flat_map(|_| [&noise[..], &tag].concat());
            let blocks: Vec<u8> = blocks.collect();
            for side in [&self.kernel, &self.embedded] {
                put(&side.disks[number], 0, &blocks);
            }
        }
    }

    /// Tell both the same; they must agree about whether it can be done.
    pub fn tell(&self, file: &str, line: &str) -> bool {
        let kernel = self.kernel.tell(file, line);
        let embedded = self.embedded.tell(file, line);
        let errno = |told: &Result<(), (Errno, String)>| told.as_ref().err().map(|e| e.0);
        assert_eq!(
            errno(&kernel),
            errno(&embedded),
            "`{line}` to {file}: kernel {kernel:?}, embedded {embedded:?}"
        );
        kernel.is_ok()
    }

    /// Break the same place of a disk on both sides, or repair it.
    pub fn hurt(&self, disk: usize, hole: Option<(u64, u64)>) {
        self.kernel.hurt(disk, hole);
        self.embedded.hurt(disk, hole);
    }

    /// Wait until both are the same and stay so; panics where they do not get
    /// there.
    ///
    /// The kernel may count an event more, up to `more`: whether the end of a copy
    /// that is declared done is told depends on who is quicker, its worker or the
    /// caller who binds the table.
    pub fn settle(&self, more: u32) -> Option<Seen> {
        let end = Instant::now() + Duration::from_secs(10);
        let mut before = None;
        let mut calm = 0;
        loop {
            let now = (self.kernel.seen(), self.embedded.seen());
            let done = is_same(&now, more) && before.as_ref() == Some(&now);
            calm = if done { calm + 1 } else { 0 };
            if calm >= 3 {
                return now.0;
            }
            if Instant::now() > end {
                panic!("kernel   {:#?}\nembedded {:#?}", now.0, now.1);
            }
            before = Some(now);
            sleep(Duration::from_millis(20));
        }
    }

    /// The first bytes of a sector on both sides.
    pub fn sectors(&self, number: usize, sector: u64) -> [Vec<u8>; 2] {
        let at = sector as usize * 512;
        [&self.kernel, &self.embedded].map(|side| bytes(&side.below[number])[at..at + 32].to_vec())
    }

    /// Where the disks of both sides differ, in sectors: all but those that
    /// `unsure` answers for.
    pub fn differing(&self, unsure: impl Fn(usize, u64) -> bool) -> Vec<(usize, u64)> {
        let mut found = Vec::new();
        for number in 0..DISKS {
            let [kernel, embedded] =
                [&self.kernel, &self.embedded].map(|side| bytes(&side.below[number]));
            // A debug build compares slowly by sectors.
            if kernel == embedded {
                continue;
            }
            let pairs = kernel.chunks(512).zip(embedded.chunks(512)).zip(0..);
            let differ =
                pairs.filter(|((one, other), sector)| one != other && !unsure(number, *sector));
            found.extend(differ.map(|(_, sector)| (number, sector)));
        }
        found
    }
}
