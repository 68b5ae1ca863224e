//! The disk log: what is there before an answer, and what may only come later.

use super::DISK;
use super::kernel::{Kernel, alone};
use crate::cluster::serve::act::{Act, Done};
use crate::text::disklog;

/// Whether the medium has a region as clean.
fn is_clean(kernel: &Kernel, region: u64) -> bool {
    let bits = disklog::bits(&kernel.medium, 64).expect("a log");
    disklog::is_clean(&bits, region)
}

/// One whose regions are all in sync, and clean on the disk.
pub fn clean() -> Kernel {
    let mut kernel = Kernel::running(DISK);
    for region in 0..64 {
        kernel.numbers(1, 12, &[]);
        kernel.done(1, 13, &[region, 1]);
    }
    kernel.tick();
    assert!((0..64).all(|region| is_clean(&kernel, region)));
    kernel
}

#[test]
fn a_mark_is_on_the_disk_before_it_is_answered() {
    let mut kernel = clean();
    kernel.disk = None;
    let first = kernel.send(1, 9, &7_u64.to_ne_bytes());
    let second = kernel.send(1, 10, &9_u64.to_ne_bytes());
    assert_eq!(kernel.jobs.len(), 1, "one at a time");
    assert_eq!((kernel.answer(first), kernel.answer(second)), (None, None));
    kernel.goes_on(Done::Written);
    assert!(kernel.answer(first).is_some() && kernel.answer(second).is_none());
    assert!(!is_clean(&kernel, 7) && is_clean(&kernel, 9));
    // What else is asked does not wait for it.
    assert_eq!(kernel.number(1, 8, &[9]), 1);
    kernel.goes_on(Done::Written);
    assert!(kernel.answer(second).is_some() && !is_clean(&kernel, 9));
    // What is dirty already needs no write.
    kernel.done(1, 10, &[9]);
}

#[test]
fn a_region_is_clean_on_the_disk_once_the_legs_are_flushed() {
    let mut kernel = clean();
    kernel.done(1, 9, &[7]);
    kernel.done(1, 11, &[7]);
    assert!(!is_clean(&kernel, 7), "not yet");
    kernel.acts.clear();
    kernel.disk = Some(Done::NotFlushed);
    kernel.tick();
    assert!(!is_clean(&kernel, 7), "a leg could not be flushed");
    kernel.disk = Some(Done::Written);
    kernel.tick();
    assert!(is_clean(&kernel, 7));
    let flushes = kernel.acts.iter().filter_map(|act| match act {
        Act::Write(_, job) => Some(job.flush.len()),
        _ => None,
    });
    assert_eq!(flushes.collect::<Vec<_>>(), [2, 2]);
}

#[test]
fn what_is_marked_while_it_becomes_clean_is_dirty_in_the_end() {
    for ends in [Done::Written, Done::NotFlushed, Done::Failed] {
        let mut kernel = clean();
        kernel.done(1, 9, &[7, 8]);
        kernel.done(1, 11, &[7, 8]);
        kernel.disk = None;
        kernel.tick();
        let mark = kernel.send(1, 9, &7_u64.to_ne_bytes());
        kernel.disk = Some(Done::Written);
        kernel.goes_on(ends);
        if ends == Done::Failed {
            assert_eq!(kernel.answer(mark).unwrap().errno, -5);
            kernel.done(1, 9, &[7]);
        }
        assert!(kernel.answer(mark).is_some(), "{ends:?}");
        assert!(!is_clean(&kernel, 7), "{ends:?}");
        kernel.tick();
        assert!(is_clean(&kernel, 8) && !is_clean(&kernel, 7), "{ends:?}");
    }
}

#[test]
fn a_disk_that_fails_lets_no_write_go_until_it_is_back() {
    let mut kernel = clean();
    kernel.disk = Some(Done::Failed);
    let mark = |kernel: &mut Kernel| kernel.ask(1, 9, &7_u64.to_ne_bytes()).unwrap().errno;
    assert_eq!(mark(&mut kernel), -5);
    assert_eq!(kernel.text(1, 15), "3 clustered-disk 7:1 D\0");
    assert_eq!(mark(&mut kernel), -5);
    kernel.suspend(1);
    kernel.resume(1);
    kernel.medium.fill(0xA5);
    kernel.disk = Some(Done::Written);
    assert_eq!(mark(&mut kernel), 0);
    assert_eq!(kernel.text(1, 15), "3 clustered-disk 7:1 A\0");
    assert!(!is_clean(&kernel, 7) && is_clean(&kernel, 8));
}

#[test]
fn the_disk_says_what_a_log_has_that_nobody_remembers() {
    let mut kernel = clean();
    kernel.done(1, 9, &[7]);
    let bits = disklog::bits(&kernel.medium, 64);
    let fresh = |clean, words: &str| {
        let mut kernel = Kernel::new(alone());
        kernel.looked.clean = clean;
        kernel.load(1, words);
        kernel.resume(1);
        (kernel.number(1, 14, &[]), kernel)
    };
    let (count, known) = fresh(bits.clone(), DISK);
    assert_eq!(count, 63);
    assert!(is_clean(&known, 8) && !is_clean(&known, 7), "as it was");
    assert_eq!(fresh(bits.clone(), &format!("{DISK} sync")).0, 0);
    assert_eq!(fresh(bits, &format!("{DISK} nosync")).0, 63);
    assert_eq!(fresh(None, &format!("{DISK} nosync")).0, 64);
    assert_eq!(fresh(None, DISK).0, 0);
}

#[test]
fn the_next_server_writes_all_that_this_one_had_not() {
    let mut kernel = clean();
    kernel.looked.clean = disklog::bits(&kernel.medium, 64);
    kernel.disk = None;
    let mark = kernel.send(1, 9, &7_u64.to_ne_bytes());
    kernel.disk = Some(Done::Written);
    kernel.restart();
    assert_eq!(kernel.answer(mark), None);
    assert!(!is_clean(&kernel, 7) && is_clean(&kernel, 8));
    kernel.done(1, 9, &[7]);
}

#[test]
fn a_log_that_moves_is_written_where_it_is_and_left_alone_where_it_was() {
    let mut kernel = clean();
    kernel.load(2, "512 clustered-disk 7:2 8");
    kernel.suspend(1);
    kernel.resume(2);
    kernel.acts.clear();
    kernel.done(1, 2, &[]);
    kernel.done(2, 9, &[7]);
    kernel.tick();
    let places = kernel.acts.iter().filter_map(|act| match act {
        Act::Write(_, job) => Some(job.device.to_string()),
        _ => None,
    });
    assert!(places.clone().count() > 0 && places.clone().all(|place| place == "7:2"));
    assert_eq!(kernel.number(2, 14, &[]), 64, "it stays in sync");
    // To memory: then nothing is written any more.
    kernel.load(3, super::CORE);
    kernel.suspend(2);
    kernel.resume(3);
    kernel.done(2, 2, &[]);
    kernel.acts.clear();
    kernel.done(3, 9, &[9]);
    kernel.tick();
    assert!(!kernel.acts.iter().any(|act| matches!(act, Act::Write(..))));
}

#[test]
fn a_log_of_another_size_is_written_anew_on_the_same_device() {
    let mut kernel = clean();
    kernel.load(2, "512 clustered-disk 7:1 16");
    kernel.suspend(1);
    kernel.resume(2);
    kernel.done(1, 2, &[]);
    assert_eq!(disklog::bits(&kernel.medium, 64), None, "that of before");
    let bits = disklog::bits(&kernel.medium, 32).expect("a log");
    assert_eq!(disklog::clean_regions(&bits, 32), 0);
}

#[test]
fn a_table_that_is_only_loaded_makes_nobody_wait_for_its_disk() {
    let mut kernel = Kernel::running(super::CORE);
    kernel.load(2, DISK);
    kernel.done(1, 9, &[7]);
}
