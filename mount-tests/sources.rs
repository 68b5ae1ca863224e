//! What holds of the sources themselves.

// A failed expectation is how a test reports.
#![allow(clippy::expect_used, clippy::panic)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// The order of imports that `src/lib.rs` states.
fn order() -> BTreeMap<String, usize> {
    let lib = fs::read_to_string("src/lib.rs").expect("src/lib.rs");
    let lines = lib.lines().filter_map(|line| line.strip_prefix("//! "));
    let ranked = lines.filter_map(|line| {
        let (number, rest) = line.split_once(". [`")?;
        let (module, _) = rest.split_once("`]")?;
        Some((module.to_string(), number.parse().ok()?))
    });
    ranked.collect()
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("a folder");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    let nested = paths.map(|path| {
        if path.is_dir() {
            sources(&path)
        } else {
            vec![path]
        }
    });
    nested
        .flatten()
        .filter(|path| path.extension().is_some_and(|kind| kind == "rs"))
        .collect()
}

/// The module of `src` that a file belongs to.
fn module(path: &Path) -> String {
    let first = path.components().nth(1).expect("a path below src");
    first
        .as_os_str()
        .to_string_lossy()
        .trim_end_matches(".rs")
        .into()
}

/// The modules that a text names by `crate::`.
fn used(text: &str) -> Vec<String> {
    let names = text.split("crate::").skip(1);
    let names = names.map(|rest| {
        rest.split(|c: char| !c.is_alphanumeric() && c != '_')
            .next()
            .unwrap_or("")
    });
    names
        .filter(|name| !name.is_empty())
        .map(Into::into)
        .collect()
}

#[test]
fn imports_go_one_way() {
    let order = order();
    assert!(order.len() >= 8, "{order:?}");
    let mut seen = 0;
    for path in sources(Path::new("src")) {
        let here = module(&path);
        if here == "lib" || here == "main" {
            continue;
        }
        let rank = order
            .get(&here)
            .unwrap_or_else(|| panic!("{here} has no place in src/lib.rs"));
        for name in used(&fs::read_to_string(&path).expect("a source")) {
            let other = order
                .get(&name)
                .unwrap_or_else(|| panic!("{}: crate::{name}?", path.display()));
            assert!(
                other <= rank,
                "{}: {here} may not use {name}",
                path.display()
            );
            seen += 1;
        }
    }
    assert!(seen > 50, "only {seen} imports were found");
}

#[test]
fn one_file_names_each_foreign_interface() {
    let files = sources(Path::new("src"));
    let naming = |word: &str| -> Vec<String> {
        let named = files
            .iter()
            .filter(|path| fs::read_to_string(path).is_ok_and(|text| text.contains(word)));
        named.map(|path| path.display().to_string()).collect()
    };
    assert_eq!(naming("fuser::{\n    AccessFlags"), ["src/fuse/mod.rs"]);
    for path in naming("devicemapper::") {
        assert!(
            path.starts_with("src/engine/kernel/"),
            "{path} names devicemapper"
        );
    }
}

#[test]
fn unsafe_code_says_why() {
    for path in sources(Path::new("src")) {
        let text = fs::read_to_string(&path).expect("a source");
        let blocks = text.matches("unsafe {").count();
        let reasons = text.matches("// SAFETY:").count();
        assert!(
            reasons >= blocks,
            "{}: {blocks} unsafe, {reasons} SAFETY",
            path.display()
        );
    }
}
