//! File systems in use on a disk with a bad spot, to the end of `finish lossy`: they are sound,
//! and each file but the one that was hit is whole.

use std::time::Duration;

use nix::errno::Errno;

use crate::cases::failover::rig::NO_IO;
use crate::lab::Lab;
use crate::lab::case::{Case, kernel_only};
use crate::lab::disks::MIB;
use crate::lab::shell::{Undo, attempt, output};
use crate::lab::wait_longer;

pub const CASES: &[Case] = &[
    kernel_only("ext4", NO_IO, ext4),
    kernel_only("xfs", NO_IO, xfs),
];

const SIZE: u64 = 320 * MIB;

fn ext4(lab: &Lab) {
    through_all_of_it(lab, "mkfs.ext4 -qF", "e2fsck -fn");
}

fn xfs(lab: &Lab) {
    through_all_of_it(lab, "mkfs.xfs -qf", "xfs_repair -n");
}

fn through_all_of_it(lab: &Lab, make: &str, check: &str) {
    let names = ["disk", "target", "files", "orig"];
    let [file, target, at, orig] = names.map(|name| lab.path(name).display().to_string());
    let disk = output(&format!(
        "truncate -s {SIZE} {file} {target} && losetup -f --show {file}"
    ));
    let disk = disk.trim();
    let undo = Undo(format!(
        "umount {at}; losetup -d {disk}; rm -rf {file} {target} {at} {orig}"
    ));
    let whole = lab.spotted_on(disk, SIZE / 512, &[]);
    output(&format!(
        "{make} {path} && mkdir -p {at} && mount {path} {at} && mkdir {at}/d \
         && for n in $(seq 20); do head -c 1M /dev/urandom >{at}/d/old$n; done && sync -f {at} \
         && head -c 8M /dev/urandom >{at}/hit && sync -f {at}",
        path = whole.path
    ));
    output(&format!("cp {at}/hit {orig}"));
    let extent = output(&format!("filefrag -b512 -v {at}/hit | sed -n 4p"));
    let first = extent.split(':').nth(2).expect("an extent");
    let first = first.split("..").next().expect("a block").trim();
    let hole = first.parse::<u64>().expect("a number");
    output(&format!("umount {at}"));
    drop(whole);
    let source = lab.spotted_on(disk, SIZE / 512, &[(hole, 8)]);
    source.fail();
    let mount = lab.mount();
    mount.write("new", &format!("m: {} {target} limit=40M", source.path));
    output(&format!("mount /dev/mapper/m {at}"));
    // A program writes files, removes some, and keeps their sums.
    let work = format!(
        "cd {at} && n=0; while [ ! -e stop ]; do n=$((n+1)); head -c 300K /dev/urandom >d/new$n \
         && sync d/new$n && [ $((n % 3)) != 0 ] || rm d/new$n || exit 1; done; sync; \
         sha256sum d/* >sums"
    );
    let writer = std::thread::spawn(move || attempt(&work));
    wait_longer(120, "all but the bad spot", || {
        mount.read("m/sync/bad_bytes") == "4096\n" && !mount.read("m/map").contains("  ?\n")
    });
    match mount.try_write("m/ctl", "finish lossy") {
        Ok(_) => {}
        Err((Errno::EINPROGRESS, _)) => wait_longer(60, "the end of it", || {
            mount.read("events").contains(" m finished ")
        }),
        Err((errno, why)) => panic!("{errno}: {why}"),
    }
    std::thread::sleep(Duration::from_millis(500));
    output(&format!("touch {at}/stop"));
    let (status, text) = writer.join().expect("a writer");
    assert_eq!(status, 0, "{text}");
    output(&format!("umount {at}"));
    mount.write("m/ctl", "remove");
    // From here on the copy is alone.
    output(&format!("{check} {target}"));
    let files = output(&format!(
        "mount {target} {at} && cd {at} && sha256sum -c --quiet sums && wc -l <sums \
         && ls d/old20"
    ));
    println!(
        "{} files are whole",
        files.lines().next().unwrap_or_default()
    );
    let differs = attempt(&format!("cmp -l {orig} {at}/hit")).1;
    let others = differs.lines().filter(|line| !line.ends_with(" 0"));
    assert_eq!(others.count(), 0, "what could not be read is zeros");
    let count = differs.lines().count();
    assert!((4000..=4096).contains(&count), "{count}");
    output(&format!("umount {at}"));
    mount.stop();
    drop((source, undo));
}
