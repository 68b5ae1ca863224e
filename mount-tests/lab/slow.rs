//! A copy that takes a while, so that it can be watched.

use super::Lab;
use super::disks::SIZE;
use super::dm::dm;
use super::mount::Mount;
use super::shell::{attempt, output};

/// A disk to which a copy takes a while: on the kernel's engine because each
/// write does, on the embedded one because its mount copies only now and then.
/// It goes when it is dropped.
pub struct Slow<'a> {
    /// Its path.
    pub path: String,
    lab: &'a Lab,
    name: String,
}

impl Lab {
    /// The disk of this number; on the kernel's engine `millis` more for each
    /// write to it.
    pub fn slow(&self, number: usize, millis: u32) -> Slow<'_> {
        let (disk, sectors) = (self.zeroed(number), SIZE / 512);
        let name = format!("slow{number}");
        if self.is_kernel() {
            output(&format!(
                "modprobe dm-delay; dmsetup create {name} --table '0 {sectors} delay {disk} 0 0 {disk} 0 {millis}'"
            ));
        }
        let path = if self.is_kernel() {
            format!("/dev/mapper/{name}")
        } else {
            disk
        };
        Slow {
            path,
            lab: self,
            name,
        }
    }
}

impl Slow<'_> {
    /// A mount that copies to it slowly.
    pub fn mount(&self) -> Mount {
        let mount = self.lab.mount();
        if !self.lab.is_kernel() {
            mount.write("throttle", "1");
        }
        mount
    }

    /// As fast as the disk itself from now on.
    pub fn hurry(&self, mount: &Mount) {
        if !self.lab.is_kernel() {
            return mount.write("throttle", "100");
        }
        let name = &self.name;
        let table = dm(&format!("table {name}"));
        let last = table.trim().rsplit_once(' ').expect("a delay").0;
        output(&format!(
            "dmsetup suspend {name} && dmsetup reload {name} --table '{last} 0' && dmsetup resume {name}"
        ));
    }
}

impl Drop for Slow<'_> {
    fn drop(&mut self) {
        if self.lab.is_kernel() {
            attempt(&format!("dmsetup remove --retry {}", self.path));
        }
    }
}
