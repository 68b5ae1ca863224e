//! The command: its options, the mount, the background, signals. It puts the
//! parts together and knows nothing of what they do.

pub mod background;
pub mod config;
pub mod dispositions;
pub mod engines;
pub mod generate;
pub(crate) mod hardening;
pub mod logging;
pub mod manual;
pub mod mount_option;
pub mod mounting;
pub mod mountpoint;
pub mod options;
pub mod panics;
pub mod run;
pub mod state;
