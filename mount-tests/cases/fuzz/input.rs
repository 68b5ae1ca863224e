//! Lines that nobody would write, and lines that are nearly right.

use crate::cases::differential::Random;

/// Pieces of lines, right and nearly right.
const PIECES: &[&str] = &[
    "0 ",
    "8 ",
    "4096 ",
    "18446744073709551615 ",
    "-1 ",
    "mirror ",
    "linear ",
    "error",
    "zero",
    "striped ",
    "core ",
    "disk ",
    "userspace ",
    "1 ",
    "2 ",
    "3 ",
    "sync ",
    "nosync ",
    "handle_errors",
    "keep_log",
    "/dev/sda ",
    "/a,b ",
    "/my\\ disk ",
    "8:16 ",
    "4095:1048575 ",
    "m0: ",
    "m0,,,,",
    "m,U-1,7,ro,",
    ",",
    ";",
    "\\",
    "@",
    "@1M",
    "@2s",
    "=",
    "log=auto ",
    "log=/x ",
    "region=64K ",
    "length=1G ",
    "sync=no ",
    "force=yes",
    "live=yes ",
    "\t",
    "\n",
    "\0",
    "\u{2003}",
    "\u{85}",
    "é",
    "\u{1f4a9}",
    "add ",
    "replace ",
    "drop ",
    "finish ",
    "grow ",
    "suspend noflush",
    "remove deferred",
    "crypt ",
    "A",
    "AD",
    "4/4 ",
    "1 AA ",
];

/// The most of one input.
const LONGEST: u64 = 2000;

/// A line out of pieces, or one of `corpus` changed.
pub fn input(random: &mut Random, corpus: &str) -> String {
    if random.one_in(2) {
        return changed(random, corpus);
    }
    let mut text = String::new();
    let length = if random.one_in(50) { LONGEST } else { 12 };
    for _ in 0..random.below(length) {
        match random.below(12) {
            0 => text.extend(char::from_u32(random.below(0x11_0000) as u32)),
            1 => text.push_str(&random.below(u64::MAX).to_string()),
            _ => text.push_str(PIECES[random.below(PIECES.len() as u64) as usize]),
        }
    }
    text
}

/// A line of the corpus, a few of its characters others, gone, or twice there.
fn changed(random: &mut Random, corpus: &str) -> String {
    let lines: Vec<&str> = corpus.lines().collect();
    let line = lines[random.below(lines.len() as u64) as usize];
    let mut chars: Vec<char> = line.chars().collect();
    for _ in 0..random.below(4) {
        let at = random.below(chars.len().max(1) as u64) as usize;
        let other = char::from_u32(random.below(0x250) as u32);
        match (random.below(3), chars.get(at).copied(), other) {
            (0, Some(_), Some(other)) => chars[at] = other,
            (1, Some(_), _) => drop(chars.remove(at)),
            (2, Some(c), _) => chars.insert(at, c),
            _ => {}
        }
    }
    chars.into_iter().collect()
}
