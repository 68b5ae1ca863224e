//! Each device-mapper call of each change fails once, with each of some errnos:
//! what was begun is undone, or the mirror goes on as before. In this process,
//! without FUSE.

mod bench;

use std::path::Path;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use mirrorfs::daemon::caller::Caller;
use mirrorfs::daemon::desk::Desk;
use mirrorfs::daemon::watch;
use mirrorfs::engine::inject::Op;
use nix::errno::Errno;

use self::bench::{Bench, left, nothing};
use crate::lab::Lab;
use crate::lab::case::{Case, both, embedded_only, kernel_only};
use crate::lab::dm::create;
use crate::lab::shell::output;
use crate::lab::{wait_for, wait_longer};

pub const CASES: &[Case] = &[
    both("of_create", of_create),
    both("of_create_empty", of_create_empty),
    both("of_reload", of_reload),
    both("of_remove", of_remove),
    both("of_rename", of_rename),
    both("of_suspend", of_suspend),
    both("of_resume", of_resume),
    both("of_finish", of_finish),
    both("of_abort", of_abort),
    both("of_drop", of_drop),
    both("of_add", of_add),
    both("of_replace", of_replace),
    both("of_resync", of_resync),
    both("of_grow", of_grow),
    kernel_only(
        "of_live",
        "an embedded device has no number by which it could be a source",
        of_live,
    ),
    embedded_only(
        "left_suspended",
        "on the kernel's engine this watch would act on the mirrors of later tests",
        left_suspended,
    ),
    kernel_only(
        "finish_looks_again",
        "nobody writes through an embedded mirror",
        finish_looks_again,
    ),
    both("a_delayed_create_goes_on", a_delayed_create_goes_on),
    both(
        "a_delayed_verb_keeps_others_out",
        a_delayed_verb_keeps_others_out,
    ),
];

fn of_create(lab: &Lab) {
    let mut bench = Bench::new(lab);
    bench.each_call(
        nothing,
        |bench, _| {
            bench
                .daemon
                .create(&Caller::daemon(), &format!("m0: {}", bench.table()))
                .map(drop)
        },
        |bench, before, done| match done {
            true => bench.state("m0", false, 1024),
            false => left(bench, before),
        },
    );
    bench.end("create");
}

fn of_create_empty(lab: &Lab) {
    let mut bench = Bench::new(lab);
    bench.each_call(
        nothing,
        |bench, _| bench.daemon.create_empty("m0").map(drop),
        |bench, before, done| {
            if done {
                Vec::new()
            } else {
                left(bench, before)
            }
        },
    );
    bench.end("mkdir");
}

fn of_reload(lab: &Lab) {
    let mut bench = Bench::new(lab);
    bench.each_call(
        |bench| (bench.mirror(), nothing(bench)),
        |bench, (serial, _)| {
            bench
                .daemon
                .reload(&Caller::daemon(), serial, &bench.table())
        },
        |bench, (_, before), done| match done {
            true => bench.state("m0", false, 1024),
            false => [bench.state("m0", false, 2048), left(bench, before)].concat(),
        },
    );
    bench.end("reload");
}

fn of_remove(lab: &Lab) {
    let mut bench = Bench::new(lab);
    bench.each_call(
        |bench| {
            let none = nothing(bench);
            bench
                .daemon
                .create(&Caller::daemon(), &format!("m0: {}", bench.table()))
                .expect("a mirror");
            (
                bench.daemon.find("m0").expect("the mirror"),
                none,
                nothing(bench),
            )
        },
        |bench, (serial, ..)| bench.daemon.verb(&Caller::daemon(), serial, "remove"),
        |bench, (_, none, before), done| match done {
            true => left(bench, none),
            false => [bench.state("m0", false, 1024), left(bench, before)].concat(),
        },
    );
    bench.end("remove");
}

fn of_rename(lab: &Lab) {
    let mut bench = Bench::new(lab);
    bench.each_call(
        |bench| bench.mirror(),
        |bench, serial| bench.daemon.rename(serial, "m1"),
        |bench, _, done| bench.state(if done { "m1" } else { "m0" }, false, 2048),
    );
    bench.end("rename");
}

fn of_suspend(lab: &Lab) {
    let mut bench = Bench::new(lab);
    bench.each_call(
        |bench| bench.mirror(),
        |bench, serial| bench.daemon.verb(&Caller::daemon(), serial, "suspend"),
        |bench, _, done| bench.state("m0", done, 2048),
    );
    bench.end("suspend");
}

fn of_resume(lab: &Lab) {
    let mut bench = Bench::new(lab);
    bench.each_call(
        |bench| {
            let serial = bench.mirror();
            bench
                .daemon
                .verb(&Caller::daemon(), serial, "suspend")
                .expect("suspended");
            serial
        },
        |bench, serial| bench.daemon.verb(&Caller::daemon(), serial, "resume"),
        |bench, _, done| bench.state("m0", !done, 2048),
    );
    bench.end("resume");
}

/// A verb on a mirror of two legs that is in sync: done, it is of this kind and has
/// so many devices; else it is as before.
macro_rules! of_verb {
    ($name:ident, $verb:expr, $kind:literal, $devices:literal) => {
        fn $name(lab: &Lab) {
            let mut bench = Bench::new(lab);
            bench.each_call(
                |bench| bench.whole(),
                |bench, serial| {
                    let verb: fn(&Lab) -> String = $verb;
                    bench
                        .daemon
                        .verb(&Caller::daemon(), serial, &verb(bench.lab))
                },
                |bench, _, done| match done {
                    true => bench.shape($kind, $devices),
                    false => [bench.shape("mirror", 3), bench.state("m0", false, 1024)].concat(),
                },
            );
            bench.end(stringify!($name));
        }
    };
}

of_verb!(of_finish, |_| "finish".into(), "linear", 1);
of_verb!(of_abort, |_| "abort".into(), "linear", 1);
of_verb!(of_drop, |_| "drop 0".into(), "linear", 1);
of_verb!(of_add, |lab| format!("add {}", lab.disk(0)), "mirror", 4);
of_verb!(
    of_replace,
    |lab| format!("replace 1 {}", lab.disk(0)),
    "mirror",
    3
);
of_verb!(of_grow, |_| "grow 8M".into(), "mirror", 3);
of_verb!(of_resync, |_| "resync".into(), "mirror", 3);

/// The resume fails, and so does that of the rollback: the watch frees the mirror,
/// on its old table.
fn left_suspended(lab: &Lab) {
    let bench = Bench::new(lab);
    let serial = bench.whole();
    watch::start(&bench.daemon).expect("a watch");
    for verb in ["abort", "resync"] {
        (1..=3).for_each(|nth| bench.engine.fail(Op::Resume, nth, Errno::EIO));
        let error = bench
            .daemon
            .verb(&Caller::daemon(), serial, verb)
            .expect_err(verb);
        assert!(error.sentence().contains("undoing"), "{error}");
        wait_longer(20, "it is freed", || bench.shape("mirror", 3).is_empty());
        let events = bench.daemon.events.read(0, 65_536);
        let events = String::from_utf8_lossy(&events).into_owned();
        assert!(
            events.contains(" m0 resumed it was left suspended"),
            "{events}"
        );
        wait_for("nothing runs", || !bench.daemon.registry.is_running(serial));
    }
    bench
        .daemon
        .verb(&Caller::daemon(), serial, "remove")
        .expect("removed");
}

/// A mirror is slid under a running device of another program's.
fn of_live(lab: &Lab) {
    let mut bench = Bench::new(lab);
    bench.each_call(
        |bench| {
            let disk = bench.lab.disk(2);
            create("m0", "OTHER-1", &format!("0 8192 linear {disk} 0"));
            nothing(bench)
        },
        |bench, _| {
            bench
                .daemon
                .create(&Caller::daemon(), &bench.live())
                .map(drop)
        },
        |bench, before, done| match done {
            // Two legs and the log.
            true => bench.shape("mirror", 3),
            false => [bench.shape("linear", 1), left(bench, before)].concat(),
        },
    );
    bench.end("live=yes");
}

/// The target fails after all was found to be in sync and before writes are held.
fn finish_looks_again(lab: &Lab) {
    let target = lab.fragile(3, 8192);
    let bench = Bench::new(lab);
    let (source, other) = (lab.disk(2), &target.path);
    let table = format!("0 8192 mirror core 2 128 nosync 2 {source} 0 {other} 0 1 handle_errors");
    bench
        .daemon
        .create(&Caller::daemon(), &format!("m0: {table}"))
        .expect("a mirror");
    let serial = bench.daemon.find("m0").expect("the mirror");
    bench.engine.delay(Op::Suspend, 1, Duration::from_secs(5));
    thread::scope(|scope| {
        let verb = scope.spawn(|| bench.daemon.verb(&Caller::daemon(), serial, "finish"));
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
            .verb(&Caller::daemon(), serial, "retry")
            .expect("retried");
        write.join().expect("the write is let go");
    });
    assert_eq!(bench.shape("mirror", 2), Vec::<String>::new());
    bench
        .daemon
        .verb(&Caller::daemon(), serial, "remove")
        .expect("removed");
}

fn a_delayed_create_goes_on(lab: &Lab) {
    let bench = Bench::new(lab);
    bench.engine.delay(Op::Load, 1, Duration::from_millis(1500));
    let desk = Desk::open().expect("a desk");
    let (daemon, line) = (Arc::clone(&bench.daemon), format!("m0: {}", bench.table()));
    let (send, answers) = mpsc::channel();
    let start = Instant::now();
    desk.run(
        Duration::from_millis(300),
        move || daemon.create(&Caller::daemon(), &line),
        move |answer| send.send(answer).expect("sent"),
    );
    let answer = answers
        .recv()
        .expect("an answer")
        .map_err(|error| error.errno());
    let waited = start.elapsed();
    assert_eq!(answer, Err(Errno::EINPROGRESS));
    assert!(
        waited >= Duration::from_millis(300) && waited < Duration::from_millis(1400),
        "{waited:?}"
    );
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
    let told =
        || String::from_utf8_lossy(&bench.daemon.events.read(0, 4096)).contains(" m0 created ");
    wait_for("the event", told);
    assert_eq!(bench.state("m0", false, 1024), Vec::<String>::new());
    let serial = bench.daemon.find("m0").expect("the mirror");
    bench
        .daemon
        .verb(&Caller::daemon(), serial, "remove")
        .expect("removed");
    assert!(!Path::new(&bench.log()).exists());
}

fn a_delayed_verb_keeps_others_out(lab: &Lab) {
    let bench = Bench::new(lab);
    let serial = bench.mirror();
    bench
        .engine
        .delay(Op::Suspend, 1, Duration::from_millis(1000));
    thread::scope(|scope| {
        let verb = scope.spawn(|| bench.daemon.verb(&Caller::daemon(), serial, "suspend"));
        wait_for("it runs", || bench.daemon.registry.is_running(serial));
        for other in ["resume", "remove", "suspend"] {
            let error = bench
                .daemon
                .verb(&Caller::daemon(), serial, other)
                .expect_err(other);
            assert_eq!(error.errno(), Errno::EBUSY, "{error}");
        }
        let renamed = bench.daemon.rename(serial, "m1").expect_err("it runs");
        let table = format!(
            "0 8192 mirror core 1 1024 2 {} 0 {} 0",
            lab.disk(2),
            lab.disk(3)
        );
        let reloaded = bench
            .daemon
            .reload(&Caller::daemon(), serial, &table)
            .expect_err("it runs");
        assert_eq!(
            (renamed.errno(), reloaded.errno()),
            (Errno::EBUSY, Errno::EBUSY)
        );
        assert!(bench.daemon.registry.known(serial).running.is_some());
        verb.join().expect("no panic").expect("suspended");
    });
    assert_eq!(bench.state("m0", true, 2048), Vec::<String>::new());
    for verb in ["resume", "remove"] {
        bench
            .daemon
            .verb(&Caller::daemon(), serial, verb)
            .expect(verb);
    }
}
