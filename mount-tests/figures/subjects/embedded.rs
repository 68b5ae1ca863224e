//! A copy by the embedded engine, on a file system of this machine.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::time::Duration;

use super::super::place::{Mount, Setting, attempt, program, run};
use super::super::sample::{Figure, time, until};
use super::Subject;

pub const SUBJECT: Subject = Subject {
    name: "embedded",
    lacks: |_| None,
    measure,
};

const MIB: u64 = 1 << 20;

fn measure(setting: &Setting) -> Vec<Figure> {
    let mount = setting.mount("embedded", &setting.folder);
    let size = if setting.short { 64 * MIB } else { 2048 * MIB };
    let folder = mount.folder().to_path_buf();
    let (full, sparse) = (folder.join("full"), folder.join("sparse"));
    fill(&full, &sparse, size);
    let mut figures = Vec::new();
    for (name, source, keeps) in [
        ("full", &full, "never"),
        ("a tenth full", &sparse, "always"),
    ] {
        let new = folder.join("new");
        let ways: [(&str, String); 3] = [
            (
                "dd",
                format!(
                    "dd if={} of={} bs=4M conv=fsync status=none",
                    source.display(),
                    new.display()
                ),
            ),
            (
                "cp",
                format!(
                    "cp --sparse={keeps} {0} {1} && sync -f {1}",
                    source.display(),
                    new.display()
                ),
            ),
            (
                "ddrescue",
                format!(
                    "{} -q -S {} {} && sync -f {2}",
                    rescue(setting),
                    source.display(),
                    new.display()
                ),
            ),
        ];
        let mut ours = Vec::new();
        let mut theirs = vec![Vec::new(); ways.len()];
        for _ in 0..setting.rounds(5) {
            ours.push(copy(&mount, source, &new, size));
            for ((_, line), taken) in ways.iter().zip(&mut theirs) {
                attempt(&format!("rm -f {}", new.display()));
                cold();
                let mut done = false;
                let took = time(|| done = attempt(line).0 == 0);
                taken.extend(done.then_some(took));
            }
        }
        let amount = format!("{} MiB, {name}", size / MIB);
        for ((other, _), theirs) in ways.iter().zip(&theirs) {
            if theirs.len() == ours.len() {
                figures.push(Figure::beside(&amount, "s", &ours, (other, theirs)));
            }
        }
    }
    figures
}

/// As root the page cache is dropped; for others it is as it is.
fn cold() {
    attempt("sync; echo 3 2>/dev/null >/proc/sys/vm/drop_caches");
}

fn rescue(setting: &Setting) -> String {
    let unpacked = setting
        .lvm
        .as_ref()
        .map(|folder| folder.join("usr/bin/ddrescue"));
    unpacked.map_or_else(|| "ddrescue".into(), |path| path.display().to_string())
}

/// Random bytes; and a file of the same size that has a tenth of them, in pieces of a
/// mebibyte.
fn fill(full: &Path, sparse: &Path, size: u64) {
    let count = size / MIB;
    run(&format!("head -c {size} /dev/urandom >{}", full.display()));
    let (mut from, mut to) = (
        File::open(full).expect("it"),
        File::create(sparse).expect("it"),
    );
    to.set_len(size).expect("a size");
    let mut piece = vec![0; MIB as usize];
    for number in (0..count).step_by(10) {
        from.seek(SeekFrom::Start(number * MIB)).expect("a place");
        from.read_exact(&mut piece).expect("a piece");
        to.seek(SeekFrom::Start(number * MIB)).expect("a place");
        to.write_all(&piece).expect("a piece");
    }
}

fn copy(mount: &Mount, source: &Path, new: &Path, size: u64) -> f64 {
    attempt(&format!("rm -f {0}; truncate -s {size} {0}", new.display()));
    cold();
    let (length, source) = (size / 512, source.display());
    let line = format!(
        "b: 0 {length} mirror core 1 8192 2 {source} 0 {} 0 1 handle_errors\n",
        new.display()
    );
    let took = time(|| {
        mount.write("new", &line);
        mount.in_sync("b", Duration::from_secs(600));
    });
    mount.write("b/ctl", "remove");
    until(Duration::from_secs(10), "its end", || {
        !mount.path("b").exists()
    });
    program(&["cmp", &source.to_string(), &new.display().to_string()]);
    took
}
