//! What the one-value files and the files of the root show, beside dmsetup and blockdev.

use std::fs::{self};

use nix::errno::Errno;

use super::files::{of_three_legs, three};
use crate::lab::Lab;
use crate::lab::case::{Case, both, kernel_only};
use crate::lab::disks;
use crate::lab::dm::{self, dm, run};
use crate::lab::mount::Mount;

pub const CASES: &[Case] = &[
    both("of_a_mirror", values),
    kernel_only(
        "as_dmsetup_says",
        "dmsetup is the kernel's",
        as_dmsetup_says,
    ),
    both("of_the_root", of_the_root),
    kernel_only(
        "no_other_devices",
        "only device-mapper has devices that are no mirrors",
        no_other_devices,
    ),
    both("version", version),
    both("throttle", throttle),
];

/// Panics where a file of `b` shows another value.
fn assert_values(mount: &Mount, want: &[(String, String)]) {
    for (path, value) in want {
        let shown = mount.read(&format!("b/{path}"));
        assert_eq!(shown, format!("{value}\n"), "{path}");
    }
}

/// One value each, of a mirror with three legs and a log in a file.
fn values(lab: &Lab) {
    let mount = three(lab);
    let log = mount.scratch("log");
    let mut want: Vec<(String, String)> = [
        ("sync/regions_done", "16"),
        ("sync/regions_total", "16"),
        ("sync/region_size", "65536"),
        ("sync/bytes_done", "1048576"),
        ("sync/bytes_total", "1048576"),
        ("sync/percent", "100.00"),
        ("sync/state", "in_sync"),
        ("sync/rate", ""),
        ("sync/eta", ""),
        ("log/type", "disk"),
        ("log/device", &lab.number(&log)),
        ("log/health", "A"),
        ("log/file", &log),
        ("suspended", "0"),
        ("size", "1048576"),
    ]
    .map(|(path, text)| (path.to_string(), text.to_string()))
    .into();
    for (leg, offset) in [(0, "0"), (1, "8192"), (2, "0")] {
        let path = lab.disk(leg + 2);
        for (name, value) in [
            ("device", lab.number(&path)),
            ("offset", offset.into()),
            ("size", disks::SIZE.to_string()),
            ("path", path),
            ("health", "A".into()),
            ("role", if leg == 0 { "source" } else { "target" }.into()),
            ("errors", "0".into()),
        ] {
            want.push((format!("legs/{leg}/{name}"), value));
        }
    }
    assert_values(&mount, &want);
    lab.assert_in_sync(&mount, "b", &[&of_three_legs(lab, &mount)]);
    for (path, value) in [
        ("a/log/type", "core"),
        ("a/log/device", ""),
        ("a/log/file", ""),
        ("c/sync/state", "none"),
        ("c/size", "0"),
        ("c/suspended", "0"),
    ] {
        assert_eq!(mount.read(path), format!("{value}\n"), "{path}");
    }
}

/// The same values where the kernel's own tools know them.
fn as_dmsetup_says(lab: &Lab) {
    let mount = three(lab);
    let status = dm("status b");
    let status: Vec<&str> = status.split_whitespace().collect();
    let table = dm("table b");
    let table: Vec<&str> = table.split_whitespace().collect();
    let (done, total) = status[7].split_once('/').expect("a ratio");
    let info = dm("info -c --noheadings -o uuid,major,minor,events,attr b");
    let info: Vec<&str> = info.trim().split(':').collect();
    assert_eq!(status[12], table[5], "dmsetup agrees with itself");
    let size = run("blockdev", &["--getsize64", "/dev/mapper/b"]);
    let mut want: Vec<(String, String)> = [
        ("sync/regions_done", done),
        ("sync/regions_total", total),
        ("log/type", status[11]),
        ("log/device", status[12]),
        ("log/health", status[13]),
        ("uuid", info[0]),
        ("dev", &format!("{}:{}", info[1], info[2])),
        ("event_nr", info[3]),
        ("size", size.trim()),
    ]
    .map(|(path, text)| (path.to_string(), text.to_string()))
    .into();
    for leg in 0..3 {
        let path = lab.disk(leg + 2);
        let (device, offset) = (table[9 + 2 * leg], table[10 + 2 * leg]);
        assert_eq!(device, lab.number(&path));
        let bytes = run("blockdev", &["--getsize64", &path]);
        let offset: u64 = offset.parse().expect("sectors");
        for (name, value) in [
            ("device", device.to_string()),
            ("offset", (offset * 512).to_string()),
            ("size", bytes.trim().into()),
            ("health", status[9][leg..=leg].into()),
        ] {
            want.push((format!("legs/{leg}/{name}"), value));
        }
    }
    assert_values(&mount, &want);
}

/// The lines of `dmsetup` for all devices, of those named only.
fn lines_of(text: &str, names: &[&str]) -> String {
    let mut lines: Vec<&str> = text.split_inclusive('\n').collect();
    lines.retain(|line| {
        let name = line.split_once(": ").map_or("", |(name, _)| name);
        names.contains(&name)
    });
    lines.concat()
}

/// The root's files are those of all mirrors.
fn of_the_root(lab: &Lab) {
    assert_root(&three(lab));
}

fn assert_root(mount: &Mount) {
    let names = ["a", "b", "c"];
    for file in ["status", "table"] {
        let own = |name: &str| format!("{name}: {}", mount.read(&format!("{name}/{file}")));
        assert_eq!(mount.read(file), names.map(own).concat(), "{file}");
    }
    let each = |file: &str| {
        let line = |name: &str| {
            let text = mount.read(&format!("{name}/{file}"));
            format!("{name}: {}\n", text.lines().next().expect("a line"))
        };
        names.map(line).concat()
    };
    assert_eq!(mount.read("progress"), each("progress"));
    assert_eq!(mount.read("health"), format!("empty\n{}", each("health")));
}

/// All mirrors, and no other device, as dmsetup prints them.
fn no_other_devices(lab: &Lab) {
    let mount = three(lab);
    dm::create("linear", "", &format!("0 2048 linear {} 0", lab.disk(5)));
    dm::create("ab", "", "0 8 zero\n8 8 error");
    run("dmsetup", &["create", "nothing", "--notable"]);
    assert_root(&mount);
    let names = ["a", "b", "c"];
    for file in ["status", "table"] {
        assert_eq!(mount.read(file), lines_of(&dm(file), &names));
        for name in names {
            let have = mount.read(&format!("{name}/{file}"));
            let want = dm(&format!("{file} {name}"));
            // Of a device without a table dmsetup prints nothing; a file ends
            // with a newline.
            assert_eq!(
                have.trim_end_matches('\n'),
                want.trim_end_matches('\n'),
                "{name}/{file}"
            );
        }
    }
    for name in ["linear", "ab", "nothing"] {
        assert!(!mount.exists(name), "{name} is shown");
        dm(&format!("remove --retry {name}"));
    }
}

fn version(lab: &Lab) {
    let engine = if lab.is_kernel() {
        of_the_kernel()
    } else {
        "engine=embedded dm=none mirror=none".into()
    };
    let own = env!("CARGO_PKG_VERSION");
    assert_eq!(
        lab.mount().read("version"),
        format!("mirrorfs {own} {engine}\n")
    );
}

/// The kernel's versions, as dmsetup tells them.
fn of_the_kernel() -> String {
    // What a mount would have loaded.
    run("modprobe", &["dm-mirror"]);
    let versions = dm("targets");
    let mut lines = versions.lines();
    let mirror = lines.find(|line| line.split_whitespace().next() == Some("mirror"));
    let mirror = mirror
        .and_then(|line| line.split_once('v'))
        .expect("mirror");
    let library = dm("version");
    let driver = library.lines().last();
    let driver = driver.and_then(|line| line.split_whitespace().last());
    let driver = driver.expect("a version");
    format!("engine=kernel dm={driver} mirror={}", mirror.1.trim())
}

/// One value, 1 to 100; on the kernel's engine it is the kernel's.
fn throttle(lab: &Lab) {
    const KERNEL: &str = "/sys/module/dm_mirror/parameters/raid1_resync_throttle";
    let mount = lab.mount();
    let assert_set = |percent: &str| {
        assert_eq!(mount.read("throttle"), format!("{percent}\n"));
        if lab.is_kernel() {
            let kernel = fs::read_to_string(KERNEL).expect("a parameter");
            assert_eq!(kernel, format!("{percent}\n"));
        }
    };
    for percent in ["1", "37", "100"] {
        mount.write("throttle", percent);
        assert_set(percent);
    }
    if lab.is_kernel() {
        fs::write(KERNEL, "42").expect("written")
    } else {
        mount.write("throttle", "42")
    }
    assert_set("42");
    for word in [
        "0",
        "101",
        "x",
        "-1",
        "",
        "5 5",
        "5.5",
        "99999999999999999999",
    ] {
        let refused = mount.try_write("throttle", word).expect_err(word);
        assert_eq!(refused.0, Errno::EINVAL, "{word}");
        assert_set("42");
    }
    let events = mount.read("events");
    let last = events.lines().last().expect("an event");
    assert!(
        last.contains(" - error ") && last.contains("throttle"),
        "{last}"
    );
    mount.write("throttle", "100");
}
