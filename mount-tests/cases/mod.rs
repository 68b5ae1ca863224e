//! The tests, a file for each subject.

mod command;
mod differential;
mod events;
mod files;
mod hangs;
mod health;
mod idioms;
mod interchange;
mod loops;
mod neighbours;
mod progress;
mod races;
mod readme;
mod refusals;
mod rollback;
mod shapes;
mod soak;
mod speed;
mod values;
mod worked;
mod writes;

use crate::Case;

/// All tests, in the order in which they run.
pub fn all() -> Vec<Case> {
    [
        worked::CASES,
        differential::CASES,
        interchange::CASES,
        readme::CASES,
        shapes::CASES,
        files::CASES,
        values::CASES,
        progress::CASES,
        health::CASES,
        events::CASES,
        idioms::CASES,
        writes::CASES,
        neighbours::CASES,
        loops::CASES,
        refusals::CASES,
        soak::CASES,
        races::CASES,
        hangs::CASES,
        rollback::CASES,
        speed::CASES,
        command::CASES,
    ]
    .concat()
}
