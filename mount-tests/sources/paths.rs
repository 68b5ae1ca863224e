//! The paths that a source names, however rustfmt breaks its lines.

/// A source without comments and without the modules of its tests.
pub fn code(text: &str) -> String {
    let lines = text.lines().map(|line| {
        let comment = line.find("//").filter(|at| !line[..*at].contains('"'));
        &line[..comment.unwrap_or(line.len())]
    });
    let text: String = lines.collect::<Vec<_>>().join("\n");
    let mut kept = String::new();
    let mut rest = text.as_str();
    while let Some(at) = rest.find("#[cfg(test)]") {
        let (before, after) = rest.split_at(at);
        kept.push_str(before);
        let item = after["#[cfg(test)]".len()..].trim_start();
        rest = skip_item(item);
    }
    kept + rest
}

/// What follows an item, which ends with its braces or with a semicolon.
fn skip_item(item: &str) -> &str {
    let open = item.find('{').unwrap_or(item.len());
    let end = item.find(';').unwrap_or(item.len());
    if end < open {
        return &item[end + 1..];
    }
    let mut depth = 0_usize;
    for (at, c) in item.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => continue,
        }
        if depth == 0 {
            return &item[at + 1..];
        }
    }
    ""
}

/// The paths of a source that begin with this word, their groups taken apart:
/// `a::{b, c::d}` is `a::b` and `a::c::d`.
pub fn of<'t>(text: &str, first: &'t str) -> impl Iterator<Item = String> + use<'t> {
    let code: String = code(text);
    let packed = pack(&code);
    let mut found = Vec::new();
    for (at, _) in packed.match_indices(&format!("{first}::")) {
        let before = packed[..at].chars().next_back();
        let inside = before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':');
        // `pub(in crate::x)` says who may see, and uses nothing.
        if !inside && !packed[..at].ends_with("(in ") {
            tree(&packed[at..], "", &mut found);
        }
    }
    found.into_iter()
}

/// No spaces around `::`, `{`, `}` and `,`.
fn pack(code: &str) -> String {
    let words: Vec<&str> = code.split_whitespace().collect();
    let mut text = words.join(" ");
    for mark in ["::", "{", "}", ","] {
        for spaced in [format!(" {mark}"), format!("{mark} ")] {
            while text.contains(&spaced) {
                text = text.replace(&spaced, mark);
            }
        }
    }
    text
}

/// The paths of a tree of names; answers how many bytes it has.
fn tree(text: &str, prefix: &str, found: &mut Vec<String>) -> usize {
    let name = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
    let length = text.find(|c| !name(c)).unwrap_or(text.len());
    let path = format!("{prefix}{}", &text[..length]);
    if !path.ends_with("::") || !text[length..].starts_with('{') {
        found.push(path.trim_end_matches("::").to_string());
        return length;
    }
    let mut at = length + 1;
    while at < text.len() && !text[at..].starts_with('}') {
        at += tree(&text[at..], &path, found);
        // ` as other`, and the comma.
        let more = text[at..].find([',', '}']).unwrap_or(text.len() - at);
        at += more;
        at += usize::from(text[at..].starts_with(','));
    }
    at + 1
}

#[test]
fn groups_and_line_breaks_make_no_difference() {
    let text = "
        use crate::a::{self, b, c::{D, e as f},
            g}; // crate::no
        #[cfg(test)]
        mod tests { use crate::hidden::x; }
        pub(in crate::y) fn h() { crate::k::l(); not_crate::m() }";
    let found: Vec<String> = of(text, "crate").collect();
    let wanted = ["a::self", "a::b", "a::c::D", "a::c::e", "a::g", "k::l"];
    assert_eq!(found, wanted.map(|path| format!("crate::{path}")));
}
