//! Getting at device-mapper: its modules, its control node, and a refusal in one
//! sentence where there is none.

use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::process::{Command, Stdio};

use devicemapper::DM;
use nix::sys::stat::{Mode, SFlag, makedev, mknod};

use super::failure::failure;
use crate::error::{Errno, Error, Result};

pub(super) const CONTROL: &str = "/dev/mapper/control";

/// The control node's number, once the module is there.
const CONTROL_DEV: &str = "/sys/class/misc/device-mapper/dev";

/// Which program loads modules: the kernel asks the same one.
const MODPROBE: &str = "/proc/sys/kernel/modprobe";

/// The first interface with DM_DEV_ARM_POLL.
const OLDEST: (u32, u32) = (4, 37);

/// device-mapper, with its modules loaded as far as that is in our hands.
///
/// ENODEV where the kernel has none, EACCES or EPERM for who is not root, each
/// with a sentence that says what to do instead.
pub(super) fn dm() -> Result<DM> {
    if !Path::new(CONTROL_DEV).exists() {
        load_module("dm_mod");
    }
    if let Err(error) = usable_control() {
        return Err(refused(&error));
    }
    let dm = DM::new().map_err(|e| failure(CONTROL, &e))?;
    check_version(&dm)?;
    if !Path::new("/sys/module/dm_mirror").exists() {
        load_module("dm_mirror");
    }
    Ok(dm)
}

/// Ask the kernel's module loader; whether it helped is seen afterwards.
pub(super) fn load_module(name: &str) {
    let program = fs::read_to_string(MODPROBE).unwrap_or_default();
    let program = match program.trim() {
        "" => "/sbin/modprobe",
        program => program,
    };
    let asked = Command::new(program)
        .args(["-q", "--", name])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    log::debug!("{program} {name}: {asked:?}");
}

// The crate's own error has no errno, so open the node once before it does.
fn usable_control() -> io::Result<()> {
    match File::open(CONTROL) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            make_control()?;
            File::open(CONTROL).map(drop)
        }
        opened => opened.map(drop),
    }
}

// devtmpfs makes the node with the module; a /dev without it has none.
fn make_control() -> io::Result<()> {
    let text = fs::read_to_string(CONTROL_DEV)?;
    let number = text.trim().split_once(':').and_then(|(major, minor)| {
        let major = major.parse().ok()?;
        Some(makedev(major, minor.parse().ok()?))
    });
    let number = number.ok_or(io::ErrorKind::InvalidData)?;
    fs::create_dir_all("/dev/mapper")?;
    mknod(
        CONTROL,
        SFlag::S_IFCHR,
        Mode::S_IRUSR | Mode::S_IWUSR,
        number,
    )?;
    Ok(())
}

fn check_version(dm: &DM) -> Result<()> {
    // Only this ioctl tells who may open the node from who may use it.
    let (major, minor, _) = dm.version().map_err(|e| match super::failure::errno(&e) {
        Some(errno @ (Errno::EACCES | Errno::EPERM)) => not_allowed(errno),
        _ => failure("asking device-mapper for its version", &e),
    })?;
    if (major, minor) < OLDEST {
        return Err(Error::new(
            Errno::ENOTSUP,
            format!(
                "this kernel's device-mapper {major}.{minor} is older than 4.37; --engine embedded needs none"
            ),
        ));
    }
    Ok(())
}

fn refused(error: &io::Error) -> Error {
    match error.raw_os_error().map(Errno::from_raw) {
        Some(errno @ (Errno::EACCES | Errno::EPERM)) => not_allowed(errno),
        _ => missing(error),
    }
}

fn not_allowed(errno: Errno) -> Error {
    Error::new(
        errno,
        "device-mapper needs root; --engine embedded does not",
    )
}

fn missing(error: &io::Error) -> Error {
    Error::new(
        Errno::ENODEV,
        format!(
            "this kernel has no device-mapper ({CONTROL}: {error}); --engine embedded needs none"
        ),
    )
}
