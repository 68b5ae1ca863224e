//! What differs is copied, from the leg that is right, and nothing that anybody writes
//! meanwhile is lost.

use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;

use nix::errno::Errno;

use super::{Compared, REGION, SIZE, differs, is_clean, sum};
use crate::cases::records::refused;
use crate::lab::disks::{MIB, assert_equal, bytes};
use crate::lab::writer::Writer;
use crate::lab::{Lab, long, wait_longer};

/// Exactly what differs is copied; the figure is 0 again.
pub fn mended(lab: &Lab) {
    let m = Compared::new(lab, 3);
    let before = sum(&m.legs[0]);
    m.plant(1, &[0, 3 * REGION - 1, 3 * REGION, SIZE - 1]);
    m.plant(2, &[3 * REGION, 10 * REGION + 512]);
    m.compare("check");
    assert_eq!(m.places().len(), 5);
    let text = m.compare("repair");
    assert!(is_clean(&text), "{text}");
    m.told(" m repaired ");
    m.told(" m check what differs is being repaired\n");
    assert!(!m.m("health").contains("warning"), "{}", m.m("health"));
    for leg in &m.legs {
        assert_eq!(sum(leg), before, "{leg}");
    }
    let metrics = m.mount.read("metrics");
    let figure = "mirrorfs_check_mismatch_bytes{mirror=\"m\"} 0\n";
    assert!(metrics.contains(figure), "{metrics}");
    // It has not compared all of it.
    let answer = m.mount.try_write("m/ctl", "finish checked");
    refused(answer, Errno::EBUSY, "bytes repaired");
    let text = m.compare("check");
    assert!(is_clean(&text) && text.contains(&before), "{text}");
    m.ctl("finish checked");
    m.remove();
}

/// The leg that is said to be right is.
pub fn from_another_leg(lab: &Lab) {
    let m = Compared::new(lab, 2);
    m.plant(1, &[MIB]);
    m.plant(0, &[5 * MIB]);
    let right = sum(&m.legs[1]);
    m.compare("check");
    assert_eq!(
        m.places(),
        [differs(MIB, 1, "0 1"), differs(5 * MIB, 1, "0 1")]
    );
    let text = m.compare("repair FROM 1");
    assert!(is_clean(&text), "{text}");
    assert_eq!(sum(&m.legs[0]), right);
    assert_eq!(sum(&m.legs[1]), right);
    m.remove();
}

/// A check that mends.
pub fn without_a_check_before(lab: &Lab) {
    let m = Compared::new(lab, 2);
    let right = sum(&m.legs[0]);
    m.plant(1, &[0, 7 * MIB, SIZE - 1]);
    let text = m.compare("repair");
    assert!(is_clean(&text), "{text}");
    m.told(" m check all legs are compared, and repaired\n");
    assert_eq!(sum(&m.legs[1]), right);
    m.remove();
}

/// What a check has found already is mended too where that is asked for while it runs.
pub fn asked_for_meanwhile(lab: &Lab) {
    let m = Compared::new(lab, 2);
    let right = sum(&m.legs[0]);
    m.plant(1, &[0, SIZE - 1]);
    m.limit("8M");
    m.ctl("check");
    wait_longer(60, "the first is found", || {
        m.m("check").contains(", 512 bytes differ")
    });
    m.ctl("repair");
    m.limit("none");
    let text = m.ended();
    assert!(is_clean(&text), "{text}");
    assert_eq!(sum(&m.legs[1]), right);
    m.remove();
}

/// Under a writer that never stops: what was planted is mended, and each byte that he was
/// told is written is there, on both legs.
pub fn under_writes(lab: &Lab) {
    let m = Compared::new(lab, 2);
    let rounds = if long() { 30 } else { 3 };
    for round in 0..rounds {
        // He is soon everywhere; what differs where he is goes with that, or is mended first.
        let writer = Writer::start("/dev/mapper/m", SIZE / 2);
        writer.wait_for(50);
        let places: Vec<u64> = (0..1000).map(|n| n * 66_560 + 1024 * round).collect();
        // A write may fall between reading a sector and writing it back: the source has it.
        m.plant(1, &places);
        let verbs = if round % 2 == 0 {
            &["check", "repair"][..]
        } else {
            &["repair"]
        };
        for verb in verbs {
            let text = m.compare(verb);
            let first = text.lines().next().unwrap_or_default();
            println!("{verb}: {first}");
            match *verb {
                "check" => assert!(text.lines().count() > 400, "{text}"),
                _ => m.told(" m repaired "),
            }
        }
        let written = writer.end();
        assert!(written.error.is_none(), "{:?}", written.error);
        println!(
            "{} blocks, the longest wait {:?}, half of them {:?}",
            written.count(),
            written.longest,
            written.median()
        );
        let text = m.compare("check");
        assert!(is_clean(&text), "{text}");
        assert_equal(&m.legs[0], &m.legs[1], SIZE);
        for leg in &m.legs {
            written.assert_on(leg);
        }
    }
    m.remove();
}

/// What is dirty in memory and about to be written is written before anything is said: it is
/// on all legs then, whatever differed below it.
pub fn what_is_dirty(lab: &Lab) {
    let m = Compared::new(lab, 2);
    let mut options = OpenOptions::new();
    let options = options.read(true).write(true);
    let file = options.open("/dev/mapper/m").expect("the mirror");
    for round in 1..4_u8 {
        let at = u64::from(round) * 5 * MIB;
        m.plant(1, &[at, at + 40 * MIB]);
        file.write_all_at(&[round; 4096], at).expect("written");
        let text = m.compare("check");
        let wanted = (1..=round).map(|round| {
            let at = u64::from(round) * 5 * MIB;
            differs(at + 40 * MIB, 1, "0 1")
        });
        assert_eq!(m.places(), wanted.collect::<Vec<_>>(), "{text}");
        assert_eq!(bytes(&m.legs[1], at, 4096), [round; 4096]);
    }
    drop(file);
    m.remove();
}
