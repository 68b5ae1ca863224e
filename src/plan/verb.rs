//! The verbs of `ctl`: one row each, which parses it and explains it.

use super::leg_name::LegName;
use crate::engine::Suspend;
use crate::error::{Error, Result};
use crate::model::snapshot::Snapshot;
use crate::text::place::Place;
use crate::text::size;
use crate::text::words::{Words, meant, with_spaces};

/// What a line written to `ctl` asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Hold I/O.
    Suspend(Suspend),
    /// Let I/O go on.
    Resume,
    /// Try again what failed.
    Retry,
    /// Copy everything again.
    Resync,
    /// Cut over to a leg, the first target where none is named.
    Finish {
        /// None: the first target.
        leg: Option<LegName>,
        /// Of a mirror that is not started: also where its log does not call everything
        /// copied.
        lossy: bool,
        /// Only where a whole check has found nothing.
        checked: bool,
    },
    /// Compare all legs.
    Check,
    /// Compare them no longer.
    StopCheck,
    /// Copy what differs.
    Repair {
        /// From this leg; none: from the source.
        from: Option<LegName>,
    },
    /// Go back to the source.
    Abort,
    /// Take a leg out.
    Drop(LegName),
    /// Bring a leg in.
    Add {
        /// The device, and from which sector on.
        place: Place,
        /// Whether what it holds may be written over.
        force: bool,
    },
    /// Put another one in a leg's place.
    Replace {
        /// The number of the leg that goes, from 0 on.
        leg: LegName,
        /// The device that comes in its place.
        place: Place,
        /// As that of `Add`.
        force: bool,
    },
    /// Make it longer.
    Grow {
        /// To so many sectors; none: as far as the legs reach.
        length: Option<u64>,
        /// As that of `Add`.
        force: bool,
    },
    /// Remove the mirror and its log file.
    Remove {
        /// At its last close.
        deferred: bool,
    },
}

impl Command {
    /// The new leg of a verb that brings one in.
    pub fn brings(&mut self) -> Option<&mut Place> {
        match self {
            Command::Add { place, .. } | Command::Replace { place, .. } => Some(place),
            _ => None,
        }
    }

    /// The leg that a verb names.
    pub fn leg(&mut self) -> Option<&mut LegName> {
        match self {
            Command::Finish { leg, .. } | Command::Repair { from: leg } => leg.as_mut(),
            Command::Drop(leg) | Command::Replace { leg, .. } => Some(leg),
            _ => None,
        }
    }

    /// The same with the number of the leg that it names, as it is in this snapshot: the
    /// one that the plan is made from.
    ///
    /// # Errors
    /// EINVAL where no leg has the path, or two have it.
    pub fn numbered(&self, snapshot: &Snapshot) -> Result<Command> {
        let mut command = self.clone();
        if let Some(leg) = command.leg() {
            *leg = leg.numbered(snapshot)?;
        }
        Ok(command)
    }
}

/// What is said where a copy may lack something.
const LOSSY: &str = "lossy";

/// What is said where a copy is to have been compared.
const CHECKED: &str = "checked";

/// What is said before the leg that is right.
const FROM: &str = "FROM";

/// What is said where what a device holds may be written over.
pub use crate::text::request::FORCE;

/// One verb.
#[derive(Debug)]
pub struct Verb {
    /// The first word of its line.
    pub name: &'static str,
    /// What may follow, as a usage line shows it.
    pub arguments: &'static str,
    /// A line of `ctl`, at most 38 characters.
    pub doc: &'static str,
    parse: fn(&mut Words<'_>) -> Result<Command>,
}

/// All verbs, in the order in which `ctl` lists them.
pub const VERBS: &[Verb] = &[
    Verb {
        name: "suspend",
        arguments: "[noflush]",
        doc: "suspend I/O; noflush: requeue pending",
        parse: |words| {
            let noflush = flag(words, "noflush")?;
            Ok(Command::Suspend(Suspend {
                noflush,
                skip_lockfs: noflush,
                // Who wants it held wants that whatever becomes of the daemon.
                passing: false,
            }))
        },
    },
    Verb {
        name: "resume",
        arguments: "",
        doc: "resume I/O",
        parse: |_| Ok(Command::Resume),
    },
    Verb {
        name: "finish",
        arguments: "[LEG] [lossy] [checked]",
        doc: "cut over to a leg (default 1)",
        parse: |words| {
            let is_leg = |word: &&str| *word != LOSSY && *word != CHECKED;
            let named = words.peek().filter(is_leg);
            let leg = named.map(|_| LegName::parse(words)).transpose()?;
            let lossy = flag(words, LOSSY)?;
            let checked = flag(words, CHECKED)?;
            Ok(Command::Finish {
                leg,
                lossy,
                checked,
            })
        },
    },
    Verb {
        name: "check",
        arguments: "[stop]",
        doc: "compare all legs; read `check`",
        parse: |words| {
            let stop = flag(words, "stop")?;
            Ok(if stop {
                Command::StopCheck
            } else {
                Command::Check
            })
        },
    },
    Verb {
        name: "repair",
        arguments: "[FROM LEG]",
        doc: "copy what differs from the source",
        parse: |words| {
            let is_from = |word: &&str| word.eq_ignore_ascii_case(FROM);
            let from = words.peek().filter(is_from).map(|_| {
                words.next(FROM)?;
                LegName::parse(words)
            });
            let from = from.transpose()?;
            Ok(Command::Repair { from })
        },
    },
    Verb {
        name: "abort",
        arguments: "",
        doc: "return to leg 0 and stop copying",
        parse: |_| Ok(Command::Abort),
    },
    Verb {
        name: "drop",
        arguments: "LEG",
        doc: "remove a leg",
        parse: |words| LegName::parse(words).map(Command::Drop),
    },
    Verb {
        name: "add",
        arguments: "DEVICE[@OFFSET] [force=yes]",
        doc: "add a leg; everything is copied to it",
        parse: |words| {
            Ok(Command::Add {
                place: place(words)?,
                force: flag(words, FORCE)?,
            })
        },
    },
    Verb {
        name: "replace",
        arguments: "LEG DEVICE[@OFFSET] [force=yes]",
        doc: "replace a leg by another device",
        parse: |words| {
            Ok(Command::Replace {
                leg: LegName::parse(words)?,
                place: place(words)?,
                force: flag(words, FORCE)?,
            })
        },
    },
    Verb {
        name: "grow",
        arguments: "[LENGTH] [force=yes]",
        doc: "extend the mirror to its enlarged legs",
        parse: |words| {
            let named = words.peek().filter(|word| *word != FORCE);
            let length = named.map(|_| words.next("the length")).transpose()?;
            let length = length.map(|word| size::sectors(word, "the length"));
            Ok(Command::Grow {
                length: length.transpose()?,
                force: flag(words, FORCE)?,
            })
        },
    },
    Verb {
        name: "resync",
        arguments: "",
        doc: "copy everything again from the source",
        parse: |_| Ok(Command::Resync),
    },
    Verb {
        name: "retry",
        arguments: "",
        doc: "retry failed regions and held writes",
        parse: |_| Ok(Command::Retry),
    },
    Verb {
        name: "remove",
        arguments: "[deferred]",
        doc: "remove it; deferred: at last close",
        parse: |words| {
            let deferred = flag(words, "deferred")?;
            Ok(Command::Remove { deferred })
        },
    },
];

fn place(words: &mut Words<'_>) -> Result<Place> {
    words.next("DEVICE[@OFFSET]")?.parse()
}

/// The word `name` if it comes next, else nothing; another word is refused by
/// the end of the line.
fn flag(words: &mut Words<'_>, name: &str) -> Result<bool> {
    if words.peek() == Some(name) {
        words.next(name)?;
        return Ok(true);
    }
    Ok(false)
}

/// The command of one line of `ctl`. EINVAL names the word that is not one.
pub fn parse(line: &str) -> Result<Command> {
    let mut words = Words::new(line);
    let name = words.peek().ok_or_else(no_verb)?;
    words.next("a verb")?;
    let verb = VERBS.iter().find(|verb| verb.name == name);
    let verb = verb.ok_or_else(|| unknown(name))?;
    let command = (verb.parse)(&mut words)?;
    let end = words.end(&format!("`{}`", usage(verb)));
    // What is too much may be the rest of a name.
    if verb.arguments.contains("DEVICE") {
        end.map_err(with_spaces)?
    } else {
        end?
    }
    Ok(command)
}

fn no_verb() -> Error {
    let names: Vec<&str> = VERBS.iter().map(|verb| verb.name).collect();
    let sentence = format!("the line is empty: the verbs are {}", names.join(", "));
    Error::invalid(sentence)
}

fn unknown(name: &str) -> Error {
    let names: Vec<&str> = VERBS.iter().map(|verb| verb.name).collect();
    let name: String = name.escape_default().take(40).collect();
    Error::invalid(format!(
        "`{name}` is not a verb{}: the verbs are {}",
        meant(&name, names.iter().copied()),
        names.join(", ")
    ))
}

fn usage(verb: &Verb) -> String {
    format!("{} {}", verb.name, verb.arguments)
        .trim_end()
        .into()
}

/// What reading `ctl` shows: each verb with a line of text.
pub fn help() -> String {
    let line = |verb: &Verb| format!("{:<39} {}\n", usage(verb), verb.doc);
    VERBS.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Errno;

    #[test]
    fn each_verb_parses_with_and_without_its_arguments() {
        for verb in VERBS {
            let needs = verb.arguments.starts_with(|c: char| c != '[');
            assert_eq!(parse(verb.name).is_ok(), !(needs), "{}", verb.name);
            let arguments = verb.arguments.replace("DEVICE[@OFFSET]", "/dev/sdx@1M");
            let arguments = arguments.replace("LEG", "2").replace("LENGTH", "1G");
            let arguments = arguments.replace(['[', ']'], "");
            let line = format!(" {}  {arguments} ", verb.name);
            assert!(parse(&line).is_ok(), "{line}");
            assert!(help().contains(verb.doc));
        }
        let place = Place::at("8:16".parse().expect("a device"), 6);
        for (words, force) in [("", false), (" force=yes", true)] {
            let place = place.clone();
            let wanted = Command::Add { place, force };
            assert_eq!(parse(&format!("add 8:16@3K{words}")), Ok(wanted));
            for (length, sectors) in [("", None), (" 1K", Some(2))] {
                let length = format!("grow{length}{words}");
                let wanted = Command::Grow {
                    length: sectors,
                    force,
                };
                assert_eq!(parse(&length), Ok(wanted));
            }
        }
        let deferred = parse("remove deferred");
        assert_eq!(deferred, Ok(Command::Remove { deferred: true }));
    }

    #[test]
    fn what_is_no_verb_is_named() {
        for (line, word) in [
            ("stop", "stop"),
            ("", "the line is empty"),
            ("resume now", "now"),
            ("suspend noflush now", "now"),
            ("Suspend", "Suspend"),
            ("drop", "leg"),
            ("drop x", "x"),
            ("finish 1 2", "2"),
            ("grow 1.5G", "1.5G"),
            ("add", "DEVICE"),
            ("add sdb", "sdb"),
            ("replace /dev/sdb", "DEVICE"),
            ("add /dev/sdb force", "force"),
            ("add /dev/sdb force=no", "force=no"),
            ("replace 1 /dev/sdb 2", "2"),
            ("grow 1G 2G", "2G"),
            ("grow force=yes 1G", "1G"),
            ("resync force=yes", "force=yes"),
        ] {
            let error = parse(line).expect_err(line);
            assert_eq!(error.errno(), Errno::EINVAL, "{line}");
            assert!(error.sentence().contains(word), "{line}: {error}");
        }
    }
}
