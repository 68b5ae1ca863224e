//! The verbs of `ctl`: one row each, which parses it and explains it.

use crate::engine::Suspend;
use crate::error::{Error, Result};
use crate::text::words::Words;

/// What a line written to `ctl` asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    /// Hold I/O.
    Suspend(Suspend),
    /// Let I/O go on.
    Resume,
    /// Try again what failed.
    Retry,
    /// Remove the mirror and its log file.
    Remove {
        /// At its last close.
        deferred: bool,
    },
}

/// One verb.
#[derive(Debug)]
pub struct Verb {
    /// Its first word.
    pub name: &'static str,
    /// What may follow, as a usage line shows it.
    pub arguments: &'static str,
    /// What it does.
    pub doc: &'static str,
    parse: fn(&mut Words<'_>) -> Result<Command>,
}

/// All verbs, in the order in which `ctl` lists them.
pub const VERBS: &[Verb] = &[
    Verb {
        name: "suspend",
        arguments: "[noflush]",
        doc: "hold I/O; noflush: without waiting for I/O that is under way",
        parse: |words| {
            let noflush = flag(words, "noflush")?;
            Ok(Command::Suspend(Suspend {
                noflush,
                skip_lockfs: noflush,
            }))
        },
    },
    Verb {
        name: "resume",
        arguments: "",
        doc: "let I/O go on",
        parse: |_| Ok(Command::Resume),
    },
    Verb {
        name: "retry",
        arguments: "",
        doc: "try the regions again that failed to copy, and the writes that are held",
        parse: |_| Ok(Command::Retry),
    },
    Verb {
        name: "remove",
        arguments: "[deferred]",
        doc: "remove the mirror and its log file; deferred: when its last user closes it",
        parse: |words| {
            let deferred = flag(words, "deferred")?;
            Ok(Command::Remove { deferred })
        },
    },
];

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
    let name = words.next("a verb")?;
    let verb = VERBS.iter().find(|verb| verb.name == name);
    let verb = verb.ok_or_else(|| unknown(name))?;
    let command = (verb.parse)(&mut words)?;
    words.end(&format!("`{}`", usage(verb)))?;
    Ok(command)
}

fn unknown(name: &str) -> Error {
    let names: Vec<&str> = VERBS.iter().map(|verb| verb.name).collect();
    let name: String = name.escape_default().take(40).collect();
    Error::invalid(format!(
        "`{name}` is not a verb: the verbs are {}",
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
    let line = |verb: &Verb| format!("{:<20} {}\n", usage(verb), verb.doc);
    VERBS.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Errno;

    #[test]
    fn each_verb_parses_with_and_without_its_arguments() {
        for verb in VERBS {
            assert!(parse(verb.name).is_ok(), "{}", verb.name);
            let argument = verb.arguments.trim_matches(['[', ']']);
            assert!(parse(&format!(" {}  {argument} ", verb.name)).is_ok());
            assert!(help().contains(verb.doc));
        }
        let deferred = parse("remove deferred");
        assert_eq!(deferred, Ok(Command::Remove { deferred: true }));
    }

    #[test]
    fn what_is_no_verb_is_named() {
        for (line, word) in [
            ("stop", "stop"),
            ("", "a verb"),
            ("resume now", "now"),
            ("suspend noflush now", "now"),
            ("Suspend", "Suspend"),
        ] {
            let error = parse(line).expect_err(line);
            assert_eq!(error.errno(), Errno::EINVAL, "{line}");
            assert!(error.sentence().contains(word), "{line}: {error}");
        }
    }
}
