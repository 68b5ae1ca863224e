//! Calls that take their time: what happens meanwhile is seen, and others wait or are
//! told.

use std::path::Path;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use mirrorfs::daemon::admission::permission::Caller;
use mirrorfs::daemon::tasks::deadline::Deadlines;
use mirrorfs::engine::inject::Op;
use mirrorfs::model::check::Phase;
use nix::errno::Errno;

use super::bench::Bench;
use crate::lab::Lab;
use crate::lab::disks::{bytes, put};
use crate::lab::shell::output;
use crate::lab::{wait_for, wait_longer};

/// The target fails after all was found to be in sync and before writes are held.
pub fn finish_looks_again(lab: &Lab) {
    let target = lab.fragile(3, 8192);
    let bench = Bench::new(lab);
    let (source, other) = (lab.disk(2), &target.path);
    let table = format!("0 8192 mirror core 2 128 nosync 2 {source} 0 {other} 0 1 handle_errors");
    bench
        .daemon
        .create(&Caller::daemon(), &format!("m0: {table}"))
        .expect("a mirror");
    let mirror_id = bench.daemon.view.find("m0").expect("the mirror");
    bench.engine.delay(Op::Suspend, 1, Duration::from_secs(5));
    thread::scope(|scope| {
        let verb = scope.spawn(|| bench.daemon.verb(&Caller::daemon(), mirror_id, "finish"));
        wait_for("it is about to suspend", || {
            bench.engine.calls().contains(&Op::Suspend)
        });
        target.fail();
        let write = scope
            .spawn(|| output("dd if=/dev/zero of=/dev/mapper/m0 bs=4k count=1 oflag=direct 2>&1"));
        let error = verb.join().expect("no panic").expect_err("it has failed");
        assert_eq!(error.errno(), Errno::EBUSY, "{error}");
        target.repair();
        bench
            .daemon
            .verb(&Caller::daemon(), mirror_id, "retry")
            .expect("retried");
        write.join().expect("the write is let go");
    });
    assert_eq!(bench.shape("mirror", 2), Vec::<String>::new());
    bench
        .daemon
        .verb(&Caller::daemon(), mirror_id, "remove")
        .expect("removed");
}

/// Between suspend and resume another program throws the new table away, as the late
/// child of an earlier daemon may: a resume would go back to the old one unheard.
pub fn a_table_that_is_cleared(lab: &Lab) {
    let bench = Bench::new(lab);
    let mirror_id = bench.whole();
    bench.engine.delay(Op::Resume, 1, Duration::from_secs(3));
    thread::scope(|scope| {
        let verb = scope.spawn(|| bench.daemon.verb(&Caller::daemon(), mirror_id, "finish"));
        wait_for("it is about to resume", || {
            bench.engine.calls().last() == Some(&Op::Resume)
        });
        output("dmsetup clear m0");
        let error = verb.join().expect("no panic").expect_err("not switched");
        assert_eq!(error.errno(), Errno::EBUSY, "{error}");
    });
    let wrong = [bench.shape("mirror", 3), bench.state("m0", false, 1024)].concat();
    assert_eq!(wrong, Vec::<String>::new());
    bench
        .daemon
        .verb(&Caller::daemon(), mirror_id, "remove")
        .expect("removed");
}

/// A look with I/O held that fails at any call: nothing stays held, and the next one mends.
pub fn a_hold_that_fails(lab: &Lab) {
    let bench = Bench::new(lab);
    let mirror_id = bench.whole();
    let verb = |line| bench.daemon.verb(&Caller::daemon(), mirror_id, line);
    let check = || {
        let entry = bench.daemon.view.registry.get(mirror_id).expect("a mirror");
        entry.settings.and_then(|settings| settings.check)
    };
    let repair = || {
        put(&lab.disk(1), 1 << 20, &[0x5a; 4096]);
        put(&lab.disk(1), 3 << 20, &[0xa5; 512]);
        let begun = verb("repair");
        wait_longer(30, "the repair ends", || {
            check().is_none_or(|check| check.phase != Phase::Running)
        });
        begun
    };
    for (op, nth) in [
        (Op::Suspend, 1),
        (Op::Resume, 1),
        (Op::Status, 2),
        (Op::Table, 3),
        (Op::Table, 4),
        (Op::Info, 1),
    ] {
        bench.engine.fail(op, nth, Errno::EIO);
        let begun = repair();
        println!(
            "{op:?} {nth}: {begun:?}, {:?}",
            check().map(|check| check.summary())
        );
        let wrong = [bench.shape("mirror", 3), bench.state("m0", false, 1024)].concat();
        assert_eq!(wrong, Vec::<String>::new(), "{op:?}");
    }
    repair().expect("begun");
    let check = check().expect("a check");
    assert!(
        check.phase == Phase::Done && !check.finds_something(),
        "{check:?}"
    );
    assert_eq!(bytes(&lab.disk(1), 3 << 20, 512), [0; 512]);
    verb("remove").expect("removed");
}

pub fn a_delayed_create_goes_on(lab: &Lab) {
    let bench = Bench::new(lab);
    let (delay, patience) = (Duration::from_secs(5), Duration::from_millis(300));
    bench.engine.delay(Op::Load, 1, delay);
    let desk = Deadlines::open().expect("a desk");
    let (daemon, line) = (Arc::clone(&bench.daemon), format!("m0: {}", bench.table()));
    let (send, answers) = mpsc::channel();
    let start = Instant::now();
    desk.run(
        patience,
        move || daemon.create(&Caller::daemon(), &line),
        move |answer| send.send(answer).expect("sent"),
    );
    let answer = answers
        .recv()
        .expect("an answer")
        .map_err(|error| error.errno());
    let waited = start.elapsed();
    assert_eq!(answer, Err(Errno::EINPROGRESS));
    assert!(waited >= patience && waited < delay, "{waited:?}");
    wait_for("it loads", || bench.engine.calls().contains(&Op::Load));
    // Until then its name and its disks are taken.
    let refused = |line: String| {
        bench
            .daemon
            .create(&Caller::daemon(), &line)
            .map_err(|error| error.errno())
    };
    let other = format!("0 64 mirror core 1 8 2 {} 0 {} 0", lab.disk(2), lab.disk(1));
    assert_eq!(refused(format!("m0: {other}")), Err(Errno::EEXIST));
    assert_eq!(refused(format!("m1: {other}")), Err(Errno::EBUSY));
    let told = || {
        String::from_utf8_lossy(&bench.daemon.view.events.read(0, 4096)).contains(" m0 created ")
    };
    wait_for("the event", told);
    assert_eq!(bench.state("m0", false, 1024), Vec::<String>::new());
    let mirror_id = bench.daemon.view.find("m0").expect("the mirror");
    bench
        .daemon
        .verb(&Caller::daemon(), mirror_id, "remove")
        .expect("removed");
    assert!(!Path::new(&bench.log()).exists());
}

pub fn a_delayed_verb_keeps_others_out(lab: &Lab) {
    let bench = Bench::new(lab);
    let mirror_id = bench.mirror();
    bench
        .engine
        .delay(Op::Suspend, 1, Duration::from_millis(1000));
    thread::scope(|scope| {
        let verb = scope.spawn(|| bench.daemon.verb(&Caller::daemon(), mirror_id, "suspend"));
        wait_for("it runs", || {
            bench.daemon.view.registry.is_running(mirror_id)
        });
        for other in ["resume", "remove", "suspend"] {
            let error = bench
                .daemon
                .verb(&Caller::daemon(), mirror_id, other)
                .expect_err(other);
            assert_eq!(error.errno(), Errno::EBUSY, "{error}");
        }
        let renamed = bench.daemon.rename(mirror_id, "m1").expect_err("it runs");
        let table = format!(
            "0 8192 mirror core 1 1024 2 {} 0 {} 0",
            lab.disk(2),
            lab.disk(3)
        );
        let reloaded = bench
            .daemon
            .reload(&Caller::daemon(), mirror_id, &table)
            .expect_err("it runs");
        assert_eq!(
            (renamed.errno(), reloaded.errno()),
            (Errno::EBUSY, Errno::EBUSY)
        );
        assert!(
            bench
                .daemon
                .view
                .registry
                .known(mirror_id)
                .running
                .is_some()
        );
        verb.join().expect("no panic").expect("suspended");
    });
    assert_eq!(bench.state("m0", true, 2048), Vec::<String>::new());
    for verb in ["resume", "remove"] {
        bench
            .daemon
            .verb(&Caller::daemon(), mirror_id, verb)
            .expect(verb);
    }
}
