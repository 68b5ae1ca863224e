//! What failed goes first: a verb that waits keeps no failed leg in its own mirror.

use std::fs::{self, OpenOptions};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use nix::errno::Errno;

use super::WRITERS;
use super::bench::{SECTORS, below, hold_below, state_folder, timed, write};
use crate::lab::case::{Case, kernel_only};
use crate::lab::dm::{create, reload};
use crate::lab::mount::Mount;
use crate::lab::shell::{Undo, attempt, output};
use crate::lab::{Lab, threads, wait_for};

pub const CASES: &[Case] = &[
    kernel_only("a_verb_is_overtaken", WRITERS, overtaken),
    kernel_only("a_second_leg_while_a_probe_waits", WRITERS, second_leg),
    kernel_only("each_of_three_while_records_wait", WRITERS, three_in_turn),
    kernel_only("who_holds_io_comes_first", WRITERS, comes_first),
];

/// A disk that can be made to fail at once, and goes when it is dropped.
fn weak(lab: &Lab, number: usize) -> (String, Undo) {
    let name = format!("weak{number}");
    create(
        &name,
        "",
        &format!("0 {SECTORS} linear {} 0", lab.disk(number)),
    );
    let undo = Undo(format!("dmsetup remove --retry {name}"));
    (format!("/dev/mapper/{name}"), undo)
}

fn fail(path: &str) {
    let name = path.rsplit('/').next().expect("a name");
    reload(name, &format!("0 {SECTORS} error"));
}

/// Make the mirror `m` of these legs, which count as equal.
fn mirror(mount: &Mount, legs: &[&str]) {
    let places: Vec<String> = legs.iter().map(|leg| format!("{leg} 0")).collect();
    let (count, places) = (legs.len(), places.join(" "));
    let table = format!("0 {SECTORS} mirror core 2 1024 nosync {count} {places} 1 handle_errors");
    mount.write("new", &format!("m: {table}"));
}

/// From a write to the mirror `m` to its end.
fn wait_of_a_writer() -> Duration {
    let begun = Instant::now();
    write(Path::new("/dev/mapper/m"));
    begun.elapsed()
}

fn soon(what: &str, waited: Duration, most: u64) {
    println!("{what}: the writer waited {waited:?}");
    assert!(waited < Duration::from_millis(most), "{what}: {waited:?}");
}

fn overtaken(lab: &Lab) {
    let _gone = below(lab);
    let (leg, _weak) = weak(lab, 1);
    let good = lab.disk(2);
    let mount = lab.mount();
    mirror(&mount, &[&good, &leg]);
    let held = hold_below();
    let table = format!(
        "0 {SECTORS} mirror disk 2 /dev/mapper/below 1024 2 {good} 0 {leg} 0 1 handle_errors"
    );
    thread::scope(|scope| {
        let verb = scope.spawn(|| mount.try_write("m/table", &table));
        wait_for("the verb is seen to wait", || {
            mount.read("m/health").contains("`table` has been running")
        });
        fail(&leg);
        soon(
            "beside a verb that waits for its log",
            wait_of_a_writer(),
            1000,
        );
        wait_for("it is told", || {
            mount.read("events").contains("m dropped leg 1")
        });
        assert!(
            !mount.read("m/table").contains("mirror"),
            "{}",
            mount.read("m/table")
        );
        drop(held);
        let ended = verb.join().expect("no panic");
        println!("the verb: {ended:?}");
        // Its sentence is in `events`: this file goes on showing the table.
        let right = matches!(&ended, Err((Errno::EBUSY | Errno::EINPROGRESS, _)));
        assert!(right, "{ended:?}");
    });
    wait_for("no verb runs", || {
        !mount.read("m/health").contains("has been running")
    });
    wait_for("its end is told", || {
        mount.read("events").contains("other legs")
    });
    assert!(
        !mount.read("m/table").contains("mirror"),
        "the failed leg stays out"
    );
    mount.write("m/ctl", "remove");
}

fn second_leg(lab: &Lab) {
    let _gone = below(lab);
    let _sick = Undo("dmsetup remove --retry sick".into());
    let (rest, disk) = (SECTORS - 8, lab.disk(3));
    create(
        "sick",
        "",
        &format!("0 8 linear /dev/mapper/below 0\n8 {rest} linear {disk} 8"),
    );
    let (leg, _weak) = weak(lab, 1);
    let good = lab.disk(2);
    let mount = lab.mount();
    mirror(&mount, &[&good, &leg, "/dev/mapper/sick"]);
    let held = hold_below();
    // A verb that reads the first block of a leg for as long as that hangs.
    thread::scope(|scope| {
        let path = mount.path("m/ctl");
        scope.spawn(move || fs::write(path, "finish 2\n"));
        wait_for("the verb is seen to wait", || {
            mount
                .read("m/health")
                .contains("`finish 2` has been running")
        });
        fail(&leg);
        soon("beside a verb that probes", wait_of_a_writer(), 1000);
        wait_for("it is told", || {
            mount.read("events").contains("m dropped leg 1")
        });
        drop(held);
    });
    wait_for("no verb runs", || {
        !mount.read("m/health").contains("has been running")
    });
    attempt(&format!("echo remove > {}", mount.path("m/ctl").display()));
}

fn three_in_turn(lab: &Lab) {
    let (at, _undo) = state_folder(lab, 0);
    let legs: Vec<(String, Undo)> = (1..4).map(|number| weak(lab, number)).collect();
    let [good, spare] = [4, 5].map(|disk| lab.disk(disk));
    let mount = Mount::new_in(lab, lab.engine, &at);
    mount.mount("");
    let weak = legs.iter().map(|(path, _)| path);
    let all: Vec<&str> = [&good, &spare]
        .into_iter()
        .chain(weak)
        .map(|leg| &**leg)
        .collect();
    mirror(&mount, &all);
    output(&format!("fsfreeze -f {at}"));
    let thawed = Undo(format!("fsfreeze -u {at}"));
    for (number, (path, _)) in legs.iter().enumerate() {
        fail(path);
        let most = if number == 0 { 4500 } else { 1000 };
        soon(
            &format!("leg {number} while the records wait"),
            wait_of_a_writer(),
            most,
        );
    }
    // Whoever asks for something is told that it is done, not that it is in use.
    let begun = Instant::now();
    mount.write("m/ctl", "drop 1");
    soon("a verb while the records wait", begun.elapsed(), 1000);
    assert!(
        mount.read("events").contains("does not answer"),
        "{}",
        mount.read("events")
    );
    drop(thawed);
    wait_for("the record is true again", || {
        let records = format!("{}/mirrors", mount.state().display());
        let text = attempt(&format!("cat {records}/*.json")).1;
        text.contains("linear") && !text.contains("\"unfinished\": {")
    });
    mount.write("m/ctl", "remove");
}

/// While a verb holds others' I/O its thread comes before all ordinary ones, and before
/// and after it does not.
fn comes_first(lab: &Lab) {
    let _gone = below(lab);
    let good = lab.disk(2);
    let mount = lab.mount();
    mirror(&mount, &[&good, "/dev/mapper/below"]);
    let ctl = OpenOptions::new().write(true).open(mount.path("m/ctl"));
    let held = hold_below();
    thread::scope(|scope| {
        scope.spawn(|| write(Path::new("/dev/mapper/m")));
        let writes = || {
            let inflight = fs::read_to_string("/sys/block/".to_owned() + &dm_of("m") + "/inflight");
            inflight.is_ok_and(|text| text.trim().ends_with('1'))
        };
        wait_for("a write is under way", writes);
        scope.spawn(|| mount.write("m/ctl", "suspend"));
        let first = || threads::field(mount.pid(), "verb", 41).contains(&2);
        wait_for("the verb comes first while it suspends", first);
        // Also a child that has inherited it waits here, before it runs.
        let closed = timed(|| drop(ctl));
        assert!(closed < Duration::from_secs(1), "a close waited {closed:?}");
        drop(held);
    });
    let ordinary = || !threads::field(mount.pid(), "verb", 41).contains(&2);
    wait_for("nothing comes first any more", ordinary);
    mount.write("m/ctl", "resume");
    mount.write("m/ctl", "remove");
}

/// What the kernel calls a mapping.
fn dm_of(name: &str) -> String {
    let node = fs::canonicalize(format!("/dev/mapper/{name}")).expect("its node");
    node.file_name().expect("a name").to_string_lossy().into()
}
