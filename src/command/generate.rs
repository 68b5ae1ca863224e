//! What a package ships besides the program: the man page and the shells'
//! completions, printed rather than kept, so that they say what the parser does.

use clap::Command;
use clap_complete::{Shell, generate};

use super::config::Generated;
use super::{manual, options};

/// The bytes to print on standard output.
pub fn text(paper: Generated) -> Vec<u8> {
    match paper {
        Generated::Man => manual::page().into_bytes(),
        Generated::Bash => completion(Shell::Bash),
        Generated::Zsh => completion(Shell::Zsh),
        Generated::Fish => completion(Shell::Fish),
    }
}

fn completion(shell: Shell) -> Vec<u8> {
    let mut text = Vec::new();
    generate(shell, &mut offered(), "mirrorfs", &mut text);
    text
}

/// The options without those that are hidden, which the completions would offer.
fn offered() -> Command {
    let table = options::table();
    let shown = table.get_arguments().filter(|option| !option.is_hide_set());
    Command::new("mirrorfs")
        .version(env!("CARGO_PKG_VERSION"))
        .args(shown.cloned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_option_is_completed_but_hidden_ones() {
        for paper in [Generated::Bash, Generated::Zsh, Generated::Fish] {
            let text = String::from_utf8(text(paper)).expect("text");
            for option in options::table().get_arguments() {
                let long = option.get_long().map(Into::into);
                let short = option.get_short().map(|short| short.to_string());
                let Some(word) = long.or(short) else { continue };
                let found = text.contains(&word);
                assert_eq!(found, !option.is_hide_set(), "{paper:?}: {word}");
            }
            assert!(text.contains("embedded"), "{paper:?}");
        }
    }
}
