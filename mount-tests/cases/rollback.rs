//! Each device-mapper call of each change fails once, with each of some errnos:
//! what was begun is undone, or the mirror goes on as before. In this process,
//! without FUSE.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use libc::O_DIRECT;
use mirrorfs::daemon::Daemon;
use mirrorfs::daemon::desk::Desk;
use mirrorfs::daemon::records::Records;
use mirrorfs::engine::embedded::Embedded;
use mirrorfs::engine::embedded::devices::Files;
use mirrorfs::engine::inject::{Inject, Op};
use mirrorfs::engine::kernel::Kernel;
use mirrorfs::engine::kernel::devices::Looped;
use mirrorfs::engine::{Devices, Engine, Id, Slot};
use mirrorfs::error::Result;
use nix::errno::Errno;
use tempfile::TempDir;

use crate::lab::Lab;
use crate::lab::case::{Case, both};
use crate::lab::shared::Shared;
use crate::lab::shell::output;
use crate::lab::traces::Traces;
use crate::lab::wait_for;

pub const CASES: &[Case] = &[
    both("of_create", of_create),
    both("of_create_empty", of_create_empty),
    both("of_reload", of_reload),
    both("of_remove", of_remove),
    both("of_rename", of_rename),
    both("of_suspend", of_suspend),
    both("of_resume", of_resume),
    both("a_delayed_create_goes_on", a_delayed_create_goes_on),
    both(
        "a_delayed_verb_keeps_others_out",
        a_delayed_verb_keeps_others_out,
    ),
];

const ERRNOS: [Errno; 4] = [Errno::EINVAL, Errno::EIO, Errno::EBUSY, Errno::ENOMEM];

/// A daemon whose engine fails on demand, and a folder.
struct Bench<'a> {
    lab: &'a Lab,
    engine: Arc<Inject<Shared>>,
    daemon: Arc<Daemon>,
    folder: TempDir,
    wrong: Vec<String>,
    cases: usize,
}

impl<'a> Bench<'a> {
    fn new(lab: &'a Lab) -> Bench<'a> {
        let folder = tempfile::tempdir_in(lab.folder()).expect("a folder");
        // Traces are compared: all that has to be there is there from the start.
        (0..4).for_each(|number| drop(lab.disk(number)));
        File::create(folder.path().join("leg"))
            .and_then(|leg| leg.set_len(4 << 20))
            .expect("a leg");
        if lab.is_kernel() {
            output("udevadm settle --timeout=10 || true");
        }
        let (engine, devices) = engine(lab);
        let engine = Arc::new(Inject::new(engine));
        let shared: Arc<dyn Engine> = Arc::<Inject<Shared>>::clone(&engine);
        // Only what is in it is compared.
        fs::create_dir_all(folder.path().join("state/mirrors")).expect("a folder");
        let records = (!lab.is_kernel()).then(|| Records::below(&folder.path().join("state")));
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
    fn table(&self) -> String {
        let folder = self.folder.path().display();
        format!(
            "0 8192 mirror disk 3 {folder}/log 1024 nosync 2 {folder}/leg 0 {} 0 1 handle_errors",
            self.lab.disk(1)
        )
    }

    /// A mirror `m0` on disks, its serial.
    fn mirror(&self) -> u64 {
        let [one, other] = [2, 3].map(|number| self.lab.disk(number));
        let line = format!("m0: 0 8192 mirror core 2 2048 nosync 2 {one} 0 {other} 0");
        self.daemon.create(&line).expect("a mirror");
        self.daemon.find("m0").expect("the mirror")
    }

    /// Do `work` once as it is, then once for each of its calls and each errno.
    /// `before` makes ready, `judge` says what is wrong afterwards, `after`
    /// clears up.
    fn each_call<S: Copy>(
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
            for errno in ERRNOS {
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
        for serial in self.daemon.registry.serials() {
            self.daemon.registry.forget(serial);
        }
        let records = fs::read_dir(self.folder.path().join("state/mirrors"));
        // The folder goes with its last record.
        for record in records.into_iter().flatten().flatten() {
            let _ = fs::remove_file(record.path());
        }
        let _ = fs::remove_file(self.log());
    }

    fn log(&self) -> std::path::PathBuf {
        self.folder.path().join("log")
    }

    fn end(self, what: &str) {
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
    fn state(&self, name: &str, suspended: bool, region: u32) -> Vec<String> {
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
fn left(bench: &Bench<'_>, before: &Traces) -> Vec<String> {
    before.changes(bench.lab, bench.folder.path())
}

fn nothing(bench: &Bench<'_>) -> &'static Traces {
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

fn of_create(lab: &Lab) {
    let mut bench = Bench::new(lab);
    bench.each_call(
        nothing,
        |bench, _| {
            bench
                .daemon
                .create(&format!("m0: {}", bench.table()))
                .map(drop)
        },
        |bench, before, done| match done {
            true => bench.state("m0", false, 1024),
            false => left(bench, before),
        },
    );
    bench.end("create");
}

fn of_create_empty(lab: &Lab) {
    let mut bench = Bench::new(lab);
    bench.each_call(
        nothing,
        |bench, _| bench.daemon.create_empty("m0").map(drop),
        |bench, before, done| {
            if done {
                Vec::new()
            } else {
                left(bench, before)
            }
        },
    );
    bench.end("mkdir");
}

fn of_reload(lab: &Lab) {
    let mut bench = Bench::new(lab);
    bench.each_call(
        |bench| (bench.mirror(), nothing(bench)),
        |bench, (serial, _)| bench.daemon.reload(serial, &bench.table()),
        |bench, (_, before), done| match done {
            true => bench.state("m0", false, 1024),
            false => [bench.state("m0", false, 2048), left(bench, before)].concat(),
        },
    );
    bench.end("reload");
}

fn of_remove(lab: &Lab) {
    let mut bench = Bench::new(lab);
    bench.each_call(
        |bench| {
            let none = nothing(bench);
            bench
                .daemon
                .create(&format!("m0: {}", bench.table()))
                .expect("a mirror");
            (
                bench.daemon.find("m0").expect("the mirror"),
                none,
                nothing(bench),
            )
        },
        |bench, (serial, ..)| bench.daemon.verb(serial, "remove"),
        |bench, (_, none, before), done| match done {
            true => left(bench, none),
            false => [bench.state("m0", false, 1024), left(bench, before)].concat(),
        },
    );
    bench.end("remove");
}

fn of_rename(lab: &Lab) {
    let mut bench = Bench::new(lab);
    bench.each_call(
        |bench| bench.mirror(),
        |bench, serial| bench.daemon.rename(serial, "m1"),
        |bench, _, done| bench.state(if done { "m1" } else { "m0" }, false, 2048),
    );
    bench.end("rename");
}

fn of_suspend(lab: &Lab) {
    let mut bench = Bench::new(lab);
    bench.each_call(
        |bench| bench.mirror(),
        |bench, serial| bench.daemon.verb(serial, "suspend"),
        |bench, _, done| bench.state("m0", done, 2048),
    );
    bench.end("suspend");
}

fn of_resume(lab: &Lab) {
    let mut bench = Bench::new(lab);
    bench.each_call(
        |bench| {
            let serial = bench.mirror();
            bench.daemon.verb(serial, "suspend").expect("suspended");
            serial
        },
        |bench, serial| bench.daemon.verb(serial, "resume"),
        |bench, _, done| bench.state("m0", !done, 2048),
    );
    bench.end("resume");
}

fn a_delayed_create_goes_on(lab: &Lab) {
    let bench = Bench::new(lab);
    bench.engine.delay(Op::Load, 1, Duration::from_millis(1500));
    let desk = Desk::open().expect("a desk");
    let (daemon, line) = (Arc::clone(&bench.daemon), format!("m0: {}", bench.table()));
    let (send, answers) = mpsc::channel();
    let start = Instant::now();
    desk.run(
        Duration::from_millis(300),
        move || daemon.create(&line),
        move |answer| send.send(answer).expect("sent"),
    );
    let answer = answers
        .recv()
        .expect("an answer")
        .map_err(|error| error.errno());
    let waited = start.elapsed();
    assert_eq!(answer, Err(Errno::EINPROGRESS));
    assert!(
        waited >= Duration::from_millis(300) && waited < Duration::from_millis(1400),
        "{waited:?}"
    );
    // Until then its name and its disks are taken.
    let refused = |line: String| bench.daemon.create(&line).map_err(|error| error.errno());
    let other = format!("0 64 mirror core 1 8 2 {} 0 {} 0", lab.disk(2), lab.disk(1));
    assert_eq!(refused(format!("m0: {other}")), Err(Errno::EEXIST));
    assert_eq!(refused(format!("m1: {other}")), Err(Errno::EBUSY));
    let told =
        || String::from_utf8_lossy(&bench.daemon.events.read(0, 4096)).contains(" m0 created ");
    wait_for("the event", told);
    assert_eq!(bench.state("m0", false, 1024), Vec::<String>::new());
    let serial = bench.daemon.find("m0").expect("the mirror");
    bench.daemon.verb(serial, "remove").expect("removed");
    assert!(!Path::new(&bench.log()).exists());
}

fn a_delayed_verb_keeps_others_out(lab: &Lab) {
    let bench = Bench::new(lab);
    let serial = bench.mirror();
    bench
        .engine
        .delay(Op::Suspend, 1, Duration::from_millis(1000));
    thread::scope(|scope| {
        let verb = scope.spawn(|| bench.daemon.verb(serial, "suspend"));
        wait_for("it runs", || bench.daemon.registry.is_running(serial));
        for other in ["resume", "remove", "suspend"] {
            let error = bench.daemon.verb(serial, other).expect_err(other);
            assert_eq!(error.errno(), Errno::EBUSY, "{error}");
        }
        let renamed = bench.daemon.rename(serial, "m1").expect_err("it runs");
        let table = format!(
            "0 8192 mirror core 1 1024 2 {} 0 {} 0",
            lab.disk(2),
            lab.disk(3)
        );
        let reloaded = bench.daemon.reload(serial, &table).expect_err("it runs");
        assert_eq!(
            (renamed.errno(), reloaded.errno()),
            (Errno::EBUSY, Errno::EBUSY)
        );
        assert!(bench.daemon.registry.known(serial).running.is_some());
        verb.join().expect("no panic").expect("suspended");
    });
    assert_eq!(bench.state("m0", true, 2048), Vec::<String>::new());
    for verb in ["resume", "remove"] {
        bench.daemon.verb(serial, verb).expect(verb);
    }
}
