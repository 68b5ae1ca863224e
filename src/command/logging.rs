//! Logging: to standard error, and in the background to the journal. Lines wait in
//! a queue for whoever reads them: that may stand on the very mirror that the one
//! who logs is about to free.

use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::OnceLock;
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::time::Duration;

use crate::daemon::tasks::thread::spawn;
use crate::error::one_line;
use env_logger::{Builder, Env, Target};

/// Where systemd-journald takes lines from programs (sd_journal_stream_fd(3)).
const JOURNAL: &str = "/run/systemd/journal/stdout";

/// Name, unit, default priority (6: info), then: priorities are prefixed, and
/// forwarding to syslog, kernel log and console.
const HEADER: &str = "mirrorfs\n\n6\n1\n0\n0\n0\n";

/// Lines that wait; what comes when so many do is lost.
const ROOM: usize = 4096;

/// How long the end of the program waits for its last lines.
const FLUSH_WITHIN: Duration = Duration::from_millis(500);

static QUEUE: OnceLock<SyncSender<Item>> = OnceLock::new();

enum Item {
    Text(Vec<u8>),
    /// All before it was written.
    Mark(Sender<()>),
}

/// Start logging; `RUST_LOG` wins over `verbosity`.
pub fn start(verbosity: i8) {
    let filter = match verbosity {
        i8::MIN..=-1 => "error",
        0 => "warn,mirrorfs=info,fuser=error",
        1 => "info,mirrorfs=debug",
        _ => "trace",
    };
    let mut builder = Builder::from_env(Env::default().default_filter_or(filter));
    builder.format(|out, record| {
        let level = record.level().as_str().to_lowercase();
        let text = one_line(&record.args().to_string());
        writeln!(out, "mirrorfs: {level}: {text}")
    });
    if let Some(queue) = Queue::start() {
        builder.target(Target::Pipe(Box::new(queue)));
    }
    // A logger that is there already is as good.
    let _ = builder.try_init();
}

/// Lead standard error to the journal; false where there is none.
pub fn to_journal() -> bool {
    let Ok(mut stream) = UnixStream::connect(JOURNAL) else {
        return false;
    };
    let written = stream.write_all(HEADER.as_bytes()).is_ok();
    written && nix::unistd::dup2_stderr(stream.as_fd()).is_ok()
}

/// Wait until what was logged is written, within reason.
pub fn finish() {
    let (send, receive) = channel();
    let sent = QUEUE.get().map(|queue| queue.try_send(Item::Mark(send)));
    if matches!(sent, Some(Ok(()))) {
        // Who does not read by then is not waited for.
        let _ = receive.recv_timeout(FLUSH_WITHIN);
    }
}

/// What the logger writes to.
struct Queue(SyncSender<Item>);

impl Queue {
    /// None where it was started before, or no thread can be had: then standard
    /// error itself is written to.
    fn start() -> Option<Queue> {
        let (send, receive) = sync_channel(ROOM);
        QUEUE.set(send.clone()).ok()?;
        let started = spawn("log", move || write(&receive));
        started.ok().map(|()| Queue(send))
    }
}

impl Write for Queue {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // A full queue means that nobody reads: the line is lost, and nobody waits.
        let _ = self.0.try_send(Item::Text(bytes.to_vec()));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn write(items: &Receiver<Item>) {
    for item in items {
        match item {
            Item::Text(bytes) => drop(io::stderr().write_all(&bytes)),
            Item::Mark(done) => drop(done.send(())),
        }
    }
}
