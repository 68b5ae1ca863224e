//! A log server of one machine, `mirrorfs-logd --local`, and mirrors whose log it has.

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use super::dm::{create, dm};
use super::shell::attempt;
use super::{Lab, state, wait_longer};

/// The command under test; none where it was not built.
const COMMAND: Option<&str> = option_env!("CARGO_BIN_EXE_mirrorfs-logd");

/// Sectors of a region, in the tables of these tests.
pub const REGION: u64 = 128;

/// For tests of the log server.
pub fn not_built() -> Option<&'static str> {
    COMMAND
        .is_none()
        .then_some("the log server is built with `--features cluster` alone")
}

/// The server, and the devices that need it to go.
pub struct Logd {
    folder: PathBuf,
    log: PathBuf,
    server: Option<Child>,
}

impl Logd {
    /// One that runs.
    pub fn start(lab: &Lab) -> Logd {
        let mut logd = Logd {
            folder: lab.path("logd"),
            log: lab.path("logd.log"),
            server: None,
        };
        dm("targets");
        attempt("modprobe dm-log-userspace");
        logd.run();
        logd
    }

    /// Start one, which is not there; it listens once this is back.
    pub fn run(&mut self) {
        let said = fs::File::options()
            .create(true)
            .append(true)
            .open(&self.log);
        let mut command = Command::new(COMMAND.expect("built"));
        command
            .args(["--local", "-v", "--state-dir"])
            .arg(&self.folder);
        command.env("RUST_BACKTRACE", "0").stdout(Stdio::null());
        let before = self.said().matches(SERVES).count();
        let server = command.stderr(said.expect("a log")).spawn();
        self.server = Some(server.expect("the log server"));
        wait_longer(30, "the log server listens", || {
            self.said().matches(SERVES).count() > before
        });
    }

    /// Kill it; it is gone once this is back.
    pub fn kill(&mut self) {
        if let Some(mut server) = self.server.take() {
            server.kill().expect("killed");
            server.wait().expect("waited for");
        }
    }

    /// It knows nothing any more once it is started again.
    pub fn forget(&self) {
        for entry in fs::read_dir(&self.folder).expect("the folder").flatten() {
            fs::remove_file(entry.path()).expect("removed");
        }
    }

    /// How many logs it remembers.
    pub fn kept(&self) -> usize {
        let entries = fs::read_dir(&self.folder).expect("the folder").flatten();
        let kept = entries.filter(|entry| entry.path().extension().is_some());
        kept.count()
    }

    /// What it has logged.
    pub fn said(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }
}

/// What it says once it listens.
const SERVES: &str = "serves the logs of this machine alone";

impl Drop for Logd {
    /// Nothing goes without it: a device waits for ever. It is killed last.
    fn drop(&mut self) {
        if self.server.is_none() {
            self.run();
        }
        if std::thread::panicking() {
            eprintln!("--- the log server:\n{}", self.said());
        }
        for name in state::made() {
            attempt(&format!("timeout 60 dmsetup remove --retry {name}"));
        }
        self.kill();
        attempt(&format!(
            "rm -rf {} {}",
            self.folder.display(),
            self.log.display()
        ));
    }
}

/// The table of a mirror of two legs from their beginnings with a log of the server's.
pub fn table(legs: [&str; 2], sectors: u64, log: &str) -> String {
    let [one, other] = legs;
    let count = log.split(' ').count();
    format!("0 {sectors} mirror userspace {count} {log} 2 {one} 0 {other} 0 1 handle_errors")
}

/// The words of a log in memory, or on this device.
pub fn log(name: &str, device: Option<&str>) -> String {
    match device {
        Some(device) => format!("{name} integrated_flush clustered-disk {device} {REGION}"),
        None => format!("{name} integrated_flush clustered-core {REGION}"),
    }
}

/// A device with such a table, and its node.
pub fn made(name: &str, table: &str) -> String {
    create(name, "", table);
    format!("/dev/mapper/{name}")
}

/// How many regions are in sync, of how many.
pub fn in_sync(name: &str) -> (u64, u64) {
    let (status, text) = attempt(&format!("timeout 40 dmsetup status {name}"));
    assert_eq!(status, 0, "the status of {name}: {text}");
    let words = text.split_whitespace();
    let counted = words.filter_map(|word| word.split_once('/'));
    let mut counted = counted.filter_map(|(of, all)| Some((of.parse().ok()?, all.parse().ok()?)));
    counted.next().unwrap_or_else(|| panic!("{name}: {text}"))
}

/// Wait until all of it is in sync.
pub fn wait_whole(name: &str) {
    wait_longer(120, "all regions in sync", || {
        let (done, all) = in_sync(name);
        done == all
    });
}
