//! Two runs side by side.

use std::fmt::Write;

use super::report::{Report, amount};
use super::sample::Figure;

/// What each figure was before and is after; those that one run lacks are left out.
pub fn compare(before: &Report, after: &Report) -> String {
    let mut text = format!("before: {}\nafter:  {}\n", before.machine, after.machine);
    for (subject, figures) in &after.subjects {
        let Some(old) = before.subjects.get(subject) else {
            continue;
        };
        let _ = writeln!(
            text,
            "\n## {subject}\n\n| what | beside | before | after | change |"
        );
        let _ = writeln!(text, "|---|---|---|---|---|");
        for new in figures {
            let same = |old: &&Figure| (&old.name, &old.beside) == (&new.name, &new.beside);
            if let Some(old) = old.iter().find(same) {
                let _ = writeln!(text, "{}", row(old, new));
            }
        }
    }
    text
}

fn row(old: &Figure, new: &Figure) -> String {
    let shown = |figure: &Figure| match figure.ratio() {
        Some(ratio) => format!("{ratio:.2}"),
        None => amount(figure.ours, &figure.unit),
    };
    let change = new.value() / old.value();
    // Outside of what the rounds of the other run showed by themselves.
    let inside = (old.spread.0..=old.spread.1).contains(&new.value());
    let mark = if inside { " (within its spread)" } else { "" };
    let (before, after) = (shown(old), shown(new));
    let Figure { name, beside, .. } = new;
    format!("| {name} | {beside} | {before} | {after} | {change:.2}{mark} |")
}
