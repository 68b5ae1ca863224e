//! The command itself, as a shell, an init system and `mount(8)` use it.

mod place;
mod refused;
mod users;

use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nix::sys::signal::Signal;

use self::place::Place;
use self::refused::{start_is_refused, start_without_device_mapper, start_without_root};
use self::users::{another_user, another_user_s_disks};
use crate::lab::Lab;
use crate::lab::case::{Case, both, kernel_only};
use crate::lab::engine::no_root;
use crate::lab::mount::{COMMAND, ended};
use crate::lab::shell::{Undo, attempt, output};
use crate::lab::wait_for;

pub const CASES: &[Case] = &[
    both("background_start", background_start),
    both("foreground_ends", foreground_ends),
    both("systemd_is_told", systemd_is_told),
    both("start_is_refused", start_is_refused),
    kernel_only(
        "start_without_root",
        "the embedded engine needs no root",
        start_without_root,
    ),
    kernel_only(
        "start_without_device_mapper",
        "the embedded engine needs no device-mapper",
        start_without_device_mapper,
    ),
    both("mount_options", mount_options),
    kernel_only(
        "mount_8",
        "it puts a program into a system folder; what mount(8) hands over is the same for both",
        mount_8,
    ),
    both("sigterm_while_in_use", sigterm_while_in_use),
    both("stale_mountpoint", stale_mountpoint),
    both("help_and_version", help_and_version),
    both("another_user_s_disks", another_user_s_disks).needing(no_root),
    both("another_user", another_user).needing(no_root),
];

fn background_start(lab: &Lab) {
    let place = Place::new(lab);
    let text =
        place.run("{m} {p} && ls {p}/new && cat {p}/version && cat {p}/status && head -1 {p}/help");
    let engine = if lab.is_kernel() {
        "engine=kernel dm=4."
    } else {
        "engine=embedded dm=none"
    };
    assert!(
        text.contains("mnt/new\nmirrorfs ") && text.contains(engine),
        "{text}"
    );
    // It holds neither the folder it was started in nor the streams of its caller.
    let pid = place.pid();
    let held = place.run(&format!(
        "readlink /proc/{pid}/cwd /proc/{pid}/fd/0 /proc/{pid}/fd/1"
    ));
    assert_eq!(held, "/\n/dev/null\n/dev/null\n");
    place.unmount();
    // Relative paths are of the folder where it is started.
    place.run("cd {t} && {b} -s state mnt && ls {p}/new {t}/state/lock");
    place.unmount();
}

/// Start in the foreground and wait until it is mounted.
fn foreground(place: &Place<'_>) -> Child {
    let line = place.fill("exec {m} -f {p}");
    let child = Command::new("bash")
        .args(["-c", &line])
        .stderr(Stdio::null())
        .spawn();
    wait_for("it is mounted", || place.is_mounted());
    child.expect("it runs")
}

/// The exit status, within ten seconds.
fn status(child: &mut Child) -> Option<i32> {
    let mut status = None;
    wait_for("the command ends", || {
        status = child.try_wait().expect("a child");
        status.is_some()
    });
    status.and_then(|status| status.code())
}

fn foreground_ends(lab: &Lab) {
    for end in [
        "kill -TERM {pid}",
        "kill -INT {pid}",
        "{u}",
        "fusermount3 -u {p}",
    ] {
        let place = Place::new(lab);
        let mut child = foreground(&place);
        place.run(&end.replace("{pid}", &child.id().to_string()));
        assert_eq!(status(&mut child), Some(0), "after {end}");
        assert!(!place.is_mounted(), "after {end}");
        place.assert_nothing_stays();
    }
}

fn systemd_is_told(lab: &Lab) {
    let place = Place::new(lab);
    let path = place.fill("{t}/notify");
    let socket = UnixDatagram::bind(&path).expect("a socket");
    socket
        .set_read_timeout(Some(Duration::from_secs(10)))
        .expect("a limit");
    let line = place.fill("NOTIFY_SOCKET={t}/notify exec {m} -f {p}");
    let mut child = Command::new("bash")
        .args(["-c", &line])
        .stderr(Stdio::null())
        .spawn()
        .expect("it runs");
    let mut told = [0; 256];
    let length = socket.recv(&mut told).expect("a message");
    assert!(String::from_utf8_lossy(&told[..length]).contains("READY=1"));
    assert!(place.is_mounted(), "ready before it is mounted");
    place.run("{u}");
    assert_eq!(status(&mut child), Some(0));
}

fn mount_options(lab: &Lab) {
    let place = Place::new(lab);
    place.run("{m} some-source {p} -o ro,noauto,x-foo=bar,nodev");
    let line = place.run("grep ' {p} ' /proc/mounts");
    let words: Vec<&str> = line.split(' ').collect();
    assert_eq!(
        (words[0], words[2]),
        ("some-source", "fuse.mirrorfs"),
        "{line}"
    );
    let options: Vec<&str> = words[3].split(',').collect();
    let mut want = vec!["ro", "nodev", "default_permissions"];
    if no_root().is_none() {
        want.push("allow_other");
    }
    assert!(want.iter().all(|word| options.contains(word)), "{line}");
    let (status, text) = attempt(&place.fill("echo x >{p}/new"));
    assert!(
        status != 0 && text.contains("Read-only file system"),
        "{text}"
    );
    place.run("cat {p}/status {p}/version");
    place.unmount();
    // The state directory and the engine as options, and what is twice.
    let engine = lab.engine;
    place.run(&format!("{COMMAND} none {{p}} -o state_dir={{t}}/state,engine={engine} -o rw && ls {{t}}/state/lock && mountpoint {{p}}"));
    place.unmount();
}

/// mount(8) looks for programs in places of its own, whatever the caller's PATH.
const PROGRAM: &str = "/usr/local/sbin/mirrorfs";

fn mount_8(lab: &Lab) {
    let place = Place::new(lab);
    place.run(&format!(
        "mkdir -p /usr/local/sbin && ln -s {{b}} {PROGRAM}"
    ));
    let _program = Undo(format!("rm {PROGRAM}"));
    let fstab = "new-disks {p} fuse.mirrorfs noauto,nofail,x-systemd.automount,state_dir={t}/state";
    place.run(&format!("echo '{fstab} 0 0' >{{t}}/fstab"));
    let usual = "boot-disks {p} fuse.mirrorfs defaults,nofail,state_dir={t}/state";
    place.run(&format!("echo '{usual} 0 0' >{{t}}/fstab-at-boot"));
    for (line, source) in [
        (
            "mount -t fuse.mirrorfs old-disks {p} -o state_dir={t}/state,ro",
            "old-disks",
        ),
        ("mount -T {t}/fstab {p}", "new-disks"),
        (
            "mount -a -T {t}/fstab-at-boot -t fuse.mirrorfs",
            "boot-disks",
        ),
    ] {
        place.run(line);
        place.run("cat {p}/version");
        let shown = place.run("grep ' {p} ' /proc/mounts");
        place.unmount();
        assert!(shown.starts_with(&format!("{source} ")), "{shown}");
        assert!(shown.contains(" fuse.mirrorfs "), "{shown}");
    }
}

fn sigterm_while_in_use(lab: &Lab) {
    let place = Place::new(lab);
    for users in ["cd {p}", "exec 7<{p}/events"] {
        place.run("{m} {p}");
        let pid = place.pid();
        let line = place.fill(&format!("{users} && touch {{t}}/ready && exec sleep 60"));
        let mut user = Command::new("bash")
            .args(["-c", &line])
            .spawn()
            .expect("a user");
        wait_for("it is used", || {
            Path::new(&place.fill("{t}/ready")).exists()
        });
        place.run(&format!("rm {{t}}/ready; kill -TERM {pid}"));
        ended(pid);
        assert!(!place.is_mounted(), "{users}");
        user.kill().and_then(|()| user.wait()).expect("it ends");
    }
}

fn stale_mountpoint(lab: &Lab) {
    let mount = lab.mount();
    mount.write(
        "new",
        &format!(
            "m0: 0 64 mirror core 1 8 2 {} 0 {} 0",
            lab.disk(0),
            lab.disk(1)
        ),
    );
    let status = mount.read("m0/status");
    for _ in 0..2 {
        mount.kill(Signal::SIGKILL);
        let stale = attempt(&format!("ls {}", mount.at.display()));
        assert!(stale.1.contains("not connected"), "{}", stale.1);
        mount.mount("");
        assert_eq!(
            mount.read("m0/status").split(' ').next(),
            status.split(' ').next()
        );
        let told = format!(" m0 {} ", lab.found_again());
        assert!(
            mount.read("events").contains(&told),
            "{}",
            mount.read("events")
        );
        let mounts = output(&format!("grep -c ' {} ' /proc/mounts", mount.at.display()));
        assert_eq!(mounts.trim(), "1");
    }
    mount.write("m0/ctl", "remove");
}

fn help_and_version(lab: &Lab) {
    let place = Place::new(lab);
    let help = place.run("{b} --help 2>/dev/null");
    for word in [
        "MOUNTPOINT",
        "--engine",
        "kernel",
        "embedded",
        "--state-dir",
        "--foreground",
        "--no-restore",
        "-o ",
    ] {
        assert!(help.contains(word), "{word} is missing: {help}");
    }
    let version = place.run("{b} --version 2>/dev/null");
    assert_eq!(version, format!("mirrorfs {}\n", env!("CARGO_PKG_VERSION")));
    let (status, text) = attempt(&place.fill("{b}"));
    assert!(
        status != 0 && text.contains("MOUNTPOINT"),
        "{status} {text}"
    );
}
