//! The command line, and the mount options that `mount(8)` hands over.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{ArgAction, CommandFactory, Parser, ValueHint};

use super::config::{EngineName, Generated, Options, default_flags};
use super::mount_option;
use crate::error::{Error, Result};

/// Device-mapper mirrors as files.
#[derive(Debug, Parser)]
#[command(name = "mirrorfs", version, about, term_width = 80)]
struct Arguments {
    /// What does the mirroring [default: kernel]
    #[arg(short, long, value_enum)]
    engine: Option<EngineName>,
    /// Where records and log files live
    ///
    /// By default /var/lib/mirrorfs; with the embedded engine
    /// ${XDG_STATE_HOME:-~/.local/state}/mirrorfs.
    #[arg(short, long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    state_dir: Option<PathBuf>,
    /// Stay in the foreground
    #[arg(short, long)]
    foreground: bool,
    /// Mount options, as mount(8) hands them over
    #[arg(short, value_name = "OPT[,OPT...]", action = ArgAction::Append)]
    options: Vec<String>,
    /// Start nothing: show recorded mirrors as not started
    #[arg(long)]
    no_restore: bool,
    /// Log more; twice: everything
    #[arg(short, action = ArgAction::Count)]
    verbose: u8,
    /// Log errors only
    #[arg(short, conflicts_with = "verbose")]
    quiet: bool,
    /// Print the man page or a shell's completion, for packages
    #[arg(long, value_enum, value_name = "WHAT", hide = true, exclusive = true)]
    generate: Option<Generated>,
    /// The folder to mount on; mount(8) puts a SOURCE before it
    #[arg(required = true, num_args = 1..=2, value_name = "MOUNTPOINT")]
    #[arg(value_hint = ValueHint::DirPath)]
    places: Vec<PathBuf>,
}

/// Why a command line is none to run.
#[derive(Debug)]
pub enum Unusable {
    /// Help, the version, or what clap finds wrong: it knows how to print itself.
    Words(clap::Error),
    /// A mount option that is none.
    Option(Error),
    /// Something to print.
    Generated(Generated),
}

/// The options, as a table.
pub fn table() -> clap::Command {
    Arguments::command()
}

/// Parse a command line, its first word the program's name.
///
/// # Errors
/// What clap finds, a mount option that is none, or something to print instead.
pub fn parse(words: impl IntoIterator<Item = OsString>) -> std::result::Result<Options, Unusable> {
    let arguments = Arguments::try_parse_from(words).map_err(Unusable::Words)?;
    if let Some(paper) = arguments.generate {
        return Err(Unusable::Generated(paper));
    }
    combine(arguments).map_err(Unusable::Option)
}

fn combine(arguments: Arguments) -> Result<Options> {
    let mut places = arguments.places.into_iter().rev();
    let mountpoint = places.next().unwrap_or_default();
    let source = places.next().map(|path| path.display().to_string());
    let quiet = if arguments.quiet { -1 } else { 0 };
    let mut options = Options {
        engine: arguments.engine.unwrap_or(EngineName::Kernel),
        state_dir: None,
        restore: !arguments.no_restore,
        foreground: arguments.foreground,
        mountpoint,
        source: source.unwrap_or_else(|| "mirrorfs".into()),
        allow_other: None,
        subjob: true,
        flags: default_flags(),
        verbosity: quiet + arguments.verbose.min(2) as i8,
    };
    for word in arguments.options.iter().flat_map(|list| list.split(',')) {
        mount_option::set(&mut options, word)?;
    }
    // What was given by its own flag wins over what stands in fstab.
    options.engine = arguments.engine.unwrap_or(options.engine);
    options.state_dir = arguments.state_dir.or(options.state_dir);
    Ok(options)
}

#[cfg(test)]
mod tests {
    use nix::mount::MsFlags;

    use super::*;

    fn options(line: &str) -> std::result::Result<Options, String> {
        let parsed = parse(line.split_whitespace().map(Into::into));
        parsed.map_err(|error| match error {
            Unusable::Words(error) => error.to_string(),
            Unusable::Option(error) => error.to_string(),
            Unusable::Generated(paper) => format!("{paper:?}"),
        })
    }

    #[test]
    fn as_mount_and_fstab_call_it() {
        let parsed =
            options("mirrorfs none /mnt -o rw,noauto,x-systemd.after=a,state_dir=/s -o nodev,ro")
                .expect("parsed");
        assert_eq!(parsed.mountpoint, PathBuf::from("/mnt"));
        assert_eq!(parsed.source, "none");
        assert_eq!(parsed.state_dir, Some("/s".into()));
        assert_eq!(parsed.flags, default_flags() | MsFlags::MS_RDONLY);
        let parsed = options("mirrorfs /mnt -o ro,noexec,rw,dev").expect("parsed");
        assert_eq!(parsed.flags, MsFlags::MS_NOSUID | MsFlags::MS_NOEXEC);
    }

    #[test]
    fn its_own_flags_win() {
        let parsed = options("mirrorfs -s /a -e kernel -f -q /mnt -o state_dir=/b,engine=embedded")
            .expect("parsed");
        assert_eq!(parsed.state_dir, Some("/a".into()));
        assert_eq!(parsed.engine, EngineName::Kernel);
        assert!(parsed.foreground && parsed.verbosity == -1);
    }

    #[test]
    fn mistakes_are_named() {
        for (line, word) in [
            ("mirrorfs", "MOUNTPOINT"),
            ("mirrorfs /mnt -o speed=9", "speed=9"),
            ("mirrorfs /mnt -o engine=fast", "fast"),
            ("mirrorfs /mnt --engine fast", "fast"),
            ("mirrorfs a b c", "MOUNTPOINT"),
        ] {
            let error = options(line).expect_err(line);
            assert!(error.contains(word), "{line}: {error}");
        }
    }
}
