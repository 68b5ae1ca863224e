//! The shapes that a mirror can have: legs, offsets, targets, names.

use std::collections::HashSet;
use std::fs;

use crate::lab::Lab;
use crate::lab::case::{Case, both, kernel_only};
use crate::lab::disks::{MIB, bytes, put};
use crate::lab::dm::{dm, run};
use crate::lab::shell::attempt;

pub const CASES: &[Case] = &[
    both("offsets", offsets),
    both("numbers_of_legs", numbers_of_legs),
    both("short_last_region", short_last_region),
    both("three_targets", three_targets),
    both("concise_fields", concise_fields),
    both("without_a_name", without_a_name),
    kernel_only(
        "devices_by_number",
        "a file has no number; embedded/devices has block devices",
        devices_by_number,
    ),
    both("files", files),
    both("line_of_the_root_table", line_of_the_root_table),
    both("uuids", uuids),
];

/// Panics where bytes are not those wanted, without printing megabytes.
pub fn assert_range(what: &str, have: &[u8], want: &[u8]) {
    assert_eq!(have.len(), want.len(), "{what}: length");
    assert!(have == want, "{what}: other bytes");
}

/// Only the named range of the target changes, and gets the named range of the
/// source.
fn offsets(lab: &Lab) {
    let (source, from) = lab.noise(0, 6 * MIB);
    let (target, before) = lab.noise(1, 6 * MIB);
    let mount = lab.mount();
    mount.write(
        "new",
        &format!("o: 0 4096 mirror core 1 128 2 {source} 2048 {target} 4096 1 handle_errors"),
    );
    mount.wait_in_sync("o");
    assert_eq!(mount.read("o/legs/0/offset"), "1048576\n");
    assert_eq!(mount.read("o/legs/1/offset"), "2097152\n");
    let mib = |count: usize| count << 20;
    if lab.is_kernel() {
        let mirror = bytes("/dev/mapper/o", 0, 2 * MIB);
        assert_range("the mirror", &mirror, &from[mib(1)..mib(3)]);
    }
    assert_range("the source", &bytes(&source, 0, 6 * MIB), &from);
    let after = bytes(&target, 0, 6 * MIB);
    assert_range("before the range", &after[..mib(2)], &before[..mib(2)]);
    assert_range("the range", &after[mib(2)..mib(4)], &from[mib(1)..mib(3)]);
    assert_range("behind the range", &after[mib(4)..], &before[mib(4)..]);
    mount.write("o/ctl", "remove");
}

/// 2, 3 and 9 legs become equal, and a write through the mirror goes to all.
fn numbers_of_legs(lab: &Lab) {
    let mount = lab.mount();
    for legs in [2, 3, 9] {
        let (_, mut from) = lab.noise(0, MIB);
        let places: Vec<String> = (0..legs).map(|leg| lab.disk(leg)).collect();
        for place in &places[1..] {
            put(place, 0, &vec![0; MIB as usize]);
        }
        let words: String = places.iter().map(|place| format!(" {place} 0")).collect();
        mount.write(
            "new",
            &format!("l{legs}: 0 2048 mirror core 1 256 {legs}{words}"),
        );
        let name = format!("l{legs}");
        mount.wait_in_sync(&name);
        let want: Vec<String> = (0..legs).map(|leg| leg.to_string()).collect();
        assert_eq!(mount.list(&format!("{name}/legs")), want);
        if lab.is_kernel() {
            let (at, text) = (MIB as usize / 2, b"to all legs");
            put(&format!("/dev/mapper/{name}"), at as u64, text);
            from[at..at + text.len()].copy_from_slice(text);
        }
        for place in &places {
            assert_range(place, &bytes(place, 0, MIB), &from);
        }
        mount.write(&format!("{name}/ctl"), "remove");
    }
}

/// A region that does not divide the length: the last one is short, is counted,
/// and nothing behind it is touched.
fn short_last_region(lab: &Lab) {
    let ((source, from), (target, before)) = (lab.noise(0, 3 * MIB), lab.noise(1, 3 * MIB));
    let mount = lab.mount();
    mount.write(
        "new",
        &format!("s: 0 5001 mirror core 1 1024 2 {source} 0 {target} 0"),
    );
    mount.wait_in_sync("s");
    for (file, want) in [
        ("sync/regions_total", "5\n"),
        ("sync/regions_done", "5\n"),
        ("sync/bytes_total", "2560512\n"),
        ("sync/bytes_done", "2560512\n"),
        ("size", "2560512\n"),
        ("progress", "100.00% 5/5 regions, 2.44/2.44 MiB, in sync\n"),
    ] {
        assert_eq!(mount.read(&format!("s/{file}")), want, "{file}");
    }
    let after = bytes(&target, 0, 3 * MIB);
    assert_range("the range", &after[..2_560_512], &from[..2_560_512]);
    assert_range("behind it", &after[2_560_512..], &before[2_560_512..]);
    mount.write("s/ctl", "remove");
}

/// Mirror, linear, mirror in one device: files show all of it, progress is the
/// sum of both mirrors.
fn three_targets(lab: &Lab) {
    let (first, second) = (lab.noise(0, 2 * MIB), lab.noise(3, 4 * MIB));
    let (linear, plain) = lab.noise(2, MIB);
    let mount = lab.mount();
    let (a, b) = (lab.disk(1), lab.disk(4));
    let c = lab.disk(5);
    let tables = [
        format!("0 4096 mirror core 1 512 2 {} 0 {a} 0", first.0),
        format!("4096 2048 linear {linear} 0"),
        format!(
            "6144 8192 mirror core 1 1024 3 {} 0 {b} 0 {c} 0 1 handle_errors",
            second.0
        ),
    ];
    mount.write("new", &format!("t,,,,{}", tables.join(",")));
    mount.wait_in_sync("t");
    lab.assert_in_sync(&mount, "t", &tables.each_ref().map(String::as_str));
    assert_eq!(mount.read("t/status").lines().count(), 3);
    for file in ["status", "table"] {
        let own = mount.read(&format!("t/{file}"));
        let named: String = own.lines().map(|line| format!("t: {line}\n")).collect();
        assert_eq!(mount.read(file), named);
        if lab.is_kernel() {
            assert_eq!(mount.read(file), dm(file));
        }
    }
    let line = "100.00% 16/16 regions, 6.00/6.00 MiB, in sync\n";
    assert_eq!(mount.read("t/progress"), line);
    assert_eq!(mount.read("progress"), format!("t: {line}"));
    assert_eq!(mount.read("t/size"), "7340032\n");
    assert_eq!(mount.list("t/legs"), ["0", "1", "2", "3", "4"]);
    assert_eq!(mount.read("t/legs/3/device").trim(), lab.number(&b));
    let roles = [0, 1, 2, 3, 4].map(|leg| mount.read(&format!("t/legs/{leg}/role")));
    let want = ["source", "target", "source", "target", "target"];
    assert_eq!(roles.each_ref().map(|role| role.trim()), want);
    if lab.is_kernel() {
        let whole = bytes("/dev/mapper/t", 0, 7 * MIB);
        let want = [first.1.clone(), plain, second.1.clone()].concat();
        assert_range("the device", &whole, &want);
    }
    assert_range("the first target", &bytes(&a, 0, 2 * MIB), &first.1);
    assert_range("the second target", &bytes(&b, 0, 4 * MIB), &second.1);
    mount.write("t/ctl", "remove");
}

/// UUID, minor number and `ro` are the user's; what `dmsetup` prints in this
/// form makes the same device again.
fn concise_fields(lab: &Lab) {
    let mount = lab.mount();
    let table = lab.equal(0, 1);
    let request = format!("c,MYUUID-1,77,ro,{table}");
    mount.write("new", &request);
    let printed = || {
        if lab.is_kernel() {
            dm("table --concise c").trim().to_string()
        } else {
            request.clone()
        }
    };
    let line = printed();
    for _ in 0..2 {
        assert_eq!(mount.read("c/uuid"), "MYUUID-1\n");
        assert!(mount.read("c/dev").ends_with(":77\n"));
        lab.assert_in_sync(&mount, "c", &[&table]);
        if lab.is_kernel() {
            assert_eq!(
                run("blockdev", &["--getro", "/dev/mapper/c"]),
                "1\n",
                "written to"
            );
            let uuid = "info -c --noheadings -o uuid,minor,readonly c";
            assert_eq!(dm(uuid), "MYUUID-1:77:Read-only\n");
        }
        assert_eq!(printed(), line);
        mount.write("c/ctl", "remove");
        mount.write("new", &line);
    }
    mount.write("c/ctl", "remove");
    mount.write("new", &format!("c,,,rw,{table}"));
    if lab.is_kernel() {
        assert_eq!(run("blockdev", &["--getro", "/dev/mapper/c"]), "0\n");
    }
    mount.write("c/ctl", "remove");
}

/// mirror0, mirror1, …: always the first that no device has.
fn without_a_name(lab: &Lab) {
    let mount = lab.mount();
    let make = |table: &str| mount.try_write("new", table).expect("made");
    assert_eq!(make(&lab.equal(0, 1)), "mirror0\n");
    assert_eq!(make(&format!(",,,,{}", lab.equal(2, 3))), "mirror1\n");
    assert_eq!(make(&lab.equal(4, 5)), "mirror2\n");
    mount.write("mirror1/ctl", "remove");
    assert_eq!(make(&lab.equal(2, 3)), "mirror1\n");
    let mut names = vec!["mirror0", "mirror1", "mirror2"];
    if lab.is_kernel() {
        // A device that is no mirror has its name too.
        run("dmsetup", &["create", "mirror3", "--table", "0 2048 zero"]);
        assert_eq!(make(&lab.equal(6, 7)), "mirror4\n");
        dm("remove --retry mirror3");
        names.push("mirror4");
    }
    for name in names {
        mount.write(&format!("{name}/ctl"), "remove");
    }
}

/// MAJOR:MINOR for legs and log.
fn devices_by_number(lab: &Lab) {
    let ((source, from), target, log) = (lab.noise(0, MIB), lab.disk(1), lab.blank(10));
    let mount = lab.mount();
    let [one, other, third] = [&source, &target, &log].map(|path| lab.number(path));
    let table = format!("0 2048 mirror disk 2 {third} 128 2 {one} 0 {other} 0 1 handle_errors");
    mount.write("new", &format!("n: {table}"));
    assert_eq!(mount.read("n/table"), format!("{table}\n"));
    mount.wait_in_sync("n");
    assert_range("the target", &bytes(&target, 0, MIB), &from);
    assert_eq!(mount.read("n/legs/1/path").trim(), target);
    mount.write("n/ctl", "remove");
}

/// Regular files as legs, and as a log that exists.
fn files(lab: &Lab) {
    let mount = lab.mount();
    let [one, other, log] = ["one", "other", "log"].map(|name| mount.scratch(name));
    let from: Vec<u8> = lab.noise(0, 2 * MIB).1;
    fs::write(&one, &from).expect("a file");
    fs::write(&other, vec![0; 3 << 20]).expect("a file");
    fs::write(&log, vec![0; 4096]).expect("a file");
    mount.write(
        "new",
        &format!("f: 0 2048 mirror disk 2 {log} 128 2 {one} 2048 {other} 0 1 handle_errors"),
    );
    mount.wait_in_sync("f");
    for (file, want) in [
        ("legs/0/path", &one),
        ("legs/1/path", &other),
        ("log/file", &log),
    ] {
        assert_eq!(mount.read(&format!("f/{file}")).trim(), want, "{file}");
    }
    assert_eq!(mount.read("f/legs/1/size"), "3145728\n");
    let device = mount.read("f/legs/0/device");
    assert_eq!(device.trim(), lab.number(&one));
    assert!(
        device.starts_with("7:") || !lab.is_kernel(),
        "no loop device: {device}"
    );
    mount.write("f/ctl", "remove");
    let after = fs::read(&other).expect("a file");
    assert_range("the target", &after[..1 << 20], &from[1 << 20..]);
    assert!(after[1 << 20..].iter().all(|byte| *byte == 0), "too far");
    assert!(
        fs::read(&one).expect("a file") == from,
        "the source changed"
    );
}

/// A line of the root's `table`, as it stands, makes the removed mirror again.
fn line_of_the_root_table(lab: &Lab) {
    let mount = lab.mount();
    let (one, log) = (lab.disk(2), lab.blank(10));
    let disk = format!(
        "0 4096 mirror disk 3 {log} 512 nosync 3 {} 16 {one} 2048 {} 0",
        lab.disk(3),
        lab.disk(4)
    );
    for table in [lab.equal(0, 1), disk] {
        mount.write("new", &format!("again: {table}"));
        let line = mount.read("table");
        assert!(line.starts_with("again: 0 "), "{line}");
        mount.write("again/ctl", "remove");
        assert_eq!(mount.read("table"), "");
        let from = mount.scratch("line");
        fs::write(&from, &line).expect("a file");
        let new = mount.path("new");
        let copied = attempt(&format!("cat {from} >{}", new.display()));
        assert_eq!(copied, (0, String::new()));
        assert_eq!(mount.read("table"), line);
        mount.write("again/ctl", "remove");
    }
}

/// Each form of request gives a UUID of its own.
fn uuids(lab: &Lab) {
    let mount = lab.mount();
    mount.write("new", &format!("named: {}", lab.equal(0, 1)));
    mount.write("new", &lab.equal(2, 3));
    mount.write("new", &format!("concise,,,,{}", lab.equal(4, 5)));
    fs::create_dir(mount.path("empty")).expect("made");
    let names = ["named", "mirror0", "concise", "empty"];
    let mut seen = HashSet::new();
    for name in names {
        let uuid = mount.read(&format!("{name}/uuid"));
        let random = uuid.strip_prefix("MIRRORFS-").expect("the prefix");
        assert!(random.trim().len() >= 32, "{uuid}");
        if lab.is_kernel() {
            assert_eq!(uuid, dm(&format!("info -c --noheadings -o uuid {name}")));
        }
        assert!(seen.insert(uuid), "twice: {seen:?}");
        mount.write(&format!("{name}/ctl"), "remove");
    }
    // The same name again is another mirror.
    mount.write("new", &format!("named: {}", lab.equal(0, 1)));
    assert!(seen.insert(mount.read("named/uuid")), "the same UUID again");
    mount.write("named/ctl", "remove");
}
