//! Logging: to standard error, and in the background to the journal.

use std::io::Write;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;

use env_logger::{Builder, Env};

/// Where systemd-journald takes lines from programs (sd_journal_stream_fd(3)).
const JOURNAL: &str = "/run/systemd/journal/stdout";

/// Name, unit, default priority (6: info), then: priorities are prefixed, and
/// forwarding to syslog, kernel log and console.
const HEADER: &str = "mirrorfs\n\n6\n1\n0\n0\n0\n";

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
        writeln!(out, "mirrorfs: {level}: {}", record.args())
    });
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
