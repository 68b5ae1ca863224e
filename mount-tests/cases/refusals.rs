//! Everything that is refused: the errno, a reason that names the offending word
//! on the same descriptor and at the end of `events`, and nothing left behind.
//! Where the kernel's constructor would refuse too, it is asked as well: we
//! refuse nothing that it takes, and say what it says.

mod checker;
mod devices;
mod rows;

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::symlink;

use nix::errno::Errno;

use self::checker::RefusalChecker;
use self::devices::{refused_blocks, refused_devices, refused_logs, refused_mapped};
use self::rows::{
    CONSTRUCTORS, CORNERS, DEVICE_TABLES, GOOD, KERNEL, LINES, LVM_VERBS, OTHERS, TABLES, VERBS,
    rows,
};
use crate::lab::Lab;
use crate::lab::case::{Case, both, kernel_only};
use crate::lab::disks;
use crate::lab::dm::dm;
use crate::lab::engine::no_loops;
use crate::lab::mount::Mount;
use crate::lab::shell::{Undo, attempt, output};

pub const CASES: &[Case] = &[
    both("constructors", refused_constructors),
    both("lines", refused_lines),
    both("devices", refused_devices),
    both("blocks", refused_blocks).needing(no_loops),
    kernel_only(
        "mapped",
        "mappings are device-mapper's; not every machine takes swap and partitions",
        refused_mapped,
    ),
    both("logs", refused_logs),
    both("verbs", refused_verbs),
    both("tables", refused_tables),
    both("names", refused_names),
    kernel_only(
        "by_the_kernel_alone",
        "the kernel's own words",
        refused_by_the_kernel_alone,
    ),
    both("corners_are_accepted", corners_are_accepted),
];

fn refused_constructors(lab: &Lab) {
    let _refused = lab.is_kernel().then(|| {
        output("dmsetup create refused --notable");
        Undo("dmsetup remove --retry refused".into())
    });
    let mount = lab.mount();
    let mut checker = RefusalChecker::new(lab, &mount);
    let mut both = |params: &str, kernel: &str, word: &str| {
        let table = checker.fill(&format!("0 8192 mirror {params}"));
        checker.assess("new", &format!("x: {table}"), "EINVAL", &[kernel, word]);
        checker.ask_kernel(&table, kernel);
    };
    for [kernel, word, params] in rows(CONSTRUCTORS) {
        both(params, kernel, word);
    }
    let long = "u".repeat(129);
    let params = format!("userspace 3 {long} clustered-core 8 2 {{a}} 0 {{b}} 0");
    both(&params, "UUID argument too long", "129");
    checker.end();
}

fn refused_lines(lab: &Lab) {
    let mount = lab.mount();
    let (c, d, e) = (lab.disk(4), lab.disk(5), lab.disk(6));
    let _linear = lab.is_kernel().then(|| {
        output(&format!(
            "dmsetup create linear0 -u TAKEN-UUID --table '0 8 linear {c} 0'"
        ));
        Undo("dmsetup remove --retry linear0".into())
    });
    let there = format!("there,THERE-UUID,,,0 64 mirror core 1 8 2 {d} 0 {e} 0");
    mount.write("new", &there);
    mount.wait_in_sync("there");
    let minor = mount.read("there/dev");
    let minor = minor.trim().split_once(':').expect("a number").1;
    let mut checker = RefusalChecker::new(lab, &mount);
    let others = if lab.is_kernel() { OTHERS } else { "" };
    for [errno, word, line] in rows(LINES).into_iter().chain(rows(others)) {
        let line = checker.fill(&line.replace("{minor}", minor));
        checker.assess("new", &line, errno, &[&word.replace("{minor}", minor)]);
    }
    for (bytes, word) in odd_bytes(&checker.fill(GOOD)) {
        checker.judge_bytes("new", &bytes, "EINVAL", &[word]);
    }
    checker.end();
    mount.write("there/ctl", "remove");
}

/// What is no text, or too much of it; a word of its reason.
fn odd_bytes(good: &str) -> Vec<(Vec<u8>, &'static str)> {
    let padded = |length: usize| format!("{}\n", pad(good, length)).into_bytes();
    let noise = (0..512_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8 | 0x80);
    let noise: Vec<u8> = noise.collect();
    vec![
        (b" \t \n".to_vec(), "empty"),
        (padded(65_537), "65537"),
        (padded(200_000), "200000"),
        (padded(4096)[..4096].to_vec(), "newline"),
        ([&noise[..], b"\n"].concat(), "byte 1"),
        (noise, "byte 1"),
        (format!("{good}\0\n").into_bytes(), "\\0"),
        (b"\0\n".to_vec(), "\\0"),
        (format!("{good}\x1b[2J\n").into_bytes(), "\\u{1b}"),
        (format!("{good} \u{fffe}\n").into_bytes(), "fffe"),
        ([good.as_bytes(), b" \xff\n"].concat(), "byte"),
    ]
}

/// A line with so many spaces behind it that it has `length` bytes.
fn pad(line: &str, length: usize) -> String {
    line.to_owned() + &" ".repeat(length - line.len())
}

fn refused_verbs(lab: &Lab) {
    let _lv = lab.is_kernel().then(|| of_lvm(lab));
    let mount = lab.mount();
    let (one, other) = (lab.disk(5), lab.disk(6));
    mount.write(
        "new",
        &format!("m0: 0 64 mirror core 1 8 2 {one} 0 {other} 0"),
    );
    mount.wait_in_sync("m0");
    let mut checker = RefusalChecker::new(lab, &mount);
    for [errno, word, file, line] in rows(VERBS) {
        checker.assess(file, &line.replace("^G", "\u{7}"), errno, &[word]);
    }
    if lab.is_kernel() {
        for [errno, word, file, line] in rows(LVM_VERBS) {
            checker.assess(file, line, errno, &[word]);
        }
        let table = checker.fill(GOOD);
        checker.assess("lv/table", &table, "EPERM", &["LVM"]);
        let _open = File::open("/dev/mapper/m0").expect("the device");
        checker.assess("m0/ctl", "remove", "EBUSY", &["open"]);
    }
    for line in ["0", "101", "x", "", "-1", "50 1"] {
        checker.assess("throttle", line, "EINVAL", &["1 to 100"]);
    }
    checker.end();
    twice(lab, &mount);
    mount.write("m0/ctl", "remove");
}

/// A mirror that LVM owns, on disks 3 and 4.
fn of_lvm(lab: &Lab) -> Undo {
    let (one, other) = (lab.disk(3), lab.disk(4));
    output(&format!(
        "dmsetup create lv -u LVM-abc --table '0 64 mirror core 1 8 2 {one} 0 {other} 0'"
    ));
    Undo("dmsetup remove --retry lv".into())
}

/// A second suspend and a second resume are no errors to dmsetup.
fn twice(lab: &Lab, mount: &Mount) {
    for verb in ["suspend", "suspend", "resume", "resume"] {
        lab.verb(mount, "m0", verb);
    }
    for (verb, suspended) in [("suspend", "1\n"), ("resume", "0\n")] {
        for _ in 0..2 {
            mount.write("m0/ctl", verb);
            assert_eq!(mount.read("m0/suspended"), suspended, "after {verb}");
        }
    }
}

fn refused_tables(lab: &Lab) {
    let mount = lab.mount();
    for (name, legs) in [("m0", [3, 4]), ("m1", [5, 6])] {
        let [one, two] = legs.map(|number| lab.disk(number));
        mount.write(
            "new",
            &format!("{name}: 0 8192 mirror core 2 1024 nosync 2 {one} 0 {two} 0"),
        );
    }
    let kernel = lab.is_kernel().then(|| {
        let (large, undo) = blocks_of_4k(&mount);
        output("dmsetup create upper --table '0 64 linear /dev/mapper/m0 0'");
        let upper = Undo("dmsetup remove --retry upper".into());
        (upper, undo, large)
    });
    let mut checker = RefusalChecker::new(lab, &mount);
    let (table, others) = (
        mount.read("m0/table"),
        kernel.as_ref().map(|_| DEVICE_TABLES),
    );
    for [errno, word, line] in [TABLES, others.unwrap_or("")].into_iter().flat_map(rows) {
        let large = kernel.as_ref().map_or("", |(.., large)| large);
        let fill = |text: &str| text.replace("{4k}", large).replace(" / ", "\n");
        let (line, word) = (checker.fill(&fill(line)), checker.fill(&fill(word)));
        checker.assess("m0/table", &line, errno, &[&word]);
        if let Some(what) = stopped(lab, &mount, &table) {
            checker.note(format!("after `{line}`: {what}"));
        }
    }
    if lab.is_kernel() {
        let own = checker.fill("0 8192 mirror core 1 1024 2 {a} 0 /dev/mapper/m1 0");
        checker.assess("m1/table", &own, "EINVAL", &["itself"]);
    }
    checker.end();
    drop(kernel);
    mount.write("m0/ctl", "remove");
    mount.write("m1/ctl", "remove");
}

/// A loop device whose logical blocks are larger than a sector.
fn blocks_of_4k(mount: &Mount) -> (String, Undo) {
    let file = mount.scratch("blocks");
    let device = output(&format!(
        "truncate -s 8M {file} && losetup -b 4096 --show -f {file}"
    ));
    let device = device.trim().to_owned();
    let undo = Undo(format!("losetup -d {device}"));
    (device, undo)
}

/// What is wrong with a mirror `m0` that should go on with its table.
fn stopped(lab: &Lab, mount: &Mount, table: &str) -> Option<String> {
    let (now, suspended) = (mount.read("m0/table"), mount.read("m0/suspended"));
    if now != table || suspended != "0\n" {
        return Some(format!("suspended is {suspended}, the table is {now}"));
    }
    if !lab.is_kernel() {
        return None;
    }
    let info = dm("info m0");
    let goes_on = info.contains("ACTIVE") && !info.contains("INACTIVE");
    if !goes_on {
        return Some(info);
    }
    let write = "timeout 5 dd if=/dev/zero of=/dev/mapper/m0 bs=4k count=1 oflag=direct";
    let (status, text) = attempt(write);
    (status != 0).then_some(text)
}

fn refused_names(lab: &Lab) {
    let mount = lab.mount();
    let _lv = lab.is_kernel().then(|| of_lvm(lab));
    for (name, legs) in [("one", [5, 6]), ("two", [7, 8])] {
        let [one, other] = legs.map(|number| lab.disk(number));
        let table = format!("0 64 mirror core 1 8 2 {one} 0 {other} 0");
        mount.write("new", &format!("{name}: {table}"));
        mount.wait_in_sync(name);
    }
    let mut checker = RefusalChecker::new(lab, &mount);
    folders(lab, &mount, &mut checker);
    forbidden(&mount, &mut checker);
    checker.end();
    mount.write("one/ctl", "remove");
    mount.write("two/ctl", "remove");
}

fn folders(lab: &Lab, mount: &Mount, checker: &mut RefusalChecker<'_>) {
    use Errno::{EEXIST, EINVAL, ENOENT, EPERM};
    let long = &"x".repeat(128);
    let make = [
        ("control", EINVAL),
        ("ä", EINVAL),
        ("a b", EINVAL),
        (long, EINVAL),
        ("one", EEXIST),
        ("new", EEXIST),
        ("one/x", EPERM),
        ("one/legs/x", EPERM),
    ];
    for (name, wanted) in make {
        let made = fs::create_dir(mount.path(name));
        checker.compare(&format!("mkdir {name}"), made, wanted);
    }
    let rename = [
        ("one", "control", EINVAL),
        ("one", "ä", EINVAL),
        ("one", long, EINVAL),
        ("one", "two", EEXIST),
        ("one", "two/x", EPERM),
        ("one/status", "one/x", EPERM),
        ("status", "x", EPERM),
    ];
    let lvm = lab.is_kernel().then_some(("lv", "x", EPERM));
    for (from, to, wanted) in rename.into_iter().chain(lvm) {
        let renamed = fs::rename(mount.path(from), mount.path(to));
        checker.compare(&format!("mv {from} {to}"), renamed, wanted);
    }
    let remove = [("one/sync", EPERM), ("one/legs/0", EPERM), ("none", ENOENT)];
    let lvm = lab.is_kernel().then_some(("lv", EPERM));
    for (path, wanted) in remove.into_iter().chain(lvm) {
        let removed = fs::remove_dir(mount.path(path));
        checker.compare(&format!("rmdir {path}"), removed, wanted);
    }
}

/// Files are neither made nor removed, and those that only show are not opened
/// for writing.
fn forbidden(mount: &Mount, checker: &mut RefusalChecker<'_>) {
    let path = |name: &str| mount.path(name);
    let made = [
        ("touch x", File::create(path("x")).map(drop)),
        ("touch one/x", File::create(path("one/x")).map(drop)),
        ("rm status", fs::remove_file(path("status"))),
        ("rm one/ctl", fs::remove_file(path("one/ctl"))),
        ("ln -s a x", symlink("a", path("x"))),
        ("ln status x", fs::hard_link(path("status"), path("x"))),
    ];
    for (what, result) in made {
        checker.compare(what, result, Errno::EPERM);
    }
    for file in [
        "status",
        "table",
        "health",
        "events",
        "help",
        "one/status",
        "one/uuid",
        "one/sync/percent",
        "one/legs/0/health",
        "one/log/type",
    ] {
        let opened = OpenOptions::new().write(true).open(path(file));
        checker.compare(&format!("write {file}"), opened.map(drop), Errno::EACCES);
    }
}

fn refused_by_the_kernel_alone(lab: &Lab) {
    output("modprobe dm-delay");
    let mount = lab.mount();
    let (large, _undo) = blocks_of_4k(&mount);
    let mut checker = RefusalChecker::new(lab, &mount);
    for [errno, word, line] in rows(KERNEL) {
        let line = checker.fill(&line.replace("{4k}", &large));
        checker.assess("new", &line, errno, &[word]);
    }
    checker.end();
}

fn corners_are_accepted(lab: &Lab) {
    let mount = lab.mount();
    let checker = RefusalChecker::new(lab, &mount);
    let mut wrong = Vec::new();
    for [line, printed] in rows(CORNERS) {
        let table = checker.fill(line);
        let printed = checker.fill(if printed.is_empty() { line } else { printed });
        disks::put(&lab.disk(2), 0, &[0; 4096]);
        let refused = not_accepted(&mount, &table, &(lab.printed(&printed) + "\n"));
        wrong.extend(refused.map(|what| format!("{what}{}", asked(lab, &table))));
    }
    let good = checker.fill(GOOD);
    for line in [pad(&good, 65_536), format!("{}: {good}", "x".repeat(127))] {
        wrong.extend(not_accepted(&mount, &line, &(lab.printed(&good) + "\n")));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What dmsetup and the kernel make of a table, where they are below.
fn asked(lab: &Lab, table: &str) -> String {
    if !lab.is_kernel() {
        return String::new();
    }
    let make = format!("dmsetup create corner --table '{table}' && dmsetup table corner");
    let said = attempt(&format!("{make}; dmsetup remove --retry corner"));
    format!("; dmsetup: {}", said.1)
}

/// What is wrong where a mirror is not made, or not shown as `printed`.
fn not_accepted(mount: &Mount, line: &str, printed: &str) -> Option<String> {
    let name = match mount.try_write("new", line) {
        Ok(name) => name.trim().to_owned(),
        Err((errno, reason)) => return Some(format!("{line:.100}: {errno} {reason}")),
    };
    let shown = mount.read(&format!("{name}/table"));
    mount.write(&format!("{name}/ctl"), "remove");
    (shown != printed).then(|| format!("{line:.100} shows as {shown}"))
}
