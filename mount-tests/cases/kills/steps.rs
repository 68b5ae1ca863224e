//! The daemon killed between each two steps of each plan: the mirror is the old one
//! or the new one at the next mount, it works, its record says the same, and nothing
//! is without an owner.

use super::crashable::CrashableDaemon;
use super::invariants::{Invariants, shape};
use crate::lab::case::{Case, kernel_only};
use crate::lab::disks::MIB;
use crate::lab::{Lab, long};

/// Why they are for the kernel's engine only.
const WHY: &str = "the embedded engine's mirrors end with the daemon, and no call of a plan stays";

pub const CASES: &[Case] = &[
    kernel_only("of_create", WHY, of_create),
    kernel_only("of_mkdir", WHY, of_mkdir),
    kernel_only("of_remove", WHY, of_remove),
    kernel_only("of_rename", WHY, of_rename),
    kernel_only("of_table", WHY, of_table),
    kernel_only("of_retry", WHY, of_retry),
    kernel_only("of_retry_with_a_word", WHY, of_retry_with_a_word),
    kernel_only("of_retry_of_a_gap", WHY, of_retry_of_a_gap),
    kernel_only("of_finish", WHY, of_finish),
    kernel_only("of_abort", WHY, of_abort),
    kernel_only("of_drop", WHY, of_drop),
    kernel_only("of_add", WHY, of_add),
    kernel_only("of_replace", WHY, of_replace),
    kernel_only("of_add_and_a_power_cut", WHY, of_add_and_a_power_cut),
    kernel_only("of_resync", WHY, of_resync),
    kernel_only("of_grow", WHY, of_grow),
    kernel_only("of_live", WHY, of_live),
];

/// Bytes of the mirror.
pub const SIZE: u64 = 4 * MIB;

/// The calls that change something.
const CHANGING: [&str; 7] = [
    "Create", "Load", "Clear", "Suspend", "Resume", "Remove", "Rename",
];

/// A table of two legs with a log file of this name.
fn table(invariants: &Invariants<'_>, log: &str, sync: &str) -> String {
    let [one, other] = [0, 1].map(|number| invariants.lab.disk(number));
    let (count, log) = (
        2 + sync.split_whitespace().count(),
        invariants.mount.scratch(log),
    );
    format!("0 8192 mirror disk {count} {log} 256{sync} 2 {one} 0 {other} 0 1 handle_errors")
}

fn mirror(invariants: &Invariants<'_>) -> String {
    format!("m: {}", table(invariants, "log", ""))
}

fn of_create(lab: &Lab) {
    let invariants = Invariants::new(lab);
    each_point(&invariants, "", "new", &mirror(&invariants));
}

fn of_mkdir(lab: &Lab) {
    each_point(&Invariants::new(lab), "", "mkdir", "m");
}

fn of_table(lab: &Lab) {
    let invariants = Invariants::new(lab);
    each_point(
        &invariants,
        &mirror(&invariants),
        "table",
        &table(&invariants, "log2", ""),
    );
}

fn of_rename(lab: &Lab) {
    let invariants = Invariants::new(lab);
    each_point(&invariants, &mirror(&invariants), "name", "n");
}

fn of_remove(lab: &Lab) {
    of_verb(&Invariants::new(lab), "remove");
}

fn of_retry(lab: &Lab) {
    of_verb(&Invariants::new(lab), "retry");
}

/// One that is switched to a table without a sync word.
fn of_retry_with_a_word(lab: &Lab) {
    let invariants = Invariants::new(lab);
    let first = format!("m: {}", table(&invariants, "log", " nosync"));
    each_point(&invariants, &first, "ctl", "retry");
}

/// Two segments become one, whose log takes over what theirs say.
fn of_retry_of_a_gap(lab: &Lab) {
    let invariants = Invariants::new(lab);
    let [one, other] = [0, 1].map(|number| lab.disk(number));
    let segment = |start: u64, length: u64, log: &str| {
        let log = invariants.mount.scratch(log);
        format!(
            "{start} {length} mirror disk 2 {log} 256 2 {one} {start} {other} {start} 1 handle_errors"
        )
    };
    let first = format!(
        "m,,,,{},4096 8 linear {one} 4096,{}",
        segment(0, 4096, "log"),
        segment(4104, 4088, "log2")
    );
    each_point(&invariants, &first, "ctl", "retry");
}

fn of_finish(lab: &Lab) {
    of_verb(&Invariants::new(lab), "finish");
}

fn of_abort(lab: &Lab) {
    of_verb(&Invariants::new(lab), "abort");
}

fn of_drop(lab: &Lab) {
    of_verb(&Invariants::new(lab), "drop 0");
}

fn of_add(lab: &Lab) {
    of_verb(&Invariants::new(lab), &format!("add {}", lab.disk(2)));
}

fn of_add_and_a_power_cut(lab: &Lab) {
    let mut invariants = Invariants::new(lab);
    invariants.power_cut = true;
    of_verb(&invariants, &format!("add {}", lab.disk(2)));
}

fn of_replace(lab: &Lab) {
    of_verb(&Invariants::new(lab), &format!("replace 1 {}", lab.disk(2)));
}

fn of_resync(lab: &Lab) {
    of_verb(&Invariants::new(lab), "resync");
}

fn of_grow(lab: &Lab) {
    of_verb(&Invariants::new(lab), "grow 6M");
}

/// A mirror is slid under another program's device.
fn of_live(lab: &Lab) {
    let mut invariants = Invariants::new(lab);
    invariants.beneath = Some(format!("0 8192 linear {} 0", lab.disk(0)));
    let (target, log) = (lab.disk(2), invariants.mount.scratch("log"));
    each_point(
        &invariants,
        "",
        "new",
        &format!("/dev/mapper/m {target} live=yes log={log} region=128K"),
    );
}

fn of_verb(invariants: &Invariants<'_>, verb: &str) {
    each_point(invariants, &mirror(invariants), "ctl", verb);
}

/// Write `line` to what `file` names, of a daemon that has made the mirror of the line
/// `first`; once to the end, then once up to each point.
fn each_point(invariants: &Invariants<'_>, first: &str, file: &str, line: &str) {
    let mut crashable = invariants.crashable(first);
    let old = shape();
    let said = crashable.work(file, line, None);
    let calls = said.strip_prefix("done ").expect(&said);
    let new = shape();
    kill(invariants, &mut crashable, &[&new], "at its end");
    let calls: Vec<&str> = calls.split(' ').collect();
    let all = 0..calls.len();
    let points: Vec<usize> = all.filter(|at| is_point(file, &calls, *at)).collect();
    for at in &points {
        let op = calls[*at];
        let nth = calls[..=*at].iter().filter(|other| **other == op).count();
        let mut crashable = invariants.crashable(first);
        assert_eq!(crashable.work(file, line, Some((op, nth))), "there");
        let what = format!("before call {at}, {op}, of {calls:?}");
        kill(invariants, &mut crashable, &[&old, &new], &what);
    }
    println!("{file} {line}: killed {} times", points.len() + 1);
}

fn kill(
    invariants: &Invariants<'_>,
    crashable: &mut CrashableDaemon,
    allowed: &[&String],
    what: &str,
) {
    crashable.kill();
    let wrong = invariants.wrong(allowed);
    assert!(wrong.is_empty(), "killed {what}:\n{}", wrong.join("\n"));
    invariants.clear();
}

/// Whether it is killed before this call: a change that something came before, which
/// a record may be, or the first call after one; in the long run any.
fn is_point(file: &str, calls: &[&str], at: usize) -> bool {
    let changes = |at: usize| CHANGING.contains(&calls[at]);
    let first = file == "ctl" && !(0..at).any(changes) && calls[at] != "Remove";
    long() || changes(at) && !first || at > 0 && changes(at - 1)
}
