//! What a command line comes to: the values that its options may have.

use std::path::PathBuf;

use clap::ValueEnum;
use nix::mount::MsFlags;

/// Which engine does the mirroring.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum EngineName {
    /// the kernel's device-mapper
    Kernel,
    /// in this process, without root and without device-mapper
    Embedded,
}

/// What the user wants, options of all sorts taken together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// What does the mirroring.
    pub engine: EngineName,
    /// Where records and log files live; none leaves it to the engine.
    pub state_dir: Option<PathBuf>,
    /// Whether mirrors that are not there are made again from their records.
    pub restore: bool,
    /// Whether to stay in the foreground.
    pub foreground: bool,
    /// The folder to mount on, as it was given.
    pub mountpoint: PathBuf,
    /// The first word of the mount table's line.
    pub source: String,
    /// Whether other users may look; none leaves it to who mounts.
    pub allow_other: Option<bool>,
    /// Whether large copy jobs are asked for, where disks answer late.
    pub subjob: bool,
    /// Flags for mount(2): read only, no programs, …
    pub flags: MsFlags,
    /// How much to log: -1 errors, 0 usual, 1 more, 2 all.
    pub verbosity: i8,
}

/// What a package ships besides the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Generated {
    /// mirrorfs(8)
    Man,
    /// completion for bash
    Bash,
    /// completion for zsh
    Zsh,
    /// completion for fish
    Fish,
}

/// Mount options that are flags of mount(2), and those that take one away.
pub const FLAGS: &[(&str, MsFlags, bool)] = &[
    ("dev", MsFlags::MS_NODEV, false),
    ("nodev", MsFlags::MS_NODEV, true),
    ("suid", MsFlags::MS_NOSUID, false),
    ("nosuid", MsFlags::MS_NOSUID, true),
    ("exec", MsFlags::MS_NOEXEC, false),
    ("noexec", MsFlags::MS_NOEXEC, true),
    ("atime", MsFlags::MS_NOATIME, false),
    ("noatime", MsFlags::MS_NOATIME, true),
    ("async", MsFlags::MS_SYNCHRONOUS, false),
    ("sync", MsFlags::MS_SYNCHRONOUS, true),
    ("dirsync", MsFlags::MS_DIRSYNC, true),
    ("rw", MsFlags::MS_RDONLY, false),
    ("ro", MsFlags::MS_RDONLY, true),
];

/// What holds unless an option says otherwise: there are no devices and no
/// programs in the tree.
pub fn default_flags() -> MsFlags {
    MsFlags::MS_NODEV | MsFlags::MS_NOSUID
}
