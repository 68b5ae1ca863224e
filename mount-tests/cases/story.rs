//! The whole story: a file system in use moves from a failing disk to a new one, and
//! to another one when the first new one is not the right one.

use std::thread::sleep;
use std::time::{Duration, Instant};

use super::failover::rig::NO_IO;
use crate::lab::Lab;
use crate::lab::case::{Case, kernel_only};
use crate::lab::disks::MIB;
use crate::lab::dm::{create, dm};
use crate::lab::mount::Mount;
use crate::lab::shell::{Undo, output};
use crate::lab::wait_longer;
use crate::lab::writer::Writer;

pub const CASES: &[Case] = &[kernel_only("a_file_system_moves", NO_IO, moves)];

const SIZE: u64 = 128 * MIB;
const SECTORS: u64 = SIZE / 512;

/// Sectors of the old disk that cannot be read later, where the file system has
/// nothing.
const BAD: (u64, u64) = (SECTORS * 9 / 10, 16);

fn moves(lab: &Lab) {
    let old = lab.holed(0, SECTORS, BAD);
    create("home", "", &format!("0 {SECTORS} linear {} 0", old.path));
    let device = Undo("dmsetup resume home; dmsetup remove --retry home".into());
    let (at, unmount) = file_system(lab);
    let (first, second) = (lab.zeroed(1), lab.zeroed(2));
    let mount = lab.mount();
    let file = format!("{at}/written");
    output(&format!("head -c 4M /dev/zero >{file}; sync"));
    let writer = Writer::start(&file, 4 * MIB);
    writer.wait_for(20);

    // The mirror is slid under it, and copies while it is written to.
    mount.write("throttle", "5");
    mount.write(
        "new",
        &format!("/dev/mapper/home {first} live=yes region=128K"),
    );
    writer.wait_for(20);
    assert_eq!(mount.read("home/sync/state"), "syncing\n");

    // Half way a part of the old disk cannot be read. It is the only whole copy:
    // it stays, nothing is called in sync, and nobody can cut over.
    old.fail();
    mount.write("throttle", "100");
    wait_longer(60, "the source has an error", || {
        mount.read("home/legs/0/health") != "A\n"
    });
    assert!(mount.read("home/health").starts_with("degraded\n"));
    assert_eq!(mount.read("home/legs/0/role"), "source\n");
    let finish = mount
        .try_write("home/ctl", "finish")
        .expect_err("not in sync");
    assert!(finish.1.contains("not in sync"), "{finish:?}");

    // The disk is brought to read that part again, and another one is taken.
    old.repair();
    mount.write("home/ctl", &format!("replace 1 {second}"));
    // What was found to be bad until then is not read again by itself.
    wait_longer(10, "`retry` is done", || {
        mount.try_write("home/ctl", "retry").is_ok()
    });
    writer.wait_for(20);
    in_sync(&mount);
    assert!(mount.read("home/health").starts_with("ok\n"));
    output(&format!(
        "cd {at} && sha256sum --quiet -c sums && cp data more && sync"
    ));

    // Cut over; the old disk goes.
    mount.write("home/ctl", "finish");
    assert_eq!(
        dm("table home"),
        format!("0 {SECTORS} linear {} 0\n", lab.number(&second))
    );
    old.fail();
    dm("remove --retry fragile0");
    writer.wait_for(50);
    let written = writer.end();
    assert!(written.error.is_none(), "{:?}", written.error);
    println!("the longest wait of a writer {:?}", written.longest);
    output("echo 3 >/proc/sys/vm/drop_caches");
    written.assert_on(&file);
    output(&format!(
        "cd {at} && sha256sum --quiet -c sums && cmp data more"
    ));
    drop(mount);
    drop(unmount);
    output("e2fsck -fn /dev/mapper/home");
    drop(device);
}

/// A file system on the device, with data and its sum.
fn file_system(lab: &Lab) -> (String, Undo) {
    let at = lab.path("home").display().to_string();
    output(&format!(
        "mkfs.ext4 -q -E lazy_itable_init=0,lazy_journal_init=0 /dev/mapper/home && mkdir {at} && mount /dev/mapper/home {at} && \
         cd {at} && head -c 8M /dev/urandom >data && sha256sum data >sums && sync"
    ));
    let undo = Undo(format!("umount {at}; rmdir {at}"));
    (at, undo)
}

fn in_sync(mount: &Mount) {
    let end = Instant::now() + Duration::from_secs(120);
    while mount.read("home/sync/state") != "in_sync\n" {
        let seen = || ["home/health", "home/map", "events"].map(|file| mount.read(file));
        assert!(Instant::now() < end, "{}", seen().join("\n"));
        sleep(Duration::from_millis(50));
    }
}
