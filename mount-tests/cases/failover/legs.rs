//! Each leg of 2, 3 and 4, in sync and half way, with both kinds of log; two legs
//! at once; one during a suspend; all of them.

use std::time::{Duration, Instant};

use nix::errno::Errno;

use super::bed::{Bed, NO_IO, Way};
use crate::lab::case::{Case, kernel_only};
use crate::lab::dm::dm;
use crate::lab::{Lab, long, wait_for, wait_longer};

pub const CASES: &[Case] = &[
    kernel_only("in_sync", NO_IO, in_sync),
    kernel_only("half_way", NO_IO, half_way),
    kernel_only("the_source_half_way", NO_IO, source_half_way),
    kernel_only("two_within_100_ms", NO_IO, two),
    kernel_only("during_a_suspend", NO_IO, suspended),
    kernel_only("all", NO_IO, all),
    kernel_only("while_no_daemon_ran", NO_IO, unwatched),
    kernel_only("a_bad_spot_on_a_target", NO_IO, bad_target),
    kernel_only("a_bad_spot_that_is_written", NO_IO, bad_target_written),
    kernel_only("a_bad_spot_on_the_source", NO_IO, bad_source),
];

/// Every way to make a mirror of 2 to 4 legs; without the time for it, of 2 and 3.
fn ways(whole: bool) -> impl Iterator<Item = Way> {
    let most = if long() { 4 } else { 3 };
    let logs = [false, true].into_iter();
    logs.flat_map(move |disk| (2..=most).map(move |legs| Way { legs, whole, disk }))
}

fn without(legs: usize, broken: &[usize]) -> Vec<usize> {
    (0..legs).filter(|leg| !broken.contains(leg)).collect()
}

/// Break one leg: writes go on, without an error, and the leg is out.
fn lose(lab: &Lab, way: Way, broken: usize) -> Duration {
    let bed = Bed::new(lab, way, &[broken]);
    bed.check_way();
    bed.fragile[0].fail();
    let dead = format!("leg {broken} {} ", bed.node(broken));
    bed.expect("degraded", &[&dead, ", dropped\n"]);
    bed.goes_on(20);
    // Writes go on before udev, which is waited for, has made its links.
    let dropped = format!(" m dropped leg {broken} ");
    wait_for(&dropped, || bed.mount.read("events").contains(&dropped));
    let events = bed.mount.read("events");
    assert!(events.contains(" m health degraded"), "{events}");
    let table = dm("table m");
    let kind = if way.legs == 2 { "linear" } else { "mirror" };
    assert_eq!(table.split_whitespace().nth(2), Some(kind), "{table}");
    assert!(!table.contains("keep_log"), "{table}");
    // A leg that works again stays out: what it lacks nobody knows.
    bed.fragile[0].repair();
    bed.goes_on(20);
    assert_eq!(dm("table m").split_whitespace().nth(2), Some(kind));
    bed.finish_copy();
    bed.expect("degraded", &[&dead]);
    bed.end(&without(way.legs, &[broken]))
}

fn in_sync(lab: &Lab) {
    for way in ways(true) {
        for broken in 0..way.legs {
            let longest = lose(lab, way, broken);
            println!("{way:?}, leg {broken}: the longest wait of a writer {longest:?}");
            assert!(longest < Duration::from_secs(3), "{longest:?}");
        }
    }
}

fn half_way(lab: &Lab) {
    for way in ways(false) {
        for broken in 1..way.legs {
            let longest = lose(lab, way, broken);
            println!("{way:?}, leg {broken}: the longest wait of a writer {longest:?}");
        }
    }
}

/// The only whole copy is never given up for one that is not whole. The kernel
/// fails a write to a region that was not copied yet, or holds it; all goes on once
/// the source works again.
fn source_half_way(lab: &Lab) {
    for way in ways(false) {
        let bed = Bed::new(lab, way, &[0]);
        bed.check_way();
        let before = dm("table m");
        bed.fragile[0].fail();
        wait_for("the failure shows", || {
            let health = bed.mount.read("m/health");
            health.starts_with("degraded\n") || health.starts_with("failed\n")
        });
        assert!(bed.writer.is_held(), "who took the write?");
        assert_eq!(dm("table m"), before);
        assert!(!bed.mount.read("events").contains(" m dropped "));
        let (errno, why) = bed
            .mount
            .try_write("m/ctl", "retry")
            .expect_err("too early");
        assert!(
            errno == Errno::EIO && why.contains("does not answer"),
            "{why}"
        );
        bed.fragile[0].repair();
        bed.retry();
        bed.finish_copy();
        bed.expect("ok", &[]);
        let failed = bed.writer.has_ended();
        println!(
            "{way:?}: a write {}",
            if failed { "failed" } else { "was held" }
        );
        if !failed {
            bed.goes_on(20);
        }
        bed.check_acknowledged();
    }
}

fn two(lab: &Lab) {
    for disk in [false, true] {
        for (legs, broken) in [(3, [1, 2]), (3, [0, 1]), (3, [2, 0]), (4, [0, 3])] {
            let way = Way {
                legs,
                whole: true,
                disk,
            };
            let bed = Bed::new(lab, way, &broken);
            let start = Instant::now();
            bed.fragile.iter().for_each(|leg| leg.fail());
            println!("{way:?}, legs {broken:?}, within {:?}", start.elapsed());
            for leg in broken {
                bed.expect("degraded", &[]);
                let dropped = format!(" {} D write failed, dropped", bed.node(leg));
                wait_for(&dropped, || bed.mount.read("m/health").contains(&dropped));
            }
            bed.goes_on(20);
            bed.finish_copy();
            let longest = bed.end(&without(legs, &broken));
            println!("the longest wait of a writer {longest:?}");
        }
    }
}

fn suspended(lab: &Lab) {
    for broken in [0, 1] {
        let way = Way {
            legs: 2,
            whole: true,
            disk: true,
        };
        let bed = Bed::new(lab, way, &[broken]);
        bed.mount.write("m/ctl", "suspend");
        bed.fragile[0].fail();
        assert!(bed.writer.is_held(), "it is suspended");
        bed.expect("suspended", &[]);
        bed.mount.write("m/ctl", "resume");
        bed.expect("degraded", &[" D write failed, dropped"]);
        bed.goes_on(20);
        bed.end(&without(2, &[broken]));
    }
}

/// Nothing is left: the kernel ends what waits, with an error, and no leg is
/// pretended to be good.
fn all(lab: &Lab) {
    let way = Way {
        legs: 2,
        whole: true,
        disk: false,
    };
    let bed = Bed::new(lab, way, &[0, 1]);
    bed.mount.write("m/ctl", "suspend");
    bed.fragile.iter().for_each(|leg| leg.fail());
    bed.mount.write("m/ctl", "resume");
    bed.expect("failed", &["leg 0 ", "leg 1 ", "all legs have failed"]);
    let written = bed.writer.end();
    assert!(
        written.error.is_some(),
        "a write to nowhere was acknowledged"
    );
    let events = bed.mount.read("events");
    assert!(events.contains(" m health failed"), "{events}");
    assert!(events.contains(" m held writes wait: all legs"), "{events}");
    bed.mount.write("m/ctl", "remove");
}

/// What failed while no daemon ran is found at the mount: a target is taken out;
/// of the source nobody knows whether the others were whole.
fn unwatched(lab: &Lab) {
    let way = Way {
        legs: 2,
        whole: true,
        disk: true,
    };
    for broken in [0, 1] {
        let bed = Bed::new(lab, way, &[broken]);
        bed.mount.kill(nix::sys::signal::Signal::SIGKILL);
        bed.fragile[0].fail();
        assert!(bed.writer.is_held(), "nobody listens");
        bed.mount.mount("");
        if broken == 0 {
            bed.expect("failed", &["the only whole copy"]);
            bed.fragile[0].repair();
            bed.retry();
            bed.expect("ok", &[]);
        } else {
            bed.expect("degraded", &[" D write failed, dropped"]);
        }
        bed.goes_on(20);
        bed.end(&without(2, &[broken]));
    }
}

/// A region that cannot be copied stays out of the count and takes no leg out.
fn bad_target(lab: &Lab) {
    for disk in [true, false] {
        let way = Way {
            legs: 2,
            whole: false,
            disk,
        };
        let bed = Bed::with_a_bad_spot(lab, way, 1);
        bed.mount.write("m/on_failure", "hold");
        bed.mount.write("throttle", "100");
        bed.expect("degraded", &["leg 1 ", " S sync failed", "may be held"]);
        assert!(!bed.mount.read("events").contains(" m dropped "));
        bed.mended();
    }
}

/// The kernel holds each write to a region that cannot be copied: it is let go.
fn bad_target_written(lab: &Lab) {
    for disk in [true, false] {
        let way = Way {
            legs: 2,
            whole: false,
            disk,
        };
        let bed = Bed::with_a_bad_spot(lab, way, 1);
        bed.mount.write("throttle", "100");
        bed.expect("degraded", &["leg 1 ", " S sync failed"]);
        wait_longer(40, "writes are let go", || {
            let events = bed.mount.read("events");
            events.contains(" m retried writes held")
        });
        bed.goes_on(20);
        assert!(!bed.mount.read("events").contains(" m dropped "));
        let longest = bed.mended();
        println!("{way:?}: the longest wait of a writer {longest:?}");
    }
}

/// A source that cannot be read somewhere stays the source.
fn bad_source(lab: &Lab) {
    let way = Way {
        legs: 2,
        whole: false,
        disk: true,
    };
    let bed = Bed::with_a_bad_spot(lab, way, 0);
    bed.mount.write("throttle", "100");
    bed.expect("degraded", &["leg 0 ", " S sync failed", "write `retry`"]);
    assert!(!bed.mount.read("events").contains(" m dropped "));
    bed.mended();
}
