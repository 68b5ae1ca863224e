//! Every file of the tree: its mode, its text, what it agrees with, and what it
//! refuses.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use nix::errno::Errno;
use nix::unistd::{Gid, Uid};

use crate::lab::Lab;
use crate::lab::case::{Case, both};
use crate::lab::dm::run;
use crate::lab::mount::{Mount, errno};
use crate::lab::shell::attempt;

pub const CASES: &[Case] = &[
    both("modes", modes),
    both("read", reads),
    both("fresh_from_the_beginning", fresh),
    both("refuse_writers", refuse_writers),
    both("neither_made_nor_removed", neither_made_nor_removed),
    both("in_help", in_help),
];

/// The files at the root.
const ROOT: &[(&str, u32)] = &[
    ("new", 0o600),
    ("status", 0o444),
    ("table", 0o444),
    ("progress", 0o444),
    ("health", 0o444),
    ("events", 0o444),
    ("metrics", 0o444),
    ("mirrors.json", 0o444),
    ("throttle", 0o644),
    ("version", 0o444),
    ("help", 0o444),
];

/// The files of each mirror.
const MIRROR: &[(&str, u32)] = &[
    ("status", 0o444),
    ("table", 0o644),
    ("progress", 0o444),
    ("health", 0o444),
    ("ctl", 0o600),
    ("uuid", 0o444),
    ("dev", 0o444),
    ("size", 0o444),
    ("suspended", 0o444),
    ("event_nr", 0o444),
    ("follow", 0o444),
    ("info.json", 0o444),
    ("on_failure", 0o644),
    ("persist", 0o644),
    ("sync/state", 0o444),
    ("sync/percent", 0o444),
    ("sync/regions_done", 0o444),
    ("sync/regions_total", 0o444),
    ("sync/region_size", 0o444),
    ("sync/bytes_done", 0o444),
    ("sync/bytes_total", 0o444),
    ("sync/limit", 0o644),
    ("sync/bad_bytes", 0o444),
    ("map", 0o444),
    ("map.txt", 0o444),
    ("check", 0o444),
    ("sync/rate", 0o444),
    ("sync/eta", 0o444),
    ("log/type", 0o444),
    ("log/device", 0o444),
    ("log/file", 0o444),
    ("log/health", 0o444),
];

/// The link that a mirror of the kernel's has besides.
const DEVICE: &[(&str, u32)] = &[("device", 0o777)];

/// The files of each leg.
const LEG: &[(&str, u32)] = &[
    ("device", 0o444),
    ("path", 0o444),
    ("offset", 0o444),
    ("size", 0o444),
    ("health", 0o444),
    ("role", 0o444),
    ("errors", 0o444),
];

/// A mount with a core mirror `a`, a mirror `b` of three legs with its log in a
/// file, and an empty `c`.
pub fn three(lab: &Lab) -> Mount {
    let mount = lab.mount();
    mount.write("new", &format!("a: {}", lab.equal(0, 1)));
    mount.write("new", &format!("b: {}", of_three_legs(lab, &mount)));
    fs::create_dir(mount.path("c")).expect("made");
    mount
}

/// The table of `b`.
pub fn of_three_legs(lab: &Lab, mount: &Mount) -> String {
    let [one, other, third] = [2, 3, 4].map(|number| lab.disk(number));
    let log = mount.scratch("log");
    format!("0 2048 mirror disk 3 {log} 128 nosync 3 {one} 0 {other} 16 {third} 0")
}

impl Mount {
    /// Every path below `folder`, with what stat(2) shows of it.
    fn walk(&self, folder: &str) -> Vec<(String, fs::Metadata)> {
        let mut found = Vec::new();
        for name in self.list(folder) {
            let path = format!("{folder}/{name}")
                .trim_start_matches('/')
                .to_string();
            let stat = fs::symlink_metadata(self.path(&path)).expect("a file");
            let below = stat.is_dir().then(|| self.walk(&path));
            found.push((path, stat));
            found.extend(below.into_iter().flatten());
        }
        found
    }

    /// The paths of all regular files.
    fn files(&self) -> Vec<(String, fs::Metadata)> {
        let mut files = self.walk("");
        files.retain(|(_, stat)| stat.is_file());
        files
    }
}

/// What is there of three mirrors with 2, 3 and no legs, and nothing else.
fn modes(lab: &Lab) {
    let mount = three(lab);
    let mut want = BTreeSet::new();
    let mut add = |prefix: &str, rows: &[(&str, u32)]| {
        want.extend(
            rows.iter()
                .map(|(name, mode)| (format!("{prefix}{name}"), *mode)),
        );
    };
    add("", ROOT);
    for (name, legs) in [("a", 2), ("b", 3), ("c", 0)] {
        add("", &[(name, 0o755)]);
        add(&format!("{name}/"), MIRROR);
        if lab.is_kernel() {
            add(&format!("{name}/"), DEVICE);
        }
        add(
            &format!("{name}/"),
            &[("sync", 0o755), ("log", 0o755), ("legs", 0o755)],
        );
        for leg in 0..legs {
            add(&format!("{name}/legs/"), &[(&leg.to_string(), 0o755)]);
            add(&format!("{name}/legs/{leg}/"), LEG);
        }
    }
    let files = mount.walk("");
    let have: BTreeSet<(String, u32)> = files
        .iter()
        .map(|(path, stat)| (path.clone(), stat.mode() & 0o7777))
        .collect();
    let differing: Vec<_> = have.symmetric_difference(&want).collect();
    assert!(differing.is_empty(), "{differing:?}");
    for (path, stat) in &files {
        let owner = (Uid::effective().as_raw(), Gid::effective().as_raw());
        assert_eq!((stat.uid(), stat.gid()), owner, "{path}");
        let sort = (stat.is_dir(), stat.is_symlink());
        let folder = stat.mode() & 0o7777 == 0o755;
        assert_eq!(
            sort,
            (
                folder,
                path.ends_with("/device") && !path.contains("legs") && !path.contains("log")
            ),
            "{path}"
        );
    }
}

/// Every file reads, and ends with one newline. The link leads to the device.
fn reads(lab: &Lab) {
    let mount = three(lab);
    for (path, _) in mount.files() {
        let text = mount.read(&path);
        assert!(text.ends_with('\n'), "{path}: {text:?}");
        assert!(!text.ends_with("\n\n"), "{path}: {text:?}");
    }
    if !lab.is_kernel() {
        return;
    }
    for name in ["a", "b", "c"] {
        let device = fs::read_link(mount.path(&format!("{name}/device"))).expect("a link");
        assert_eq!(device, Path::new(&format!("/dev/mapper/{name}")));
    }
    let through = run(
        "blockdev",
        &["--getsize64", &mount.path("a/device").display().to_string()],
    );
    assert_eq!(through, mount.read("a/size"));
}

pub fn rest(file: &mut File) -> String {
    let mut text = String::new();
    file.read_to_string(&mut text).expect("read");
    text
}

fn again(file: &mut File) -> String {
    file.seek(SeekFrom::Start(0)).expect("seek");
    rest(file)
}

/// A descriptor shows what was when it was opened; read from the beginning,
/// what is.
fn fresh(lab: &Lab) {
    let mount = lab.mount();
    let table = lab.equal(0, 1);
    mount.write("new", &format!("a: {table}"));
    let mut files =
        ["a/suspended", "a/health", "health", "a/event_nr"].map(|path| mount.open(path));
    let mut part = mount.open("a/table");
    let before = files.each_mut().map(rest);
    let mut start = [0; 5];
    part.read_exact(&mut start).expect("read");
    let old = mount.read("a/table");
    let other = table.replace(" 512 ", " 256 ");
    lab.reload(&mount, "a", &other);
    let cut = [
        String::from_utf8_lossy(&start).into_owned(),
        rest(&mut part),
    ]
    .concat();
    assert_eq!(cut, old, "a snapshot mixed with another one");
    assert_eq!(again(&mut part), lab.printed(&other) + "\n");
    lab.assert_agrees(&mount, "a");
    lab.verb(&mount, "a", "suspend");
    assert_eq!(files.each_mut().map(rest), ["", "", "", ""]);
    let after = files.each_mut().map(again);
    assert_eq!((before[0].as_str(), after[0].as_str()), ("0\n", "1\n"));
    assert!(
        before[1].starts_with("ok\n") && after[1].starts_with("suspended\n"),
        "{after:?}"
    );
    assert_eq!(
        (before[2].as_str(), after[2].as_str()),
        ("ok\na: ok\n", "suspended\na: suspended\n")
    );
    lab.verb(&mount, "a", "resume");
    assert_eq!(again(&mut files[0]), "0\n");
    mount.write("a/ctl", "remove");
}

/// Root too is refused a file that cannot be written, when it opens it.
fn refuse_writers(lab: &Lab) {
    let mount = three(lab);
    let mut refused = 0;
    for (path, stat) in mount.files() {
        if stat.mode() & 0o222 != 0 {
            continue;
        }
        for (write, append, truncate) in [
            (true, false, false),
            (true, false, true),
            (false, true, false),
        ] {
            let opened = OpenOptions::new()
                .read(true)
                .write(write)
                .append(append)
                .truncate(truncate)
                .open(mount.path(&path));
            let error = opened.err().map(|error| errno(&error));
            assert_eq!(error, Some(Errno::EACCES), "{path}");
        }
        refused += 1;
    }
    assert!(refused > 60, "only {refused} files");
}

/// Nothing but mirrors can be made, removed, linked or renamed.
fn neither_made_nor_removed(lab: &Lab) {
    let mount = three(lab);
    let device = if lab.is_kernel() { "rm a/device\n" } else { "" };
    let commands = "touch x
echo resume >x
cp help x
mkfifo x
mknod x b 1 0
ln status x
ln -s status x
touch a/x
mkdir a/x
mkdir a/legs/2
mkdir a/sync/x
ln -s /dev/ram0 a/x
rm status
rm -f new
rm a/ctl
rmdir a/sync
rmdir a/legs/0
mv status x
mv -T status help
mv a/status a/x
mv a/sync a/x
mv a b/a
mv -T a b/sync
rm -rf a
rm -rf c";
    let commands = format!("{device}{commands}");
    let script = format!(
        "cd {} && while read -r line; do said=$(eval \"$line\" 2>&1); echo \"$? $line: $said\" | tr '\\n' ' '; echo; done <<'END'\n{commands}\nEND",
        mount.at.display()
    );
    let before: BTreeSet<String> = mount.walk("").into_iter().map(|(path, _)| path).collect();
    let (_, said) = attempt(&script);
    assert_eq!(said.lines().count(), commands.lines().count(), "{said}");
    for line in said.lines() {
        assert!(!line.starts_with("0 "), "done: {line}");
        let other = ["mv -T status help", "mv a b/a", "mv -T a b/sync"];
        let permitted = other.iter().any(|command| line.contains(command));
        assert!(permitted || line.contains("not permitted"), "{line}");
    }
    let after: BTreeSet<String> = mount.walk("").into_iter().map(|(path, _)| path).collect();
    assert_eq!(before, after);
    let exists = ["status", "new", "a"].map(|name| {
        let error = fs::create_dir(mount.path(name)).expect_err(name);
        errno(&error)
    });
    assert_eq!(exists, [Errno::EEXIST; 3]);
}

/// `help` names every file that exists and no other, and says which can be
/// written.
fn in_help(lab: &Lab) {
    let mount = three(lab);
    let general = |path: &str| {
        let mut words: Vec<&str> = path.split('/').collect();
        if words.len() > 1 {
            words[0] = "NAME";
        }
        if words.len() == 4 {
            words[2] = "N";
        }
        words.join("/")
    };
    let mut want: BTreeSet<(String, bool)> = mount
        .files()
        .iter()
        .map(|(path, stat)| (general(path), stat.mode() & 0o222 != 0))
        .collect();
    want.insert(("NAME/device".into(), false));
    let help = mount.read("help");
    let mut lines = help.lines();
    let device = lines.find(|line| line.trim_start().starts_with("NAME/device "));
    assert!(
        lab.is_kernel() || device.is_some_and(|line| line.contains("kernel")),
        "help does not say that there is no device here: {device:?}"
    );
    let lines = help
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>());
    let files = lines.filter(|words| words.len() > 2 && matches!(words[1], "r" | "rw"));
    let have: BTreeSet<(String, bool)> = files
        .map(|words| (words[0].into(), words[1] == "rw"))
        .collect();
    let differing: Vec<_> = have.symmetric_difference(&want).collect();
    assert!(differing.is_empty(), "{differing:?}");
    let verbs = mount.read("a/ctl");
    for verb in ["suspend", "resume", "remove"] {
        assert!(verbs.lines().any(|line| line.starts_with(verb)), "{verbs}");
        assert!(help.contains(verb), "{help}");
    }
    for word in ["mkdir", "rmdir", "mv"] {
        assert!(help.contains(word), "{word}: {help}");
    }
}

pub fn value(mount: &Mount, path: &str) -> u64 {
    let text = mount.read(path);
    text.trim()
        .parse()
        .unwrap_or_else(|_| panic!("{path} is {text:?}"))
}
