//! Tables that come and go, and those whose log is made once more.

use super::disk::clean;
use super::kernel::{Kernel, alone, zero_ended};
use super::{CORE, DISK};
use crate::cluster::serve::act::{Act, Done};
use crate::cluster::state::cure::Cure;

/// How much of a log is in sync.
fn in_sync(kernel: &mut Kernel, luid: u64) -> u64 {
    kernel.number(luid, 14, &[])
}

/// Copy all that there is to copy.
fn copy(kernel: &mut Kernel, luid: u64) {
    while let [1, region] = kernel.numbers(luid, 12, &[])[..] {
        kernel.done(luid, 13, &[region, 1]);
    }
}

#[test]
fn the_same_legs_stay_in_sync_and_others_are_not() {
    let mut kernel = Kernel::running(CORE);
    copy(&mut kernel, 1);
    let reload = |kernel: &mut Kernel, luid: u64, legs: &str| {
        kernel.load(luid + 1, CORE);
        kernel.suspend(luid);
        kernel.looked.legs = Some(legs.split(' ').map(String::from).collect());
        kernel.resume(luid + 1);
        kernel.done(luid, 2, &[]);
        in_sync(kernel, luid + 1)
    };
    assert_eq!(reload(&mut kernel, 1, "a b"), 64);
    assert_eq!(reload(&mut kernel, 2, "a c"), 0);
    copy(&mut kernel, 3);
    assert_eq!(reload(&mut kernel, 3, "a"), 64);
    assert_eq!(reload(&mut kernel, 4, "b a"), 0);
    copy(&mut kernel, 5);
    kernel.looked.legs = None;
    kernel.suspend(5);
    kernel.resume(5);
    assert_eq!(in_sync(&mut kernel, 5), 0, "nobody knows which they are");
}

#[test]
fn a_number_that_the_kernel_gives_again_is_another_table() {
    let mut kernel = Kernel::running(CORE);
    copy(&mut kernel, 1);
    kernel.suspend(1);
    // Nobody heard that it went.
    kernel.restart();
    kernel.load(1, "1024 clustered-core 8");
    kernel.resume(1);
    assert_eq!(in_sync(&mut kernel, 1), 0);
    copy(&mut kernel, 1);
    assert_eq!(in_sync(&mut kernel, 1), 128);
}

#[test]
fn a_device_that_was_held_goes_on_once_the_server_is_back() {
    let mut kernel = Kernel::running(CORE);
    copy(&mut kernel, 1);
    kernel.suspend(1);
    kernel.restart();
    // A resume that nobody answered: the log is made, resumed, and then resumed indeed.
    kernel.again(1, CORE);
    kernel.resume(1);
    assert_eq!(in_sync(&mut kernel, 1), 64);
    assert_eq!(kernel.numbers(1, 12, &[]), [0, 0]);
}

#[test]
fn of_a_log_that_nobody_remembers_all_is_copied_by_a_table_that_is_new() {
    for words in [CORE, DISK] {
        let mut kernel = Kernel::running(words);
        copy(&mut kernel, 1);
        kernel.server = alone();
        assert_eq!(kernel.ask(1, 8, &[0; 8]).unwrap().errno, -3);
        let made = kernel.ask(1, 1, &zero_ended(words)).unwrap();
        if made.data.is_empty() {
            kernel.resume(1);
        } else {
            // It has no room for that, and asks once more.
            kernel.again(1, words);
        }
        assert_eq!(in_sync(&mut kernel, 1), 0, "{words}");
        assert_eq!(kernel.number(1, 8, &[5]), 0, "{words}");
        // The table may go on writing what is not in sync to leg 0 alone.
        kernel.acts.clear();
        kernel.tick();
        let cure = Act::Cure("log".into(), Cure::Reload);
        assert!(kernel.acts.contains(&cure), "{words}: {:?}", kernel.acts);
        kernel.load(2, words);
        kernel.suspend(1);
        kernel.resume(2);
        kernel.done(1, 2, &[]);
        copy(&mut kernel, 2);
        assert_eq!(in_sync(&mut kernel, 2), 64, "{words}");
        kernel.acts.clear();
        (0..10).for_each(|_| kernel.tick());
        assert!(!kernel.acts.iter().any(|act| matches!(act, Act::Cure(..))));
    }
}

#[test]
fn who_asks_again_and_again_is_answered_once_there_is_an_answer() {
    let mut kernel = clean();
    kernel.disk = None;
    let region = 5_u64.to_ne_bytes();
    let seqs: Vec<u32> = (0..6).map(|_| kernel.send(1, 9, &region)).collect();
    assert!(seqs.iter().all(|seq| kernel.answer(*seq).is_none()));
    kernel.disk = Some(Done::Written);
    kernel.goes_on(Done::Written);
    assert_eq!(kernel.answer(seqs[5]).unwrap().errno, 0);
    let marks = |act: &&Act| matches!(act, Act::Send(_, message) if format!("{message:?}").contains("Mark"));
    assert_eq!(kernel.acts.iter().filter(marks).count(), 1);
}

#[test]
fn a_resume_that_nobody_heard_is_made_up_for() {
    let mut kernel = Kernel::running(DISK);
    copy(&mut kernel, 1);
    // Loaded while there was a server; resumed, and the one before destroyed, while not.
    kernel.load(2, DISK);
    kernel.restart();
    let asked = kernel.ask(2, 8, &[0; 8]).unwrap();
    assert_eq!((asked.errno, asked.data.len()), (-3, 8));
    kernel.again(2, DISK);
    assert_eq!(
        (in_sync(&mut kernel, 2), kernel.number(2, 8, &[5])),
        (64, 1)
    );
    assert_eq!(
        kernel.ask(1, 14, &[]).unwrap().errno,
        -3,
        "the one before is gone"
    );
    // Suspended with a server, and resumed without.
    kernel.suspend(2);
    kernel.restart();
    kernel.done(2, 11, &[3]);
    assert_eq!(
        in_sync(&mut kernel, 2),
        64,
        "what a device that is held asks too"
    );
    assert_eq!(kernel.ask(2, 12, &[]).unwrap().errno, -3);
    kernel.again(2, DISK);
    assert_eq!(kernel.numbers(2, 12, &[]), [0, 0]);
}

#[test]
fn a_table_that_went_while_nobody_heard_leaves_what_it_wrote_to_be_copied() {
    let mut kernel = Kernel::running(CORE);
    copy(&mut kernel, 1);
    kernel.done(1, 9, &[7]);
    kernel.restart();
    kernel.load(2, CORE);
    kernel.resume(2);
    assert_eq!(in_sync(&mut kernel, 2), 63);
    assert_eq!(kernel.numbers(2, 12, &[]), [1, 7]);
}
