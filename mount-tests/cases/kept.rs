//! What was seen is kept until something is otherwise: after each thing that can happen to a
//! mirror and its devices, the files at the top say what the kernel says at that moment, and
//! what the files of the mirror say.

use crate::lab::case::{Case, kernel_only};
use crate::lab::dm::{create, dm, reload, run, switch};
use crate::lab::mount::Mount;
use crate::lab::shell::{Undo, output};
use crate::lab::{Lab, wait_for, wait_longer};

const OTHERS: &str = "nobody else changes what the embedded engine has";

pub const CASES: &[Case] = &[
    kernel_only("after_whatever_happens", OTHERS, after_whatever_happens),
    kernel_only(
        "a_name_that_goes_to_another",
        OTHERS,
        a_name_that_goes_to_another,
    ),
    kernel_only("a_file_with_another_name", OTHERS, a_file_with_another_name),
];

/// The mirrors that there are.
const NAMES: [&str; 2] = ["a", "b"];

const LINE: &str = "core 2 128 nosync 2 /dev/mapper/one 0 /dev/mapper/two 0 1 handle_errors";

/// Each file at the top says what it should, at the second look too, which has all that was
/// kept at the first.
fn check(mount: &Mount, what: &str) {
    for look in ["at first", "then"] {
        let at = format!("after {what}, {look}");
        for name in mount
            .list(".")
            .into_iter()
            .filter(|name| NAMES.contains(&name.as_str()))
        {
            check_mirror(mount, &name, &at);
        }
        let listed: Vec<String> = lines(&mount.read("progress"), "")
            .iter()
            .map(|line| line.split(": ").next().unwrap_or_default().into())
            .collect();
        assert_eq!(
            listed,
            mount
                .list(".")
                .into_iter()
                .filter(|name| NAMES.contains(&name.as_str()))
                .collect::<Vec<_>>(),
            "{at}"
        );
    }
}

fn check_mirror(mount: &Mount, name: &str, at: &str) {
    let own = |file: &str| mount.read(&format!("{name}/{file}")).trim_end().to_owned();
    let top = |file: &str| lines(&mount.read(file), &format!("{name}: ")).join("\n");
    for (file, words) in [("status", "status"), ("table", "table")] {
        let kernel = dm(&format!("{words} {name}")).trim_end().to_owned();
        assert_eq!(
            (top(file), own(file)),
            (kernel.clone(), kernel),
            "{file} {at}"
        );
    }
    assert_eq!(top("progress"), own("progress"), "progress {at}");
    let health = own("health");
    assert_eq!(
        top("health"),
        health.lines().next().unwrap_or_default(),
        "health {at}"
    );
    let json = mount.read("mirrors.json");
    let info = own("info.json");
    assert!(json.contains(&info), "info.json {at}:\n{info}\n{json}");
    let metrics = mount.read("metrics");
    let state = health.lines().next().unwrap_or_default();
    let figure = format!("mirrorfs_state{{mirror=\"{name}\",state=\"{state}\"}} 1\n");
    assert!(metrics.contains(&figure), "metrics {at}: {figure}{metrics}");
    for leg in mount.list(&format!("{name}/legs")) {
        let path = own(&format!("legs/{leg}/path"));
        let figure =
            format!("mirrorfs_leg_healthy{{mirror=\"{name}\",leg=\"{leg}\",device=\"{path}\"}}");
        assert!(
            metrics.contains(&figure),
            "metrics {at}: {figure}\n{metrics}"
        );
    }
}

fn lines(text: &str, prefix: &str) -> Vec<String> {
    let lines = text.lines().filter_map(|line| line.strip_prefix(prefix));
    lines.map(|line| line.trim_end().to_owned()).collect()
}

/// Legs that are mappings, so that each can have another name and another table.
fn legs(lab: &Lab) -> [Undo; 2] {
    for (name, disk) in [("one", lab.disk(0)), ("two", lab.disk(1))] {
        create(name, "", &format!("0 16384 linear {disk} 0"));
    }
    ["one", "two"].map(|name| Undo(format!("dmsetup remove --retry {name} 2>/dev/null")))
}

fn after_whatever_happens(lab: &Lab) {
    let _legs = legs(lab);
    let mount = lab.mount();
    mount.write("new", &format!("a: 0 8192 mirror {LINE}"));
    let _undo =
        Undo("dmsetup remove --retry a b t 2>/dev/null; dmsetup resume two 2>/dev/null".into());
    check(&mount, "new");
    dm("suspend a");
    check(&mount, "suspend");
    dm("resume a");
    check(&mount, "resume");
    reload("a", &format!("0 4096 mirror {LINE}"));
    check(&mount, "another table");
    run(
        "dmsetup",
        &["reload", "a", "--table", &format!("0 8192 mirror {LINE}")],
    );
    check(&mount, "a table that waits");
    dm("resume a");
    check(&mount, "its switch");
    dm("rename a b");
    check(&mount, "rename");
    dm("rename b a");
    // The sight of the leg has to be another one, of which only the leg itself tells.
    dm("rename two three");
    check(&mount, "a leg with another name");
    dm("rename three two");
    create("t", "", "0 2048 linear /dev/mapper/two 4096");
    check(&mount, "a mapping beside");
    assert!(
        mount
            .read("mirrors.json")
            .contains("also used by the mapping t")
    );
    dm("remove --retry t");
    check(&mount, "its end");
    assert!(!mount.read("mirrors.json").contains("also used by"));
    create(
        "b",
        "",
        &format!(
            "0 8192 mirror core 2 128 nosync 2 {} 16384 {} 16384",
            lab.disk(0),
            lab.disk(1)
        ),
    );
    check(&mount, "another mirror");
    dm("remove --retry b");
    check(&mount, "its end");
    mount.write("a/on_failure", "hold");
    check(&mount, "a setting");
    mount.write("a/on_failure", "drop");
    switch("two", "0 16384 error");
    // Nobody is told of it but by the next write, which goes on once the leg is out.
    output("dd if=/dev/zero of=/dev/mapper/a bs=4K count=1 oflag=direct status=none");
    wait_for("a failed leg", || {
        mount.read("a/health").starts_with("degraded")
    });
    check(&mount, "a failed leg");
    switch("two", &format!("0 16384 linear {} 0", lab.disk(1)));
    check(&mount, "its repair");
    mount.write("a/ctl", "remove");
    check(&mount, "remove");
    assert_eq!(mount.read("status"), "");
    assert_eq!(mount.read("mirrors.json"), "[]\n");
}

/// Two mirrors that swap their names while somebody looks all the time: what is read under a
/// name is of the mirror that has it.
fn a_name_that_goes_to_another(lab: &Lab) {
    let mount = lab.mount();
    let (one, other) = (lab.disk(0), lab.disk(1));
    for (name, at, length) in [("a", 0, 8192), ("b", 16384, 4096)] {
        let table = format!("0 {length} mirror core 2 128 nosync 2 {one} {at} {other} {at}");
        create(name, "", &table);
    }
    let _undo = Undo("dmsetup remove --retry a 2>/dev/null; dmsetup remove --retry b 2>/dev/null; dmsetup remove --retry c 2>/dev/null".into());
    wait_for("both", || mount.list(".").contains(&"b".into()));
    for turn in 0..10 {
        check(&mount, &format!("turn {turn}"));
        for (from, to) in [("a", "c"), ("b", "a"), ("c", "b")] {
            dm(&format!("rename {from} {to}"));
            if to != "c" {
                let length = output(&format!(
                    "cut -d' ' -f2 {}",
                    mount.path(&format!("{to}/table")).display()
                ));
                assert_eq!(
                    length,
                    output(&format!("dmsetup table {to} | cut -d' ' -f2")),
                    "turn {turn}"
                );
            }
        }
    }
    for name in ["a", "b"] {
        dm(&format!("remove --retry {name}"));
    }
}

/// Of the file behind a loop device nobody tells that it has another name: the mirror's own
/// files say it at once, those at the top within a minute.
fn a_file_with_another_name(lab: &Lab) {
    let mount = lab.mount();
    let (file, renamed) = (mount.scratch("file"), mount.scratch("renamed"));
    output(&format!("truncate -s 8M {file}"));
    mount.write("new", &format!("a: {} {file} length=8M", lab.disk(0)));
    mount.wait_in_sync("a");
    check(&mount, "new");
    std::fs::rename(&file, &renamed).expect("renamed");
    assert_eq!(mount.read("a/legs/1/path").trim_end(), renamed);
    wait_longer(90, "the name", || {
        mount.read("mirrors.json").contains(&renamed)
    });
    mount.write("a/ctl", "remove");
}
