//! The file systems that a mirror carries in these tests.

use crate::lab::shell::output;

/// mkfs.xfs refuses what is smaller than 300 MB, but for its own tests.
const SMALL_XFS: &str = "TEST_DIR=1 TEST_DEV=1 QA_CHECK_FS=1";

/// A kind of file system.
#[derive(Debug, Clone, Copy)]
pub enum Fs {
    Ext4,
    Xfs,
}

impl Fs {
    fn name(self) -> &'static str {
        match self {
            Fs::Ext4 => "ext4",
            Fs::Xfs => "xfs",
        }
    }

    /// Make one on a device.
    pub fn make(self, device: &str) {
        output(&match self {
            Fs::Ext4 => format!("mkfs.ext4 -q -F {device}"),
            Fs::Xfs => format!("{SMALL_XFS} mkfs.xfs -q -f {device}"),
        });
    }

    /// Mount it.
    pub fn mount(self, device: &str, at: &str) {
        let name = self.name();
        output(&format!("modprobe {name} && mount -t {name} {device} {at}"));
    }

    /// Let it fill its device, while it is mounted.
    pub fn grow(self, device: &str, at: &str) {
        output(&match self {
            Fs::Ext4 => format!("resize2fs {device}"),
            Fs::Xfs => format!("xfs_growfs {at}"),
        });
    }

    /// Panics where it is not clean; it is not mounted.
    pub fn check(self, device: &str) {
        output(&match self {
            Fs::Ext4 => format!("e2fsck -fn {device}"),
            Fs::Xfs => format!("xfs_repair -n {device}"),
        });
    }
}
