//! `on_failure hold`: writes wait until the administrator says how to go on.

use super::rig::{NO_IO, Rig, Shape};
use crate::lab::Lab;
use crate::lab::case::{Case, both, kernel_only};
use crate::lab::dm::dm;

pub const CASES: &[Case] = &[
    kernel_only("until_it_works_again", NO_IO, repaired),
    kernel_only("until_told_to_drop", NO_IO, told),
    both("the_setting", setting),
];

const WAY: Shape = Shape {
    legs: 2,
    whole: true,
    disk: true,
};

fn hold(lab: &Lab, broken: usize) -> Rig {
    let rig = Rig::new(lab, WAY, &[broken]);
    rig.mount.write("m/on_failure", "hold");
    rig.fragile[0].fail();
    let warning = "warning writes are held (on_failure): `echo drop > m/on_failure`";
    rig.expect(
        "degraded",
        &[warning, &format!("leg {broken} {} D", rig.node(broken))],
    );
    assert!(rig.writer.is_held(), "the write was not held");
    let events = rig.mount.read("events");
    assert_eq!(
        events.matches(" m held writes wait: ").count(),
        1,
        "{events}"
    );
    rig
}

fn repaired(lab: &Lab) {
    for broken in [0, 1] {
        let before = "disk 3 ";
        let rig = hold(lab, broken);
        assert!(dm("table m").contains(before));
        rig.fragile[0].repair();
        rig.retry();
        rig.goes_on(50);
        rig.expect("ok", &[]);
        rig.end(&[0, 1]);
    }
}

fn told(lab: &Lab) {
    for broken in [0, 1] {
        let rig = hold(lab, broken);
        rig.mount.write("m/on_failure", "drop");
        rig.expect("degraded", &[" D write failed, dropped"]);
        rig.goes_on(50);
        rig.end(&[1 - broken]);
    }
}

/// It is shown, set, refused, kept over a new mount and a rename.
fn setting(lab: &Lab) {
    let (mount, a, b) = (lab.mount(), lab.disk(0), lab.disk(1));
    mount.write(
        "new",
        &format!("m: 0 2048 mirror core 1 128 2 {a} 0 {b} 0 1 handle_errors"),
    );
    assert_eq!(mount.read("m/on_failure"), "drop\n");
    mount.write("m/on_failure", "hold");
    assert_eq!(mount.read("m/on_failure"), "hold\n");
    for wrong in ["", "Hold", "drop hold", "no"] {
        let (errno, _) = mount.try_write("m/on_failure", wrong).expect_err(wrong);
        assert_eq!(errno, nix::errno::Errno::EINVAL, "{wrong}");
    }
    assert!(mount.read("events").contains(" m set on_failure hold\n"));
    std::fs::rename(mount.path("m"), mount.path("n")).expect("a rename");
    mount.stop();
    mount.mount("");
    assert_eq!(mount.read("n/on_failure"), "hold\n");
    mount.write("n/ctl", "remove");
}
