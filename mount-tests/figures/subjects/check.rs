//! Comparing the legs of a mirror in use, beside `cmp` of the legs at rest, and what a reader
//! of the mirror has left meanwhile.

use std::path::Path;
use std::time::Duration;

use super::super::place::{Mount, Setting, lacks_kernel, program, ram_disks, run};
use super::super::sample::{Figure, time, until};
use super::Subject;

pub const SUBJECT: Subject = Subject {
    name: "check",
    lacks: lacks_kernel,
    measure,
};

fn measure(setting: &Setting) -> Vec<Figure> {
    let mib: u64 = if setting.short { 16 } else { 256 };
    ram_disks(2, mib << 11);
    let mount = setting.mount("kernel", Path::new("/tmp"));
    run(&format!(
        "dd if=/dev/urandom of=/dev/ram0 bs=1M count={mib} oflag=direct status=none"
    ));
    mount.write("new", "m: /dev/ram0 /dev/ram1 log=core\n");
    mount.in_sync("m", Duration::from_secs(300));
    let (mut ours, mut cmp, mut sum) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..setting.rounds(5) {
        ours.push(time(|| check(&mount)));
        cmp.push(time(|| program(&["cmp", "/dev/ram0", "/dev/ram1"])));
        sum.push(time(|| program(&["sha256sum", "/dev/ram0"])));
    }
    mount.clear();
    let name = format!("check of {mib} MiB, with its digest");
    vec![
        Figure::beside(&name, "s", &ours, ("cmp of the legs", &cmp)),
        Figure::beside(&name, "s", &ours, ("sha256sum of one leg", &sum)),
    ]
}

fn check(mount: &Mount) {
    mount.write("m/ctl", "check");
    until(Duration::from_secs(600), "a check", || {
        let state = mount.read("m/check");
        !state.starts_with("running")
    });
}
