//! A server and a kernel that asks it.

mod disk;
mod kernel;
mod tables;
mod two;

use super::act::Act;
use super::record::{Kept, Record};
use crate::cluster::state::State;
use kernel::{Kernel, alone};

/// The words of a log of 64 regions in memory, and on a disk.
const CORE: &str = "512 clustered-core 8";
const DISK: &str = "512 clustered-disk 7:1 8";

impl Kernel {
    /// One whose device runs with a log that is new.
    fn running(words: &str) -> Kernel {
        let mut kernel = Kernel::new(alone());
        kernel.load(1, words);
        kernel.resume(1);
        kernel
    }
}

/// The state that a server has of the log.
fn known(kernel: &Kernel) -> Option<State> {
    match kernel.server.kept("log") {
        Some(Record::All(kept)) => kept.replica.state,
        _ => None,
    }
}

#[test]
fn a_mirror_is_copied_region_by_region() {
    let mut kernel = Kernel::running(CORE);
    assert_eq!(kernel.number(1, 14, &[]), 0, "in sync");
    for region in 0..64 {
        assert_eq!(kernel.number(1, 8, &[region]), 0, "{region}");
        assert_eq!(kernel.numbers(1, 12, &[]), [1, region]);
        assert_eq!(kernel.numbers(1, 12, &[]), [1, region], "asked once more");
        kernel.done(1, 13, &[region, 1]);
        assert_eq!(kernel.number(1, 8, &[region]), 1, "{region}");
    }
    assert_eq!(kernel.numbers(1, 12, &[]), [0, 0]);
    assert_eq!(kernel.number(1, 14, &[]), 64);
    assert_eq!(kernel.text(1, 15), "1 clustered-core\0");
    assert_eq!(kernel.text(1, 16), format!("{CORE}\0"));
    assert_eq!(kernel.number(1, 6, &[]), 8);
}

#[test]
fn what_is_none_is_refused_and_what_is_not_known_has_to_be_made_again() {
    let mut kernel = Kernel::new(alone());
    for words in ["", "512", "512 core 8", "512 clustered-core 3"] {
        let answer = kernel.ask(1, 1, words.as_bytes());
        assert_eq!(answer.unwrap().errno, -22, "{words}");
    }
    let is_forgotten = |act: &Act| matches!(act, Act::Leave(_));
    assert!(kernel.acts.iter().any(is_forgotten));
    for kind in (3..=17).filter(|kind| *kind != 13) {
        let answer = kernel.ask(1, kind, &[0; 8]).unwrap();
        assert_eq!(answer.errno, -3, "{kind}");
    }
    kernel.load(1, CORE);
    let other = kernel.ask(2, 8, &[0; 8]).unwrap();
    assert_eq!((other.errno, other.data.len()), (-3, 8));
    assert_eq!(kernel.ask(1, 99, &[]).unwrap().errno, -22);
    assert_eq!(kernel.ask(7, 2, &[]).unwrap().errno, 0, "what is gone");
}

#[test]
fn the_next_server_knows_all_that_was_answered() {
    let mut kernel = Kernel::running(CORE);
    for region in 0..20 {
        kernel.numbers(1, 12, &[]);
        kernel.done(1, 13, &[region, 1]);
    }
    kernel.numbers(1, 12, &[]);
    kernel.done(1, 10, &[3, 9]);
    kernel.done(1, 11, &[3]);
    let all = known(&kernel);
    kernel.restart();
    assert_eq!(known(&kernel), all);
    // It goes on as if nothing had been.
    assert_eq!(kernel.numbers(1, 12, &[]), [1, 20]);
    assert_eq!(kernel.number(1, 14, &[]), 20);
    assert_eq!(kernel.number(1, 7, &[9]), 0);
    assert_eq!(kernel.number(1, 7, &[3]), 1);
    let all = known(&kernel);
    // Its kernel makes the log again where nobody had heard it.
    kernel.again(1, CORE);
    assert_eq!(known(&kernel), all);
}

#[test]
fn what_is_kept_at_any_time_is_what_is_known_then() {
    let mut kernel = Kernel::running(DISK);
    for region in 0..30 {
        kernel.numbers(1, 12, &[]);
        kernel.done(1, 13, &[region, (region % 3).min(1)]);
        kernel.done(1, 9, &[region]);
        let known = kernel.server.kept("log");
        let kept = Record::All(Box::new(Kept::of(kernel.records.clone())));
        assert_eq!(Some(kept), known, "{region}");
    }
    kernel.done(1, 3, &[]);
    kernel.done(1, 4, &[]);
    kernel.done(1, 2, &[]);
    assert_eq!(kernel.server.kept("log"), None);
    assert!(kernel.records.is_empty(), "forgotten");
}
