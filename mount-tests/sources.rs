//! What holds of the sources themselves: which module may use which, that no two use
//! each other, what only one file may name, that unsafe code says why.

// A failed expectation is how a test reports.
#![allow(clippy::expect_used, clippy::panic)]

#[path = "sources/graph.rs"]
mod graph;
#[path = "sources/paths.rs"]
mod paths;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use graph::Graph;

/// The ranks that the head of a file states, as `1. [`name`]`.
fn order(file: &str) -> BTreeMap<String, usize> {
    let text = fs::read_to_string(file).expect(file);
    let lines = text.lines().filter_map(|line| line.strip_prefix("//! "));
    let ranked = lines.filter_map(|line| {
        let (number, rest) = line.split_once(". [`")?;
        let (module, _) = rest.split_once("`]")?;
        Some((module.to_string(), number.parse().ok()?))
    });
    ranked.collect()
}

/// Check that no child of `parent` uses one with a larger rank; answers how many uses
/// there were.
fn check_order(graph: &Graph, parent: &str, order: &BTreeMap<String, usize>) -> usize {
    let mut seen = 0;
    for (user, used) in graph.edges() {
        let rank = |module: &str| {
            let child = graph::child_of(module, parent)?;
            let rank = order.get(child);
            Some(*rank.unwrap_or_else(|| panic!("{child} has no place in the order of {parent}")))
        };
        let (Some(here), Some(there)) = (rank(user), rank(used)) else {
            continue;
        };
        assert!(there <= here, "{user} may not use {used}");
        seen += 1;
    }
    seen
}

#[test]
fn imports_go_one_way() {
    let (graph, mut layers) = (Graph::of("src"), order("src/lib.rs"));
    assert!(layers.len() >= 8, "{layers:?}");
    for program in ["main", "logd"] {
        layers.insert(program.into(), usize::MAX);
    }
    assert!(check_order(&graph, "", &layers) > 300);
}

#[test]
fn rooms_of_the_daemon_use_those_below() {
    let (graph, rooms) = (Graph::of("src"), order("src/daemon/mod.rs"));
    assert_eq!(rooms.len(), 11, "{rooms:?}");
    assert!(check_order(&graph, "daemon", &rooms) > 100);
}

#[test]
fn rooms_of_the_log_server_use_those_below() {
    let (graph, rooms) = (Graph::of("src"), order("src/cluster/mod.rs"));
    assert_eq!(rooms.len(), 5, "{rooms:?}");
    assert!(check_order(&graph, "cluster", &rooms) > 30);
    // What it decides with does nothing.
    let pure = ["ulog", "state", "group", "serve"];
    for path in graph::sources(Path::new("src/cluster")) {
        let name = path.display().to_string();
        let text = fs::read_to_string(&path).expect("a source");
        let room = name.split('/').nth(2).unwrap_or_default();
        if pure.contains(&room) {
            let found = waiting(&name, &text);
            assert!(found.is_empty(), "{name} names {found:?}");
        }
    }
}

#[test]
fn no_two_files_need_each_other() {
    let circles = Graph::of("src").circles();
    assert!(circles.is_empty(), "{circles:#?}");
}

#[test]
fn a_circle_would_be_found() {
    let edges = [("a", "b"), ("b", "c"), ("c", "a"), ("c", "d")];
    let circles = Graph::new(&edges).circles();
    assert_eq!(circles, [["a", "b", "c"].map(String::from).to_vec()]);
}

#[test]
fn the_daemon_itself_only_wires() {
    let is_one = |text: &str| paths::code(text).contains("impl Daemon");
    let files = graph::sources(Path::new("src")).into_iter();
    let found = files.filter(|path| fs::read_to_string(path).is_ok_and(|text| is_one(&text)));
    let found: Vec<String> = found.map(|path| path.display().to_string()).collect();
    assert_eq!(found, ["src/daemon/mod.rs"]);
}

/// Files of `src` that name an item of this crate.
fn naming(krate: &str) -> Vec<String> {
    let files = graph::sources(Path::new("src")).into_iter();
    let named = files.filter(|path| {
        let text = fs::read_to_string(path).expect("a source");
        paths::of(&text, krate).next().is_some()
    });
    named.map(|path| path.display().to_string()).collect()
}

#[test]
fn foreign_interfaces_stay_in_their_rooms() {
    let check = |krate: &str, rooms: &[&str]| {
        let files = naming(krate);
        assert!(!files.is_empty(), "nobody names {krate}");
        for path in files {
            let inside = rooms.iter().any(|room| path.starts_with(room));
            assert!(inside, "{path} names {krate}");
        }
    };
    check(
        "fuser",
        &["src/fuse/", "src/command/mounting.rs", "src/command/run.rs"],
    );
    check("devicemapper", &["src/engine/kernel/"]);
    check(
        "clap",
        &["src/command/", "src/main.rs", "src/cluster/run/options.rs"],
    );
    check("postcard", &["src/cluster/"]);
    check("serde_json", &["src/daemon/records/", "src/tree/info.rs"]);
}

#[test]
fn unsafe_code_says_why() {
    for path in graph::sources(Path::new("src")) {
        let text = fs::read_to_string(&path).expect("a source");
        let blocks = paths::code(&text).matches("unsafe {").count();
        let reasons = text.matches("// SAFETY:").count();
        assert!(
            reasons >= blocks,
            "{}: {blocks} unsafe, {reasons} SAFETY",
            path.display()
        );
    }
}

/// What only waits for events, and what answers reads: whatever hangs, it does not.
const PROMPT: &[&str] = &[
    "src/daemon/events/",
    "src/daemon/mirrors/",
    "src/daemon/view.rs",
    "src/daemon/watch/",
    "src/fuse/",
    "src/tree/",
];

/// What lies among them and is called on threads that may wait.
const MAY_WAIT: &[&str] = &[
    "src/daemon/mirrors/release.rs",
    "src/daemon/watch/acts.rs",
    "src/daemon/watch/mod.rs",
    "src/tree/write.rs",
];

/// What waits for devices, for file systems or for other programs. Of /proc only the
/// kernel is asked.
const WAITS: &[&str] = &[
    "crate::engine::Devices",
    "crate::engine::Engine",
    "crate::engine::embedded",
    "crate::engine::host",
    "crate::engine::kernel",
    "crate::daemon::admission",
    "crate::daemon::checks",
    "crate::daemon::commands",
    "crate::daemon::journal",
    "crate::daemon::switch",
    "crate::daemon::records::store",
    "nix::fcntl",
    "nix::sys::stat",
    "nix::unistd",
    "std::fs",
    "std::net",
    "std::os::unix::fs",
    "std::process",
];

/// What they may name all the same: what a caller is, a record that is kept in memory, and
/// the thread's own look at /proc.
const NAMES_ONLY: &[(&str, &str)] = &[
    ("", "crate::daemon::admission::permission::Caller"),
    ("src/fuse/called.rs", "std::fs"),
];

/// The calls of `Path` and `File` that need no name of a module.
const CALLS: &[&str] = &[
    ".canonicalize()",
    ".exists()",
    ".is_dir()",
    ".is_file()",
    ".metadata()",
    ".read_dir()",
    ".read_link()",
];

/// What waits and is named by a source that may not.
fn waiting(path: &str, text: &str) -> Vec<String> {
    let allowed = |name: &str| {
        let mut allowed = NAMES_ONLY.iter();
        allowed.any(|(file, what)| path.starts_with(file) && name.starts_with(what))
    };
    let named = ["crate", "std", "nix"]
        .iter()
        .flat_map(|first| paths::of(text, first));
    let named = named.filter(|name| !allowed(name));
    let waits = |name: &String| {
        let mut waits = WAITS.iter();
        waits.any(|what| name == what || name.starts_with(&format!("{what}::")))
    };
    let code = paths::code(text);
    let calls = CALLS.iter().filter(|call| code.contains(**call));
    named
        .filter(waits)
        .chain(calls.map(|c| c.to_string()))
        .collect()
}

#[test]
fn who_may_not_wait_names_nobody_who_does() {
    let files = graph::sources(Path::new("src")).into_iter();
    let files = files.map(|path| (path.display().to_string(), path));
    let begins = |name: &str, among: &[&str]| among.iter().any(|part| name.starts_with(part));
    let mut seen = 0;
    for (name, path) in files.filter(|(name, _)| begins(name, PROMPT) && !begins(name, MAY_WAIT)) {
        let text = fs::read_to_string(path).expect("a source");
        let found = waiting(&name, &text);
        assert!(found.is_empty(), "{name} may not wait and names {found:?}");
        seen += 1;
    }
    assert!(seen > 40, "{seen} files");
    let bad = "use crate::engine::{Devices, Id};\nfn a(p: &Path) -> bool { p.exists() }";
    assert_eq!(
        waiting("src/tree/a.rs", bad),
        ["crate::engine::Devices", ".exists()"]
    );
}

#[test]
fn what_may_wait_is_called_by_others_alone() {
    let read = |path: &str| paths::code(&fs::read_to_string(path).expect("a source"));
    for file in ["failover", "observe", "remedy", "watching"] {
        let code = read(&format!("src/daemon/watch/{file}.rs"));
        let named = code.matches("Acts").count() - code.matches("acts::{Act, Acts}").count();
        let named = named - code.matches("use super::acts::Acts;").count();
        let apart = code.matches("Apart<Acts>").count();
        assert_eq!(named, apart, "{file} has the acts themselves");
    }
    // Commands are given by one file, whose callers are on threads of their own.
    for path in graph::sources(Path::new("src/tree")) {
        let name = path.display().to_string();
        let gives = read(&name).contains("self.daemon") || read(&name).contains(".daemon\n");
        assert!(
            !gives || name == "src/tree/write.rs",
            "{name} gives commands"
        );
    }
}
