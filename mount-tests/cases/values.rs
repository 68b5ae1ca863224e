//! What the one-value files and the files of the root show, beside dmsetup and blockdev.

use std::fs::{self};

use nix::errno::Errno;

use super::files::three;
use crate::Case;
use crate::lab::disks::{self, number};
use crate::lab::dm::{self, dm, run};
use crate::lab::mount::Mount;

pub const CASES: &[Case] = &[
    ("files_of_one_value", values),
    ("files_of_the_root", of_the_root),
    ("files_throttle", throttle),
];

/// One value each: as dmsetup and blockdev say.
fn values() {
    let mount = three();
    let status = dm("status b");
    let status: Vec<&str> = status.split_whitespace().collect();
    let table = dm("table b");
    let table: Vec<&str> = table.split_whitespace().collect();
    let (done, total) = status[7].split_once('/').expect("a ratio");
    let info = dm("info -c --noheadings -o uuid,major,minor,events,attr b");
    let info: Vec<&str> = info.trim().split(':').collect();
    let log = mount.scratch("log");
    let mut want: Vec<(String, String)> = [
        ("sync/regions_done", done),
        ("sync/regions_total", total),
        ("sync/region_size", "65536"),
        ("sync/bytes_done", "1048576"),
        ("sync/bytes_total", "1048576"),
        ("sync/percent", "100.00"),
        ("sync/state", "in_sync"),
        ("sync/rate", ""),
        ("sync/eta", ""),
        ("log/type", status[11]),
        ("log/device", status[12]),
        ("log/health", status[13]),
        ("log/file", &log),
        ("uuid", info[0]),
        ("dev", &format!("{}:{}", info[1], info[2])),
        ("event_nr", info[3]),
        ("suspended", "0"),
        (
            "size",
            run("blockdev", &["--getsize64", "/dev/mapper/b"]).trim(),
        ),
    ]
    .map(|(path, text)| (path.to_string(), text.to_string()))
    .into();
    assert_eq!(status[12], table[5], "dmsetup agrees with itself");
    for leg in 0..3 {
        let path = disks::disk(leg + 2);
        let device = table[9 + 2 * leg];
        assert_eq!(device, number(&path));
        let bytes = run("blockdev", &["--getsize64", &path]);
        let offset: u64 = table[10 + 2 * leg].parse().expect("sectors");
        for (name, value) in [
            ("device", device.to_string()),
            ("path", path),
            ("offset", (offset * 512).to_string()),
            ("size", bytes.trim().into()),
            ("health", status[9][leg..=leg].into()),
            ("role", if leg == 0 { "source" } else { "target" }.into()),
            ("errors", "0".into()),
        ] {
            want.push((format!("legs/{leg}/{name}"), value));
        }
    }
    for (path, value) in want {
        assert_eq!(
            mount.read(&format!("b/{path}")),
            format!("{value}\n"),
            "{path}"
        );
    }
    for (path, value) in [("log/type", "core"), ("log/device", ""), ("log/file", "")] {
        assert_eq!(
            mount.read(&format!("a/{path}")),
            format!("{value}\n"),
            "{path}"
        );
    }
    for (path, value) in [("sync/state", "none"), ("size", "0"), ("suspended", "0")] {
        assert_eq!(
            mount.read(&format!("c/{path}")),
            format!("{value}\n"),
            "c: {path}"
        );
    }
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

/// The root's files: all mirrors, and no other device.
fn of_the_root() {
    let mount = three();
    dm::create("linear", "", &format!("0 2048 linear {} 0", disks::disk(5)));
    dm::create("ab", "", "0 8 zero\n8 8 error");
    run("dmsetup", &["create", "nothing", "--notable"]);
    let names = ["a", "b", "c"];
    assert_eq!(mount.read("status"), lines_of(&dm("status"), &names));
    assert_eq!(mount.read("table"), lines_of(&dm("table"), &names));
    for name in names {
        for (file, command) in [("status", "status"), ("table", "table")] {
            let have = mount.read(&format!("{name}/{file}"));
            let want = dm(&format!("{command} {name}"));
            // Of a device without a table dmsetup prints nothing; a file ends
            // with a newline.
            assert_eq!(
                have.trim_end_matches('\n'),
                want.trim_end_matches('\n'),
                "{name}/{file}"
            );
        }
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
    for name in ["linear", "ab", "nothing"] {
        assert!(!mount.exists(name), "{name} is shown");
        dm(&format!("remove --retry {name}"));
    }
    let versions = dm("targets");
    let version = |kind: &str| {
        let mut lines = versions.lines();
        let line = lines.find(|line| line.split_whitespace().next() == Some(kind));
        line.and_then(|line| line.split_once('v'))
            .expect(kind)
            .1
            .trim()
            .to_string()
    };
    let library = dm("version");
    let driver = library
        .lines()
        .last()
        .and_then(|line| line.split_whitespace().last());
    assert_eq!(
        mount.read("version"),
        format!(
            "mirrorfs {} engine=kernel dm={} mirror={}\n",
            env!("CARGO_PKG_VERSION"),
            driver.expect("a version"),
            version("mirror")
        )
    );
}

/// The kernel's one value, 1 to 100.
fn throttle() {
    const KERNEL: &str = "/sys/module/dm_mirror/parameters/raid1_resync_throttle";
    let mount = Mount::start();
    let kernel = || fs::read_to_string(KERNEL).expect("a parameter");
    for percent in ["1", "37", "100"] {
        mount.write("throttle", percent);
        assert_eq!(kernel(), format!("{percent}\n"));
        assert_eq!(mount.read("throttle"), format!("{percent}\n"));
    }
    fs::write(KERNEL, "42").expect("written");
    assert_eq!(mount.read("throttle"), "42\n");
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
        assert_eq!(kernel(), "42\n", "{word}");
    }
    let events = mount.read("events");
    let last = events.lines().last().expect("an event");
    assert!(
        last.contains(" - error ") && last.contains("throttle"),
        "{last}"
    );
    fs::write(KERNEL, "100").expect("written");
}
