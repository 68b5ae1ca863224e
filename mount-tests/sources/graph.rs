//! Which module uses which.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use super::paths;

/// Modules and those that each uses.
pub struct Graph(BTreeMap<String, BTreeSet<String>>);

impl Graph {
    /// That of these edges.
    pub fn new(edges: &[(&str, &str)]) -> Graph {
        let mut graph = BTreeMap::<String, BTreeSet<String>>::new();
        for (user, used) in edges {
            graph
                .entry((*user).into())
                .or_default()
                .insert((*used).into());
        }
        Graph(graph)
    }

    /// That of a folder of sources; the module of `a/b.rs` is `a::b`, that of
    /// `a/mod.rs` is `a`.
    pub fn of(root: &str) -> Graph {
        let files = sources(Path::new(root)).into_iter();
        let files: BTreeMap<String, PathBuf> =
            files.map(|path| (module(root, &path), path)).collect();
        let edges = files.iter().map(|(module, path)| {
            let text = fs::read_to_string(path).expect("a source");
            let mut used = BTreeSet::new();
            for path in named(&text, module, path.ends_with("mod.rs"), &files) {
                used.extend(nearest(&path, &files).filter(|other| other != module));
            }
            (module.clone(), used)
        });
        Graph(edges.collect())
    }

    /// Who uses whom.
    pub fn edges(&self) -> impl Iterator<Item = (&str, &str)> {
        let users = self.0.iter();
        users.flat_map(|(user, used)| used.iter().map(move |used| (user.as_str(), used.as_str())))
    }

    /// Modules that need each other, each circle sorted.
    pub fn circles(&self) -> Vec<Vec<String>> {
        let reach: BTreeMap<&str, BTreeSet<&str>> = self
            .0
            .keys()
            .map(|module| (module.as_str(), self.reach(module)))
            .collect();
        let meets = |one: &str, other: &str| reach.get(one).is_some_and(|all| all.contains(other));
        let mut circles = BTreeSet::new();
        for module in self.0.keys().filter(|module| meets(module, module)) {
            let others = self.0.keys();
            let circle = others.filter(|other| meets(module, other) && meets(other, module));
            circles.insert(circle.cloned().collect::<Vec<String>>());
        }
        circles.into_iter().collect()
    }

    /// All that a module comes to.
    fn reach(&self, module: &str) -> BTreeSet<&str> {
        let (mut seen, mut left) = (BTreeSet::new(), vec![module.to_string()]);
        while let Some(module) = left.pop() {
            for used in self.0.get(&module).into_iter().flatten() {
                if seen.insert(used.as_str()) {
                    left.push(used.clone());
                }
            }
        }
        seen
    }
}

/// All sources below a folder.
pub fn sources(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("a folder");
    let mut paths: Vec<PathBuf> = entries
        .map(|entry| entry.expect("an entry").path())
        .flat_map(|path| {
            if path.is_dir() {
                sources(&path)
            } else {
                vec![path]
            }
        })
        .filter(|path| path.extension().is_some_and(|kind| kind == "rs"))
        .collect();
    paths.sort();
    paths
}

/// The child of `parent` that a module is or is in; none of another's.
pub fn child_of<'m>(module: &'m str, parent: &str) -> Option<&'m str> {
    let inside = match parent {
        "" => module,
        _ => module.strip_prefix(parent)?.strip_prefix("::")?,
    };
    let child = inside.split("::").next()?;
    (!["", "lib"].contains(&child)).then_some(child)
}

fn module(root: &str, path: &Path) -> String {
    let path = path
        .strip_prefix(root)
        .expect("below the root")
        .with_extension("");
    let parts: Vec<String> = path
        .iter()
        .map(|part| part.to_string_lossy().into())
        .collect();
    let module = parts.join("::");
    module.strip_suffix("::mod").unwrap_or(&module).into()
}

/// The paths that a source names, from the root on.
fn named(
    text: &str,
    module: &str,
    is_folder: bool,
    files: &BTreeMap<String, PathBuf>,
) -> Vec<String> {
    let own: Vec<&str> = module.split("::").collect();
    let above = |count: usize| {
        own.get(..own.len().saturating_sub(count))
            .unwrap_or_default()
    };
    let mut named = Vec::new();
    for path in paths::of(text, "crate") {
        named.push(path.trim_start_matches("crate::").to_string());
    }
    for path in paths::of(text, "self") {
        named.push(format!("{module}::{}", path.trim_start_matches("self::")));
    }
    for path in paths::of(text, "super") {
        let rest = path.trim_start_matches("super::");
        let ups = path.split("::").filter(|part| *part == "super").count();
        let base = [above(ups).join("::"), rest.to_string()];
        named.push(base.join("::").trim_start_matches("::").to_string());
    }
    if is_folder {
        let children = files.keys().filter_map(|other| {
            let child = other.strip_prefix(module)?.strip_prefix("::")?;
            (!child.contains("::")).then_some(child)
        });
        for child in children {
            let paths = paths::of(text, child);
            named.extend(paths.map(|path| format!("{module}::{path}")));
        }
    }
    named
}

/// The module that a path leads into.
fn nearest(path: &str, files: &BTreeMap<String, PathBuf>) -> Option<String> {
    let parts: Vec<&str> = path.split("::").collect();
    let prefixes = (1..=parts.len())
        .rev()
        .filter_map(|count| parts.get(..count));
    let mut modules = prefixes.map(|parts| parts.join("::"));
    modules.find(|module| files.contains_key(module))
}
