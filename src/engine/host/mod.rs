//! The block devices and files of this machine, whichever engine stands on them:
//! sysfs says what a device is, `users` says who else uses it. Nothing here
//! changes what is on a device, and only `let_go` needs root.

mod device_ids;
mod direct;
mod find;
mod heads;
mod holders;
mod home;
mod identity;
mod late;
mod let_go;
mod lookers;
pub mod mounts;
mod probe;
mod signature;
pub(super) mod sysfs;
mod users;

use std::ffi::OsStr;
use std::fs::{self, File, Metadata};
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nix::unistd::{AccessFlags, access};

use self::device_ids::Teller;
use self::heads::Heads;
use self::identity::{backing, identity};
use self::lookers::Lookers;
use self::sysfs::DEEPEST;
use self::sysfs::{Block, Sysfs};
use super::home::{Home, Lying, Part};
use super::identity::Identity;
use super::{Doomed, Extent, Facts, Found, Held, Holder, Medium, Pin, Sight, Span, Traffic};
use crate::error::{Errno, Error, Result};
use crate::text::device::{DevNo, DeviceRef};

/// What a regular file is addressed in: a loop device's blocks are as large.
const FILE_BLOCK: u64 = 512;

/// What the kernel puts behind the path of a file that has no name any more.
const DELETED: &str = " (deleted)";

/// This machine.
#[derive(Debug, Default, Clone)]
pub struct Host {
    sys: Sysfs,
    pub(super) lookers: Arc<Lookers>,
    /// Who reads the first bytes of which device.
    heads: Arc<Heads>,
}

impl Host {
    /// This machine, as `/sys` shows it.
    pub fn new() -> Self {
        Host::default()
    }

    /// What is known of `device`, as [`super::Devices::facts`] has it.
    ///
    /// # Errors
    /// ENOENT, ENODEV, and what stat(2) answers.
    pub fn facts(&self, device: &DeviceRef) -> Result<Facts> {
        match device {
            DeviceRef::Number(dev) => self.known(*dev).and_then(|block| of_block(&block)),
            DeviceRef::Path(path) => self.of_path(path),
        }
    }

    /// What tells it from all others, as [`super::Devices::identity`] has it.
    ///
    /// # Errors
    /// What stat(2) answers; ENODEV where it is gone.
    pub fn identity(&self, facts: &Facts) -> Result<Identity> {
        Teller::new(&self.sys).identity(facts)
    }

    /// Where it is now, as [`super::Devices::find`] has it.
    ///
    /// # Errors
    /// ENODEV, EINVAL where it is not there or not the same.
    pub fn find(&self, identity: &Identity) -> Result<DeviceRef> {
        Teller::new(&self.sys).find(identity)
    }

    /// Who else uses it, as [`super::Devices::user`] has it.
    ///
    /// # Errors
    /// What open(2) and stat(2) answer of it.
    pub fn user(&self, facts: &Facts, own: &[DeviceRef]) -> Result<Option<String>> {
        match &facts.device {
            DeviceRef::Number(dev) => users::of_block(&self.sys, &self.known(*dev)?, own),
            DeviceRef::Path(_) => by_name(facts, users::of_file(&self.sys, &facts.way(), own)),
        }
    }

    /// What is seen of it at once, as [`super::PromptDevices::sight`] has it.
    pub fn sight(&self, device: &DeviceRef) -> Found {
        match device {
            DeviceRef::Number(dev) => {
                let sight = self.sys.block(*dev).and_then(|block| sight_of(&block));
                sight.map_or(Found::Gone, Found::There)
            }
            DeviceRef::Path(path) => {
                let (host, device) = (self.clone(), device.clone());
                self.lookers.look(path, move || host.facts(&device))
            }
        }
    }

    fn block(&self, device: &DeviceRef) -> Option<Block> {
        self.sys.block(device.number()?)
    }

    /// Who holds each, as [`super::PromptDevices::holders`] has it.
    pub fn holders(&self, devices: &[&DeviceRef]) -> Vec<Vec<Holder>> {
        let looked = holders::Loops::of(&self.sys);
        let of = |device: &&DeviceRef| {
            let block = self.block(device);
            block.map_or_else(Vec::new, |block| holders::of(&looked, &block))
        };
        devices.iter().map(of).collect()
    }

    /// Whether it answers, as [`super::Devices::probe`] has it.
    ///
    /// # Errors
    /// What open(2) and read(2) answer.
    pub fn probe(&self, device: &DeviceRef, at: u64) -> Result<()> {
        let facts = self.facts(device)?;
        by_name(&facts, probe::probe(&facts.way(), at))
    }

    /// How each answers, as [`super::Devices::media`] has it.
    pub fn media(&self, devices: &[DeviceRef]) -> Vec<Option<Medium>> {
        late::media(devices.iter().map(|device| self.block(device)))
    }

    /// What was written to it reaches its medium, as [`super::Devices::flush`] has it.
    ///
    /// # Errors
    /// What open(2) and fsync(2) answer.
    pub fn flush(&self, device: &DeviceRef) -> Result<()> {
        let facts = self.facts(device)?;
        // Of a block device fsync(2) sends a flush (blkdev_fsync, block/fops.c).
        let flushed = File::open(facts.way()).and_then(|file| file.sync_all());
        flushed.map_err(|error| Error::io(format!("flushing {}", facts.node.display()), &error))
    }

    /// Whether it can be written, as [`super::Devices::prove`] has it.
    ///
    /// # Errors
    /// What open(2), read(2) and write(2) answer.
    pub fn prove(&self, device: &DeviceRef, span: Span) -> Result<()> {
        let facts = self.facts(device)?;
        by_name(&facts, probe::prove(&facts.way(), facts.block_size, span))
    }

    /// What would be lost, as [`super::Devices::signature`] has it.
    ///
    /// # Errors
    /// What open(2) and read(2) answer, and what libblkid does.
    pub fn signature(&self, device: &DeviceRef, doomed: Doomed) -> Result<Option<Held>> {
        let facts = self.facts(device)?;
        by_name(&facts, signature::signature(&facts.way(), doomed))
    }

    /// What begins there, as [`super::Devices::carried`] has it.
    ///
    /// # Errors
    /// As those of [`Host::signature`].
    pub fn carried(&self, device: &DeviceRef, span: Span) -> Result<Option<Held>> {
        let facts = self.facts(device)?;
        by_name(&facts, signature::carried(&facts.way(), span))
    }

    /// The partitions in it, as [`super::Devices::partitions`] has it.
    ///
    /// # Errors
    /// As those of [`Host::signature`].
    pub fn partitions(&self, device: &DeviceRef, span: Span) -> Result<Vec<Span>> {
        let facts = self.facts(device)?;
        by_name(&facts, signature::partitions(&facts.way(), span))
    }

    /// What goes through a device, as [`super::PromptDevices::traffic`] has it.
    pub fn traffic(&self, dev: DevNo) -> Option<Traffic> {
        let stat = self.sys.block(dev)?.text("stat")?;
        let fields: Vec<u64> = stat
            .split_whitespace()
            .map_while(|word| word.parse().ok())
            .collect();
        // Reads, writes, discards and flushes; older kernels lack the last two.
        let ended = [0, 4, 11, 15].iter().filter_map(|field| fields.get(*field));
        Some(Traffic {
            done: ended.sum(),
            under_way: *fields.get(8)?,
        })
    }

    /// What it lies on, as [`super::Devices::home`] has it.
    pub fn home(&self, device: &DeviceRef) -> Home {
        home::home(&self.sys, device)
    }

    /// Whether that is on a device, as [`super::PromptDevices::lies_on`] has it.
    pub fn lies_on(&self, home: &Home, dev: DevNo) -> Lying {
        let Some(below) = self.sys.block(dev) else {
            return Lying::Unknown(format!("there is no block device {dev}"));
        };
        let one = |above: &DevNo| {
            if reaches(&below, *above, DEEPEST) {
                Lying::OnIt
            } else {
                Lying::Elsewhere
            }
        };
        Lying::of_all(home.parts.iter().map(|part| match part {
            Part::Device(above) => one(above),
            Part::Btrfs(uuid) => match self.sys.btrfs_devices(uuid).as_slice() {
                [] => Lying::Unknown(format!("the btrfs {uuid} does not show its disks")),
                members => Lying::of_all(members.iter().map(one)),
            },
            Part::Unknown(why) => Lying::Unknown(why.clone()),
        }))
    }

    /// A change event, as [`super::PromptDevices::let_go`] has it.
    ///
    /// # Errors
    /// What write(2) of its `uevent` answers.
    pub fn let_go(&self, device: &DeviceRef) -> Result<()> {
        let block = self.block(device);
        block.map_or(Ok(()), |block| let_go::let_go(&block))
    }

    /// Its partitions, as [`super::Devices::read_partitions`] has it.
    ///
    /// # Errors
    /// What open(2) and BLKRRPART answer.
    pub fn read_partitions(&self, device: &DeviceRef) -> Result<()> {
        let block = self.block(device);
        block.map_or(Ok(()), |block| let_go::read_partitions(&self.sys, &block))
    }

    fn known(&self, dev: DevNo) -> Result<Block> {
        let missing = || Error::new(Errno::ENODEV, format!("there is no block device {dev}"));
        self.sys.block(dev).ok_or_else(missing)
    }

    fn of_path(&self, path: &Path) -> Result<Facts> {
        // Opened once: what it leads to is what all that follows is about.
        let mut options = fs::OpenOptions::new();
        let opened = options.read(true).custom_flags(libc::O_PATH).open(path);
        let file = opened.map_err(|e| not_found(path, &e))?;
        let stat = file.metadata().map_err(|e| not_found(path, &e))?;
        let kind = stat.file_type();
        if kind.is_block_device() {
            let block = self.known(DevNo::of_dev_t(stat.rdev()));
            return block
                .and_then(|b| of_block(&b))
                .map_err(|e| e.context(path.display()));
        }
        if kind.is_file() {
            return of_file(path, file, &stat);
        }
        Err(Error::new(
            Errno::ENODEV,
            format!("{} is neither a block device nor a file", path.display()),
        ))
    }
}

fn not_found(path: &Path, error: &std::io::Error) -> Error {
    let shown = path.display();
    match error.kind() {
        // A path with a NUL in it, or one that goes through a file, is none.
        ErrorKind::InvalidInput | ErrorKind::NotADirectory | ErrorKind::NotFound => {
            let advice = if path.starts_with("/dev") {
                ""
            } else {
                ": `truncate -s SIZE FILE` makes an image"
            };
            Error::new(Errno::ENOENT, format!("there is no {shown}{advice}"))
        }
        _ => Error::io(shown, error),
    }
}

/// The error of what was done by a way that tells nobody anything, with the name.
fn by_name<T>(facts: &Facts, done: Result<T>) -> Result<T> {
    done.map_err(|error| {
        let (way, node) = (facts.way(), facts.node.display().to_string());
        let sentence = error.sentence().replace(&way.display().to_string(), &node);
        Error::new(error.errno(), sentence)
    })
}

fn of_file(path: &Path, file: File, stat: &Metadata) -> Result<Facts> {
    let pin = Pin::new(file);
    let name = fs::read_link(pin.path()).map_err(|e| not_found(path, &e))?;
    if stat.nlink() == 0 {
        return Err(not_found(path, &ErrorKind::NotFound.into()));
    }
    let size = stat.len();
    Ok(Facts {
        device: DeviceRef::Path(name.clone()),
        node: name.clone(),
        file: Some(name),
        autoclear: false,
        size,
        block_size: FILE_BLOCK,
        read_only: access(&pin.path(), AccessFlags::W_OK) == Err(Errno::EROFS),
        extent: Extent {
            base: identity(stat),
            start: 0,
            size,
        },
        pin: Some(pin),
    })
}

// Whether the device, or one that is made of it, is `above`.
fn reaches(block: &Block, above: DevNo, deep: usize) -> bool {
    let mut upper = block.partitions().into_iter().chain(block.holders());
    block.dev == above || (deep > 0 && upper.any(|upper| reaches(&upper, above, deep - 1)))
}

/// What /sys says of a device; none of one that is gone. Nothing below `queue` is read:
/// who changes the scheduler keeps that locked until the disk answers (`queue_attr_show`,
/// block/blk-sysfs.c).
fn sight_of(block: &Block) -> Option<Sight> {
    Some(Sight {
        node: block.node(),
        file: block.backing_file().map(|file| without_mark(&file).into()),
        autoclear: block.number("loop/autoclear") == Some(1),
        size: block.bytes("size")?,
    })
}

fn of_block(block: &Block) -> Result<Facts> {
    // A device may go between two reads; then it is as if it had never been.
    let gone = || {
        Error::new(
            Errno::ENODEV,
            format!("the block device {} is gone", block.dev),
        )
    };
    let size = block.bytes("size").ok_or_else(gone)?;
    let disk = block.whole().unwrap_or_else(|| block.clone());
    let start = if disk == *block {
        0
    } else {
        block.bytes("start").ok_or_else(gone)?
    };
    let (base, offset) = bottom(&disk);
    Ok(Facts {
        device: DeviceRef::Number(block.dev),
        node: block.node(),
        file: block.backing_file().map(|file| named(&file)),
        autoclear: block.number("loop/autoclear") == Some(1),
        size,
        block_size: disk.number("queue/logical_block_size").ok_or_else(gone)?,
        read_only: is_read_only(block) || (disk != *block && is_read_only(&disk)),
        extent: Extent {
            base,
            start: offset.saturating_add(start),
            size,
        },
        pin: None,
    })
}

// Set so by blockdev(8), or by the device itself. The kernel warns of a write to it,
// and does it (`bio_check_ro`, block/blk-core.c).
fn is_read_only(block: &Block) -> bool {
    block.number("ro") == Some(1)
}

// What a whole disk's bytes lie on, and where they begin there.
fn bottom(disk: &Block) -> (String, u64) {
    match backing(disk) {
        Some(base) => (base, disk.number("loop/offset").unwrap_or(0)),
        None => (disk.dev.to_string(), 0),
    }
}

// The path that a deleted file had; the file may be another one by now.
fn named(backing: &Path) -> PathBuf {
    if backing.exists() {
        backing.into()
    } else {
        without_mark(backing).into()
    }
}

/// The same, where nobody may be asked whether it is there: what is called so in earnest
/// loses the mark too.
fn without_mark(backing: &Path) -> &Path {
    let bytes = backing.as_os_str().as_bytes();
    let unmarked = bytes.strip_suffix(DELETED.as_bytes()).unwrap_or(bytes);
    Path::new(OsStr::from_bytes(unmarked))
}

#[cfg(test)]
mod tests;
