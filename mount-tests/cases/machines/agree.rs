//! An `info.json` beside the single files, whatever state the mirror is in.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::lab::mount::Mount;

/// An `info.json`.
pub fn info(mount: &Mount, name: &str) -> Value {
    let text = mount.read(&format!("{name}/info.json"));
    assert_eq!(text.matches('\n').count(), 1, "{text}");
    serde_json::from_str(&text).expect("JSON")
}

/// The values of an object by their paths below `NAME/`.
fn leaves(at: &str, value: &Value, found: &mut Vec<(String, Value)>) {
    let below = |key: &str| match at {
        "" => key.to_string(),
        _ => format!("{at}/{key}"),
    };
    match value {
        Value::Object(fields) => fields
            .iter()
            .for_each(|(key, value)| leaves(&below(key), value, found)),
        Value::Array(legs) if at == "legs" => legs
            .iter()
            .enumerate()
            .for_each(|(leg, value)| leaves(&below(&leg.to_string()), value, found)),
        value => found.push((at.into(), value.clone())),
    }
}

/// What the file of this path shows, if its value is right.
fn shown(path: &str, value: &Value) -> String {
    match value {
        Value::Null => "\n".into(),
        Value::Number(number) if path == "sync/percent" => {
            format!("{:.2}\n", number.as_f64().expect("a number"))
        }
        Value::Number(number) => {
            assert!(number.is_u64(), "{path}: {number}");
            format!("{number}\n")
        }
        Value::String(text) => format!("{text}\n"),
        Value::Array(lines) if lines.is_empty() => "\n".into(),
        Value::Array(lines) => lines.iter().map(|line| shown(path, line)).collect(),
        other => panic!("{path}: {other}"),
    }
}

/// The paths of all files of a mirror that show a value, sorted.
fn paths(mount: &Mount, name: &str) -> Vec<String> {
    let mut paths = Vec::new();
    for top in mount.list(name) {
        let folder = mount.path(&format!("{name}/{top}")).is_dir();
        match (top.as_str(), folder) {
            ("ctl" | "follow" | "info.json", _) => {}
            ("legs", _) => {
                for leg in mount.list(&format!("{name}/legs")) {
                    let files = mount.list(&format!("{name}/legs/{leg}"));
                    paths.extend(files.iter().map(|file| format!("legs/{leg}/{file}")));
                }
            }
            (_, true) => {
                let files = mount.list(&format!("{name}/{top}"));
                paths.extend(files.iter().map(|file| format!("{top}/{file}")));
            }
            (_, false) => paths.push(top),
        }
    }
    paths.sort();
    paths
}

/// Panics where an `info.json` does not say of each file what it shows, or has not
/// all files.
pub fn assert_agrees(mount: &Mount, name: &str) {
    let values = values(mount, name);
    for path in values.keys() {
        // What changes while it is read is the same in the end.
        let mut tries = (0..20).map(|_| differing(mount, name, path));
        if tries.all(|differing| differing.is_some()) {
            panic!("{name}/{path}: {:?}", differing(mount, name, path));
        }
    }
    let beside = ["name", "health_details", "warnings", "dropped"];
    let file = |path: &&String| !beside.contains(&path.as_str());
    let mut files: Vec<&String> = values.keys().filter(file).collect();
    files.retain(|path| *path != "device" || has_link(mount, name));
    assert_eq!(files, paths(mount, name).iter().collect::<Vec<_>>());
}

fn has_link(mount: &Mount, name: &str) -> bool {
    mount.path(name).join("device").is_symlink()
}

/// The values of an `info.json`, by their paths below `NAME/`.
fn values(mount: &Mount, name: &str) -> BTreeMap<String, Value> {
    let mut found = Vec::new();
    leaves("", &info(mount, name), &mut found);
    found.into_iter().collect()
}

/// A value, and what its file shows, where that is something else.
fn differing(mount: &Mount, name: &str, path: &str) -> Option<(Value, String)> {
    let value = values(mount, name).remove(path)?;
    let read = |file: &str| mount.read(&format!("{name}/{file}"));
    let health = || read("health");
    let details = |health: &str| {
        health
            .split_once('\n')
            .map_or("", |(_, more)| more)
            .to_string()
    };
    let want = match path {
        "name" => format!("{name}\n"),
        "health" => health()
            .lines()
            .take(1)
            .map(|word| format!("{word}\n"))
            .collect(),
        "health_details" => only(&details(&health()), Some),
        "warnings" => only(&details(&health()), |line| line.strip_prefix("warning ")),
        "dropped" => return dropped(&value, &health()),
        "device" => device(mount, name, &value),
        // What is no number is null.
        "sync/limit" => read(path).replace("none", ""),
        path => read(path),
    };
    (shown(path, &value) != want).then_some((value, want))
}

/// What was taken out has a line in `health` too.
fn dropped(value: &Value, health: &str) -> Option<(Value, String)> {
    let lines = health.lines().filter(|line| line.ends_with(", dropped"));
    let same = value
        .as_array()
        .is_some_and(|all| all.len() == lines.count());
    (!same).then(|| (value.clone(), health.into()))
}

/// Lines of a text, less what `part` leaves out, or an empty line.
fn only<'a>(text: &'a str, part: impl Fn(&'a str) -> Option<&'a str>) -> String {
    let lines = text.lines().filter_map(part);
    let lines: String = lines.map(|line| format!("{line}\n")).collect();
    if lines.is_empty() { "\n".into() } else { lines }
}

/// Where the link leads; null where no device is there.
fn device(mount: &Mount, name: &str, value: &Value) -> String {
    let link = fs::read_link(mount.path(&format!("{name}/device")));
    match (link, value) {
        (_, Value::Null) => {
            let path = format!("/dev/mapper/{name}");
            assert!(!Path::new(&path).exists(), "{path} is there");
            "\n".into()
        }
        (link, _) => format!("{}\n", link.expect("a link").display()),
    }
}
