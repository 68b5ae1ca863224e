//! No difference is told that is none: checks, one after the other, under file systems with a
//! load on them, under swap, and with verbs in between.

use std::thread::sleep;
use std::time::{Duration, Instant};

use super::{Compared, SIZE, is_clean};
use crate::cases::load::fs::Fs;
use crate::cases::load::loaded::LoadedMirror;
use crate::lab::disks::assert_equal;
use crate::lab::shell::{Undo, attempt, output};
use crate::lab::{Lab, long, wait_longer};

/// How long each load is compared: together an hour, or two minutes.
fn time() -> Duration {
    Duration::from_secs(if long() { 900 } else { 30 })
}

/// What is done between checks.
const VERBS: &[&str] = &["suspend noflush", "resync", "add", "drop 2", "retry"];

pub fn on_ext4(lab: &Lab) {
    loaded(lab, Fs::Ext4);
}

pub fn on_xfs(lab: &Lab) {
    loaded(lab, Fs::Xfs);
}

fn loaded(lab: &Lab, fs: Fs) {
    let mut loaded = LoadedMirror::new(lab, fs);
    loaded.in_sync();
    let begun = Instant::now();
    let (mut checks, mut bytes) = (0, 0_u64);
    for verb in VERBS.iter().cycle() {
        if begun.elapsed() >= time() {
            break;
        }
        bytes += compared(&loaded);
        checks += 1;
        match *verb {
            "suspend noflush" => loaded.suspend(verb, Duration::from_millis(200)),
            "add" => loaded.write("ctl", &format!("add {} force=yes", lab.disk(2))),
            verb => loaded.write("ctl", verb),
        }
        loaded.in_sync();
    }
    println!("{checks} checks of {bytes} bytes in all under {fs:?}");
    loaded.end("checks");
}

/// One check, of which nothing is to differ; how many bytes there were.
fn compared(loaded: &LoadedMirror<'_>) -> u64 {
    loaded.mount.write(&format!("{}/ctl", loaded.name), "check");
    let text = || loaded.read("check") + "\n";
    wait_longer(120, "the end of a check", || !text().starts_with("running"));
    assert!(is_clean(&text()), "{}", text());
    loaded.goes_on("check");
    loaded.read("size").parse().expect("a number")
}

/// Random writes of all sizes, many at once. No two of them at one place at a time: which of
/// them is the later one each leg may see its own way.
const FIO: &str = "fio --name=load --filename=/dev/mapper/m --rw=randwrite --bsrange=512-1M \
                   --bs_unaligned=0 --blockalign=512 --direct=1 --ioengine=libaio --iodepth=16 \
                   --serialize_overlap=1 --randrepeat=0 --time_based --runtime=100000";

pub fn on_fio(lab: &Lab) {
    let m = Compared::new(lab, 2);
    let said = m.mount.scratch("said");
    let _undo = Undo("pkill -9 -x fio".into());
    output(&format!("({FIO} > {said} 2>&1 &)"));
    let written = || -> u64 {
        let text =
            output("awk '{print $7}' /sys/block/$(basename $(readlink -f /dev/mapper/m))/stat");
        text.trim().parse().expect(&text)
    };
    let before = written();
    wait_longer(60, "it writes", || written() > before + 10_000);
    let (begun, mut checks) = (Instant::now(), 0);
    while begun.elapsed() < time() {
        let from = written();
        let text = m.compare("check");
        assert!(is_clean(&text), "{text}");
        assert!(written() > from, "{}", output(&format!("cat {said}")));
        checks += 1;
        let verb = ["suspend noflush", "resync", "suspend"][checks % 3];
        m.ctl(verb);
        if verb.starts_with("suspend") {
            sleep(Duration::from_millis(200));
            m.ctl("resume");
        }
        m.mount.wait_in_sync("m");
    }
    let mib = (written() - before) >> 11;
    println!("{checks} checks of {SIZE} bytes under fio, which wrote {mib} MiB");
    // What it has under way comes to its end all the same; a zombie has nothing.
    output("pkill -9 -x fio");
    wait_longer(60, "fio has ended", || {
        let all = attempt("ps -C fio -o stat=").1;
        all.lines().all(|line| line.starts_with('Z'))
    });
    assert!(is_clean(&m.compare("check")));
    assert_equal(&m.legs[0], &m.legs[1], SIZE);
    m.remove();
}

/// A program that has pages written out to swap and changes them all the while.
const SWAPS: &str = r#"
import ctypes, mmap, os, random, time
size = 24 << 20
memory = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
libc = ctypes.CDLL(None, use_errno=True)
MADV_PAGEOUT = 21
numbers = {}
count = 0
while True:
    for _ in range(400):
        page = random.randrange(size // 4096)
        count += 1
        memory[page * 4096:page * 4096 + 8] = count.to_bytes(8, "little")
        numbers[page] = count
    libc.madvise(ctypes.c_void_p(address), ctypes.c_size_t(size), MADV_PAGEOUT)
    page = random.choice(list(numbers))
    found = int.from_bytes(memory[page * 4096:page * 4096 + 8], "little")
    if found != numbers[page]:
        raise SystemExit("page %d has %d, not %d" % (page, found, numbers[page]))
    time.sleep(0.005)
"#;

pub fn on_swap(lab: &Lab) {
    let m = Compared::new(lab, 2);
    let (script, said) = (m.mount.scratch("swaps.py"), m.mount.scratch("said"));
    std::fs::write(&script, SWAPS).expect("a script");
    let _undo = Undo("pkill -f '[s]waps.py'; swapoff /dev/mapper/m".into());
    output("mkswap /dev/mapper/m && swapon -p 100 /dev/mapper/m");
    output(&format!("(python3 {script} > {said} 2>&1 &)"));
    let used = || -> u64 {
        let text = output("grep /dev/dm- /proc/swaps | awk '{print $4}'");
        text.trim().parse().unwrap_or(0)
    };
    wait_longer(60, "something is in swap", || used() > 1024);
    let (begun, mut checks) = (Instant::now(), 0);
    while begun.elapsed() < time() {
        let text = m.compare("check");
        assert!(is_clean(&text), "{text}");
        checks += 1;
        if checks % 3 == 0 {
            m.ctl("resync");
            m.mount.wait_in_sync("m");
        }
        sleep(Duration::from_millis(100));
    }
    let said = output(&format!("cat {said}; pgrep -fc '[s]waps.py'"));
    assert_eq!(said, "1\n", "the program has ended");
    println!(
        "{checks} checks of {} bytes under swap, {} KiB of it used",
        SIZE,
        used()
    );
    output("pkill -f '[s]waps.py'; swapoff /dev/mapper/m");
    m.remove();
}
