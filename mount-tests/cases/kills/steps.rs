//! The daemon killed between each two steps of each plan: the mirror is the old one
//! or the new one at the next mount, it works, its record says the same, and nothing
//! is without an owner.

use super::doomed::Doomed;
use super::verdict::{Judge, shape};
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
fn table(judge: &Judge<'_>, log: &str, sync: &str) -> String {
    let [one, other] = [0, 1].map(|number| judge.lab.disk(number));
    let (count, log) = (
        2 + sync.split_whitespace().count(),
        judge.mount.scratch(log),
    );
    format!("0 8192 mirror disk {count} {log} 256{sync} 2 {one} 0 {other} 0 1 handle_errors")
}

fn mirror(judge: &Judge<'_>) -> String {
    format!("m: {}", table(judge, "log", ""))
}

fn of_create(lab: &Lab) {
    let judge = Judge::new(lab);
    each_point(&judge, "", "new", &mirror(&judge));
}

fn of_mkdir(lab: &Lab) {
    each_point(&Judge::new(lab), "", "mkdir", "m");
}

fn of_table(lab: &Lab) {
    let judge = Judge::new(lab);
    each_point(&judge, &mirror(&judge), "table", &table(&judge, "log2", ""));
}

fn of_rename(lab: &Lab) {
    let judge = Judge::new(lab);
    each_point(&judge, &mirror(&judge), "name", "n");
}

fn of_remove(lab: &Lab) {
    of_verb(&Judge::new(lab), "remove");
}

fn of_retry(lab: &Lab) {
    of_verb(&Judge::new(lab), "retry");
}

/// One that is switched to a table without a sync word.
fn of_retry_with_a_word(lab: &Lab) {
    let judge = Judge::new(lab);
    let first = format!("m: {}", table(&judge, "log", " nosync"));
    each_point(&judge, &first, "ctl", "retry");
}

fn of_finish(lab: &Lab) {
    of_verb(&Judge::new(lab), "finish");
}

fn of_abort(lab: &Lab) {
    of_verb(&Judge::new(lab), "abort");
}

fn of_drop(lab: &Lab) {
    of_verb(&Judge::new(lab), "drop 0");
}

fn of_add(lab: &Lab) {
    of_verb(&Judge::new(lab), &format!("add {}", lab.disk(2)));
}

fn of_add_and_a_power_cut(lab: &Lab) {
    let mut judge = Judge::new(lab);
    judge.power_cut = true;
    of_verb(&judge, &format!("add {}", lab.disk(2)));
}

fn of_replace(lab: &Lab) {
    of_verb(&Judge::new(lab), &format!("replace 1 {}", lab.disk(2)));
}

fn of_resync(lab: &Lab) {
    of_verb(&Judge::new(lab), "resync");
}

fn of_grow(lab: &Lab) {
    of_verb(&Judge::new(lab), "grow 6M");
}

/// A mirror is slid under another program's device.
fn of_live(lab: &Lab) {
    let mut judge = Judge::new(lab);
    judge.beneath = Some(format!("0 8192 linear {} 0", lab.disk(0)));
    let (target, log) = (lab.disk(2), judge.mount.scratch("log"));
    each_point(
        &judge,
        "",
        "new",
        &format!("/dev/mapper/m {target} live=yes log={log} region=128K"),
    );
}

fn of_verb(judge: &Judge<'_>, verb: &str) {
    each_point(judge, &mirror(judge), "ctl", verb);
}

/// Write `line` to what `file` names, of a daemon that has made the mirror of the line
/// `first`; once to the end, then once up to each point.
fn each_point(judge: &Judge<'_>, first: &str, file: &str, line: &str) {
    let mut doomed = judge.doomed(first);
    let old = shape();
    let said = doomed.work(file, line, None);
    let calls = said.strip_prefix("done ").expect(&said);
    let new = shape();
    kill(judge, &mut doomed, &[&new], "at its end");
    let calls: Vec<&str> = calls.split(' ').collect();
    let all = 0..calls.len();
    let points: Vec<usize> = all.filter(|at| is_point(file, &calls, *at)).collect();
    for at in &points {
        let op = calls[*at];
        let nth = calls[..=*at].iter().filter(|other| **other == op).count();
        let mut doomed = judge.doomed(first);
        assert_eq!(doomed.work(file, line, Some((op, nth))), "there");
        let what = format!("before call {at}, {op}, of {calls:?}");
        kill(judge, &mut doomed, &[&old, &new], &what);
    }
    println!("{file} {line}: killed {} times", points.len() + 1);
}

fn kill(judge: &Judge<'_>, doomed: &mut Doomed, allowed: &[&String], what: &str) {
    doomed.kill();
    let wrong = judge.wrong(allowed);
    assert!(wrong.is_empty(), "killed {what}:\n{}", wrong.join("\n"));
    judge.clear();
}

/// Whether it is killed before this call: a change that something came before, which
/// a record may be, or the first call after one; in the long run any.
fn is_point(file: &str, calls: &[&str], at: usize) -> bool {
    let changes = |at: usize| CHANGING.contains(&calls[at]);
    let first = file == "ctl" && !(0..at).any(changes) && calls[at] != "Remove";
    long() || changes(at) && !first || at > 0 && changes(at - 1)
}
