//! Regular files as loop devices that free themselves
//! (loop(4), drivers/block/loop.c).

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::thread::sleep;
use std::time::Duration;

use loopdev::{LoopControl, LoopDevice};

use super::configure::configure;
use super::open::load_module;
use crate::engine::identity::Window;
use crate::engine::{Attachment, Facts};
use crate::error::{Errno, Error, Result};
use crate::text::device::{DevNo, DeviceRef};

/// Between two tries to get a free loop device, and how many there are: others
/// may be quicker, and a new node may take udev a moment.
const PAUSE: Duration = Duration::from_millis(40);
const TRIES: usize = 50;

/// Attach a part of the file that was looked at; the loop device goes with its last user, and with
/// the guard if nobody else ever opens it.
///
/// ENOENT and EACCES as open(2); ENODEV for what is no regular file or where the
/// kernel has no loop devices; EBUSY where none could be had in two seconds.
pub(super) fn attach(facts: &Facts, window: Window) -> Result<Attachment> {
    let backing = backing(facts, window.read_only)?;
    let control = control()?;
    let asked = || format!("attaching {} to a loop device", facts.node.display());
    let device = patiently(|| attach_once(&control, &backing, window))
        .map_err(|e| Error::io(asked(), &e))?;
    let number = number(&device).map_err(|e| Error::io(asked(), &e))?;
    // Where it does not work (tmpfs, a file system of larger blocks) the page
    // cache is in between, and that is only slower.
    let direct = probe(facts).and_then(|()| device.set_direct_io(true));
    if let Err(e) = direct {
        log::debug!("no direct I/O on {}: {e}", facts.node.display());
    }
    Ok(Attachment {
        device: DeviceRef::Number(number),
        guard: Box::new(device),
    })
}

/// What direct I/O needs of a buffer.
#[repr(align(4096))]
struct Block([u8; 4096]);

/// Read once past the page cache: overlayfs promises direct I/O for files of
/// which the file system below it has none, and then fails each request. Asked of the
/// file itself: of a loop device the kernel's log would tell of an I/O error.
fn probe(facts: &Facts) -> io::Result<()> {
    let mut options = OpenOptions::new();
    let file = options
        .read(true)
        .custom_flags(libc::O_DIRECT)
        .open(facts.way())?;
    let mut block = Block([0; 4096]);
    file.read_at(&mut block.0, 0).map(drop)
}

fn backing(facts: &Facts, read_only: bool) -> Result<File> {
    let node = facts.node.display();
    if facts.pin.is_none() {
        let sentence = format!("{node} is not a regular file");
        return Err(Error::new(Errno::ENODEV, sentence));
    }
    let mut options = OpenOptions::new();
    let opened = options.read(true).write(!read_only).open(facts.way());
    opened.map_err(|error| Error::io(node, &error))
}

fn control() -> Result<LoopControl> {
    LoopControl::open()
        .or_else(|e| match e.kind() {
            io::ErrorKind::NotFound => {
                load_module("loop");
                LoopControl::open()
            }
            _ => Err(e),
        })
        .map_err(|e| match e.kind() {
            io::ErrorKind::NotFound => Error::new(
                Errno::ENODEV,
                "this kernel has no loop devices for regular files",
            ),
            _ => Error::io("/dev/loop-control", &e),
        })
}

fn attach_once(control: &LoopControl, file: &File, window: Window) -> io::Result<LoopDevice> {
    let device = control.next_free()?;
    configure(device.as_raw_fd(), file, window)?;
    Ok(device)
}

fn patiently<T>(mut once: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    let mut tried = 0;
    loop {
        tried += 1;
        match once() {
            Err(e) if tried < TRIES && passes(&e) => sleep(PAUSE),
            answer => return answer,
        }
    }
}

// EBUSY: another was quicker. ENOENT, ENXIO: the node is not there yet. EAGAIN:
// LOOP_SET_STATUS64 met pages of the device's former life.
fn passes(error: &io::Error) -> bool {
    let errno = error.raw_os_error().map(Errno::from_raw);
    matches!(
        errno,
        Some(Errno::EBUSY | Errno::ENOENT | Errno::ENXIO | Errno::EAGAIN)
    )
}

fn number(device: &LoopDevice) -> io::Result<DevNo> {
    Ok(DevNo {
        major: device.major()?,
        minor: device.minor()?,
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::engine::host::Host;

    #[test]
    fn the_file_that_was_looked_at_is_opened_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        fs::write(&path, "one").unwrap();
        let host = Host::new();
        let facts = host.facts(&DeviceRef::Path(path.clone())).unwrap();
        fs::rename(&path, folder.path().join("b")).unwrap();
        fs::write(&path, "two").unwrap();
        let file = backing(&facts, true).unwrap();
        assert_eq!(io::read_to_string(file).unwrap(), "one");
        let none = Facts { pin: None, ..facts };
        assert_eq!(backing(&none, true).unwrap_err().errno(), Errno::ENODEV);
    }

    #[test]
    fn what_passes_is_tried_again_and_the_rest_is_not() {
        let answer = |errnos: &[Errno]| {
            let mut left = errnos.iter();
            let tried = patiently(|| match left.next() {
                Some(&errno) => Err(io::Error::from_raw_os_error(errno as i32)),
                None => Ok(()),
            });
            tried.map_err(|e| e.raw_os_error())
        };
        assert_eq!(answer(&[Errno::EBUSY, Errno::ENOENT]), Ok(()));
        assert_eq!(answer(&[Errno::EPERM]), Err(Some(Errno::EPERM as i32)));
    }
}
