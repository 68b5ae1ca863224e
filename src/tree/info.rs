//! Mirrors as JSON. The keys are the names of the files, and each value is what
//! its file shows, since it is made from that: the two cannot come to differ.

use serde_json::{Map, Value, json};

use super::mirror::{LEG_ROWS, ROWS};
use super::row::{Form, Row, Show};
use super::top::Top;
use crate::model::health;
use crate::model::policy::Dropped;
use crate::model::shared::Piece;
use crate::model::snapshot::Snapshot;

/// The text of `info.json`.
pub fn of(mirror: &Snapshot) -> String {
    format!("{}\n", object(mirror))
}

/// The text of `mirrors.json`, a line for each mirror.
pub fn all(top: &Top) -> String {
    let mut text = String::from("[");
    for (number, mirror) in top.mirrors.iter().enumerate() {
        let object = mirror.line(Piece::Json, |mirror| object(mirror).to_string());
        text.push_str(if number > 0 { ",\n" } else { "" });
        text.push_str(object.part(0));
    }
    text + "]\n"
}

fn object(mirror: &Snapshot) -> Value {
    let mut object = fields(ROWS, mirror);
    let legs = mirror.legs.iter().map(|leg| fields(LEG_ROWS, leg));
    let dropped = mirror.known.settings.dropped.iter().map(dropped);
    let health = health::text(mirror);
    let details = health.lines().skip(1);
    for (key, value) in [
        ("name", json!(mirror.info.name)),
        ("legs", legs.map(Value::Object).collect()),
        ("health_details", details.map(Value::from).collect()),
        ("warnings", json!(health::warnings(mirror))),
        ("dropped", dropped.collect()),
    ] {
        object.insert(key.into(), value);
    }
    // A number that no device has: with the embedded engine, or only recorded.
    if mirror.info.dev.major == 0 {
        object.insert("device".into(), Value::Null);
    }
    Value::Object(object)
}

/// A leg or a log that was taken out: it is in no other file but `health`.
fn dropped(what: &Dropped) -> Value {
    json!({
        "leg": what.leg,
        "path": what.node,
        "health": what.letter,
    })
}

/// The values of all rows, those of a folder in an object of its own.
fn fields<S>(rows: &[Row<S>], subject: &S) -> Map<String, Value> {
    let mut fields = Map::new();
    for row in rows {
        let Some(value) = value(row, subject) else {
            continue;
        };
        match row.parts() {
            ("", name) => fields.insert(name.into(), value),
            (folder, name) => {
                let inner = fields.entry(folder).or_insert_with(|| Map::new().into());
                inner
                    .as_object_mut()
                    .and_then(|inner| inner.insert(name.into(), value))
            }
        };
    }
    fields
}

fn value<S>(row: &Row<S>, subject: &S) -> Option<Value> {
    let text = match &row.show {
        Show::Text(_, show) | Show::Link(show) => show(subject),
        Show::Fixed(_) | Show::Events | Show::Follow | Show::Info(_) | Show::Help => {
            return None;
        }
    };
    let word = text.trim_end_matches('\n');
    Some(match row.form {
        Form::Absent => return None,
        Form::Word => known(word),
        Form::Number => number(word),
        Form::Lines => word.lines().map(Value::from).collect(),
        Form::First => word.lines().next().map_or(Value::Null, known),
    })
}

fn known(word: &str) -> Value {
    match word {
        "" => Value::Null,
        word => word.into(),
    }
}

/// Every number is an integer, but percent, which is cut to two decimals.
fn number(word: &str) -> Value {
    let whole = word.parse::<u64>().map(Value::from);
    whole.unwrap_or_else(|_| word.parse::<f64>().map_or(Value::Null, Value::from))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_numbers_and_what_is_unknown_is_null() {
        for (word, text) in [
            ("", "null"),
            ("0", "0"),
            ("18446744073709551615", "18446744073709551615"),
            ("99.99", "99.99"),
            ("3.26", "3.26"),
            ("100.00", "100.0"),
        ] {
            assert_eq!(number(word).to_string(), text);
        }
        assert_eq!(known("").to_string(), "null");
        assert_eq!(known("a\"\\\u{1}é").to_string(), r#""a\"\\\u0001é""#);
    }

    #[test]
    fn no_mirrors_are_an_empty_array() {
        assert_eq!(all(&Top::default()), "[]\n");
    }
}
