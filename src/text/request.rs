//! A table as it is written to `new`, or to a mirror's `table`: the table form
//! and the concise form of `dmsetup`. Knows what a line asks for, not whether
//! it can be done.

use std::fmt;

use crate::error::{Error, Result};
use crate::text::device::MAX_MINOR;
use crate::text::mirror::is_parameter;
use crate::text::name;
use crate::text::simple_request::SHORT_FORM;
use crate::text::table::{Table, Target};
use crate::text::words::{
    Words, cut, is_digits, is_space, meant, number, quote, unescape, unquoted,
};

/// The table form, for sentences.
const TABLE_FORM: &str = "[NAME: ]START LENGTH mirror LOG_TYPE #LOGARGS LOGARG… #DEVS DEVICE OFFSET… [#FEATURES FEATURE…]";

/// The concise form, for sentences.
const CONCISE_FORM: &str = "NAME,[UUID],[MINOR],[FLAGS],TABLE[,TABLE…]";

/// A mirror that somebody asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Its name; none asks for the first that is free.
    pub name: Option<String>,
    /// Its UUID; none asks for a new one.
    pub uuid: Option<String>,
    /// Its minor number; none leaves it to the kernel.
    pub minor: Option<u32>,
    /// Whether it may only be read.
    pub read_only: bool,
    /// Its table, with a mirror target.
    pub table: Table,
}

impl Request {
    /// Read one line, without or with its newline.
    pub fn parse(line: &str) -> Result<Request> {
        let line = printable(line)?;
        let request = if is_concise(line) {
            concise(line)?
        } else {
            plain(line)?
        };
        if request.table.has_mirror() {
            return Ok(request);
        }
        Err(no_mirror(&request.table))
    }
}

/// The concise form, as `dmsetup table --concise` prints it.
impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.name.as_deref().unwrap_or_default();
        let uuid = self.uuid.as_deref().unwrap_or_default();
        let minor = self.minor.map(|minor| minor.to_string());
        let flags = if self.read_only { "ro" } else { "rw" };
        write!(f, "{},{}", escape(name), escape(uuid))?;
        write!(f, ",{},{flags}", minor.unwrap_or_default())?;
        let mut targets = self.table.targets.iter();
        targets.try_for_each(|target| write!(f, ",{}", escape(&target.to_string())))
    }
}

/// The last word of a line by which what a target or log holds may be written over.
pub const FORCE: &str = "force=yes";

/// Take that word off a line; answers whether it was there.
pub fn take_force(line: &str) -> (&str, bool) {
    let text = line.trim_end_matches(is_space);
    let rest = text.strip_suffix(FORCE);
    // Behind a backslash a space is a part of a name.
    let apart =
        |rest: &&str| rest.ends_with(is_space) && !rest.trim_end_matches(is_space).ends_with('\\');
    match rest.filter(apart) {
        Some(rest) => (rest, true),
        None => (line, false),
    }
}

/// A table on one line: one target, or several with commas between them,
/// escaped as in the concise form.
pub fn parse_tables(text: &str) -> Result<Table> {
    match split_tables(printable(text)?).as_slice() {
        [one] => Table::parse(&[one]),
        several => unescaped_table(several),
    }
}

/// Refuses what no line of a table can hold before a sentence repeats it.
pub(super) fn printable(line: &str) -> Result<&str> {
    let line = Words::new(line).rest();
    if line.is_empty() {
        return Err(Error::invalid(format!(
            "the line is empty: write {SHORT_FORM} or {TABLE_FORM}"
        )));
    }
    match line.chars().find(|&c| c.is_control() && c != '\t') {
        None => Ok(line),
        Some(c) => Err(Error::invalid(format!(
            "the line {} has the control character '{}' in it: write printable text",
            quote(line),
            cut(&c.to_string())
        ))),
    }
}

/// A name has neither white space nor a slash, and a table begins with a
/// number and white space: what stands before the first comma tells the two.
fn is_concise(line: &str) -> bool {
    let name = split_comma(line).map(|(name, _)| name);
    name.is_some_and(|name| !name.contains(|c| is_space(c) || c == '/'))
}

fn plain(line: &str) -> Result<Request> {
    let (name, text) = named(line);
    if let Some(name) = name {
        name::check(name)?;
    }
    check_start(text)?;
    Ok(Request {
        name: name.map(str::to_owned),
        uuid: None,
        minor: None,
        read_only: false,
        table: Table::parse(&[text])?,
    })
}

/// `NAME: ` and the rest.
pub(super) fn named(text: &str) -> (Option<&str>, &str) {
    let mut words = Words::new(text);
    let name = words.peek().and_then(|word| word.strip_suffix(':'));
    // A path may end with a colon; no name has a slash.
    let name = name.filter(|name| !name.contains('/'));
    if name.is_some() {
        let _ = words.next("the name");
    }
    (name, words.rest())
}

fn check_start(text: &str) -> Result<()> {
    match Words::new(text).peek() {
        None => Err(Error::invalid(format!(
            "the line ends too early: expected a table, {TABLE_FORM}"
        ))),
        Some(word) if is_digits(word) => Ok(()),
        Some(word) => Err(Error::invalid(no_start(word))),
    }
}

/// What is wrong with a word that begins neither a table nor the short form: most often
/// it is a path that is not absolute, or a name without its colon.
fn no_start(word: &str) -> String {
    let shown = quote(word);
    let colon = "a name ends with a colon and a space: \"x: /…\"";
    match word {
        _ if word.starts_with(['"', '\'']) => format!("{shown}: leave the quotes out"),
        _ if word.starts_with('~') => {
            format!("{shown} is not an absolute path: write it in full, as /root/disk.img")
        }
        _ if word.contains('/') || word.contains('.') && !word.contains(':') => {
            format!("{shown} is not an absolute path: write /…/{}", cut(word))
        }
        _ if word.contains(':') => format!("{shown}: {colon}"),
        _ => format!(
            "{shown} is neither a device nor START of a table: write an absolute path; {colon}"
        ),
    }
}

fn concise(line: &str) -> Result<Request> {
    if unquoted(line).any(|(_, c)| c == ';') {
        return Err(Error::invalid(format!(
            "{} holds a `;`, which begins a second device: one line is one mirror; a `;` of a path is written `\\;`",
            quote(line)
        )));
    }
    let [name, uuid, minor, flags, tables] = fields(line).ok_or_else(|| too_few_fields(line))?;
    Ok(Request {
        name: given(name, name::check)?,
        uuid: given(uuid, name::check_uuid)?,
        minor: parse_minor(minor)?,
        read_only: parse_flags(flags)?,
        table: unescaped_table(&split_tables(tables))?,
    })
}

fn fields(line: &str) -> Option<[&str; 5]> {
    let (name, line) = split_comma(line)?;
    let (uuid, line) = split_comma(line)?;
    let (minor, line) = split_comma(line)?;
    let (flags, tables) = split_comma(line)?;
    Some([name, uuid, minor, flags, tables])
}

fn too_few_fields(line: &str) -> Error {
    let commas = unquoted(line).filter(|&(_, c)| c == ',').count();
    Error::invalid(format!(
        "{} has {commas} of the 4 or more commas of {CONCISE_FORM}; the other form is {TABLE_FORM}, a name with a colon behind it",
        quote(line)
    ))
}

fn given(field: &str, check: fn(&str) -> Result<()>) -> Result<Option<String>> {
    if field.is_empty() {
        return Ok(None);
    }
    let field = unescape(field, |_| false);
    check(&field)?;
    Ok(Some(field))
}

fn parse_minor(field: &str) -> Result<Option<u32>> {
    if field.is_empty() {
        return Ok(None);
    }
    let minor = number(field, "the minor number")?;
    if minor <= MAX_MINOR {
        return Ok(Some(minor));
    }
    Err(Error::invalid(format!(
        "{minor} is not a minor number: the largest is {MAX_MINOR}"
    )))
}

fn parse_flags(field: &str) -> Result<bool> {
    match field {
        "ro" => Ok(true),
        "rw" | "" => Ok(false),
        _ => Err(Error::invalid(format!(
            "expected flags (ro, rw or nothing), found {}: {CONCISE_FORM}",
            quote(field)
        ))),
    }
}

fn split_comma(text: &str) -> Option<(&str, &str)> {
    let (at, _) = unquoted(text).find(|&(_, c)| c == ',')?;
    Some((text.get(..at)?, text.get(at + 1..)?))
}

/// Targets with commas between them. Only a comma before `START LENGTH KIND`
/// parts two: paths like those of iSCSI have commas that nobody escapes.
fn split_tables(text: &str) -> Vec<&str> {
    let commas = unquoted(text).filter(|&(at, c)| c == ',' && begins_target(text, at + 1));
    let mut tables = Vec::new();
    let mut start = 0;
    for (at, _) in commas {
        tables.extend(text.get(start..at));
        start = at + 1;
    }
    tables.extend(text.get(start..));
    tables
}

/// Behind the comma of a path, `OFFSET 1 handle_errors` and `0 REGION sync` only
/// look like a target. No further than to the next comma is looked at: there may be as
/// many as there are characters.
fn begins_target(text: &str, at: usize) -> bool {
    let rest = text.get(at..).unwrap_or_default();
    let end = rest.find(',').unwrap_or(rest.len());
    let mut words = Words::new(rest.get(..end).unwrap_or_default());
    let mut next = || words.next("").unwrap_or_default();
    let numbers = is_digits(next()) && is_digits(next());
    let kind = next();
    numbers && !is_parameter(kind) && kind.starts_with(|c: char| c.is_ascii_alphabetic())
}

fn unescaped_table(tables: &[&str]) -> Result<Table> {
    let plain = tables.iter().map(|table| unescape(table, |_| false));
    let plain: Vec<String> = plain.collect();
    let lines: Vec<&str> = plain.iter().map(String::as_str).collect();
    Table::parse(&lines)
}

fn escape(text: &str) -> String {
    let special = |c| matches!(c, '\\' | ',' | ';');
    let pieces = text.chars().map(|c| (special(c).then_some('\\'), c));
    pieces
        .flat_map(|(quote, c)| quote.into_iter().chain([c]))
        .collect()
}

fn no_mirror(table: &Table) -> Error {
    let kind = |target: &Target| cut(target.mapping.kind());
    let kinds: Vec<String> = table.targets.iter().map(kind).collect();
    let kinds = cut(&kinds.join(", "));
    let meant = meant(&kinds, ["mirror"]);
    Error::invalid(format!(
        "the table has no mirror target, only {kinds}{meant}: create such a device with dmsetup"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Errno;

    const MIRROR: &str = "0 4096 mirror core 1 8 2 8:0 0 8:1 0";

    #[test]
    fn both_forms_with_and_without_a_name() {
        for (line, name) in [
            (MIRROR.to_owned(), None),
            (format!("m0: {MIRROR}\n"), Some("m0")),
            (format!("  a:b:\t{MIRROR} \r\n"), Some("a:b")),
            (format!("m0,,,,{MIRROR}"), Some("m0")),
            (format!(",,,,{MIRROR}"), None),
        ] {
            let request = Request::parse(&line).unwrap();
            assert_eq!(request.name.as_deref(), name, "{line}");
            assert_eq!(request.table, Table::parse(&[MIRROR]).unwrap());
        }
    }

    #[test]
    fn all_fields_of_the_concise_form() {
        let line = format!("m0,U-1,7,ro,{MIRROR},4096 8 linear /a\\,b 0");
        let request = Request::parse(&line).unwrap();
        assert_eq!(request.uuid.as_deref(), Some("U-1"));
        assert_eq!(request.minor, Some(7));
        assert!(request.read_only);
        assert_eq!(request.table.targets.len(), 2);
        assert_eq!(request.to_string(), line);
    }

    #[test]
    fn commas_of_paths_part_nothing() {
        let line = "0 4096 mirror disk 3 /l,0 8 sync 2 /ip-1,iscsi 0 /b, 0 1 handle_errors";
        let table = Table::parse(&[line]).unwrap();
        assert_eq!(Request::parse(line).unwrap().table, table);
        assert_eq!(parse_tables(line).unwrap(), table);
        let two = format!("{line}, 4096 8 error");
        assert_eq!(parse_tables(&two).unwrap().targets.len(), 2);
        assert_eq!(
            parse_tables(&format!("{line},5 8 error"))
                .unwrap_err()
                .errno(),
            Errno::EINVAL
        );
    }

    #[test]
    fn the_word_at_the_end_is_taken_off() {
        for (line, wanted) in [
            ("0 8 x 1 force=yes\n", ("0 8 x 1 ", true)),
            ("0 8 x 1\tforce=yes", ("0 8 x 1\t", true)),
            ("0 8 x 1 force=yes ", ("0 8 x 1 ", true)),
            ("0 8 x /a\\ force=yes", ("0 8 x /a\\ force=yes", false)),
            ("0 8 x 1force=yes", ("0 8 x 1force=yes", false)),
            ("0 8 force=yes x", ("0 8 force=yes x", false)),
            ("force=yes", ("force=yes", false)),
            ("0 8 x 1 force=no", ("0 8 x 1 force=no", false)),
        ] {
            assert_eq!(take_force(line), wanted, "{line}");
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (line, named) in [
            (" \n".to_owned(), "the line is empty"),
            (format!("{MIRROR}\0x"), "'\\0'"),
            (format!("\u{1b}[2J{MIRROR}"), "'\\u{1b}'"),
            (format!("{MIRROR}\n{MIRROR}"), "'\\n'"),
            ("m0:".to_owned(), "too early"),
            (format!("m0 {MIRROR}"), "\"m0\""),
            (format!("m0:{MIRROR}"), "\"m0:0\""),
            (format!("new: {MIRROR}"), "\"new\""),
            (format!("m0, {MIRROR}"), "has 1 of the 4"),
            (format!("m0,,,{MIRROR}"), "has 3 of the 4"),
            (format!("m0,,,,{MIRROR};m1,,,,{MIRROR}"), "second device"),
            (format!("m0,,,r,{MIRROR}"), "\"r\""),
            (format!("m0,,x,,{MIRROR}"), "\"x\""),
            (format!("m0,,1048576,,{MIRROR}"), "1048576"),
            (format!("m0,LVM-1,,,{MIRROR}"), "LVM-1"),
            (format!("m/0,,,,{MIRROR}"), "\"m/0,,,,0\""),
            ("m0,,,,".to_owned(), "start"),
            (format!("m0,,,,{MIRROR},"), "\"0,\""),
            ("0 8 linear 8:0 0".to_owned(), "only linear"),
            ("m0,,,,0 8 zero,8 8 error".to_owned(), "only zero, error"),
            ("0 8".to_owned(), "kind"),
        ] {
            let error = Request::parse(&line).unwrap_err();
            assert!(error.sentence().contains(named), "{line}: {error}");
        }
        assert_eq!(parse_tables("").unwrap_err().errno(), Errno::EINVAL);
    }
}
