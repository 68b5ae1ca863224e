//! What is measured.

mod check;
mod copy;
mod create;
mod embedded;
mod failover;
mod reads;
mod scale;
mod share;

use super::place::Setting;
use super::sample::Figure;

/// One subject.
pub struct Subject {
    /// How it is asked for.
    pub name: &'static str,
    /// Why it cannot be measured here.
    pub lacks: fn(&Setting) -> Option<&'static str>,
    /// The figures.
    pub measure: fn(&Setting) -> Vec<Figure>,
}

const ALL: &[Subject] = &[
    reads::SUBJECT,
    create::SUBJECT,
    copy::SUBJECT,
    share::SUBJECT,
    failover::SUBJECT,
    check::SUBJECT,
    scale::SUBJECT,
    embedded::SUBJECT,
];

/// The subjects with these names; all where none is named.
pub fn chosen(names: &[String]) -> Vec<&'static Subject> {
    let known = |name: &String| ALL.iter().any(|subject| subject.name == name);
    if let Some(odd) = names.iter().find(|name| !known(name)) {
        let all: Vec<&str> = ALL.iter().map(|subject| subject.name).collect();
        eprintln!("there is no subject {odd}: {}", all.join(", "));
        std::process::exit(2);
    }
    let wanted = |subject: &&Subject| names.is_empty() || names.iter().any(|n| n == subject.name);
    ALL.iter().filter(wanted).collect()
}
