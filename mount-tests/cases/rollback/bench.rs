//! A daemon over an engine that fails on demand, and the judge of what is left.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use libc::O_DIRECT;
use mirrorfs::daemon::Daemon;
use mirrorfs::daemon::admission::permission::Caller;
use mirrorfs::daemon::mirrors::query::Detail;
use mirrorfs::daemon::records::store::Records;
use mirrorfs::engine::embedded::Embedded;
use mirrorfs::engine::embedded::devices::Files;
use mirrorfs::engine::inject::Inject;
use mirrorfs::engine::kernel::Kernel;
use mirrorfs::engine::kernel::devices::Looped;
use mirrorfs::engine::{Devices, Engine, Id, PromptEngine, Slot};
use mirrorfs::error::Result;
use mirrorfs::model::id::MirrorId;
use nix::errno::Errno;
use tempfile::TempDir;

use crate::lab::Lab;
use crate::lab::shared::Shared;
use crate::lab::shell::output;
use crate::lab::traces::Traces;
use crate::lab::{long, wait_for};

const ERRNOS: [Errno; 4] = [Errno::EINVAL, Errno::EIO, Errno::EBUSY, Errno::ENOMEM];

/// A daemon whose engine fails on demand, and a folder.
pub struct Bench<'a> {
    pub lab: &'a Lab,
    pub engine: Arc<Inject<Shared>>,
    pub daemon: Arc<Daemon>,
    folder: TempDir,
    wrong: Vec<String>,
    cases: usize,
}

impl<'a> Bench<'a> {
    pub fn new(lab: &'a Lab) -> Bench<'a> {
        let folder = tempfile::tempdir_in(lab.folder()).expect("a folder");
        // Traces are compared: all that has to be there is there from the start.
        (0..4).for_each(|number| drop(lab.disk(number)));
        File::create(folder.path().join("leg"))
            .and_then(|leg| leg.set_len(16 << 20))
            .expect("a leg");
        if lab.is_kernel() {
            output("udevadm settle --timeout=10 || true");
        }
        let (engine, devices) = engine(lab);
        let engine = Arc::new(Inject::new(engine));
        let shared: Arc<dyn Engine> = Arc::<Inject<Shared>>::clone(&engine);
        // Only what is in it is compared.
        fs::create_dir_all(folder.path().join("state/mirrors")).expect("a folder");
        let records = Records::below(&folder.path().join("state"));
        Bench {
            lab,
            engine,
            daemon: Daemon::new(shared, devices, records).expect("a daemon"),
            folder,
            wrong: Vec::new(),
            cases: 0,
        }
    }

    /// A table of a file and a disk, with a log that is made.
    pub fn table(&self) -> String {
        let folder = self.folder.path().display();
        format!(
            "0 8192 mirror disk 3 {folder}/log 1024 nosync 2 {folder}/leg 0 {} 0 1 handle_errors",
            self.lab.disk(1)
        )
    }

    /// A line that slides a mirror under `m0`, a file as its target.
    pub fn live(&self) -> String {
        let id = Id::Name("m0".into());
        let dev = self.engine.engine().info(&id).expect("a device").dev;
        format!(
            "{dev} {}/leg live=yes force=yes",
            self.folder.path().display()
        )
    }

    /// A mirror `m0` on disks, its number.
    pub fn mirror(&self) -> MirrorId {
        let [one, other] = [2, 3].map(|number| self.lab.disk(number));
        let line = format!("m0: 0 8192 mirror core 2 2048 nosync 2 {one} 0 {other} 0");
        self.daemon
            .create(&Caller::daemon(), &line)
            .expect("a mirror");
        self.daemon.view.find("m0").expect("the mirror")
    }

    /// A mirror `m0` of [`Bench::table`] that is in sync, its number.
    pub fn whole(&self) -> MirrorId {
        let line = format!("m0: {}", self.table());
        self.daemon
            .create(&Caller::daemon(), &line)
            .expect("a mirror");
        let mirror_id = self.daemon.view.find("m0").expect("the mirror");
        wait_for("in sync", || {
            let snapshot = self.daemon.view.snapshot(mirror_id, Detail::Kernel);
            snapshot.is_ok_and(|snapshot| snapshot.was_in_sync)
        });
        mirror_id
    }

    /// A mirror `m0` of two segments with a gap between them, its number.
    pub fn segmented(&self) -> MirrorId {
        let folder = self.folder.path().display();
        let segment = |start: u64, length: u64, log: &str| {
            format!(
                "{start} {length} mirror disk 3 {folder}/{log} 1024 nosync 2 {folder}/leg {start} {} {start} 1 handle_errors",
                self.lab.disk(1)
            )
        };
        let line = format!(
            "m0,,,,{},4096 8 linear {folder}/leg 4096,{}",
            segment(0, 4096, "log"),
            segment(4104, 4088, "log2")
        );
        self.daemon
            .create(&Caller::daemon(), &line)
            .expect("a mirror");
        self.daemon.view.find("m0").expect("the mirror")
    }

    /// What is wrong with it where it is to be as it was made.
    pub fn is_segmented(&self) -> Vec<String> {
        let engine = self.engine.engine();
        let lines = engine.table(&Id::Name("m0".into()), Slot::Live);
        let kinds = lines.map(|(_, lines)| lines.into_iter().map(|line| line.kind).collect());
        let kinds: Vec<String> = kinds.unwrap_or_default();
        let mut wrong = self.state("m0", false, 1024);
        if kinds != ["mirror", "linear", "mirror"] {
            wrong.push(format!("{kinds:?}"));
        }
        let logs = fs::read_dir(self.folder.path().join("state/logs"));
        let logs = logs.map_or(0, |logs| logs.count());
        if logs > 0 {
            wrong.push(format!("{logs} log files stay"));
        }
        wrong
    }

    /// What is wrong with `m0`, which should be of this kind, have so many devices,
    /// not be suspended and take writes.
    pub fn shape(&self, kind: &str, devices: usize) -> Vec<String> {
        let (engine, id) = (self.engine.engine(), Id::Name("m0".into()));
        let (info, lines) = match engine.table(&id, Slot::Live) {
            Ok(found) => found,
            Err(error) => return vec![format!("m0: {error}")],
        };
        let deps = engine.deps(&id, Slot::Live).map_or(0, |deps| deps.len());
        let mut wrong = Vec::new();
        if info.suspended || info.inactive || deps != devices {
            wrong.push(format!("{info:?} with {deps} devices"));
        }
        if lines.iter().any(|line| line.kind != kind) {
            wrong.push(format!("the table is {lines:?}"));
        }
        if self.lab.is_kernel() {
            wrong.extend(writes("m0"));
        }
        wrong
    }

    /// Do `work` once as it is, then once for each of its calls and each errno.
    /// `before` makes ready, `judge` says what is wrong afterwards, `after`
    /// clears up.
    pub fn each_call<S: Copy>(
        &mut self,
        before: fn(&Bench<'_>) -> S,
        work: fn(&Bench<'_>, S) -> Result<()>,
        judge: fn(&Bench<'_>, S, bool) -> Vec<String>,
    ) {
        let state = before(self);
        let made = self.engine.calls().len();
        work(self, state).expect("nothing is injected");
        let calls = self.engine.calls().split_off(made);
        self.note("without a failure", judge(self, state, true));
        self.clear();
        let mut ready = None;
        for (at, op) in calls.iter().enumerate() {
            let nth = calls[..=at].iter().filter(|other| *other == op).count();
            // Two of them for each call, the next two for the next one.
            let some = ERRNOS.into_iter().enumerate();
            let some = some.filter(|(number, _)| long() || (number / 2) == at % 2);
            for (_, errno) in some {
                let state = ready.take().unwrap_or_else(|| before(self));
                self.engine.fail(*op, nth, errno);
                let result = work(self, state);
                let wrong = judge(self, state, result.is_ok());
                self.cases += 1;
                if result.is_err() && wrong.is_empty() {
                    // As it was: good enough for the next one.
                    ready = Some(state);
                    continue;
                }
                let what = format!("call {at}, {op:?} {nth} of {calls:?}, {errno:?}: {result:?}");
                self.note(&what, wrong);
                self.clear();
            }
        }
        self.clear();
    }

    fn note(&mut self, what: &str, wrong: Vec<String>) {
        if !wrong.is_empty() {
            self.wrong.push(format!("{what}: {}", wrong.join("; ")));
        }
    }

    /// Whatever there is goes, behind the daemon's back.
    fn clear(&self) {
        for name in ["m0", "m1"] {
            let id = Id::Name(name.into());
            if let Ok(info) = self.engine.engine().info(&id) {
                if info.suspended {
                    let _ = self.engine.engine().clear(&id);
                    let _ = self.engine.engine().resume(&id);
                }
                let removed = self.engine.engine().remove(&id, false);
                if let Err(error) = removed {
                    println!("{name} stays: {error}");
                }
            }
        }
        for mirror_id in self.daemon.view.registry.ids() {
            self.daemon.view.registry.forget(mirror_id);
        }
        // The folder of the records goes with the last one.
        for folder in ["state/mirrors", "state/logs"] {
            let files = fs::read_dir(self.folder.path().join(folder));
            for file in files.into_iter().flatten().flatten() {
                let _ = fs::remove_file(file.path());
            }
        }
        let _ = fs::remove_dir(self.folder.path().join("state/logs"));
        let _ = fs::remove_file(self.log());
        let _ = fs::remove_file(self.folder.path().join("log2"));
    }

    pub fn log(&self) -> std::path::PathBuf {
        self.folder.path().join("log")
    }

    pub fn end(self, what: &str) {
        println!("{what}: {} cases", self.cases);
        assert!(
            self.cases >= 4 && self.wrong.is_empty(),
            "{} of {} wrong:\n{}",
            self.wrong.len(),
            self.cases,
            self.wrong.join("\n")
        );
    }

    /// What is wrong with a device that should be there in this state.
    pub fn state(&self, name: &str, suspended: bool, region: u32) -> Vec<String> {
        let mut wrong = Vec::new();
        let engine = self.engine.engine();
        let (info, lines) = match engine.table(&Id::Name(name.into()), Slot::Live) {
            Ok(found) => found,
            Err(error) => return vec![format!("{name}: {error}")],
        };
        if info.suspended != suspended || info.inactive {
            wrong.push(format!("{info:?}"));
        }
        let words = lines
            .first()
            .map(|line| line.params.clone())
            .unwrap_or_default();
        if !words.contains(&format!(" {region} ")) {
            wrong.push(format!("the table is {lines:?}"));
        }
        if !suspended && self.lab.is_kernel() {
            wrong.extend(writes(name));
        }
        wrong
    }
}

impl Drop for Bench<'_> {
    /// A test that failed must not make the next one fail.
    fn drop(&mut self) {
        self.clear();
    }
}

/// What direct I/O needs of a buffer.
#[repr(align(4096))]
struct Block([u8; 4096]);

/// Why a write through the device does not complete in time.
fn writes(name: &str) -> Option<String> {
    let path = format!("/dev/mapper/{name}");
    let (send, written) = mpsc::channel();
    thread::spawn(move || {
        let mut options = OpenOptions::new();
        let device = options.write(true).custom_flags(O_DIRECT).open(path);
        // Nobody hears of a write that comes too late.
        let _ = send.send(device.and_then(|device| device.write_at(&Block([0; 4096]).0, 0)));
    });
    match written.recv_timeout(Duration::from_secs(5)) {
        Ok(Ok(4096)) => None,
        other => Some(format!("a write: {other:?}")),
    }
}

/// What a folder, the loop devices and device-mapper hold that they did not.
pub fn left(bench: &Bench<'_>, before: &Traces) -> Vec<String> {
    before.changes(bench.lab, bench.folder.path())
}

pub fn nothing(bench: &Bench<'_>) -> &'static Traces {
    let now = Traces::now(bench.lab, bench.folder.path());
    Box::leak(Box::new(now))
}

/// An engine that is open, and what it stands on.
fn engine(lab: &Lab) -> (Shared, Arc<dyn Devices>) {
    if lab.is_kernel() {
        let engine = Arc::new(Kernel::open().expect("device-mapper"));
        return (Shared(engine), Arc::<Looped>::default());
    }
    let engine = Arc::new(Embedded::new().expect("an engine"));
    let files = Arc::new(Files::of(&engine));
    (Shared(engine), files)
}
