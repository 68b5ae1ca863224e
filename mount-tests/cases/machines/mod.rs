//! What is there for machines: JSON, metrics, and the programs that read them.

mod agree;
pub mod info;
pub mod metrics;
pub mod scrape;

use crate::lab::mount::Mount;
use crate::lab::shell::{attempt, output};

/// Debian's, which has what [`readers_agree`] needs; another one that comes first
/// in the PATH has not.
const PYTHON: &str = "/usr/bin/python3";

/// The first block of docs/machines.md, for this mount.
pub fn examples(mount: &Mount) -> String {
    let text = include_str!("../../../docs/machines.md");
    let block = text.split("```sh\n").nth(1).expect("a block");
    let block = block.split("```").next().expect("its end");
    assert!(block.contains("/mnt/mirrors"), "{block}");
    block.replace("/mnt/mirrors", &mount.at.display().to_string())
}

/// Why the readers cannot run here, if so.
pub fn no_readers() -> Option<&'static str> {
    let there = attempt(&format!(
        "{PYTHON} -c 'import jsonschema, prometheus_client' && command -v jq"
    ));
    (there.0 != 0).then_some("install jq, python3-jsonschema and python3-prometheus-client")
}

/// Panics where readers that others wrote do not take what a mount shows, or find
/// other figures in one file than in the other.
pub fn readers_agree(mount: &Mount) {
    let project = env!("CARGO_MANIFEST_DIR");
    let said = output(&format!(
        "{PYTHON} {project}/mount-tests/readers.py {} {project}/docs/mirrors.schema.json",
        mount.at.display()
    ));
    println!("{}", said.trim());
}
