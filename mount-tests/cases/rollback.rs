//! Each device-mapper call of each change fails once, with each of some errnos:
//! what was begun is undone, or the mirror goes on as before. In this process,
//! without FUSE.

mod bench;
mod late;

use mirrorfs::daemon::admission::permission::Caller;
use mirrorfs::engine::inject::Op;
use nix::errno::Errno;

use self::bench::{Bench, left, nothing};
use self::late::{
    a_delayed_create_goes_on, a_delayed_verb_keeps_others_out, a_hold_that_fails,
    a_table_that_is_cleared, finish_looks_again,
};
use crate::lab::Lab;
use crate::lab::case::{Case, both, embedded_only, kernel_only};
use crate::lab::dm::create;
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
    both("of_retry_of_a_gap", of_retry_of_a_gap),
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
    kernel_only(
        "a_table_that_is_cleared",
        "an embedded device has no other program",
        a_table_that_is_cleared,
    ),
    both("a_hold_that_fails", a_hold_that_fails),
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
        |bench, before, done| {
            if done {
                bench.state("m0", false, 1024)
            } else {
                left(bench, before)
            }
        },
    );
    bench.end("create");
}

fn of_create_empty(lab: &Lab) {
    let mut bench = Bench::new(lab);
    bench.each_call(
        nothing,
        |bench, _| {
            bench
                .daemon
                .create_empty("m0", Default::default())
                .map(drop)
        },
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
        |bench, (mirror_id, _)| {
            bench
                .daemon
                .reload(&Caller::daemon(), mirror_id, &bench.table())
        },
        |bench, (_, before), done| {
            if done {
                bench.state("m0", false, 1024)
            } else {
                [bench.state("m0", false, 2048), left(bench, before)].concat()
            }
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
                bench.daemon.view.find("m0").expect("the mirror"),
                none,
                nothing(bench),
            )
        },
        |bench, (mirror_id, ..)| bench.daemon.verb(&Caller::daemon(), mirror_id, "remove"),
        |bench, (_, none, before), done| {
            if done {
                left(bench, none)
            } else {
                [bench.state("m0", false, 1024), left(bench, before)].concat()
            }
        },
    );
    bench.end("remove");
}

fn of_rename(lab: &Lab) {
    let mut bench = Bench::new(lab);
    bench.each_call(
        |bench| bench.mirror(),
        |bench, mirror_id| bench.daemon.rename(mirror_id, "m1"),
        |bench, _, done| bench.state(if done { "m1" } else { "m0" }, false, 2048),
    );
    bench.end("rename");
}

fn of_suspend(lab: &Lab) {
    let mut bench = Bench::new(lab);
    bench.each_call(
        |bench| bench.mirror(),
        |bench, mirror_id| bench.daemon.verb(&Caller::daemon(), mirror_id, "suspend"),
        |bench, _, done| bench.state("m0", done, 2048),
    );
    bench.end("suspend");
}

fn of_resume(lab: &Lab) {
    let mut bench = Bench::new(lab);
    bench.each_call(
        |bench| {
            let mirror_id = bench.mirror();
            bench
                .daemon
                .verb(&Caller::daemon(), mirror_id, "suspend")
                .expect("suspended");
            mirror_id
        },
        |bench, mirror_id| bench.daemon.verb(&Caller::daemon(), mirror_id, "resume"),
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
                |bench, mirror_id| {
                    let verb: fn(&Lab) -> String = $verb;
                    bench
                        .daemon
                        .verb(&Caller::daemon(), mirror_id, &verb(bench.lab))
                },
                |bench, _, done| {
                    if done {
                        bench.shape($kind, $devices)
                    } else {
                        [bench.shape("mirror", 3), bench.state("m0", false, 1024)].concat()
                    }
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

/// Two segments become one, with a log that is made for it.
fn of_retry_of_a_gap(lab: &Lab) {
    let mut bench = Bench::new(lab);
    bench.each_call(
        |bench| bench.segmented(),
        |bench, mirror_id| bench.daemon.verb(&Caller::daemon(), mirror_id, "retry"),
        |bench, _, done| {
            if done {
                bench.shape("mirror", 3)
            } else {
                bench.is_segmented()
            }
        },
    );
    bench.end("retry of a gap");
}

/// The resume fails, and so does that of the rollback: the watch frees the mirror,
/// on its old table.
fn left_suspended(lab: &Lab) {
    let bench = Bench::new(lab);
    let mirror_id = bench.whole();
    bench.daemon.start().expect("a watch");
    for verb in ["abort", "resync"] {
        (1..=3).for_each(|nth| bench.engine.fail(Op::Resume, nth, Errno::EIO));
        let error = bench
            .daemon
            .verb(&Caller::daemon(), mirror_id, verb)
            .expect_err(verb);
        assert!(error.sentence().contains("undoing"), "{error}");
        wait_longer(20, "it is freed", || bench.shape("mirror", 3).is_empty());
        let events = bench.daemon.view.events.read(0, 65_536);
        let events = String::from_utf8_lossy(&events).into_owned();
        assert!(
            events.contains(" m0 resumed it was left suspended"),
            "{events}"
        );
        wait_for("nothing runs", || {
            !bench.daemon.view.registry.is_running(mirror_id)
        });
    }
    bench
        .daemon
        .verb(&Caller::daemon(), mirror_id, "remove")
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
        |bench, before, done| {
            // Two legs and the log.
            if done {
                bench.shape("mirror", 3)
            } else {
                [bench.shape("linear", 1), left(bench, before)].concat()
            }
        },
    );
    bench.end("live=yes");
}
