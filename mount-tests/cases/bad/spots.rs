//! Bad spots of many kinds, with a reader and a writer at work.

use std::fs;
use std::thread::sleep;
use std::time::{Duration, Instant};

use mirrorfs::engine::Kind;
use nix::errno::Errno;

use super::reader::Reader;
use crate::cases::failover::rig::NO_IO;
use crate::lab::Lab;
use crate::lab::case::{Case, kernel_only};
use crate::lab::disks::{MIB, bytes};
use crate::lab::fragile::Fragile;
use crate::lab::mount::Mount;
use crate::lab::shell::{Undo, output};
use crate::lab::wait_longer;
use crate::lab::writer::Writer;

pub const CASES: &[Case] = &[
    kernel_only("one_spot", NO_IO, one_spot),
    kernel_only("healed", NO_IO, healed),
    kernel_only("many_spots", NO_IO, many_spots),
    kernel_only("embedded", "only a mapping has bad spots", embedded),
    kernel_only("which_file", NO_IO, which_file),
];

/// The commands of the cookbook.
const EXT4: &str = r#"
size=$(dumpe2fs -h mnt/m/device 2>/dev/null | awk '/^Block size/ {print $3}')
for block in $(ddrescuelog --list-blocks=- --block-size=$size mnt/m/map); do
    inode=$(debugfs -R "icheck $block" mnt/m/device 2>/dev/null | awk 'NR==2 {print $2}')
    debugfs -R "ncheck $inode" mnt/m/device 2>/dev/null | tail -n +2
done | sort -u"#;
const XFS: &str = r#"
for sector in $(ddrescuelog --list-blocks=- --block-size=512 mnt/m/map); do
    block=$(xfs_db -r -c "convert daddr $sector fsblock" mnt/m/device | sed 's/.*(\(.*\))/\1/')
    inode=$(xfs_db -r -c "blockget -n -b $block" mnt/m/device | awk '/^setting inode/ {print $4}')
    xfs_db -r -c 'blockget -n' -c "ncheck -i $inode" mnt/m/device
done | sort -u"#;

/// Bytes of the mirror.
const SIZE: u64 = 96 * MIB;

/// A mirror of a source with these holes: bytes, where each begins and how many.
pub struct Rig {
    pub mount: Mount,
    pub source: Fragile,
    plain: String,
    target: String,
}

impl Rig {
    fn new(lab: &Lab, holes: &[(u64, u64)], words: &str) -> Rig {
        Rig::on(lab, lab.mount(), holes, words)
    }

    /// The same on a mount that is there.
    pub fn on(lab: &Lab, mount: Mount, holes: &[(u64, u64)], words: &str) -> Rig {
        Rig::made_by(lab, mount, holes, |mount, line| {
            mount.write("new", &format!("{line} {words}"));
        })
    }

    /// The same; `make` makes the mirror of this line.
    pub fn made_by(
        lab: &Lab,
        mount: Mount,
        holes: &[(u64, u64)],
        make: impl FnOnce(&Mount, &str),
    ) -> Rig {
        let plain = lab.random(0, SIZE);
        let sectors: Vec<(u64, u64)> = holes.iter().map(|(at, n)| (at / 512, n / 512)).collect();
        let source = lab.spotted(0, SIZE / 512, &sectors);
        source.fail();
        let (target, _) = lab.noise(1, SIZE);
        let line = format!("m: {} {target} region=512K", source.path);
        make(&mount, &line);
        Rig {
            mount,
            source,
            plain,
            target,
        }
    }

    /// Wait until all but this many bytes is copied.
    pub fn wait_for_bad(&self, bytes: u64) {
        let end = Instant::now() + Duration::from_secs(60);
        loop {
            let state = self.mount.read("m/sync/state");
            let bad = self.mount.read("m/sync/bad_bytes");
            // In the moment of a switch it is stopped as well.
            let left = || self.mount.read("m/map").contains("  ?\n");
            if state == "stopped\n" && bad == format!("{bytes}\n") && !left() {
                break;
            }
            let seen = || ["m/health", "m/map", "events"].map(|file| self.mount.read(file));
            assert!(Instant::now() < end, "{}", seen().join("\n"));
            sleep(Duration::from_millis(20));
        }
    }
}

/// The ranges of a mapfile: where each begins, how long it is, and what it says.
pub fn ranges(map: &str) -> Vec<(u64, u64, char)> {
    let hex = |word: &str| u64::from_str_radix(word.trim_start_matches("0x"), 16).expect(word);
    let lines = map.lines().filter(|line| !line.starts_with('#')).skip(1);
    let range = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let letter = words[2].chars().next().expect("a letter");
        (hex(words[0]), hex(words[1]), letter)
    };
    lines.map(range).collect()
}

/// The map of a mirror of which all is copied but these holes.
pub fn all_but(holes: &[(u64, u64)]) -> Vec<(u64, u64, char)> {
    let (mut ranges, mut at) = (Vec::new(), 0);
    for (start, size) in holes {
        if *start > at {
            ranges.push((at, start - at, '+'));
        }
        ranges.push((*start, *size, '-'));
        at = start + size;
    }
    if at < SIZE {
        ranges.push((at, SIZE - at, '+'));
    }
    ranges
}

impl Rig {
    /// Cut over all the same, however long that takes.
    pub fn finish_lossy(&self) {
        match self.mount.try_write("m/ctl", "finish lossy") {
            Ok(_) => {}
            Err((Errno::EINPROGRESS, _)) => wait_longer(60, "the end of it", || {
                self.mount.read("events").contains(" m finished ")
            }),
            Err((errno, why)) => panic!("{errno}: {why}"),
        }
    }

    /// All is on the target but the holes, which are zeros there.
    pub fn assert_copied(&self, holes: &[(u64, u64)]) {
        let (from, to) = (bytes(&self.plain, 0, SIZE), bytes(&self.target, 0, SIZE));
        for (start, size, letter) in all_but(holes) {
            let range = start as usize..(start + size) as usize;
            let (from, to) = (&from[range.clone()], &to[range]);
            let right = if letter == '+' {
                from == to
            } else {
                to.iter().all(|byte| *byte == 0)
            };
            assert!(right, "{size} bytes from {start:#x} on, {letter}");
        }
    }
}

/// One unreadable block at 31 % of the source, and the end of it.
fn one_spot(lab: &Lab) {
    let hole = (SIZE * 31 / 100 / 4096 * 4096, 4096);
    let rig = Rig::new(lab, &[hole], "");
    let reader = Reader::start("/dev/mapper/m", SIZE, &[hole]);
    let writer = Writer::start("/dev/mapper/m", hole.0);
    let begun = Instant::now();
    rig.wait_for_bad(4096);
    let took = begun.elapsed();
    writer.wait_for(50);
    let (written, reads) = (writer.end(), reader.end());
    println!(
        "one spot: {took:?}; {} of {} reads failed, longest {:?}; longest write {:?}",
        reads.failed.len(),
        reads.count,
        reads.longest,
        written.longest
    );
    assert!(written.error.is_none(), "{:?}", written.error);
    let first = reads.failed.first().map(|(at, _)| *at);
    let late = |(at, _): &&(Instant, u64)| {
        first.is_some_and(|first| at.duration_since(first) > Duration::from_millis(300))
    };
    assert_eq!(reads.failed.iter().filter(late).count(), 0);
    written.assert_on(&rig.target);
    let m = |file: &str| rig.mount.read(&format!("m/{file}"));
    assert_eq!(ranges(&m("map")), all_but(&[hole]));
    assert!(
        m("progress").ends_with("stopped, 4.00 KiB bad\n"),
        "{}",
        m("progress")
    );
    let health = m("health");
    assert!(health.starts_with("degraded\n"), "{health}");
    assert!(health.contains("\nbad 4096 bytes in 1 spots\n"), "{health}");
    let told = format!(" m bad 0x{:X} 4096\n", hole.0);
    assert!(rig.mount.read("events").contains(&told));
    assert!(
        rig.mount
            .read("metrics")
            .contains("mirrorfs_bad_bytes{mirror=\"m\"} 4096\n")
    );
    let map = rig.mount.path("m/map").display().to_string();
    let blocks = output(&format!(
        "ddrescuelog --list-blocks=- --block-size=4096 {map}"
    ));
    assert_eq!(blocks, format!("{}\n", hole.0 / 4096));
    let picture = m("map.txt");
    assert_eq!(picture.matches('-').count(), 2, "{picture}");
    let (errno, why) = rig.mount.try_write("m/ctl", "finish").expect_err("bad");
    assert_eq!(errno, Errno::EBUSY);
    let place = format!(
        "4.00 KiB of the source in 1 spots could not be read, the first at 0x{:X}",
        hole.0
    );
    assert!(why.contains(&place), "{why}");
    rig.mount.write("m/ctl", "finish lossy");
    let number = lab.number(&rig.target);
    assert_eq!(m("table"), format!("0 {} linear {number} 0\n", SIZE / 512));
    let zeros = bytes(&rig.target, hole.0, hole.1);
    assert!(zeros.iter().all(|byte| *byte == 0), "what was there before");
    written.assert_on("/dev/mapper/m");
    let events = rig.mount.read("events");
    let told = format!(" m lossy 0x{:X} 4096\n", hole.0);
    assert!(events.contains(&told), "{events}");
    let map = events.split("the map is ").nth(1).expect("a map");
    let map = fs::read_to_string(map.lines().next().expect("a path")).expect("the map");
    assert_eq!(ranges(&map), all_but(&[hole]));
    assert_eq!(
        fs::read_dir(rig.mount.state().join("logs")).map_or(0, Iterator::count),
        0
    );
    rig.mount.write("m/ctl", "remove");
}

/// What was bad can be read again: it is copied, and the mirror is one target again.
fn healed(lab: &Lab) {
    let holes = [(0, 4096), (SIZE / 2 - 4096, 8192), (SIZE - 4096, 4096)];
    let rig = Rig::new(lab, &holes, "");
    rig.wait_for_bad(4096 + 8192 + 4096);
    assert_eq!(ranges(&rig.mount.read("m/map")), all_but(&holes));
    rig.mount.write("m/ctl", "retry");
    assert_eq!(ranges(&rig.mount.read("m/map")), all_but(&holes));
    rig.source.repair();
    rig.mount.write("m/ctl", "retry");
    rig.mount.wait_in_sync("m");
    assert_eq!(rig.mount.read("m/table").lines().count(), 1);
    assert_eq!(rig.mount.read("m/health").lines().next(), Some("ok"));
    rig.mount.write("m/ctl", "finish");
    rig.assert_copied(&[]);
    rig.mount.write("m/ctl", "remove");
}

/// So many spots, in places that are as random as they are always the same.
fn many_spots(lab: &Lab) {
    for count in [10, 40] {
        let blocks = SIZE / 4096;
        let mut places: Vec<u64> = (1..=count).map(|n| n * 7_919 % blocks).collect();
        places.sort_unstable();
        places.dedup();
        let holes: Vec<(u64, u64)> = places.iter().map(|place| (place * 4096, 4096)).collect();
        let rig = Rig::new(lab, &holes, "");
        let reader = Reader::start("/dev/mapper/m", SIZE, &holes);
        let begun = Instant::now();
        rig.wait_for_bad(holes.len() as u64 * 4096);
        let (took, reads) = (begun.elapsed(), reader.end());
        println!(
            "{} spots: {took:?}; {} of {} reads failed, longest {:?}",
            holes.len(),
            reads.failed.len(),
            reads.count,
            reads.longest
        );
        println!(
            "{}",
            fs::read_to_string("/proc/meminfo")
                .expect("meminfo")
                .lines()
                .take(3)
                .collect::<Vec<_>>()
                .join(" ")
        );
        assert_eq!(ranges(&rig.mount.read("m/map")), all_but(&holes));
        rig.finish_lossy();
        rig.assert_copied(&holes);
        rig.mount.write("m/ctl", "remove");
    }
}

/// The embedded engine does the same with what nobody writes to.
fn embedded(lab: &Lab) {
    let holes = [(SIZE / 3 / 4096 * 4096, 4096), (SIZE / 2 - 4096, 8192)];
    let plain = lab.random(0, SIZE);
    let sectors = holes.map(|(at, size)| (at / 512, size / 512));
    let source = lab.spotted(0, SIZE / 512, &sectors);
    source.fail();
    let mount = Mount::new(lab, Kind::Embedded);
    mount.mount("");
    let target = mount.scratch("target");
    fs::write(&target, vec![7; SIZE as usize]).expect("a target");
    mount.write("new", &format!("m: {} {target} region=512K", source.path));
    let rig = Rig {
        mount,
        source,
        plain,
        target,
    };
    rig.wait_for_bad(12_288);
    assert_eq!(ranges(&rig.mount.read("m/map")), all_but(&holes));
    let refused = rig.mount.try_write("m/ctl", "finish").expect_err("bad");
    assert!(refused.1.contains("12.00 KiB"), "{}", refused.1);
    rig.mount.stop();
    rig.mount.mount("");
    rig.wait_for_bad(12_288);
    rig.finish_lossy();
    rig.assert_copied(&holes);
    rig.mount.write("m/ctl", "remove");
    rig.mount.stop();
}

/// Which files lie where the source cannot be read, as the cookbook finds it.
fn which_file(lab: &Lab) {
    for (make, find) in [("mkfs.ext4 -qF", EXT4), ("mkfs.xfs -qf", XFS)] {
        let size = 320 * MIB;
        let names = ["disk", "target", "files"];
        let [file, target, at] = names.map(|name| lab.path(name).display().to_string());
        let disk = output(&format!(
            "truncate -s {size} {file} {target} && losetup -f --show {file}"
        ));
        let disk = disk.trim();
        let undo = Undo(format!("losetup -d {disk}; rm -rf {file} {target} {at}"));
        let whole = lab.spotted_on(disk, size / 512, &[]);
        let path = &whole.path;
        output(&format!(
            "{make} {path} && mkdir -p {at} && mount {path} {at} && mkdir {at}/d \
             && head -c 3M /dev/urandom >{at}/d/other && sync -f {at} \
             && head -c 8M /dev/urandom >{at}/d/hit && sync -f {at}"
        ));
        let extent = output(&format!("filefrag -b512 -v {at}/d/hit | sed -n 4p"));
        let first = extent.split(':').nth(2).expect("an extent");
        let first = first.split("..").next().expect("a block").trim();
        let hole = first.parse::<u64>().expect("a number") + 4096;
        output(&format!("umount {at}"));
        drop(whole);
        let source = lab.spotted_on(disk, size / 512, &[(hole, 8)]);
        source.fail();
        let mount = lab.mount();
        mount.write("new", &format!("m: {} {target}", source.path));
        wait_longer(60, "all but the bad spot", || {
            mount.read("m/sync/bad_bytes") == "4096\n"
        });
        let found = output(&format!("cd {} && {find}", mount.folder().display()));
        assert!(
            found.contains("hit") && !found.contains("other"),
            "{find}: {found}"
        );
        mount.write("m/ctl", "abort");
        mount.write("m/ctl", "remove");
        mount.stop();
        drop((source, undo));
    }
}
