//! What is known of devices and files on a made-up machine.

use super::sysfs::fake::Tree;
use super::*;

const BLOCK: (&str, &str) = ("queue/logical_block_size", "4096");

fn facts(tree: &Tree, device: &str) -> Result<Facts> {
    let host = Host {
        sys: tree.sysfs(),
        ..Host::default()
    };
    host.facts(&device.parse()?)
}

#[test]
fn a_partition_lies_on_its_disk() {
    let tree = Tree::new();
    tree.device("sda", "8:0", &[("size", "1000"), BLOCK]);
    let part = [("partition", "1"), ("start", "34"), ("size", "66")];
    tree.device("sda/sda1", "8:1", &part);
    let known = facts(&tree, "8:1").unwrap();
    assert_eq!((known.size, known.block_size), (66 * 512, 4096));
    assert_eq!(known.node, Path::new("/dev/sda1"));
    assert!(!known.read_only);
    let extent = Extent {
        base: "8:0".into(),
        start: 34 * 512,
        size: 66 * 512,
    };
    assert_eq!(known.extent, extent);
}

#[test]
fn what_is_read_only_is_so_with_all_its_partitions() {
    let tree = Tree::new();
    tree.device("sda", "8:0", &[("size", "1000"), ("ro", "1"), BLOCK]);
    let part = [("partition", "1"), ("start", "34"), ("size", "66")];
    tree.device("sda/sda1", "8:1", &[&part[..], &[("ro", "0")]].concat());
    tree.device("sdb", "8:16", &[("size", "1000"), ("ro", "0"), BLOCK]);
    tree.device("sdb/sdb1", "8:17", &[&part[..], &[("ro", "1")]].concat());
    let read_only = |device| facts(&tree, device).unwrap().read_only;
    let found = ["8:0", "8:1", "8:16", "8:17"].map(read_only);
    assert_eq!(found, [true, true, false, true]);
}

#[test]
fn a_loop_device_lies_on_its_file_and_so_do_its_partitions() {
    let tree = Tree::new();
    let file = tempfile::NamedTempFile::new().unwrap();
    let path = file.path().to_str().unwrap();
    let backing = [
        ("size", "100"),
        ("loop/backing_file", path),
        ("loop/offset", "4096"),
        ("loop/autoclear", "1"),
        BLOCK,
    ];
    tree.device("loop3", "7:3", &backing);
    let part = [("partition", "1"), ("start", "2"), ("size", "50")];
    tree.device("loop3/loop3p1", "259:0", &part);
    let whole = facts(&tree, "7:3").unwrap();
    let part = facts(&tree, "259:0").unwrap();
    let itself = facts(&tree, path).unwrap();
    assert!(whole.autoclear && !part.autoclear);
    assert_eq!(whole.file.as_deref(), Some(file.path()));
    assert_eq!(whole.extent.base, itself.extent.base);
    assert_eq!(part.extent.base, itself.extent.base);
    assert_eq!((whole.extent.start, part.extent.start), (4096, 4096 + 1024));
}

#[test]
fn a_file_whose_name_is_no_text_is_behind_its_loop_device() {
    let (tree, folder) = (Tree::new(), tempfile::tempdir().unwrap());
    let path = folder.path().join(OsStr::from_bytes(b"l\xffeg"));
    fs::write(&path, "x").unwrap();
    tree.device(
        "loop3",
        "7:3",
        &[("size", "100"), ("loop/autoclear", "0"), BLOCK],
    );
    let line = [path.as_os_str().as_bytes(), b"\n"].concat();
    fs::write(tree.path("block/loop3/loop/backing_file"), line).unwrap();
    let (whole, itself) = (facts(&tree, "7:3").unwrap(), fs::metadata(&path).unwrap());
    assert_eq!(whole.file.as_deref(), Some(path.as_path()));
    assert_eq!(whole.extent.base, identity(&itself));
}

#[test]
fn a_deleted_file_is_named_but_never_taken_for_its_successor() {
    let tree = Tree::new();
    let file = tempfile::NamedTempFile::new().unwrap();
    let path = file.path().to_str().unwrap();
    let deleted = format!("{path} (deleted)");
    let backing = [("size", "100"), ("loop/backing_file", &deleted), BLOCK];
    tree.device("loop0", "7:0", &backing);
    let known = facts(&tree, "7:0").unwrap();
    assert_eq!(known.file.as_deref(), Some(file.path()));
    assert_eq!(known.extent.base, "7:0");
}

#[test]
fn what_is_no_device_has_the_right_errno() {
    let tree = Tree::new();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "x").unwrap();
    let refused = |path: &Path| {
        let host = Host {
            sys: tree.sysfs(),
            ..Host::default()
        };
        let device = DeviceRef::Path(path.into());
        host.facts(&device).unwrap_err().errno()
    };
    assert_eq!(refused(folder.path()), Errno::ENODEV);
    assert_eq!(refused(Path::new("/dev/null")), Errno::ENODEV);
    assert_eq!(refused(&folder.path().join("none")), Errno::ENOENT);
    assert_eq!(refused(&file.join("below")), Errno::ENOENT);
    assert_eq!(refused(Path::new("/a\0b")), Errno::ENOENT);
    assert_eq!(facts(&tree, "8:0").unwrap_err().errno(), Errno::ENODEV);
}

#[test]
fn what_is_seen_at_once_needs_no_queue_and_no_file() {
    let tree = Tree::new();
    let backing = ("loop/backing_file", "/nowhere/file (deleted)");
    let autoclear = ("loop/autoclear", "1");
    tree.device("loop7", "7:7", &[("size", "8"), backing, autoclear]);
    let host = Host {
        sys: tree.sysfs(),
        ..Host::default()
    };
    let sight = |device: &str| host.sight(&device.parse().unwrap());
    let seen = Sight {
        node: "/dev/loop7".into(),
        file: Some("/nowhere/file".into()),
        autoclear: true,
        size: 8 * 512,
    };
    assert_eq!(sight("7:7"), Found::There(seen));
    assert_eq!(sight("7:8"), Found::Gone);
}
