//! How often memory is asked for by whoever reads: the daemon's is locked, and a monitor
//! reads every mirror every few seconds.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

use std::fs::File;
use std::sync::Arc;

use allocation_counter::measure;
use mirrorfs::daemon::Daemon;
use mirrorfs::daemon::admission::permission::Caller;
use mirrorfs::daemon::records::store::Records;
use mirrorfs::engine::embedded::Embedded;
use mirrorfs::engine::embedded::devices::Files;
use mirrorfs::tree::Tree;
use mirrorfs::tree::node::Node;

/// The most for one read of `status`, opened before: of a mirror, and of one of which
/// nothing is otherwise than it was at the last read.
const FIRST: u64 = 75;
const AGAIN: u64 = 30;

fn tree(folder: &std::path::Path) -> Tree {
    for name in ["one", "two"] {
        let file = File::create(folder.join(name)).expect("a file");
        file.set_len(1 << 20).expect("a size");
    }
    let engine = Arc::new(Embedded::new().expect("an engine"));
    let files = Arc::new(Files::of(&engine));
    let records = Records::below(&folder.join("state"));
    let daemon = Daemon::new(engine, files, records).expect("a daemon");
    Tree::new(daemon, (0, 0))
}

fn path(tree: &Tree, names: &[&str]) -> Node {
    let step = |node, name: &&str| tree.lookup(node, name).expect("it is there");
    names.iter().fold(Node::Root, step)
}

#[test]
fn a_read_of_status_asks_for_little_memory() {
    let folder = tempfile::tempdir().expect("a folder");
    let (tree, at) = (tree(folder.path()), folder.path().display());
    let caller = || Caller::of(0, 0, std::process::id());
    let new = tree
        .open(path(&tree, &["new"]), caller(), true)
        .expect("new");
    let line = format!("m: 0 2048 mirror core 2 128 nosync 2 {at}/one 0 {at}/two 0\n");
    tree.write(new, line.as_bytes()).expect("made");
    let status = path(&tree, &["m", "status"]);
    let open = || tree.open(status, Caller::reader(0), false).expect("status");
    let read = |handle| {
        let mut text = Vec::new();
        let counted = measure(|| text = tree.read(handle, 0, 4096).expect("a text"));
        assert!(
            text.starts_with(b"0 2048 mirror 2 "),
            "{}",
            String::from_utf8_lossy(&text)
        );
        counted.count_total
    };
    let (first, again) = (read(open()), read(open()));
    println!("allocations of a read of status: {first}, where nothing is otherwise {again}");
    assert!(first <= FIRST, "{first}, at most {FIRST} are allowed");
    assert!(again <= AGAIN, "{again}, at most {AGAIN} are allowed");
}
