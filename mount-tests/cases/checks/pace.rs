//! How fast a check is, and what others notice of it.

use std::thread::sleep;
use std::time::{Duration, Instant};

use super::{Compared, SIZE, differs, is_clean};
use crate::lab::disks::MIB;
use crate::lab::shell::{Undo, output};
use crate::lab::writer::{Writer, Written};
use crate::lab::{Lab, long, wait_for};

/// `check stop` ends it, a limit of 0 lets it wait.
pub fn stopped_and_paused(lab: &Lab) {
    let m = Compared::new(lab, 2);
    m.plant(1, &[0, SIZE - 1]);
    m.limit("4M");
    m.ctl("check");
    m.when(25.0);
    m.limit("0");
    wait_for("it pauses", || {
        m.m("check").contains("% paused, 512 bytes differ")
    });
    let before = m.percent();
    sleep(Duration::from_secs(2));
    assert!((m.percent() - before).abs() < 0.001, "{}", m.m("check"));
    m.ctl("check stop");
    let text = m.m("check");
    let first = text.lines().next().expect("a line");
    assert!(first.starts_with("stopped 20"), "{text}");
    assert!(
        first.ends_with("%, 512 bytes differ in 1 places: by request"),
        "{text}"
    );
    assert_eq!(m.places(), [differs(0, 1, "0 1")]);
    let answer = m.mount.try_write("m/ctl", "finish checked");
    assert!(
        answer.is_err_and(|(_, why)| why.contains("stopped 20") && why.contains("`repair` copies"))
    );
    m.limit("none");
    let text = m.compare("check");
    assert_eq!(m.places().len(), 2, "{text}");
    // It waits while I/O is held on purpose.
    m.ctl("suspend");
    m.ctl("check");
    wait_for("it waits", || m.m("check").contains(" waiting, "));
    m.ctl("resume");
    let text = m.ended();
    assert_eq!(m.places().len(), 2, "{text}");
    m.remove();
}

/// As fast as `sync/limit` allows.
pub fn limited(lab: &Lab) {
    let m = Compared::new(lab, 2);
    m.limit("16M");
    let begun = Instant::now();
    m.ctl("check");
    m.when(50.0);
    let text = m.m("check");
    assert!(
        text.contains("/s ") && text.contains(" left, 0 bytes differ"),
        "{text}"
    );
    assert!(is_clean(&m.ended()));
    let took = begun.elapsed().as_secs_f64();
    let rate = (SIZE / MIB) as f64 / took;
    println!("limit 16M: {rate:.2} MiB/s over {took:.1} s");
    assert!((12.0..=17.0).contains(&rate), "{rate}");
    m.remove();
}

/// What a writer notices, in one run with and without a check.
pub fn beside_a_writer(lab: &Lab) {
    let m = Compared::new(lab, 2);
    let time = Duration::from_secs(if long() { 60 } else { 8 });
    let alone = written(&|| sleep(time));
    let beside = written(&|| {
        let (begun, mut times) = (Instant::now(), 0);
        while begun.elapsed() < time {
            assert!(is_clean(&m.compare("check")));
            times += 1;
        }
        println!("{times} checks");
    });
    println!(
        "alone: median {:?}, longest {:?}; beside checks: median {:?}, longest {:?}",
        alone.median(),
        alone.longest,
        beside.median(),
        beside.longest
    );
    // On an emulated machine of one processor; the figures are what counts.
    assert!(
        beside.median() < alone.median() * 3,
        "{:?}",
        beside.median()
    );
    assert!(
        beside.longest < Duration::from_secs(3),
        "{:?}",
        beside.longest
    );
    beside.assert_on(&m.legs[1]);
    m.remove();
}

fn written(meanwhile: &dyn Fn()) -> Written {
    let writer = Writer::start("/dev/mapper/m", SIZE);
    writer.wait_for(20);
    meanwhile();
    let written = writer.end();
    assert!(written.error.is_none(), "{:?}", written.error);
    written
}

/// As long as `cmp` of the two disks, where the disks are what takes the time.
pub fn beside_cmp(lab: &Lab) {
    let sectors = SIZE / 512;
    let delayed = |number: usize| {
        let disk = lab.disk(number);
        let name = format!("late{number}");
        let line = format!(
            "modprobe dm-delay; dmsetup create {name} --table '0 {sectors} delay {disk} 0 10'"
        );
        output(&line);
        (
            format!("/dev/mapper/{name}"),
            Undo(format!("dmsetup remove --retry {name}")),
        )
    };
    lab.random(0, SIZE);
    let ((one, _one), (other, _other)) = (delayed(0), delayed(1));
    let m = Compared::made_of(lab.mount(), vec![one.clone(), other.clone()]);
    let begun = Instant::now();
    output(&format!(
        "blockdev --flushbufs {one} {other}; cmp -n {SIZE} {one} {other}"
    ));
    let cmp = begun.elapsed();
    let begun = Instant::now();
    assert!(is_clean(&m.compare("check")));
    let check = begun.elapsed();
    println!("cmp {cmp:?}, check {check:?}");
    assert!(check < cmp.mul_f64(1.1), "cmp {cmp:?}, check {check:?}");
    m.remove();
}
