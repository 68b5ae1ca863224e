//! A target of before may be copied to again without force=yes, where nobody has
//! touched it since: not where it begins, not where its partitions do, not at its end.

use nix::errno::Errno;

use super::hazards::{Device, SIZE, cleared, gpt};
use crate::cases::records::refused;
use crate::lab::Lab;
use crate::lab::disks::put;
use crate::lab::mount::Mount;
use crate::lab::shell::output;

fn copy(mount: &Mount, source: &str, target: &str, words: &str) -> Result<String, (Errno, String)> {
    mount.try_write("new", &format!("e: {source} {target} region=64K {words}"))
}

/// A file system in the partition of a disk, which begins at 2 MiB.
fn file_system(path: &str, label: &str) {
    let offset = 4096 * 512;
    output(&format!(
        "mkfs.ext4 -qF -L {label} -E offset={offset} {path} 4M 2>&1; sync"
    ));
}

pub fn with_partitions(lab: &Lab) {
    let source = Device::new(lab, "source", None);
    let target = Device::new(lab, "target", None);
    let (from, to) = (source.path.as_str(), target.path.as_str());
    gpt(from, &[(4096, 8192)]);
    file_system(from, "one");
    let mount = lab.mount();
    let whole = |words: &str| copy(&mount, from, to, words);
    let done = |words: &str| {
        assert_eq!(whole(words), Ok("e\n".into()));
        mount.wait_in_sync("e");
        mount.write("e/ctl", "remove");
    };
    done("");
    // Nobody has touched it.
    done("");
    // Its partition was used: the first 128 KiB of the disk are the same.
    file_system(to, "used");
    refused(whole(""), Errno::ENOTEMPTY, "gpt");
    done("force=yes");
    // The source's partition was used: what is on the target is somebody's last copy.
    file_system(from, "two");
    refused(whole(""), Errno::ENOTEMPTY, "gpt");
    done("force=yes");
    // The end of the disk is another: the table's second copy lies there.
    put(to, SIZE - 4096, &[7; 512]);
    refused(whole(""), Errno::ENOTEMPTY, "gpt");
    done("force=yes");
    done("");
}

/// It was a target of a part of what is to be copied now: what lies behind it is
/// not the mirror's own.
pub fn longer(lab: &Lab) {
    let (source, target) = (cleared(lab, 0), cleared(lab, 1));
    output(&format!("mkfs.ext4 -qF {source} 8M 2>&1; sync"));
    let mount = lab.mount();
    let one = |words: &str| copy(&mount, &source, &target, words);
    assert_eq!(one("length=2M"), Ok("e\n".into()));
    mount.wait_in_sync("e");
    mount.write("e/ctl", "remove");
    refused(one("length=4M"), Errno::ENOTEMPTY, "ext4");
    let moved = copy(&mount, &format!("{source}@1M"), &target, "length=1M");
    refused(moved, Errno::ENOTEMPTY, "ext4");
    assert_eq!(one("length=2M"), Ok("e\n".into()));
    mount.wait_in_sync("e");
    mount.write("e/ctl", "remove");
}

/// A leg that was taken out is this mirror's own earlier target.
pub fn dropped(lab: &Lab) {
    let (source, target, third) = (cleared(lab, 0), cleared(lab, 1), cleared(lab, 2));
    output(&format!("mkfs.ext4 -qF {source} 8M 2>&1; sync"));
    let mount = lab.mount();
    let line = format!("{source} {target} length=4M");
    assert_eq!(
        mount.try_write("new", &format!("e: {line}")),
        Ok("e\n".into())
    );
    mount.wait_in_sync("e");
    mount.write("e/ctl", "drop 1");
    mount.write("e/ctl", &format!("add {target}"));
    mount.wait_in_sync("e");
    // Replaced, and back again.
    mount.write("e/ctl", &format!("replace 1 {third}"));
    mount.wait_in_sync("e");
    mount.write("e/ctl", &format!("replace 1 {target}"));
    mount.wait_in_sync("e");
    mount.write("e/ctl", "drop 1");
    // Used for itself meanwhile.
    output(&format!("tune2fs -L used {target}; sync"));
    let answer = mount.try_write("e/ctl", &format!("add {target}"));
    refused(answer, Errno::ENOTEMPTY, "used");
    mount.write("e/ctl", &format!("add {target} force=yes"));
    mount.wait_in_sync("e");
    mount.write("e/ctl", "remove");
}
