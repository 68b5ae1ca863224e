//! A disk that can be broken and repaired.

use std::fs::create_dir;

use super::Lab;
use super::dm::{create, reload};
use super::shell::{attempt, output};

/// A disk of which a part, or all, can be made to fail. It goes when it is
/// dropped: declare it before the mount that uses it.
pub struct Fragile {
    /// Its path.
    pub path: String,
    way: Way,
}

/// How it is broken.
enum Way {
    /// A mapping with the `error` target in it: reads and writes fail.
    Mapped {
        name: String,
        whole: String,
        broken: String,
    },
    /// A hole in a file whose file system is full: writes fail with ENOSPC.
    Filled {
        folder: String,
        start: u64,
        length: u64,
    },
}

impl Lab {
    /// The first `sectors` of the disk of this number. Broken, all of it is.
    pub fn fragile(&self, number: usize, sectors: u64) -> Fragile {
        self.holed(number, sectors, (0, sectors))
    }

    /// As [`Lab::fragile`]; broken, only a hole of some sectors is: where it
    /// begins, and how many. On the embedded engine it needs root.
    pub fn holed(&self, number: usize, sectors: u64, hole: (u64, u64)) -> Fragile {
        if self.is_kernel() {
            mapped(&self.disk(number), number, sectors, &[hole])
        } else {
            self.filled(number, sectors, hole)
        }
    }

    /// The same of several holes, in ascending order, on the kernel's engine.
    pub fn spotted(&self, number: usize, sectors: u64, holes: &[(u64, u64)]) -> Fragile {
        mapped(&self.disk(number), number, sectors, holes)
    }

    /// The same of a device of the test's own.
    pub fn spotted_on(&self, device: &str, sectors: u64, holes: &[(u64, u64)]) -> Fragile {
        mapped(device, 99, sectors, holes)
    }

    fn filled(&self, number: usize, sectors: u64, (start, length): (u64, u64)) -> Fragile {
        let folder = self.path(&format!("fragile{number}"));
        create_dir(&folder).expect("a folder");
        let folder = folder.display().to_string();
        // Room for the file, and a little for a log beside it.
        let (size, room) = (sectors * 512, sectors * 512 + (64 << 10));
        output(&format!(
            "mount -t tmpfs -o size={room} none {folder} && chmod 777 {folder} && fallocate -l {size} {folder}/disk"
        ));
        Fragile {
            path: format!("{folder}/disk"),
            way: Way::Filled {
                folder,
                start: start * 512,
                length: length * 512,
            },
        }
    }
}

fn mapped(disk: &str, number: usize, sectors: u64, holes: &[(u64, u64)]) -> Fragile {
    let name = format!("fragile{number}");
    let linear = |start: u64, length: u64| match length {
        0 => String::new(),
        _ => format!("{start} {length} linear {disk} {start}\n"),
    };
    let (whole, mut broken, mut at) = (linear(0, sectors), String::new(), 0);
    for (start, length) in holes {
        broken += &linear(at, start - at);
        broken += &format!("{start} {length} error\n");
        at = start + length;
    }
    broken += &linear(at, sectors - at);
    create(&name, "", &whole);
    Fragile {
        path: format!("/dev/mapper/{name}"),
        way: Way::Mapped {
            name,
            whole,
            broken,
        },
    }
}

impl Fragile {
    /// From now on writes to it fail; on the kernel's engine reads too.
    pub fn fail(&self) {
        match &self.way {
            Way::Mapped { name, broken, .. } => reload(name, broken),
            Way::Filled {
                folder,
                start,
                length,
            } => {
                output(&format!(
                    "cd {folder} && fallocate --punch-hole --offset {start} --length {length} disk \
                     && ! dd if=/dev/zero of=filler bs=4096 2>/dev/null"
                ));
            }
        }
    }

    /// From now on they work again.
    pub fn repair(&self) {
        match &self.way {
            Way::Mapped { name, whole, .. } => reload(name, whole),
            Way::Filled { folder, .. } => drop(output(&format!("rm {folder}/filler"))),
        }
    }
}

impl Drop for Fragile {
    fn drop(&mut self) {
        match &self.way {
            Way::Mapped { name, .. } => attempt(&format!("dmsetup remove --retry {name}")),
            // Whoever still has the file open would keep the mount busy.
            Way::Filled { folder, .. } => attempt(&format!("umount -l {folder}; rmdir {folder}")),
        };
    }
}
