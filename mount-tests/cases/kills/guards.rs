//! What holds when the daemon goes at a bad moment and nobody mounts again: writes
//! go on, and nobody is left who waits.

use std::fs;
use std::time::{Duration, Instant};

use super::crashable::CrashableDaemon;
use super::invariants::shape;
use crate::cases::failover::rig::NO_IO;
use crate::cases::records::lasting;
use crate::lab::Lab;
use crate::lab::case::{Case, kernel_only};
use crate::lab::dm::{dm, run};
use crate::lab::mount::{Mount, ended};
use crate::lab::shell::{Undo, attempt, output};
use crate::lab::writer::Writer;
use crate::lab::{wait_for, wait_longer};

pub const CASES: &[Case] = &[
    kernel_only("between_suspend_and_resume", NO_IO, between),
    kernel_only("with_a_thread_that_hangs", NO_IO, with_a_hung_thread),
    kernel_only("with_a_resume_that_failed", NO_IO, with_a_failed_resume),
    kernel_only("after_the_resume", NO_IO, after_the_resume),
    kernel_only("of_one_that_lives", NO_IO, of_one_that_lives),
    kernel_only("a_suspend_by_request", NO_IO, by_request),
    kernel_only(
        "a_panic_in_the_watch",
        "the watch is the same on both",
        panic,
    ),
    kernel_only("sigchld_ignored", NO_IO, sigchld_ignored),
];

/// How long a writer may wait when the daemon is killed.
const SOON: Duration = Duration::from_secs(2);

const FOR_WRITERS: &str = "/dev/mapper/m";

/// A daemon with a mirror `m` that is in sync.
struct Bench {
    mount: Mount,
    crashable: CrashableDaemon,
    table: String,
}

impl Bench {
    fn new(lab: &Lab) -> Bench {
        let mount = lasting(lab);
        let [one, other] = [0, 1].map(|number| lab.zeroed(number));
        let log = mount.scratch("log");
        let line = format!("m: 0 8192 mirror disk 2 {log} 256 2 {one} 0 {other} 0 1 handle_errors");
        let crashable = CrashableDaemon::new(&mount.state(), &line);
        let table = shape();
        Bench {
            mount,
            crashable,
            table,
        }
    }

    /// Kill it under a writer that waits; the mirror is the old one.
    fn kill_under_a_writer(mut self, pid: i32) {
        let writer = Writer::start(FOR_WRITERS, 1 << 20);
        assert!(writer.is_held(), "nothing holds the writer");
        let (before, start) = (writer.count(), Instant::now());
        output(&format!("kill -9 {pid}"));
        while writer.count() == before {
            assert!(start.elapsed() < SOON, "the writer waits: {}", state());
            std::thread::sleep(Duration::from_millis(2));
        }
        println!("a writer went on after {:?}", start.elapsed());
        writer.wait_for(20);
        let written = writer.end();
        assert!(written.error.is_none(), "{:?}", written.error);
        written.assert_on(FOR_WRITERS);
        assert_eq!(shape(), self.table);
        assert!(
            state().contains("Active") && !state().contains("None"),
            "{}",
            state()
        );
        nobody_waits();
        self.crashable.kill();
        self.end();
    }

    fn end(self) {
        drop(self.crashable);
        self.mount.mount("");
        self.mount.write("m/ctl", "remove");
    }
}

/// Whether it is suspended, and what tables it has.
fn state() -> String {
    dm("info -c --noheadings -o suspended,tables_loaded m")
}

fn nobody_waits() {
    wait_for("the child of the suspend ends", || !waits());
}

/// Whether somebody stays who suspended a device. A zombie waits for nothing but its
/// parent's end.
fn waits() -> bool {
    let all = attempt("ps -C dm-suspend -o stat=").1;
    all.lines().any(|line| !line.starts_with('Z'))
}

/// The children of a process, dead ones too.
fn children(pid: i32) -> String {
    attempt(&format!("ps -o pid=,stat=,comm= --ppid {pid}")).1
}

fn between(lab: &Lab) {
    let mut bench = Bench::new(lab);
    assert_eq!(
        bench.crashable.work("ctl", "finish", Some(("Resume", 1))),
        "there"
    );
    assert!(waits(), "{}", state());
    let pid = bench.crashable.pid();
    bench.kill_under_a_writer(pid);
}

/// A process goes when its last thread does, and a thread that reads from a dead disk
/// may never.
fn with_a_hung_thread(lab: &Lab) {
    let disk = lab.disk(2);
    output(&format!(
        "dmsetup create below --table '0 64 linear {disk} 0'"
    ));
    let _below = Undo("dmsetup remove --retry below".into());
    let mut bench = Bench::new(lab);
    // The shape of before knows nothing of it.
    bench.table = shape();
    output("dmsetup suspend below");
    let resumed = Undo("dmsetup resume below".into());
    bench.crashable.prepare("hang /dev/mapper/below");
    assert_eq!(
        bench.crashable.work("ctl", "finish", Some(("Resume", 1))),
        "there"
    );
    let pid = bench.crashable.pid();
    // What waits for its end must not wait for the thread that hangs.
    let release = std::thread::spawn(move || {
        wait_longer(20, "the child has ended", || !waits());
        drop(resumed);
    });
    bench.kill_under_a_writer(pid);
    release.join().expect("no panic");
}

/// The plan fails and its undoing too: who suspended stays, and resumes at the end.
fn with_a_failed_resume(lab: &Lab) {
    let mut bench = Bench::new(lab);
    bench.crashable.prepare("fail Resume 1");
    bench.crashable.prepare("fail Resume 2");
    let said = bench.crashable.work("ctl", "finish", None);
    assert!(said.starts_with("failed"), "{said}");
    assert!(waits(), "{}", state());
    let pid = bench.crashable.pid();
    bench.kill_under_a_writer(pid);
}

/// Killed when the resume is done and before it was told: what runs by then stays as
/// it is.
fn after_the_resume(lab: &Lab) {
    let mut bench = Bench::new(lab);
    assert_eq!(
        bench.crashable.work("ctl", "finish", Some(("Resume", 1))),
        "there"
    );
    dm("resume m");
    let finished = shape();
    assert!(finished.contains("linear"), "{finished}");
    // Somebody else's, who means to switch to it.
    run("dmsetup", &["load", "m", "--table", "0 8192 error"]);
    bench.crashable.kill();
    nobody_waits();
    assert_eq!(shape(), finished);
    assert!(dm("table --inactive m").contains("error"), "{}", state());
    dm("clear m");
    bench.end();
}

/// Each switch is followed by a resume, and who suspended is gone with it.
fn of_one_that_lives(lab: &Lab) {
    let mount = lab.mount();
    mount.write("new", &format!("m: {}", lab.equal(0, 1)));
    let add = format!("add {}", lab.disk(2));
    for verb in ["resync", "retry", &add, "drop 2", "suspend", "resume"] {
        if verb != "resume" {
            mount.wait_in_sync("m");
        }
        mount.write("m/ctl", verb);
        assert!(!waits(), "after {verb}");
        assert_eq!(children(mount.pid()), "", "after {verb}");
    }
    mount.write("m/ctl", "remove");
}

/// What somebody suspended stays suspended when the daemon goes.
fn by_request(lab: &Lab) {
    let mount = lab.mount();
    mount.write("new", &format!("m: {}", lab.equal(0, 1)));
    for verb in ["suspend", "suspend noflush"] {
        mount.write("m/ctl", verb);
        let pid = mount.pid();
        output(&format!("kill -9 {pid}"));
        ended(pid);
        std::thread::sleep(Duration::from_millis(500));
        assert!(state().contains("Suspended"), "{verb}: {}", state());
        mount.mount("");
        assert_eq!(mount.read("m/suspended"), "1\n");
        mount.write("m/ctl", "resume");
    }
    mount.write("m/ctl", "remove");
}

fn panic(lab: &Lab) {
    let mount = lab.mount();
    let log = mount.scratch("stderr");
    let file = fs::File::create(&log).expect("a file");
    let mut crashable = CrashableDaemon::telling(&mount.folder().join("other"), "", file.into());
    crashable.prepare("watch List 2");
    wait_for("it ends", || crashable.ended().is_some());
    assert_eq!(crashable.ended(), Some(Some(libc::SIGABRT)));
    let told = fs::read_to_string(&log).expect("what it logged");
    assert!(
        told.contains("`watch` panicked") && told.contains("List (injected)"),
        "{told}"
    );
}

/// Who starts it may ignore SIGCHLD; then nobody could wait for a child.
fn sigchld_ignored(lab: &Lab) {
    let leg = lab.fragile(1, 32768);
    let mount = Mount::new(lab, lab.engine);
    let ignore = "import os, signal, sys; signal.signal(signal.SIGCHLD, signal.SIG_IGN); \
                  os.execv(sys.argv[1], sys.argv[1:])";
    output(&format!("python3 -c '{ignore}' {}", mount.command("")));
    let (one, other) = (lab.zeroed(0), &leg.path);
    let table = format!("0 32768 mirror core 2 128 nosync 2 {one} 0 {other} 0 1 handle_errors");
    mount.write("new", &format!("m: {table}"));
    let writer = Writer::start(FOR_WRITERS, 1 << 20);
    writer.wait_for(20);
    leg.fail();
    writer.wait_for(200);
    wait_for("the leg is out", || {
        mount.read("m/health").starts_with("degraded\n")
    });
    assert!(
        mount.read("m/table").contains("linear"),
        "{}",
        mount.read("m/table")
    );
    let written = writer.end();
    assert!(written.error.is_none(), "{:?}", written.error);
    written.assert_on(FOR_WRITERS);
    mount.write("m/ctl", "remove");
}
