//! The log fails: the mirror goes on with one in memory.

use super::rig::{NO_IO, Rig, Shape};
use crate::lab::Lab;
use crate::lab::case::{Case, kernel_only};
use crate::lab::dm::dm;
use crate::lab::wait_for;

pub const CASES: &[Case] = &[
    kernel_only("in_sync", NO_IO, |lab| lose(lab, true)),
    kernel_only("half_way", NO_IO, |lab| lose(lab, false)),
];

fn lose(lab: &Lab, whole: bool) {
    for legs in [2, 3] {
        let shape = Shape {
            legs,
            whole,
            disk: true,
        };
        let rig = Rig::new(lab, shape, &[]);
        rig.check_way();
        rig.log.as_ref().expect("a log").fail();
        rig.expect(
            "degraded",
            &[
                "\nlog /dev/mapper/fragile8 ",
                ", dropped\n",
                "\nlog core - A",
            ],
        );
        rig.goes_on(20);
        wait_for("the event", || {
            let events = rig.mount.read("events");
            events.contains(" m dropped log /dev/mapper/fragile8 ")
        });
        let table = dm("table m");
        let word = if whole {
            "core 2 128 nosync"
        } else {
            "core 1 128"
        };
        assert!(table.contains(&format!("{word} {legs} ")), "{table}");
        rig.finish_copy();
        let all: Vec<usize> = (0..legs).collect();
        let longest = rig.end(&all);
        println!("{shape:?}: the longest wait of a writer {longest:?}");
    }
}
