//! A load that checks what it reads: fio writes a file all over in random order,
//! reads what it wrote while it goes on and once more at the end, and begins anew.

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// Bytes of its file.
const SIZE: &str = "4M";

/// What all runs have in common: past the page cache, the first wrong block ends it.
const COMMON: [&str; 9] = [
    "--name=load",
    "--bs=4k",
    "--ioengine=libaio",
    "--iodepth=8",
    "--direct=1",
    "--verify=crc32c",
    "--verify_fatal=1",
    "--randrepeat=0",
    "--output-format=json",
];

/// Passes one after the other, until they are to end.
pub struct Fio {
    over: Arc<AtomicBool>,
    passes: Arc<AtomicU64>,
    thread: Option<JoinHandle<Result<Duration, String>>>,
}

impl Fio {
    /// Load a folder.
    pub fn start(folder: &str) -> Fio {
        let (over, passes) = (Arc::<AtomicBool>::default(), Arc::<AtomicU64>::default());
        let (stop, done, folder) = (Arc::clone(&over), Arc::clone(&passes), folder.to_owned());
        let thread = thread::spawn(move || {
            let mut longest = Duration::ZERO;
            // At least one whole pass, however soon the verbs are done.
            while !stop.load(Ordering::Relaxed) || done.load(Ordering::Relaxed) == 0 {
                let words = ["--rw=randwrite", "--verify_backlog=256", "--fsync=128"];
                longest = longest.max(pass(&folder, &words)?);
                done.fetch_add(1, Ordering::Relaxed);
            }
            Ok(longest)
        });
        Fio {
            over,
            passes,
            thread: Some(thread),
        }
    }

    /// Whether a pass failed, which ends it.
    pub fn has_ended(&self) -> bool {
        self.thread.as_ref().is_some_and(JoinHandle::is_finished)
    }

    /// Let the pass that runs come to its end; how many there were, and the longest
    /// that a write took.
    pub fn end(&mut self) -> (u64, Duration) {
        self.over.store(true, Ordering::Relaxed);
        let thread = self.thread.take().expect("it ends once");
        let ended = thread.join().expect("no panic");
        let longest = ended.unwrap_or_else(|error| panic!("fio: {error}"));
        (self.passes.load(Ordering::Relaxed), longest)
    }
}

impl Drop for Fio {
    /// A test that failed must not go on loading.
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
    }
}

/// Panics where a block of the folder's file is not as fio wrote it.
pub fn verify(folder: &str) {
    if let Err(error) = pass(folder, &["--rw=read"]) {
        panic!("fio does not find what it wrote: {error}");
    }
}

/// One run; the longest that a write took, or what fio says.
fn pass(folder: &str, words: &[&str]) -> Result<Duration, String> {
    let file = format!("--filename={folder}/load");
    let mut command = Command::new("fio");
    command
        .args(COMMON)
        .arg(format!("--size={SIZE}"))
        .arg(file)
        .args(words);
    let result = command.output().map_err(|error| error.to_string())?;
    let text = String::from_utf8_lossy(&result.stdout).into_owned();
    if !result.status.success() {
        let said = String::from_utf8_lossy(&result.stderr).into_owned();
        return Err(format!("{}: {said}{text}", result.status));
    }
    longest_write(&text).ok_or(text)
}

/// fio puts a line of its own before the JSON now and then.
fn longest_write(text: &str) -> Option<Duration> {
    let json = text.get(text.find('{')?..)?;
    let json: serde_json::Value = serde_json::from_str(json).ok()?;
    let nanos = json["jobs"][0]["write"]["lat_ns"]["max"].as_u64()?;
    Some(Duration::from_nanos(nanos))
}
