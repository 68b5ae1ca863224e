//! `info.json` and `mirrors.json`: what they say is what the other files show.

use std::fs;

use serde_json::Value;

use super::agree::{assert_agrees, info};
use super::{examples, no_readers, readers_agree};
use crate::cases::files::three;
use crate::cases::records::{away, lasting};
use crate::lab::Lab;
use crate::lab::case::{Case, both};
use crate::lab::disks::MIB;
use crate::lab::dm;
use crate::lab::engine::no_root;
use crate::lab::mount::Mount;
use crate::lab::shell::output;
use crate::lab::{wait_for, wait_longer};

pub const CASES: &[Case] = &[
    both("in_sync_suspended_empty_finished", at_rest).needing(no_readers),
    both("copying", copying).needing(no_readers),
    both("degraded", degraded).needing(no_root_or_readers),
    both("several_targets", several_targets).needing(no_readers),
    both("recorded_only", recorded_only).needing(no_readers),
    both("examples_of_the_docs", examples_of_the_docs).needing(no_readers),
    both("odd_characters", odd_characters).needing(no_readers),
];

fn no_root_or_readers() -> Option<&'static str> {
    no_root().or_else(no_readers)
}

/// Panics where `mirrors.json` is not all that `info.json` say, or readers do not
/// take either.
fn assert_all(mount: &Mount, names: &[&str]) {
    names.iter().for_each(|name| assert_agrees(mount, name));
    let all = || -> Value { serde_json::from_str(&mount.read("mirrors.json")).expect("JSON") };
    let each = || -> Value { names.iter().map(|name| info(mount, name)).collect() };
    wait_for("the same in one array", || all() == each());
    readers_agree(mount);
}

fn at_rest(lab: &Lab) {
    let mount = lab.mount();
    assert_eq!(mount.read("mirrors.json"), "[]\n");
    drop(mount);
    let mount = three(lab);
    fs::create_dir(mount.path("d")).expect("made");
    mount.write("d/table", &format!("0 2048 linear {} 0", lab.disk(5)));
    mount.write("a/ctl", "suspend");
    mount.write("b/on_failure", "hold");
    assert_all(&mount, &["a", "b", "c", "d"]);
    let [a, b, c, d] = ["a", "b", "c", "d"].map(|name| info(&mount, name));
    assert_eq!(
        [&a, &b, &c, &d].map(|one| one["health"].clone()),
        ["suspended", "ok", "empty", "finished"]
    );
    assert_eq!((&a["suspended"], &b["suspended"]), (&1.into(), &0.into()));
    assert_eq!(
        (&b["size"], &b["sync"]["percent"]),
        (&1_048_576.into(), &100.0.into())
    );
    assert_eq!(c["table"], Value::Array(Vec::new()));
    mount.write("a/ctl", "resume");
}

/// While something copies the figures are those of one moment, and percent is not
/// 100 before the end.
fn copying(lab: &Lab) {
    let (source, slow) = (lab.random(0, 32 * MIB), lab.slow(1, 1000));
    let mount = slow.mount();
    let target = &slow.path;
    mount.write(
        "new",
        &format!("m: 0 65536 mirror core 1 1024 2 {source} 0 {target} 0 1 handle_errors"),
    );
    wait_longer(30, "a rate", || info(&mount, "m")["sync"]["rate"].is_u64());
    assert_agrees(&mount, "m");
    readers_agree(&mount);
    let copy = info(&mount, "m");
    let sync = &copy["sync"];
    assert_eq!(sync["state"], "syncing");
    assert!(
        sync["percent"]
            .as_f64()
            .is_some_and(|percent| percent < 100.0)
    );
    slow.hurry(&mount);
    mount.wait_in_sync("m");
    assert_all(&mount, &["m"]);
    mount.write("m/ctl", "remove");
}

/// A target that fails under the copy: the kernel's engine takes it out, since
/// somebody may be writing.
fn degraded(lab: &Lab) {
    let ((source, _), leg) = (lab.noise(0, 2 * MIB), lab.fragile(1, 4096));
    let mount = lab.mount();
    let target = &leg.path;
    mount.write(
        "new",
        &format!("m: 0 4096 mirror core 2 512 nosync 2 {source} 0 {target} 0 1 handle_errors"),
    );
    leg.fail();
    mount.write("m/ctl", "resync");
    let gone = |m: &Value| m["dropped"][0]["leg"] == 1 && m["dropped"][0]["path"] == leg.path;
    let failed = |m: &Value| m["legs"][1]["health"] == "S" && m["sync"]["state"] == "stopped";
    wait_for("the failure", || {
        if lab.is_kernel() {
            gone(&info(&mount, "m"))
        } else {
            failed(&info(&mount, "m"))
        }
    });
    assert_all(&mount, &["m"]);
    assert_eq!(info(&mount, "m")["health"], "degraded");
    let metrics = mount.read("metrics");
    let mut lines = vec![r#"mirrorfs_state{mirror="m",state="degraded"} 1"#.to_string()];
    if !lab.is_kernel() {
        lines.push(format!(
            r#"mirrorfs_leg_healthy{{mirror="m",leg="1",device="{target}"}} 0"#
        ));
    }
    for line in lines {
        assert!(metrics.contains(&line), "{line} is not in {metrics}");
    }
    mount.write("m/ctl", "remove");
}

fn several_targets(lab: &Lab) {
    let mount = lab.mount();
    let [a, b, c, d, e] = [0, 1, 2, 3, 4].map(|number| lab.disk(number));
    let tables = format!(
        "0 4096 mirror core 2 512 nosync 2 {a} 0 {b} 0,4096 2048 linear {c} 0,\
         6144 4096 mirror core 2 1024 nosync 2 {d} 0 {e} 8 1 handle_errors"
    );
    mount.write("new", &format!("t,,,,{tables}"));
    assert_all(&mount, &["t"]);
    let t = info(&mount, "t");
    let lengths = ["status", "table", "legs"].map(|key| t[key].as_array().map(Vec::len));
    assert_eq!(lengths, [Some(3), Some(3), Some(4)]);
    mount.write("t/ctl", "remove");
}

/// A mirror that cannot be started: nothing is known of it but its record.
fn recorded_only(lab: &Lab) {
    let mount = lasting(lab);
    mount.mount("");
    let [source, target, log] = ["source", "target", "log"].map(|name| mount.scratch(name));
    for path in [&source, &target] {
        fs::write(path, vec![7; 1 << 20]).expect("a leg");
    }
    let table = format!("0 2048 mirror disk 2 {log} 256 2 {source} 0 {target} 0 1 handle_errors");
    mount.write("new", &format!("m: {table}"));
    mount.wait_in_sync("m");
    away(&mount, &["m"]);
    let hidden = mount.scratch("hidden");
    fs::rename(&target, &hidden).expect("hidden");
    mount.mount("");
    assert_all(&mount, &["m"]);
    let m = info(&mount, "m");
    assert_eq!(
        (&m["health"], &m["device"]),
        (&"failed".into(), &Value::Null)
    );
    let metrics = mount.read("metrics");
    assert!(
        metrics.contains("mirrorfs_events_total{mirror=\"m\",kind=\"error\"} 1\n"),
        "{metrics}"
    );
    fs::rename(&hidden, &target).expect("back");
    mount.write("m/ctl", "resume");
    mount.wait_in_sync("m");
    assert_all(&mount, &["m"]);
    mount.write("m/ctl", "remove");
}

/// jq finds what the docs say it does.
fn examples_of_the_docs(lab: &Lab) {
    let mount = lab.mount();
    mount.write("new", &format!("m0: {}", lab.equal(0, 1)));
    mount.wait_in_sync("m0");
    fs::create_dir(mount.path("e")).expect("made");
    let said = output(&format!("set -e; {}", examples(&mount)));
    let words: Vec<&str> = said.split_whitespace().collect();
    // jq 1.7 prints a number as it found it.
    assert_eq!(
        words.join(" ").replace("100.0,", "100,"),
        r#"e: empty { "percent": 100, "eta": null }"#
    );
    mount.write("m0/ctl", "remove");
}

/// Paths with what JSON and labels escape, and a name with all that a name may have.
fn odd_characters(lab: &Lab) {
    let mount = lab.mount();
    let odd = "a \"b\"\\c,{d=e}é☃'$";
    let [one, other] = ["1", "2"].map(|number| mount.scratch(&format!("{odd}{number}")));
    let [source, target] = [&one, &other].map(|path| {
        fs::write(path, vec![7; 1 << 20]).expect("a leg");
        let escaped = path.chars().map(|c| match c {
            ' ' | '\\' => format!("\\{c}"),
            c => c.into(),
        });
        escaped.collect::<String>()
    });
    let name = "-#+-.:=@_";
    mount.write(
        "new",
        &format!("{name}: 0 2048 mirror core 2 512 nosync 2 {source} 0 {target} 0 1 handle_errors"),
    );
    // As events are told of that belong to no mirror.
    mount.write("new", &format!("-: {}", lab.equal(4, 5)));
    let mut names = vec!["-", name];
    if lab.is_kernel() {
        // Mangled by dmsetup: the kernel has a backslash in the name.
        dm::create("x y", "", &lab.equal(2, 3));
        names.push("x\\x20y");
    }
    assert_all(&mount, &names);
    assert_eq!(info(&mount, name)["legs"][1]["path"], other.as_str());
    for name in [name, "-"] {
        mount.write(&format!("{name}/ctl"), "remove");
    }
    if lab.is_kernel() {
        dm::dm("remove --retry x\\x20y");
    }
}
