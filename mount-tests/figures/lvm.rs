//! LVM in a place of its own: unpacked, with a configuration that knows only the disks that
//! are measured.

use std::fs;
use std::path::{Path, PathBuf};

use super::place::run;

/// Where what it needs is kept.
const FOLDER: &str = "/tmp/lvm";

/// It.
pub struct Lvm {
    unpacked: PathBuf,
}

impl Lvm {
    /// With the devices whose names begin so.
    pub fn over(unpacked: &Path, disks: &str) -> Lvm {
        let root = unpacked.display();
        let text = format!(
            "devices {{\n dir = \"/dev\"\n scan = [ \"/dev/mapper\" ]\n \
             filter = [ \"a|{disks}|\", \"r|.*|\" ]\n global_filter = [ \"a|{disks}|\", \"r|.*|\" ]\n \
             use_devicesfile = 0\n hints = \"none\"\n obtain_device_list_from_udev = 0\n \
             external_device_info_source = \"none\"\n}}\n\
             global {{\n library_dir = \"{root}/lib/x86_64-linux-gnu\"\n use_lvmpolld = 0\n}}\n\
             activation {{\n udev_sync = 0\n udev_rules = 0\n monitoring = 1\n \
             mirror_image_fault_policy = \"remove\"\n mirror_log_fault_policy = \"remove\"\n}}\n\
             dmeventd {{\n \
             mirror_library = \"{root}/lib/x86_64-linux-gnu/libdevmapper-event-lvm2mirror.so\"\n \
             executable = \"{root}/sbin/dmeventd\"\n}}\n"
        );
        run(&format!(
            "mkdir -p {FOLDER} /run/lvm /run/lock/lvm /usr/sbin; ln -sf {root}/sbin/lvm /usr/sbin/lvm"
        ));
        fs::write(format!("{FOLDER}/lvm.conf"), text).expect("lvm.conf");
        Lvm {
            unpacked: unpacked.into(),
        }
    }

    /// One of its commands; panics where it fails.
    pub fn run(&self, words: &str) -> String {
        let root = self.unpacked.display();
        run(&format!(
            "LD_LIBRARY_PATH={root}/lib/x86_64-linux-gnu:{root}/usr/lib/x86_64-linux-gnu \
             LVM_SYSTEM_DIR={FOLDER} {root}/sbin/lvm {words}"
        ))
    }

    /// A volume group `vg` of these disks, of which nothing is left from before.
    pub fn group(&self, disks: &[&str]) {
        for disk in disks {
            run(&format!(
                "dd if=/dev/zero of={disk} bs=1M count=2 oflag=direct status=none"
            ));
        }
        let disks = disks.join(" ");
        self.run(&format!("pvcreate -q -y {disks}"));
        self.run(&format!("vgcreate -q vg {disks}"));
    }
}
