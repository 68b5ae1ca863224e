//! The tests, a file for each subject.

mod worked;

use crate::Case;

/// All tests, in the order in which they run.
pub fn all() -> Vec<Case> {
    [worked::CASES].concat()
}
