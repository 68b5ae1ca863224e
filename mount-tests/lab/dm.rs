//! Devices of device-mapper that a test makes beside mirrorfs. Programs are
//! started without a shell between: in the guest each start costs.

use std::process::Command;

use super::disks::disk;
use super::shell::attempt;

/// What a program prints; panics where it fails.
pub fn run(program: &str, words: &[&str]) -> String {
    let result = Command::new(program).args(words).output().expect(program);
    let text = String::from_utf8_lossy(&result.stdout).into_owned();
    let error = String::from_utf8_lossy(&result.stderr).into_owned();
    assert!(
        result.status.success(),
        "{program} {words:?}: {text}{error}"
    );
    text
}

/// What `dmsetup` prints for these words, none of which has a space in it.
pub fn dm(words: &str) -> String {
    let words: Vec<&str> = words.split_whitespace().collect();
    run("dmsetup", &words)
}

/// `dmsetup create`; the UUID may be empty.
pub fn create(name: &str, uuid: &str, table: &str) {
    let mut words = vec!["create", name, "--table", table];
    if !uuid.is_empty() {
        words.extend(["--uuid", uuid]);
    }
    run("dmsetup", &words);
}

/// `dmsetup` loads another table and switches to it.
pub fn reload(name: &str, table: &str) {
    run("dmsetup", &["reload", name, "--table", table]);
    dm(&format!("resume {name}"));
}

/// A device that others stand on, which can be broken and repaired. It goes when
/// it is dropped: declare it before the mount that uses it.
pub struct Fragile {
    /// Its path.
    pub path: String,
    name: String,
    whole: String,
    broken: String,
}

impl Fragile {
    /// The first `sectors` of the disk of this number. Broken, all of it is.
    pub fn new(number: usize, sectors: u64) -> Fragile {
        Fragile::holed(number, sectors, (0, sectors))
    }

    /// As [`Fragile::new`]; broken, only a hole of some sectors is: where it
    /// begins, and how many.
    pub fn holed(number: usize, sectors: u64, hole: (u64, u64)) -> Fragile {
        let (disk, name) = (disk(number), format!("fragile{number}"));
        let linear = |start: u64, length: u64| match length {
            0 => String::new(),
            _ => format!("{start} {length} linear {disk} {start}\n"),
        };
        let end = hole.0 + hole.1;
        let fragile = Fragile {
            path: format!("/dev/mapper/{name}"),
            whole: linear(0, sectors),
            broken: format!(
                "{}{} {} error\n{}",
                linear(0, hole.0),
                hole.0,
                hole.1,
                linear(end, sectors - end)
            ),
            name,
        };
        create(&fragile.name, "", &fragile.whole);
        fragile
    }

    /// From now on I/O to it fails.
    pub fn fail(&self) {
        self.switch(&self.broken);
    }

    /// From now on I/O to it works again.
    pub fn repair(&self) {
        self.switch(&self.whole);
    }

    fn switch(&self, table: &str) {
        reload(&self.name, table);
    }
}

impl Drop for Fragile {
    fn drop(&mut self) {
        attempt(&format!("dmsetup remove --retry {}", self.name));
    }
}
