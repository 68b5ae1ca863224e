//! The rows of the table: what hangs.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, sleep};
use std::time::Duration;

use super::WRITERS;
use super::bench::{
    BELOW, Bench, Column, SECTORS, below, hold_below, read_all, state_folder, timed, write,
};
use crate::lab::case::{Case, kernel_only};
use crate::lab::dm::{create, run};
use crate::lab::mount::Mount;
use crate::lab::shell::{Undo, attempt, output};
use crate::lab::{Lab, wait_for, wait_longer};

pub const CASES: &[Case] = &[
    kernel_only("a_log", WRITERS, log),
    kernel_only("a_leg", WRITERS, leg),
    kernel_only("a_probe", WRITERS, probe),
    kernel_only("the_state_directory", WRITERS, state),
    kernel_only("the_file_system_of_a_leg", WRITERS, file_system),
    kernel_only("a_restored_disk", WRITERS, restored),
    kernel_only("udev", WRITERS, udev).needing(no_udev),
    kernel_only("the_kernel_log", WRITERS, kernel_log),
    kernel_only("ten_thousand_pollers", WRITERS, pollers).within(600),
    kernel_only("a_hundred_callers", WRITERS, callers).within(600),
    kernel_only("a_reader_of_events", WRITERS, reader),
];

/// The device whose I/O waits from now on, until what is answered first is dropped; the
/// second removes it.
fn hung(lab: &Lab) -> (Undo, Undo) {
    let gone = below(lab);
    (hold_below(), gone)
}

/// A mirror `hung` of this table, which goes when what is answered is dropped.
fn make_hung(mount: &Mount, table: &str) -> Undo {
    mount.write("new", &format!("hung: {table}"));
    Undo("dmsetup remove --retry hung".into())
}

/// Wait until a verb on that mirror is seen to wait.
fn wait_for_verb(mount: &Mount) {
    wait_for("it is seen to wait", || {
        mount.read("hung/health").contains("has been running")
    });
}

fn log(lab: &Lab) {
    let (held, _gone) = hung(lab);
    let [one, other] = [1, 11].map(|disk| lab.disk(disk));
    let mut bench = Bench::new(lab);
    let _hung = make_hung(
        &bench.mount,
        &format!("0 {SECTORS} mirror core 2 1024 nosync 2 {one} 0 {other} 0 1 handle_errors"),
    );
    let table = format!("0 {SECTORS} mirror disk 2 {BELOW} 1024 2 {one} 0 {other} 0");
    thread::scope(|scope| {
        let path = bench.mount.path("hung/table");
        let verb = scope.spawn(move || fs::write(path, table + "\n"));
        wait_for_verb(&bench.mount);
        bench.measure("a log", &[]);
        drop(held);
        drop(verb.join().expect("no panic"));
    });
}

fn leg(lab: &Lab) {
    let (held, _gone) = hung(lab);
    let one = lab.disk(1);
    let mut bench = Bench::new(lab);
    let _hung = make_hung(
        &bench.mount,
        &format!("0 {SECTORS} mirror core 2 1024 nosync 2 {one} 0 {BELOW} 0 1 handle_errors"),
    );
    thread::scope(|scope| {
        scope.spawn(|| write(Path::new("/dev/mapper/hung")));
        sleep(Duration::from_millis(300));
        let path = bench.mount.path("hung/ctl");
        let verb = scope.spawn(move || fs::write(path, "suspend\n"));
        wait_for_verb(&bench.mount);
        bench.measure("a leg", &[]);
        drop(held);
        drop(verb.join().expect("no panic"));
        wait_longer(30, "it is suspended", || {
            attempt("dmsetup info -c --noheadings -o suspended hung")
                .1
                .contains("Suspended")
        });
        output("dmsetup resume hung");
    });
}

/// Whether a thread of the daemon has this name.
fn has_thread(mount: &Mount, name: &str) -> bool {
    let tasks = fs::read_dir(format!("/proc/{}/task", mount.pid()));
    let mut tasks = tasks.into_iter().flatten().flatten();
    tasks.any(|task| {
        let comm = fs::read_to_string(task.path().join("comm"));
        comm.is_ok_and(|comm| comm.trim() == name)
    })
}

fn probe(lab: &Lab) {
    let (held, _gone) = hung(lab);
    let (one, last) = (lab.disk(1), SECTORS - 8);
    let _sick = Undo("dmsetup remove --retry sick".into());
    output(&format!(
        "printf '0 {last} error\\n{last} 8 linear {BELOW} 0\\n' | dmsetup create --noudevsync sick && \
         dmsetup mknodes sick"
    ));
    let mut bench = Bench::new(lab);
    let _hung = make_hung(
        &bench.mount,
        &format!("0 {SECTORS} mirror core 1 1024 2 {one} 0 /dev/mapper/sick 0 1 handle_errors"),
    );
    wait_for("its legs are looked at", || {
        has_thread(&bench.mount, "listen")
    });
    bench.measure("a probe", &[]);
    drop(held);
}

fn state(lab: &Lab) {
    let (at, _undo) = state_folder(lab, 1);
    let mount = Mount::new_in(lab, lab.engine, &at);
    mount.mount("");
    let mut bench = Bench::on(lab, mount, 3);
    output(&format!("fsfreeze -f {at}"));
    let thawed = Undo(format!("fsfreeze -u {at}"));
    let first = bench.fail_one();
    println!(
        "slow|(the first, while the state directory hangs)|{} ms",
        first.as_millis()
    );
    assert!(first < Duration::from_millis(4500), "{first:?}");
    bench.measure("the state directory", &[Column::New]);
    drop(thawed);
}

fn file_system(lab: &Lab) {
    let served = lab.served("net", SECTORS * 512);
    let one = lab.disk(1);
    let mut bench = Bench::new(lab);
    let _hung = make_hung(
        &bench.mount,
        &format!(
            "0 {SECTORS} mirror core 2 1024 nosync 2 {one} 0 {} 0 1 handle_errors",
            served.file
        ),
    );
    let before = bench.mount.read("hung/legs/1/path");
    assert_eq!(before.trim(), served.file);
    let stopped = served.stop();
    // More than there are threads to answer.
    let took = timed(|| {
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| bench.mount.read("hung/health"));
            }
        });
    });
    assert!(
        took < Duration::from_secs(2),
        "health by eight took {took:?}"
    );
    let took = timed(|| read_all(&bench.mount.path("hung")));
    assert!(took < Duration::from_secs(2), "its own files took {took:?}");
    assert_eq!(bench.mount.read("hung/legs/1/path"), before);
    bench.measure("the file system of a leg", &[]);
    drop(stopped);
}

fn restored(lab: &Lab) {
    let gone = Undo("dmsetup remove --retry below".into());
    create(
        "below",
        "MAP-below",
        &format!("0 {SECTORS} linear {} 0", lab.zeroed(0)),
    );
    let mount = Mount::new_in(lab, lab.engine, "/var/tmp");
    mount.mount("");
    let one = lab.random(1, SECTORS * 512);
    mount.write("new", &format!("hung: {one} {BELOW} length=4M"));
    mount.write("hung/persist", "yes");
    mount.wait_in_sync("hung");
    mount.stop();
    output("dmsetup remove --retry hung; udevadm settle --timeout=20; dmsetup suspend below");
    let held = Undo("dmsetup resume below".into());
    let mut command = Command::new("bash");
    let command = command.args(["-c", &mount.command("")]);
    let mut child = command.stdin(Stdio::null()).spawn().expect("the command");
    wait_for("the tree is there", || mount.exists("new"));
    let mut bench = Bench::on(lab, mount, 1);
    bench.measure("a restored disk", &[]);
    drop(held);
    let _ = child.wait();
    attempt("dmsetup remove --retry hung");
    drop(gone);
}

/// Why there is no udev to be stopped.
fn no_udev() -> Option<&'static str> {
    let runs = attempt("pgrep -x udevd || pgrep -x systemd-udevd").0 == 0;
    (!runs).then_some("no udev runs here")
}

fn udev(lab: &Lab) {
    let mut bench = Bench::new(lab);
    attempt("udevadm settle --timeout=20");
    attempt("pkill -STOP -x udevd; pkill -STOP -x systemd-udevd");
    let goes_on = Undo("pkill -CONT -x udevd; pkill -CONT -x systemd-udevd; udevadm settle".into());
    let first = timed(|| {
        bench.mount.write("bystander/ctl", "suspend");
        bench.mount.write("bystander/ctl", "resume");
    });
    println!(
        "slow|(the first, while udev hangs)|{} ms",
        first.as_millis()
    );
    assert!(first < Duration::from_secs(5), "{first:?}");
    bench.measure("udev", &[]);
    drop(goes_on);
}

fn kernel_log(lab: &Lab) {
    let mut bench = Bench::new(lab);
    output("sysctl -q kernel.printk_devkmsg=on");
    let _as_before = Undo("sysctl -q kernel.printk_devkmsg=ratelimit".into());
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            let log = OpenOptions::new().write(true).open("/dev/kmsg");
            let mut log = log.expect("the kernel log");
            while !stop.load(Ordering::Relaxed) {
                // Each is a record, and none is shown on the console. They come faster than
                // anybody reads, and leave the processor to others too.
                for _ in 0..100 {
                    let _ = log.write_all(b"<7>noise\n");
                }
                sleep(Duration::from_millis(2));
            }
        });
        bench.measure("the kernel log", &[]);
        stop.store(true, Ordering::Relaxed);
    });
}

/// Opens a file so many times as a user, and polls all of it for ever: who is woken reads
/// and polls again.
const POLLS: &str = r#"
import os, resource, select, sys
path, count, user = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
resource.setrlimit(resource.RLIMIT_NOFILE, (count + 64, count + 64))
if user:
    os.setgid(user)
    os.setuid(user)
poll = select.epoll()
for _ in range(count):
    file = os.open(path, os.O_RDONLY)
    os.read(file, 4096)
    poll.register(file, select.EPOLLPRI)
print("ready", flush=True)
while True:
    for file, _ in poll.poll():
        os.lseek(file, 0, 0)
        os.read(file, 4096)
"#;

fn pollers(lab: &Lab) {
    let mut bench = Bench::new(lab);
    // A cheap one: in the guest the opening alone takes minutes.
    let path = bench.mount.path("bystander/suspended");
    // As many as the limits leave: of root, and of two users.
    let mut children: Vec<_> = [(8000, 0), (1000, 1001), (1000, 1002)]
        .iter()
        .map(|(count, user)| {
            let mut command = Command::new("python3");
            let command = command.args(["-c", POLLS]).arg(&path);
            let command = command.args([count.to_string(), user.to_string()]);
            command.stdout(Stdio::piped()).spawn().expect("python3")
        })
        .collect();
    for child in &mut children {
        let mut ready = [0; 5];
        let out = child.stdout.as_mut().expect("its output");
        std::io::Read::read_exact(out, &mut ready).expect("it is ready");
    }
    bench.measure("10,000 pollers", &[]);
    for mut child in children {
        let _ = child.kill();
        let _ = child.wait();
    }
}

fn callers(lab: &Lab) {
    const CALLERS: u64 = 100;
    let (held, _gone) = hung(lab);
    let _logs = Undo(format!(
        "for n in $(seq 0 {CALLERS}); do dmsetup remove --retry log$n; done 2>/dev/null"
    ));
    let mut bench = Bench::new(lab);
    let [one, other] = [1, 11].map(|disk| lab.disk(disk));
    for number in 0..CALLERS {
        let at = number * 8;
        let (name, table) = (format!("log{number}"), format!("0 8 linear {BELOW} {at}"));
        run(
            "dmsetup",
            &["create", "--noudevsync", &name, "--table", &table],
        );
    }
    run("dmsetup", &["mknodes"]);
    thread::scope(|scope| {
        for number in 0..CALLERS {
            let at = number * 128;
            let line = format!(
                "c{number}: 0 128 mirror disk 2 /dev/mapper/log{number} 64 2 {one} {at} {other} {at}\n"
            );
            let path = bench.mount.path("new");
            scope.spawn(move || fs::write(path, line));
        }
        sleep(Duration::from_millis(3000));
        bench.measure("100 callers", &[]);
        drop(held);
    });
    let remove = format!("for n in $(seq 0 {CALLERS}); do dmsetup remove --retry c$n; done");
    attempt(&format!("({remove}) 2>/dev/null"));
}

fn reader(lab: &Lab) {
    let mut bench = Bench::new(lab);
    let path = bench.mount.path("events");
    let files: Vec<File> = (0..100)
        .map(|_| File::open(&path).expect("events"))
        .collect();
    let nonsense = "nonsense\n".repeat(2000);
    let mut ctl = OpenOptions::new();
    let ctl = ctl.write(true).open(bench.mount.path("bystander/ctl"));
    let _ = ctl.expect("ctl").write(nonsense.as_bytes());
    bench.measure("a reader of events who does not read", &[]);
    drop(files);
}
