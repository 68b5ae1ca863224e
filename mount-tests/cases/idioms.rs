//! What shell users and scripts write to files with: each does what the
//! interface says.

use std::fs::{self};

use nix::errno::Errno;

use crate::lab::Lab;
use crate::lab::case::{Case, both};
use crate::lab::mount::{Mount, errno};
use crate::lab::shell::attempt;

pub const CASES: &[Case] = &[
    both("verbs", verbs),
    both("requests", requests),
    both("tables", tables),
    both("refused", refused),
    both("without_effect", without_effect),
    both("folders", folders),
];

/// A mount with one mirror.
pub fn one(lab: &Lab) -> Mount {
    let mount = lab.mount();
    mount.write("new", &format!("m: {}", lab.equal(0, 1)));
    mount
}

/// Run a line of shell in the folder of the mount; what it ends with and prints.
pub fn sh(mount: &Mount, line: &str) -> (i32, String) {
    // A command that hangs is to fail, not to hang the test.
    attempt(&format!("cd {} || exit 99\n{line}", mount.at.display()))
}

/// The kinds of the events of `m`, but for those before.
pub fn kinds(mount: &Mount, before: usize) -> Vec<String> {
    let text = mount.read("events");
    let lines = text.get(before..).unwrap_or_default().lines();
    let kind = |line: &str| line.split(' ').nth(2).expect("a kind").to_string();
    lines.map(kind).filter(|kind| kind != "synced").collect()
}

/// Each way to write a verb or two: it is done, and done once.
fn verbs(lab: &Lab) {
    let mount = one(lab);
    let verb = mount.scratch("verb");
    fs::write(&verb, "suspend\n").expect("a file");
    let cp = format!("cp {verb} m/ctl");
    let python = "python3 -c 'open(\"m/ctl\", \"w\").write(\"suspend\\n\")'";
    let both = ["suspended", "resumed"];
    for (line, want) in [
        ("echo suspend > m/ctl", &both[..1]),
        ("echo resume >> m/ctl", &both[1..]),
        ("echo suspend | tee m/ctl >/dev/null", &both[..1]),
        ("echo resume | tee -a m/ctl >/dev/null", &both[1..]),
        (&cp, &both[..1]),
        (
            "printf 'resume\\n' | dd of=m/ctl bs=7 2>/dev/null",
            &both[1..],
        ),
        (
            "echo suspend | dd of=m/ctl bs=4k conv=notrunc 2>/dev/null",
            &both[..1],
        ),
        ("echo -n resume > m/ctl", &both[1..]),
        (python, &both[..1]),
        ("exec 3<>m/ctl && echo resume >&3", &both[1..]),
        ("echo '  suspend   noflush ' >| m/ctl", &both[..1]),
        ("cat <<<resume >m/ctl", &both[1..]),
        ("printf 'suspend\\nresume\\n' > m/ctl", &both),
        ("/usr/bin/printf 'suspend\\nresume\\n' > m/ctl", &both),
        ("printf 'suspend\\nresume' | cat >m/ctl", &both),
        ("cat <<EOF >m/ctl\nsuspend\nresume\nEOF", &both),
        ("(echo suspend; echo resume) >m/ctl", &both),
        ("exec 3>m/ctl; echo suspend >&3; echo resume >&3", &both),
    ] {
        let before = mount.read("events").len();
        assert_eq!(sh(&mount, line), (0, String::new()), "{line}");
        assert_eq!(kinds(&mount, before), want, "{line}");
        let state = want.last() == Some(&"suspended");
        let shown = mount.read("m/suspended");
        assert_eq!(shown, format!("{}\n", u8::from(state)), "{line}");
    }
}

/// Each way to write a request.
fn requests(lab: &Lab) {
    let mount = lab.mount();
    let request = mount.scratch("request");
    let table = lab.equal(0, 1);
    fs::write(&request, format!("m: {table}\n")).expect("a file");
    for line in [
        "echo \"$(cat FILE)\" > new",
        "cat FILE > new",
        "cp FILE new",
        "tee new < FILE >/dev/null",
        "dd if=FILE of=new bs=1M 2>/dev/null",
        "dd if=FILE of=new conv=notrunc,fsync 2>/dev/null",
        "cat FILE >> new",
        "python3 -c 'import pathlib as p; p.Path(\"new\").write_text(p.Path(\"FILE\").read_text())'",
    ] {
        let line = line.replace("FILE", &request);
        assert_eq!(sh(&mount, &line), (0, String::new()), "{line}");
        assert!(mount.exists("m"), "{line}: no mirror");
        lab.assert_in_sync(&mount, "m", &[&table]);
        mount.write("m/ctl", "remove");
    }
    // Two requests in one here-document, and one that hands the name back.
    let two = format!(
        "cat <<EOF >new\na: {}\nb: {}\nEOF",
        lab.equal(0, 1),
        lab.equal(2, 3)
    );
    assert_eq!(sh(&mount, &two), (0, String::new()));
    let third = format!(
        "exec 3<>new; echo '{}' >&3; read -r name <&3; echo remove >$name/ctl; echo $name",
        lab.equal(4, 5)
    );
    assert_eq!(sh(&mount, &third), (0, "mirror0\n".into()));
    for name in ["a", "b"] {
        mount.write(&format!("{name}/ctl"), "remove");
    }
}

/// A table is edited as a file is.
fn tables(lab: &Lab) {
    let mount = one(lab);
    let region = || mount.read("m/sync/region_size");
    let edited = mount.scratch("edited");
    for (line, want) in [
        (
            "t=$(sed 's/ 512 / 256 /' m/table); echo \"$t\" > m/table",
            131_072,
        ),
        (
            "sed 's/ 256 / 128 /' m/table > FILE && cp FILE m/table",
            65_536,
        ),
        (
            "sed 's/ 128 / 64 /' m/table > FILE && dd if=FILE of=m/table conv=notrunc 2>/dev/null",
            32_768,
        ),
        (
            "python3 -c 'f = open(\"m/table\", \"r+\"); t = f.read(); f.seek(0); f.write(t.replace(\" 64 \", \" 32 \")); f.truncate()'",
            16_384,
        ),
        (
            "perl -e 'open F, \"+<\", \"m/table\"; $_ = <F>; s/ 32 / 16 /; seek F, 0, 0; print F; close F or die'",
            8192,
        ),
    ] {
        let line = line.replace("FILE", &edited);
        assert_eq!(sh(&mount, &line), (0, String::new()), "{line}");
        assert_eq!(region(), format!("{want}\n"), "{line}");
        let table = lab
            .equal(0, 1)
            .replace(" 512 ", &format!(" {} ", want / 512));
        lab.assert_in_sync(&mount, "m", &[&table]);
        assert_eq!(mount.read("m/suspended"), "0\n");
    }
    // Several targets, a line each.
    let lines = format!(
        "{}\\n2048 2048 linear {} 0\\n",
        lab.equal(0, 1),
        lab.disk(2)
    );
    for (command, length) in [("printf", 2_097_152), ("/usr/bin/printf", 2_097_152)] {
        mount.write("m/table", &lab.equal(0, 1));
        let line = format!("{command} '{lines}' >{edited}; cat {edited} >m/table; cat m/size");
        assert_eq!(sh(&mount, &line), (0, format!("{length}\n")));
    }
    // Refused: the old one goes on.
    let before = mount.read("m/table");
    let (status, said) = sh(
        &mount,
        &format!("sed 's/mirror/mirrors/' m/table >{edited}; cat {edited} >m/table"),
    );
    assert!(status != 0 && said.contains("Invalid argument"), "{said}");
    assert_eq!(
        (mount.read("m/table"), mount.read("m/suspended")),
        (before, "0\n".into())
    );
}

/// Every tool ends with a failure and the words of the errno.
fn refused(lab: &Lab) {
    let mount = one(lab);
    let before = mount.read("events").len();
    let file = mount.scratch("bad");
    fs::write(&file, "stop\n").expect("a file");
    let lines = [
        "echo stop > m/ctl",
        "echo stop >> m/ctl",
        "echo -n stop > m/ctl",
        "printf 'stop\\n' > m/ctl",
        "echo stop | tee m/ctl >/dev/null",
        "cp FILE m/ctl",
        "dd if=FILE of=m/ctl",
        "cat FILE > m/ctl",
        "cat <<EOF >m/ctl\nstop\nEOF",
        "/usr/bin/printf 'stop\\nsuspend\\n' > m/ctl",
        // With a buffer, Python tries again when it closes.
        "python3 -c 'open(\"m/ctl\", \"wb\", buffering=0).write(b\"stop\\n\")'",
        "echo nonsense > new",
        "echo 0 > throttle",
        "echo 0 8 mirrors > m/table",
    ];
    for line in lines {
        let (status, said) = sh(&mount, &line.replace("FILE", &file));
        assert!(status != 0 && status != 99, "`{line}` ended with {status}");
        assert!(said.contains("Invalid argument"), "{line}: {said}");
    }
    // Each was refused once, and `suspend` behind a refused line was not done.
    assert_eq!(kinds(&mount, before), vec!["error"; lines.len()]);
    assert_eq!(mount.read("m/suspended"), "0\n");
    // Of two writes the first is done.
    let (status, said) = sh(&mount, "(echo suspend; echo stop) >m/ctl");
    assert!(status != 0 && said.contains("Invalid argument"), "{said}");
    assert_eq!(mount.read("m/suspended"), "1\n");
}

/// Truncation, empty writes, syncs and seeks mean nothing.
fn without_effect(lab: &Lab) {
    let mount = one(lab);
    let (table, before) = (mount.read("table"), mount.read("events"));
    for line in [
        ": > m/ctl",
        ": > new",
        ": >> m/table",
        "true | tee m/table",
        "truncate -s 0 m/table",
        "truncate -s 1M m/ctl",
        "cp /dev/null m/table",
        "dd if=/dev/null of=m/ctl 2>/dev/null",
        "exec 3<>m/ctl; exec 3>&-",
        "python3 -c 'import os; f = open(\"m/table\", \"a\"); f.flush(); os.fsync(f.fileno())'",
        "cat m/ctl new >/dev/null",
    ] {
        assert_eq!(sh(&mount, line), (0, String::new()), "{line}");
    }
    assert_eq!(mount.read("events"), before, "something was done");
    assert_eq!(mount.read("table"), table);
    assert_eq!(mount.read("m/suspended"), "0\n");
    let size = fs::metadata(mount.path("m/ctl")).expect("stat").len();
    assert_eq!(size, 0, "the file grew");
    // A write at an offset is a line like any other.
    let (status, said) = sh(
        &mount,
        "echo suspend | dd of=m/ctl seek=100 bs=10 conv=notrunc 2>/dev/null",
    );
    assert_eq!((status, said.as_str()), (0, ""));
    assert_eq!(mount.read("m/suspended"), "1\n");
}

/// mkdir, a table, mv and rmdir, as with folders.
fn folders(lab: &Lab) {
    let mount = lab.mount();
    fs::write(mount.scratch("table"), lab.equal(0, 1) + "\n").expect("a file");
    let table = mount.scratch("table");
    let line = format!(
        "mkdir e && cat e/health && cp {table} e/table && head -n1 e/health && mv e f && ls -d e f; cat f/device/x"
    );
    let (_, said) = sh(&mount, &line);
    let said: Vec<&str> = said.lines().collect();
    assert_eq!((said[0], said[1]), ("empty", "ok"), "{said:?}");
    assert!(said.contains(&"f") && !said.contains(&"e"), "{said:?}");
    lab.assert_in_sync(&mount, "f", &[&lab.equal(0, 1)]);
    assert_eq!(lab.devices(&mount), ["f"]);
    mount.write("new", &format!("g: {}", lab.equal(2, 3)));
    for line in [
        "mv f g",
        "mv -T f g",
        "mv f status",
        "mv f 'a b'",
        "mv f control",
        "mv f g/sync",
        "mkdir g",
        "mkdir 'a b'",
        "rm -rf f",
        "rmdir nothing",
    ] {
        assert!(sh(&mount, line).0 != 0, "done: {line}");
        assert_eq!(
            mount
                .list("")
                .iter()
                .filter(|name| ["f", "g"].contains(&name.as_str()))
                .count(),
            2,
            "{line}"
        );
    }
    let rename =
        |to: &str| fs::rename(mount.path("f"), mount.path(to)).map_err(|error| errno(&error));
    assert_eq!(rename("g"), Err(Errno::EEXIST));
    assert_eq!(rename("status"), Err(Errno::ENOTDIR));
    assert_eq!(rename("a b"), Err(Errno::EINVAL));
    assert_eq!(rename("f"), Ok(()));
    if lab.is_kernel() {
        // Open, it stays.
        let held = fs::File::open("/dev/mapper/f").expect("a device");
        let (status, said) = sh(&mount, "rmdir f");
        assert!(status != 0 && said.contains("busy"), "{said}");
        drop(held);
    }
    assert_eq!(sh(&mount, "rmdir f g"), (0, String::new()));
    assert!(lab.devices(&mount).is_empty());
    assert_eq!(sh(&mount, "mkdir e && rmdir e"), (0, String::new()));
    assert_eq!(mount.read("table"), "");
}
