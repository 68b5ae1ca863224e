//! Mount options, as mount(8) and fstab(5) hand them over: one row each for those
//! that are mirrorfs's own.

use clap::ValueEnum;

use super::config::{EngineName, FLAGS, Options};
use crate::error::{Error, Result};

/// One mount option that only mirrorfs knows.
#[derive(Debug)]
pub struct MountOption {
    /// The word before `=`.
    pub name: &'static str,
    /// What may stand behind `=`, as a usage line shows it; nothing where none may.
    pub values: &'static str,
    /// A line of the man page.
    pub doc: &'static str,
    set: fn(&mut Options, &str) -> Result<()>,
}

/// The options that mount(8) hands over to mirrorfs.
pub const OWN: &[MountOption] = &[
    MountOption {
        name: "engine",
        values: "kernel|embedded",
        doc: "as --engine, which takes precedence",
        set: |options, name| {
            let engine = EngineName::from_str(name, false);
            options.engine = engine
                .map_err(|_| Error::invalid(format!("-o engine={name}: kernel or embedded")))?;
            Ok(())
        },
    },
    MountOption {
        name: "state_dir",
        values: "DIR",
        doc: "as --state-dir, which takes precedence",
        set: |options, path| {
            options.state_dir = Some(path.into());
            Ok(())
        },
    },
    MountOption {
        name: "subjob",
        values: "auto|off",
        doc: "off: leave kcopyd_subjob_size_kb alone, which auto sets while it loads a table over disks that answer late",
        set: |options, word| {
            options.subjob = match word {
                "auto" => true,
                "off" => false,
                _ => return Err(Error::invalid(format!("-o subjob={word}: auto or off"))),
            };
            Ok(())
        },
    },
    MountOption {
        name: "fsname",
        values: "SOURCE",
        doc: "the first word of the mount table's line",
        set: |options, name| {
            options.source = name.into();
            Ok(())
        },
    },
    MountOption {
        name: "allow_other",
        values: "",
        doc: "other users may look, as the files' modes allow; root's mounts have it anyway",
        set: |options, _| {
            options.allow_other = Some(true);
            Ok(())
        },
    },
];

/// What `mount(8)`, fstab(5) and systemd.mount(5) mean for themselves.
pub const FOR_OTHERS: &[&str] = &[
    "defaults",
    "auto",
    "noauto",
    "user",
    "nouser",
    "users",
    "nofail",
    "_netdev",
    "relatime",
    "norelatime",
    "strictatime",
    "nostrictatime",
    "lazytime",
    "nolazytime",
    "default_permissions",
];

/// Set what one word of `-o` says.
///
/// # Errors
/// EINVAL names the word that is none.
pub fn set(options: &mut Options, word: &str) -> Result<()> {
    let (name, value) = match word.split_once('=') {
        Some((name, value)) => (name, Some(value)),
        None => (word, None),
    };
    if name.is_empty() && value.is_none() || name.starts_with("x-") || name == "comment" {
        return Ok(());
    }
    let own = OWN.iter().find(|row| row.name == name);
    if let Some(row) = own.filter(|row| row.values.is_empty() == value.is_none()) {
        return (row.set)(options, value.unwrap_or_default());
    }
    if value.is_some() {
        return Err(unknown(word));
    }
    if !FOR_OTHERS.contains(&name) {
        let row = FLAGS.iter().find(|(known, ..)| *known == name);
        let (_, flag, on) = row.ok_or_else(|| unknown(word))?;
        options.flags.set(*flag, *on);
    }
    Ok(())
}

fn unknown(word: &str) -> Error {
    Error::invalid(format!("-o {word}: mirrorfs knows no such mount option"))
}
