//! What one `write(2)` holds: several lines, cut lines, and the answers to them.

use std::fs::{self, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};

use nix::errno::Errno;

use super::idioms::{kinds, one, sh};
use crate::lab::Lab;
use crate::lab::case::{Case, both};
use crate::lab::mount::errno;

pub const CASES: &[Case] = &[
    both("of_two_lines", two_lines),
    both("are_answered", answers),
    both("that_are_long", long_writes),
];

/// One write of several lines: done up to the first that is refused, the write
/// ends before it, and the next one meets its error.
fn two_lines(lab: &Lab) {
    let mount = one(lab);
    let open = || {
        let opened = OpenOptions::new()
            .read(true)
            .write(true)
            .open(mount.path("m/ctl"));
        opened.expect("ctl")
    };
    let mut file = open();
    assert_eq!(file.write(b"suspend\nresume\nsuspend\n").ok(), Some(23));
    assert_eq!(mount.read("m/suspended"), "1\n");
    // The second fails.
    assert_eq!(file.write(b"resume\nstop now\nsuspend\n").ok(), Some(7));
    assert_eq!(mount.read("m/suspended"), "0\n");
    let error = file.write(b"stop now\nsuspend\n").expect_err("no verb");
    assert_eq!(errno(&error), Errno::EINVAL);
    let mut reason = String::new();
    file.read_to_string(&mut reason).expect("a reason");
    assert!(
        reason.contains("stop") && reason.ends_with('\n'),
        "{reason}"
    );
    assert_eq!(reason.lines().count(), 1, "{reason}");
    // The first fails: nothing is done.
    let error = open().write(b"stop\nsuspend\n").expect_err("no verb");
    assert_eq!(errno(&error), Errno::EINVAL);
    assert_eq!(mount.read("m/suspended"), "0\n");
    // An empty line is none.
    let error = open().write(b"\n").expect_err("an empty line");
    assert_eq!(errno(&error), Errno::EINVAL);
    // The same from Python.
    let script = "import os, errno
fd = os.open('m/ctl', os.O_RDWR)
data = b'suspend\\nbogus\\nresume\\n'
done = os.write(fd, data)
print(done)
try:
    os.write(fd, data[done:])
except OSError as error:
    print(errno.errorcode[error.errno])
print('bogus' in os.read(fd, 999).decode())
os.lseek(fd, 0, 0)
print('bogus' in os.read(fd, 999).decode())";
    let (status, said) = sh(&mount, &format!("python3 - <<'END'\n{script}\nEND"));
    assert_eq!((status, said.as_str()), (0, "8\nEINVAL\nTrue\nTrue\n"));
    assert_eq!(mount.read("m/suspended"), "1\n");
}

/// The name, or the reason, on the descriptor that wrote; each writer its own.
fn answers(lab: &Lab) {
    let mount = lab.mount();
    let open = || {
        let opened = OpenOptions::new()
            .read(true)
            .write(true)
            .open(mount.path("new"));
        opened.expect("new")
    };
    let rest = |file: &mut fs::File| {
        let mut text = String::new();
        file.read_to_string(&mut text).expect("an answer");
        text
    };
    let (mut first, mut second) = (open(), open());
    let put = |file: &mut fs::File, line: String| file.write_all((line + "\n").as_bytes());
    put(&mut first, format!("one: {}", lab.equal(0, 1))).expect("made");
    let error = put(&mut second, format!("one: {}", lab.equal(2, 3))).expect_err("taken");
    assert_eq!(errno(&error), Errno::EEXIST);
    assert_eq!(rest(&mut first), "one\n");
    let reason = rest(&mut second);
    assert!(
        reason.contains("one") && reason.lines().count() == 1,
        "{reason}"
    );
    second.seek(SeekFrom::Start(0)).expect("seek");
    assert_eq!(rest(&mut second), reason);
    // The next request on the same descriptor has the next answer.
    put(&mut second, lab.equal(2, 3)).expect("made");
    assert_eq!(rest(&mut second), "mirror0\n");
    // Two in one write: both names.
    let both = format!("two: {}\nthree: {}\n", lab.equal(4, 5), lab.equal(6, 7));
    assert_eq!(
        mount.try_bytes("new", both.as_bytes()).expect("made"),
        "two\nthree\n"
    );
    // Read without a write it explains itself; so does `ctl`.
    assert!(mount.read("new").contains("mirror core 1"));
    assert!(mount.read("one/ctl").starts_with("suspend"));
    // The shell: name, reason, and the reason at the end of `events`.
    let line = format!("exec 3<>new; echo 'four: {}' >&3; cat <&3", lab.equal(8, 9));
    assert_eq!(sh(&mount, &line), (0, "four\n".into()));
    let line = "exec 3<>four/ctl; echo halt 2>/dev/null >&3; echo $?; cat <&3; tail -n1 events";
    let (_, said) = sh(&mount, line);
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!((lines[0], lines.len()), ("1", 3), "{said}");
    assert!(lines[1].contains("halt"), "{said}");
    assert!(
        lines[2].contains(" four error ") && lines[2].ends_with(lines[1]),
        "{said}"
    );
    for name in ["one", "mirror0", "two", "three", "four"] {
        mount.write(&format!("{name}/ctl"), "remove");
    }
}

/// A long write may be a piece of a stream: its last line counts only when it
/// ends with a newline.
fn long_writes(lab: &Lab) {
    let mount = one(lab);
    let write = |bytes: &[u8]| {
        let opened = OpenOptions::new().write(true).open(mount.path("m/ctl"));
        let written = opened.expect("ctl").write(bytes);
        written.map_err(|error| errno(&error))
    };
    let padded = |length: usize| "suspend".to_string() + &" ".repeat(length - 7);
    let whole = padded(4095);
    assert_eq!(write(whole.as_bytes()), Ok(4095), "4,095 bytes are whole");
    assert_eq!(mount.read("m/suspended"), "1\n");
    mount.write("m/ctl", "resume");
    for length in [4096, 5000, 65_536] {
        assert_eq!(
            write(padded(length).as_bytes()),
            Err(Errno::EINVAL),
            "{length}"
        );
        assert_eq!(mount.read("m/suspended"), "0\n", "{length}");
    }
    let ended = padded(4096) + "\n";
    assert_eq!(write(ended.as_bytes()), Ok(4097));
    assert_eq!(mount.read("m/suspended"), "1\n");
    // The lines before are done, the cut one is left to the next write.
    let cut = format!("resume\n{}", padded(4096));
    assert_eq!(write(cut.as_bytes()), Ok(7));
    assert_eq!(mount.read("m/suspended"), "0\n");
    // Many lines in one write, and few enough to be done in the time that a write has.
    let many = format!("{}\nresume{}\n", padded(2500), " ".repeat(2500)).repeat(2);
    let before = mount.read("events").len();
    assert_eq!(write(many.as_bytes()), Ok(many.len()));
    assert_eq!(kinds(&mount, before).len(), 4);
    assert_eq!(mount.read("m/suspended"), "0\n");
}
