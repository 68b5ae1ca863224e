//! A daemon that is to be killed: this program once more, as a child. It runs the
//! daemon without FUSE over an engine that stops before a certain call, says when it
//! is there, and waits for its end.

use std::env;
use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::thread::{sleep, spawn};
use std::time::Duration;

use libc::O_DIRECT;
use mirrorfs::command::{logging, panics};
use mirrorfs::daemon::Daemon;
use mirrorfs::daemon::admission::permission::Caller;
use mirrorfs::daemon::mirrors::query::Detail;
use mirrorfs::daemon::records::store::Records;
use mirrorfs::engine::Engine;
use mirrorfs::engine::inject::{Inject, Op};
use mirrorfs::engine::kernel::Kernel;
use mirrorfs::engine::kernel::devices::Looped;
use mirrorfs::error::{Errno, Result};
use mirrorfs::model::snapshot::Part;

use crate::lab::wait_for;

/// The first argument of a program that is such a daemon.
pub const WORD: &str = "--crashable";

/// Longer than any test.
const FOR_EVER: Duration = Duration::from_secs(86_400);

/// The calls that it may stop before.
const OPS: [Op; 12] = [
    Op::List,
    Op::Info,
    Op::Status,
    Op::Table,
    Op::Deps,
    Op::Create,
    Op::Load,
    Op::Clear,
    Op::Suspend,
    Op::Resume,
    Op::Remove,
    Op::Rename,
];

/// The child, seen from the test.
pub struct CrashableDaemon {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl CrashableDaemon {
    /// A daemon with this state directory that has made the mirror of the line
    /// `first`, if that is not empty, and copied all of it.
    pub fn new(state: &Path, first: &str) -> CrashableDaemon {
        CrashableDaemon::telling(state, first, Stdio::inherit())
    }

    /// The same; what it logs goes there.
    pub fn telling(state: &Path, first: &str, log: Stdio) -> CrashableDaemon {
        let program = env::current_exe().expect("a program");
        let mut child = Command::new(program)
            .arg(WORD)
            .arg(state)
            .arg(first)
            .stderr(log)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a child");
        let input = child.stdin.take().expect("a pipe");
        let output = BufReader::new(child.stdout.take().expect("a pipe"));
        let mut crashable = CrashableDaemon {
            child,
            input,
            output,
        };
        assert_eq!(crashable.line(), "ready");
        crashable
    }

    /// Let it write `line` to what `file` names and stop before the `nth` call of
    /// `op`; without one it comes to the end. What it says then.
    pub fn work(&mut self, file: &str, line: &str, stop: Option<(&str, usize)>) -> String {
        let (op, nth) = stop.unwrap_or(("-", 0));
        writeln!(self.input, "{op} {nth} {file} {line}").expect("it listens");
        self.line()
    }

    /// Wait until another thread of it than that of [`CrashableDaemon::work`] has stopped.
    pub fn wait_there(&mut self) {
        assert_eq!(self.line(), "there");
    }

    /// Let it do something first, one of the orders in [`prepare`].
    pub fn prepare(&mut self, order: &str) {
        writeln!(self.input, "first {order}").expect("it listens");
        assert_eq!(self.line(), "prepared", "{order}");
    }

    /// Its number.
    pub fn pid(&self) -> i32 {
        self.child.id() as i32
    }

    /// Whether it has ended by itself, and by which signal.
    pub fn ended(&mut self) -> Option<Option<i32>> {
        let status = self.child.try_wait().expect("a child");
        status.map(|status| status.signal())
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).expect("it speaks");
        line.trim_end().into()
    }

    /// SIGKILL, and wait for its end.
    pub fn kill(&mut self) {
        self.child.kill().expect("it lives");
        self.child.wait().expect("a child");
    }
}

impl Drop for CrashableDaemon {
    /// A test that failed must not leave it holding what others need.
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What the child does with its arguments.
pub fn main(mut words: impl Iterator<Item = String>) -> ! {
    let (state, first) = (words.next().expect("a folder"), words.next());
    let engine = Arc::new(Inject::new(Kernel::open().expect("device-mapper")));
    let daemon = daemon(&engine, Path::new(&state));
    if let Some(line) = first.filter(|line| !line.is_empty()) {
        make(&daemon, &line);
    }
    println!("ready");
    let mut order = read_order();
    while let Some(first) = order.strip_prefix("first ") {
        prepare(&engine, &daemon, first.trim_end());
        order = read_order();
    }
    let mut words = order.trim_end().splitn(4, ' ');
    let mut word = || words.next().unwrap_or_default();
    let (op, nth, file, line) = (word(), word(), word(), word());
    stop_before(&engine, op, nth.parse().expect("a number"));
    let made = engine.calls().len();
    let done = work(&daemon, file, line);
    let calls = engine.calls().split_off(made);
    let calls: Vec<String> = calls.iter().map(|op| format!("{op:?}")).collect();
    match done {
        Ok(()) => println!("done {}", calls.join(" ")),
        Err(error) => println!("failed: {error}"),
    }
    sleep(FOR_EVER);
    unreachable!("nobody waits that long");
}

fn read_order() -> String {
    let mut order = String::new();
    std::io::stdin().read_line(&mut order).expect("an order");
    order
}

/// What it does before it works: `fail OP NTH`, a call fails with EIO; `hang DEVICE`,
/// a thread waits for what is read from a device, whatever signal there is; `start`, the
/// watch is started; `watch OP NTH`, it panics in a call. It says so once it is done, and
/// before a watch that may end it at once.
fn prepare(engine: &Arc<Inject<Kernel>>, daemon: &Arc<Daemon>, order: &str) {
    let words: Vec<&str> = order.split(' ').collect();
    let op = || op(words[1]).expect(words[1]);
    let nth = || words[2].parse().expect("a number");
    match words[0] {
        "fail" => engine.fail(op(), nth(), Errno::EIO),
        "hang" => hang(words[1]),
        "start" => daemon.start().expect("a watch"),
        "watch" => {
            logging::start(0);
            panics::abort();
            engine.panic(op(), nth());
            println!("prepared");
            daemon.start().expect("a watch");
            return;
        }
        other => panic!("{other}?"),
    }
    println!("prepared");
}

/// Past the cache nobody can interrupt it.
fn hang(device: &str) {
    let mut options = OpenOptions::new();
    let options = options.read(true).custom_flags(O_DIRECT);
    let file = options.open(device).expect(device);
    spawn(move || drop(probe(&file)));
    wait_for("it hangs", || {
        let tasks = fs::read_dir("/proc/self/task").expect("threads").flatten();
        let stats = tasks.filter_map(|task| fs::read_to_string(task.path().join("stat")).ok());
        stats.into_iter().any(|stat| stat.contains(") D "))
    });
}

fn probe(file: &File) -> std::io::Result<usize> {
    let mut room = [0; 8192];
    let at = room.as_ptr().align_offset(4096);
    file.read_at(&mut room[at..at + 4096], 0)
}

fn daemon(engine: &Arc<Inject<Kernel>>, state: &Path) -> Arc<Daemon> {
    fs::create_dir_all(state).expect("a state directory");
    let shared: Arc<dyn Engine> = Arc::<Inject<Kernel>>::clone(engine);
    let devices = Arc::<Looped>::default();
    Daemon::new(shared, devices, Records::below(state)).expect("a daemon")
}

fn make(daemon: &Arc<Daemon>, line: &str) {
    let name = daemon.create(&Caller::daemon(), line).expect(line);
    let mirror_id = daemon.view.find(&name).expect("the mirror");
    wait_for("in sync", || {
        let snapshot = daemon.view.snapshot(mirror_id, Detail::Kernel);
        snapshot.is_ok_and(|snapshot| snapshot.parts.iter().all(Part::is_in_sync))
    });
}

fn op(word: &str) -> Option<Op> {
    OPS.into_iter().find(|op| format!("{op:?}") == word)
}

/// Say so once it waits there.
fn stop_before(engine: &Arc<Inject<Kernel>>, op: &str, nth: usize) {
    let Some(op) = self::op(op) else {
        return;
    };
    let count = move |engine: &Inject<Kernel>| {
        let calls = engine.calls();
        calls.iter().filter(|other| **other == op).count()
    };
    let wanted = count(engine) + nth;
    engine.delay(op, nth, FOR_EVER);
    let engine = Arc::clone(engine);
    spawn(move || {
        while count(&engine) < wanted {
            sleep(Duration::from_millis(2));
        }
        println!("there");
    });
}

fn work(daemon: &Arc<Daemon>, file: &str, line: &str) -> Result<()> {
    let mirror_id = |name: &str| daemon.view.find(name).expect("the mirror");
    match file {
        "new" => daemon.create(&Caller::daemon(), line).map(drop),
        "ctl" => daemon.verb(&Caller::daemon(), mirror_id("m"), line),
        "table" => daemon.reload(&Caller::daemon(), mirror_id("m"), line),
        "name" => daemon.rename(mirror_id("m"), line),
        "mkdir" => daemon.create_empty(line, Default::default()).map(drop),
        other => panic!("{other}?"),
    }
}
