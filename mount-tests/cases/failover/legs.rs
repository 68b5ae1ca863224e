//! Each leg of 2, 3 and 4, in sync and half way, with both kinds of log; two legs
//! at once; one during a suspend; all of them.

use std::time::{Duration, Instant};

use nix::errno::Errno;

use super::rig::{NO_IO, Rig, Shape};
use crate::lab::case::{Case, kernel_only};
use crate::lab::dm::dm;
use crate::lab::{Lab, long, wait_for};

pub const CASES: &[Case] = &[
    kernel_only("in_sync", NO_IO, in_sync),
    kernel_only("half_way", NO_IO, half_way),
    kernel_only("the_source_half_way", NO_IO, source_half_way),
    kernel_only("two_within_100_ms", NO_IO, two),
    kernel_only("during_a_suspend", NO_IO, suspended),
    kernel_only("all", NO_IO, all),
    kernel_only("while_no_daemon_ran", NO_IO, unwatched),
];

/// Every way to make a mirror of 2 to 4 legs; without the time for it, of 2 and 3.
fn ways(whole: bool) -> impl Iterator<Item = Shape> {
    let most = if long() { 4 } else { 3 };
    let logs = [false, true].into_iter();
    logs.flat_map(move |disk| (2..=most).map(move |legs| Shape { legs, whole, disk }))
}

fn without(legs: usize, broken: &[usize]) -> Vec<usize> {
    (0..legs).filter(|leg| !broken.contains(leg)).collect()
}

/// Break one leg: writes go on, without an error, and the leg is out.
fn lose(lab: &Lab, shape: Shape, broken: usize) -> Duration {
    let rig = Rig::new(lab, shape, &[broken]);
    rig.check_way();
    rig.fragile[0].fail();
    let dead = format!("leg {broken} {} ", rig.node(broken));
    rig.expect("degraded", &[&dead, ", dropped\n"]);
    rig.goes_on(20);
    // Writes go on before udev, which is waited for, has made its links.
    let dropped = format!(" m dropped leg {broken} ");
    wait_for(&dropped, || rig.mount.read("events").contains(&dropped));
    let events = rig.mount.read("events");
    assert!(events.contains(" m health degraded"), "{events}");
    let table = dm("table m");
    let kind = if shape.legs == 2 { "linear" } else { "mirror" };
    assert_eq!(table.split_whitespace().nth(2), Some(kind), "{table}");
    assert!(!table.contains("keep_log"), "{table}");
    // A leg that works again stays out: what it lacks nobody knows.
    rig.fragile[0].repair();
    rig.goes_on(20);
    assert_eq!(dm("table m").split_whitespace().nth(2), Some(kind));
    rig.finish_copy();
    rig.expect("degraded", &[&dead]);
    rig.end(&without(shape.legs, &[broken]))
}

fn in_sync(lab: &Lab) {
    for shape in ways(true) {
        for broken in 0..shape.legs {
            let longest = lose(lab, shape, broken);
            println!("{shape:?}, leg {broken}: the longest wait of a writer {longest:?}");
            assert!(longest < Duration::from_secs(3), "{longest:?}");
        }
    }
}

fn half_way(lab: &Lab) {
    for shape in ways(false) {
        for broken in 1..shape.legs {
            let longest = lose(lab, shape, broken);
            println!("{shape:?}, leg {broken}: the longest wait of a writer {longest:?}");
        }
    }
}

/// The only whole copy is never given up for one that is not whole. The kernel
/// fails a write to a region that was not copied yet, or holds it; all goes on once
/// the source works again.
fn source_half_way(lab: &Lab) {
    for shape in ways(false) {
        let rig = Rig::new(lab, shape, &[0]);
        rig.check_way();
        let before = dm("table m");
        rig.fragile[0].fail();
        wait_for("the failure shows", || {
            let health = rig.mount.read("m/health");
            health.starts_with("degraded\n") || health.starts_with("failed\n")
        });
        assert!(rig.writer.is_held(), "who took the write?");
        assert_eq!(dm("table m"), before);
        assert!(!rig.mount.read("events").contains(" m dropped "));
        let (errno, why) = rig
            .mount
            .try_write("m/ctl", "retry")
            .expect_err("too early");
        assert!(
            errno == Errno::EIO && why.contains("does not answer"),
            "{why}"
        );
        rig.fragile[0].repair();
        rig.retry();
        rig.finish_copy();
        rig.expect("ok", &[]);
        let failed = rig.writer.has_ended();
        println!(
            "{shape:?}: a write {}",
            if failed { "failed" } else { "was held" }
        );
        if !failed {
            rig.goes_on(20);
        }
        rig.check_acknowledged();
    }
}

fn two(lab: &Lab) {
    for disk in [false, true] {
        for (legs, broken) in [(3, [1, 2]), (3, [0, 1]), (3, [2, 0]), (4, [0, 3])] {
            let shape = Shape {
                legs,
                whole: true,
                disk,
            };
            let rig = Rig::new(lab, shape, &broken);
            let start = Instant::now();
            rig.fragile.iter().for_each(|leg| leg.fail());
            println!("{shape:?}, legs {broken:?}, within {:?}", start.elapsed());
            for leg in broken {
                rig.expect("degraded", &[]);
                let dropped = format!(" {} D write failed, dropped", rig.node(leg));
                wait_for(&dropped, || rig.mount.read("m/health").contains(&dropped));
            }
            rig.goes_on(20);
            rig.finish_copy();
            let longest = rig.end(&without(legs, &broken));
            println!("the longest wait of a writer {longest:?}");
        }
    }
}

fn suspended(lab: &Lab) {
    for broken in [0, 1] {
        let shape = Shape {
            legs: 2,
            whole: true,
            disk: true,
        };
        let rig = Rig::new(lab, shape, &[broken]);
        rig.mount.write("m/ctl", "suspend");
        rig.fragile[0].fail();
        assert!(rig.writer.is_held(), "it is suspended");
        rig.expect("suspended", &[]);
        rig.mount.write("m/ctl", "resume");
        rig.expect("degraded", &[" D write failed, dropped"]);
        rig.goes_on(20);
        rig.end(&without(2, &[broken]));
    }
}

/// Nothing is left: the kernel ends what waits, with an error, and no leg is
/// pretended to be good.
fn all(lab: &Lab) {
    let shape = Shape {
        legs: 2,
        whole: true,
        disk: false,
    };
    let rig = Rig::new(lab, shape, &[0, 1]);
    rig.mount.write("m/ctl", "suspend");
    rig.fragile.iter().for_each(|leg| leg.fail());
    rig.mount.write("m/ctl", "resume");
    rig.expect("failed", &["leg 0 ", "leg 1 ", "all legs have failed"]);
    let written = rig.writer.end();
    assert!(
        written.error.is_some(),
        "a write to nowhere was acknowledged"
    );
    let events = rig.mount.read("events");
    assert!(events.contains(" m health failed"), "{events}");
    assert!(events.contains(" m held writes wait: all legs"), "{events}");
    rig.mount.write("m/ctl", "remove");
}

/// What failed while no daemon ran is found at the mount: a target is taken out;
/// of the source nobody knows whether the others were whole.
fn unwatched(lab: &Lab) {
    let shape = Shape {
        legs: 2,
        whole: true,
        disk: true,
    };
    for broken in [0, 1] {
        let rig = Rig::new(lab, shape, &[broken]);
        rig.mount.kill(nix::sys::signal::Signal::SIGKILL);
        rig.fragile[0].fail();
        assert!(rig.writer.is_held(), "nobody listens");
        rig.mount.mount("");
        if broken == 0 {
            rig.expect("failed", &["the only whole copy"]);
            rig.fragile[0].repair();
            rig.retry();
            rig.expect("ok", &[]);
        } else {
            rig.expect("degraded", &[" D write failed, dropped"]);
        }
        rig.goes_on(20);
        rig.end(&without(2, &[broken]));
    }
}
