//! A disk of another machine as the target, by NBD; the link is cut, and comes back.

use std::thread::sleep;
use std::time::{Duration, Instant};

use super::failover::rig::NO_IO;
use crate::lab::Lab;
use crate::lab::case::{Case, kernel_only};
use crate::lab::disks::{MIB, assert_equal};
use crate::lab::shell::{Undo, attempt, output};
use crate::lab::writer::Writer;
use crate::lab::{wait_for, wait_longer};

pub const CASES: &[Case] = &[kernel_only("the_link_is_cut", NO_IO, cut)];

const SIZE: u64 = 32 * MIB;

/// Seconds without an answer after which the client gives the disk up.
const TIMEOUT: u32 = 3;

/// The other machine: a network of its own, a link to it, and a server there.
struct Far {
    export: String,
    _undo: Undo,
}

impl Far {
    fn new(lab: &Lab) -> Far {
        let export = lab.path("export").display().to_string();
        let config = lab.path("nbd.conf").display().to_string();
        let pid = lab.path("nbd.pid").display().to_string();
        let undo = Undo(format!(
            "nbd-client -d /dev/nbd0; kill $(cat {pid}); ip link del near; ip netns del far; \
             rm -f {export} {config} {pid}"
        ));
        output(&format!(
            "modprobe nbd max_part=0 && modprobe veth && truncate -s {SIZE} {export} && \
             printf '[generic]\\n[disk]\\nexportname = {export}\\nflush = true\\n' >{config} && \
             ip netns add far && ip link add near type veth peer name far netns far && \
             ip addr add 10.99.0.1/24 dev near && ip link set near up && \
             ip -n far addr add 10.99.0.2/24 dev far && ip -n far link set far up && \
             ip netns exec far nbd-server -C {config} -p {pid} 2>&1"
        ));
        let far = Far {
            export,
            _undo: undo,
        };
        far.connect();
        far
    }

    fn connect(&self) {
        wait_for("the server answers", || {
            let line = format!("nbd-client 10.99.0.2 /dev/nbd0 -N disk -timeout {TIMEOUT} 2>&1");
            attempt(&line).0 == 0
        });
        output("udevadm settle --timeout=10 || true");
    }

    fn link(&self, state: &str) {
        output(&format!("ip link set near {state}"));
    }
}

fn cut(lab: &Lab) {
    let source = lab.random(0, SIZE);
    let far = Far::new(lab);
    let mount = lab.mount();
    mount.write("new", &format!("m: {source}@0 /dev/nbd0 length=32M"));
    mount.wait_in_sync("m");
    let writer = Writer::start("/dev/mapper/m", SIZE);
    writer.wait_for(50);
    far.link("down");
    // What it met first was a write or a flush.
    let end = Instant::now() + Duration::from_secs(60);
    let is_out = |health: &str| {
        let mut lines = health.lines();
        health.starts_with("degraded\n")
            && lines.any(|line| line.starts_with("leg 1 /dev/nbd0 ") && line.ends_with(", dropped"))
    };
    loop {
        let health = mount.read("m/health");
        if is_out(&health) {
            break;
        }
        assert!(Instant::now() < end, "the far leg is not out: {health}");
        sleep(Duration::from_millis(50));
    }
    writer.wait_for(50);
    far.link("up");
    attempt("nbd-client -d /dev/nbd0");
    far.connect();
    // It is not used again before somebody says so.
    assert!(mount.read("m/health").starts_with("degraded\n"));
    mount.write("m/ctl", "add /dev/nbd0");
    wait_longer(60, "in sync", || mount.read("m/sync/state") == "in_sync\n");
    assert!(
        mount.read("m/health").starts_with("ok\n"),
        "{}",
        mount.read("m/health")
    );
    writer.wait_for(20);
    let written = writer.end();
    assert!(written.error.is_none(), "{:?}", written.error);
    println!(
        "the longest wait of a writer {:?}, of which {TIMEOUT} s or more are NBD's",
        written.longest
    );
    mount.write("m/ctl", "remove");
    output("sync");
    assert_equal(&source, &far.export, SIZE);
    written.assert_on(&source);
}
