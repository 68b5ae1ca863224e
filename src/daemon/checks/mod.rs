//! Whether the legs of a mirror are equal, and copying where they are not.
//!
//! Owns: the threads that read the legs of a mirror in use, what differs and for how long,
//! the digest of what is equal. What still differs while others write is looked at with I/O
//! held, by [`while_held`]. May not know: the words of verbs.
//!
//! [`while_held`]: super::switch::act::Switcher::while_held

mod board;
mod course;
mod digest;
mod doubt;
mod hold;
mod legs;
mod run;
pub mod state;
mod walk;
