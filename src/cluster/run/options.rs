//! The command line of the log server.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{ArgAction, Parser};

use crate::cluster::state::cure::Cure;

/// The log of mirrors that several machines write
///
/// The kernel asks it for the log of each mirror whose table has a `userspace` log, and
/// writers wait for its answers.
#[derive(Debug, Parser)]
#[command(name = "mirrorfs-logd", version, about, term_width = 80)]
struct Arguments {
    /// No other machine has these mirrors
    #[arg(long, required_unless_present = "cure")]
    local: bool,
    /// Where it keeps what the next server is to know, until the next boot
    #[arg(long, value_name = "DIR", default_value = "/run/mirrorfs-logd")]
    state_dir: PathBuf,
    /// Log more; twice: everything
    #[arg(short, action = ArgAction::Count)]
    verbose: u8,
    /// Log errors only
    #[arg(short, conflicts_with = "verbose")]
    quiet: bool,
    /// What the server starts itself for
    #[arg(long, hide = true, requires = "log")]
    cure: Option<Cure>,
    #[arg(long, hide = true)]
    log: Option<String>,
}

/// What the command line asks for.
#[derive(Debug)]
pub struct Options {
    /// Where it keeps what the next server is to know.
    pub state_dir: PathBuf,
    /// How much it logs: below 0 errors only.
    pub verbosity: i8,
    /// Do this with the device that has this log, and end.
    pub cure: Option<(String, Cure)>,
}

/// Parse a command line, its first word the program's name.
///
/// # Errors
/// Help, the version, or what clap finds wrong: it knows how to print itself.
pub fn parse(words: impl IntoIterator<Item = OsString>) -> Result<Options, clap::Error> {
    let arguments = Arguments::try_parse_from(words)?;
    let quiet = if arguments.quiet { -1 } else { 0 };
    Ok(Options {
        state_dir: arguments.state_dir,
        verbosity: quiet + arguments.verbose.min(2) as i8,
        cure: arguments.log.zip(arguments.cure),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(line: &str) -> Result<Options, String> {
        let parsed = parse(line.split_whitespace().map(Into::into));
        parsed.map_err(|error| error.to_string())
    }

    #[test]
    fn a_server_says_that_it_is_alone() {
        let parsed = options("mirrorfs-logd --local -v").unwrap();
        assert_eq!(parsed.state_dir, PathBuf::from("/run/mirrorfs-logd"));
        assert!(parsed.verbosity == 1 && parsed.cure.is_none());
        let parsed = options("mirrorfs-logd --cure reload --log u").unwrap();
        assert_eq!(parsed.cure, Some(("u".into(), Cure::Reload)));
        for (line, piece) in [
            ("mirrorfs-logd", "--local"),
            ("mirrorfs-logd --local x", "'x'"),
            ("mirrorfs-logd --cure read", "--log"),
            ("mirrorfs-logd --cure grow --log u", "grow is no cure"),
            ("mirrorfs-logd --local -v -q", "cannot be used"),
        ] {
            let error = options(line).unwrap_err();
            assert!(error.contains(piece), "{line}: {error}");
        }
    }
}
