use super::*;
use crate::engine::home::Lying;
use crate::engine::host::Host;
use crate::engine::host::mounts::of_text;
use crate::engine::host::sysfs::fake::Tree;
use crate::error::Error;

/// A machine that a test makes up: its disks, its mounts, and what is seen of paths.
#[derive(Default)]
struct Machine {
    tree: Option<Tree>,
    mounts: String,
    journals: Vec<String>,
    spots: Vec<(&'static str, Spot)>,
}

fn dev(text: &str) -> DevNo {
    text.parse().unwrap()
}

impl Machine {
    fn new() -> Self {
        let tree = Tree::new();
        tree.device("sda", "8:0", &[]);
        tree.device("sda/sda1", "8:1", &[("partition", "1")]);
        tree.device("sdb", "8:16", &[]);
        tree.device("dm-0", "254:0", &[("dm/name", "home")]);
        tree.device("dm-1", "254:1", &[("dm/name", "luks")]);
        tree.hold("sda/sda1", "dm-0");
        tree.hold("dm-0", "dm-1");
        let mut machine = Machine {
            tree: Some(tree),
            ..Machine::default()
        };
        machine.node("/dev/sda1", "8:1");
        machine.node("/dev/sdb", "8:16");
        machine.node("/dev/mapper/home", "254:0");
        machine.node("/dev/mapper/luks", "254:1");
        machine
    }

    fn tree(&self) -> &Tree {
        self.tree.as_ref().unwrap()
    }

    fn node(&mut self, path: &'static str, number: &str) {
        let spot = Spot {
            mount: 1,
            dev: dev("0:5"),
            node: Some(dev(number)),
        };
        self.spots.push((path, spot));
    }

    /// Something is at a path: in this mount, under this number.
    fn at(&mut self, path: &'static str, mount: u64, number: &str) {
        let spot = Spot {
            mount,
            dev: dev(number),
            node: None,
        };
        self.spots.push((path, spot));
    }

    fn mount(&mut self, id: u64, number: &str, rest: &str) {
        self.mounts += &format!("{id} 1 {number} / /somewhere rw - {rest}\n");
    }

    fn look(&self, path: &Path) -> io::Result<Option<Spot>> {
        if path == Path::new("/dead") {
            return Err(io::Error::from_raw_os_error(libc::EIO));
        }
        let mut spots = self.spots.iter();
        let found = spots.find(|(known, _)| Path::new(known) == path);
        Ok(found.map(|(_, spot)| *spot))
    }

    fn home_in(&self, path: &str, mounts: &Result<Vec<Mount>>) -> Home {
        let (sys, look) = (self.tree().sysfs(), |path: &Path| self.look(path));
        let mut finder = Finder::new(&sys, mounts, &self.journals, &look);
        finder.path(Path::new(path));
        finder.home
    }

    fn home(&self, path: &str) -> Home {
        self.home_in(path, &of_text(&self.mounts))
    }

    fn lies(&self, path: &str, on: &str) -> Lying {
        let host = Host {
            sys: self.tree().sysfs(),
            ..Host::default()
        };
        host.lies_on(&self.home(path), dev(on))
    }

    fn assert_unknown(&self, path: &str, word: &str) {
        match self.lies(path, "254:0") {
            Lying::Unknown(why) => assert!(why.contains(word), "{why}"),
            known => panic!("{path}: {known:?}"),
        }
    }
}

#[test]
fn a_number_that_a_device_has_is_that_device() {
    let mut machine = Machine::new();
    machine.mount(20, "254:1", "ext4 /dev/mapper/luks rw");
    machine.at("/srv", 20, "254:1");
    // What is not there yet lies where it would be made.
    for path in ["/srv", "/srv/state/logs/x.log"] {
        assert_eq!(machine.lies(path, "254:0"), Lying::OnIt, "{path}");
        assert_eq!(machine.lies(path, "8:0"), Lying::OnIt, "{path}");
        assert_eq!(machine.lies(path, "8:16"), Lying::Elsewhere, "{path}");
    }
    assert_eq!(machine.lies("/dev/mapper/luks", "254:0"), Lying::OnIt);
    assert_eq!(machine.lies("/dev/sda1", "254:0"), Lying::Elsewhere);
}

#[test]
fn a_subvolume_is_known_by_its_mount_and_lies_on_every_disk() {
    let mut machine = Machine::new();
    machine.tree().btrfs("b-1", &["sdb", "dm-1"]);
    machine.tree().btrfs("b-2", &[]);
    machine.mount(20, "0:33", "btrfs /dev/sdb rw,subvol=/");
    // No mount has the number of the subvolume; another one has that of the root.
    machine.at("/b/sub", 20, "0:34");
    machine.mount(21, "0:34", "tmpfs tmpfs rw");
    assert_eq!(machine.home("/b/sub").parts, [Part::Btrfs("b-1".into())]);
    assert_eq!(machine.lies("/b/sub/new", "254:0"), Lying::OnIt);
    assert_eq!(machine.lies("/b/sub/new", "8:16"), Lying::OnIt);
    machine.tree().device("sdc", "8:32", &[]);
    assert_eq!(machine.lies("/b/sub/new", "8:32"), Lying::Elsewhere);
}

#[test]
fn a_disk_that_comes_to_a_btrfs_later_counts() {
    let mut machine = Machine::new();
    machine.tree().btrfs("b-1", &["sdb"]);
    machine.mount(20, "0:33", "btrfs /dev/sdb rw");
    machine.at("/b", 20, "0:33");
    let home = machine.home("/b");
    let host = Host {
        sys: machine.tree().sysfs(),
        ..Host::default()
    };
    assert_eq!(host.lies_on(&home, dev("254:0")), Lying::Elsewhere);
    machine.tree().btrfs("b-1", &["dm-0"]);
    assert_eq!(host.lies_on(&home, dev("254:0")), Lying::OnIt);
}

#[test]
fn a_btrfs_whose_source_is_gone_may_be_any() {
    let mut machine = Machine::new();
    machine.mount(20, "0:33", "btrfs /dev/mapper/renamed rw");
    machine.at("/b", 20, "0:33");
    machine.assert_unknown("/b", "btrfs");
    machine.tree().btrfs("b-1", &["sdb"]);
    assert_eq!(machine.lies("/b", "254:0"), Lying::Elsewhere);
    machine.tree().btrfs("b-2", &["dm-0"]);
    assert_eq!(machine.lies("/b", "254:0"), Lying::OnIt);
    // Unmounted meanwhile, it shows nothing.
    let host = Host {
        sys: Tree::new().sysfs(),
        ..Host::default()
    };
    let lying = host.lies_on(&machine.home("/b"), dev("254:0"));
    assert!(matches!(lying, Lying::Unknown(_)), "{lying:?}");
}

#[test]
fn what_is_in_memory_lies_nowhere() {
    let mut machine = Machine::new();
    machine.mount(20, "0:40", "tmpfs tmpfs rw");
    machine.at("/run", 20, "0:40");
    assert_eq!(machine.home("/run/mirrorfs/logs"), Home::default());
    assert_eq!(machine.lies("/run", "254:0"), Lying::Elsewhere);
}

#[test]
fn an_overlay_lies_on_all_of_its_layers() {
    let mut machine = Machine::new();
    machine.mount(20, "254:0", "ext4 /dev/mapper/home rw");
    machine.mount(21, "8:16", "ext4 /dev/sdb rw");
    machine.at("/home/up,per", 20, "254:0");
    machine.at("/lo:w", 21, "8:16");
    machine.mount(
        22,
        "0:50",
        r"overlay overlay rw,lowerdir=/lo\134:w,upperdir=/home/up\054per,workdir=/w",
    );
    machine.at("/over", 22, "0:50");
    assert_eq!(machine.lies("/over/x", "254:0"), Lying::OnIt);
    assert_eq!(machine.lies("/over/x", "8:16"), Lying::OnIt);
    // A layer that is not seen from here, as in a container.
    machine.mount(23, "0:51", "overlay overlay rw,lowerdir=/lo\\134:w:/hidden");
    machine.at("/hides", 23, "0:51");
    machine.assert_unknown("/hides", "/hidden");
    assert_eq!(machine.lies("/hides", "8:16"), Lying::OnIt);
    machine.mount(24, "0:52", "overlay overlay rw,lowerdir=low,upperdir=up");
    machine.at("/relative", 24, "0:52");
    machine.assert_unknown("/relative", "seen at up");
    machine.mount(25, "0:53", "overlay overlay rw");
    machine.at("/silent", 25, "0:53");
    machine.assert_unknown("/silent", "does not say");
}

#[test]
fn a_loop_device_lies_where_its_file_does() {
    let mut machine = Machine::new();
    let backing = [("loop/backing_file", "/home/image")];
    machine.tree().device("loop0", "7:0", &backing);
    let part = [("partition", "1")];
    machine.tree().device("loop0/loop0p1", "259:0", &part);
    machine.tree().device("dm-2", "254:2", &[("dm/name", "in")]);
    machine.tree().hold("loop0/loop0p1", "dm-2");
    machine.mount(20, "254:0", "ext4 /dev/mapper/home rw");
    machine.at("/home/image", 20, "254:0");
    machine.mount(21, "254:2", "ext4 /dev/mapper/in rw");
    machine.at("/inner", 21, "254:2");
    machine.node("/dev/loop0", "7:0");
    for path in ["/inner/x", "/dev/loop0"] {
        assert_eq!(machine.lies(path, "254:0"), Lying::OnIt, "{path}");
        assert_eq!(machine.lies(path, "8:16"), Lying::Elsewhere, "{path}");
    }
    assert_eq!(machine.lies("/inner", "7:0"), Lying::OnIt);
    machine
        .tree()
        .device("loop2", "7:2", &[("loop/offset", "0")]);
    machine.node("/dev/loop2", "7:2");
    machine.assert_unknown("/dev/loop2", "does not show its file");
    let gone = [("loop/backing_file", "/home/other (deleted)")];
    machine.tree().device("loop1", "7:1", &gone);
    machine.node("/dev/loop1", "7:1");
    machine.assert_unknown("/dev/loop1", "(deleted)");
}

#[test]
fn files_within_files_come_to_an_end() {
    let mut machine = Machine::new();
    let backing = [("loop/backing_file", "/l/image")];
    machine.tree().device("loop0", "7:0", &backing);
    machine.mount(20, "7:0", "ext4 /dev/loop0 rw");
    machine.at("/l", 20, "7:0");
    machine.at("/l/image", 20, "7:0");
    assert_eq!(machine.lies("/l", "7:0"), Lying::OnIt);
    machine.mount(21, "0:60", "overlay overlay rw,lowerdir=/o");
    machine.at("/o", 21, "0:60");
    machine.assert_unknown("/o", "without end");
}

#[test]
fn a_log_or_realtime_device_counts() {
    let mut machine = Machine::new();
    machine.mount(
        20,
        "8:16",
        "xfs /dev/sdb rw,logdev=/dev/mapper/home,noquota",
    );
    machine.at("/x", 20, "8:16");
    assert_eq!(machine.lies("/x", "254:0"), Lying::OnIt);
    assert_eq!(machine.lies("/x", "8:16"), Lying::OnIt);
    machine.mount(21, "8:16", "xfs /dev/sdb rw,rtdev=/dev/gone");
    machine.at("/y", 21, "8:16");
    machine.assert_unknown("/y", "/dev/gone");
}

#[test]
fn a_journal_on_another_disk_counts() {
    let mut machine = Machine::new();
    machine.mount(20, "8:16", "ext4 /dev/sdb rw");
    machine.at("/x", 20, "8:16");
    machine.mount(21, "8:1", "xfs /dev/sda1 rw");
    machine.at("/y", 21, "8:1");
    machine.journals = vec!["dm-0".into(), "sda1-8".into()];
    assert_eq!(machine.lies("/x", "254:0"), Lying::OnIt);
    assert_eq!(machine.lies("/y", "254:0"), Lying::Elsewhere);
    machine.journals.push("sdb-8".into());
    assert_eq!(machine.lies("/x", "254:0"), Lying::Elsewhere);
}

#[test]
fn others_are_where_their_source_is_or_unknown() {
    let mut machine = Machine::new();
    for (id, rest) in [
        (20, "zfs tank/home rw"),
        (21, "nfs4 server:/export rw"),
        (22, "9p /nothing rw"),
        (23, "fuse.mine /dev/sdb rw"),
        (24, "bcachefs /dev/sdb:/dev/sda1 rw"),
    ] {
        machine.mount(id, &format!("0:{id}"), rest);
    }
    machine.at("/zfs", 20, "0:20");
    machine.at("/nfs", 21, "0:21");
    machine.at("/9p", 22, "0:22");
    machine.at("/fuse", 23, "0:23");
    machine.at("/bcachefs", 24, "0:24");
    for (path, kind) in [
        ("/zfs", "zfs"),
        ("/nfs", "nfs4"),
        ("/9p", "9p"),
        ("/fuse", "fuse.mine"),
        ("/bcachefs", "bcachefs"),
    ] {
        machine.assert_unknown(path, kind);
    }
    machine.mount(25, "0:25", "bcachefs /dev/mapper/home rw");
    machine.at("/one", 25, "0:25");
    assert_eq!(machine.lies("/one", "254:0"), Lying::OnIt);
}

#[test]
fn what_cannot_be_found_out_is_unknown() {
    let mut machine = Machine::new();
    machine.at("/x", 99, "0:33");
    machine.assert_unknown("/x", "not listed");
    machine.assert_unknown("/nowhere", "/nowhere");
    machine.at("/", 20, "8:16");
    // Not there is one thing, no answer another.
    machine.assert_unknown("/dead", "cannot be looked at");
    let unread = Err(Error::invalid("no mountinfo"));
    let why = Part::Unknown("no mountinfo".into());
    assert_eq!(machine.home_in("/x", &unread).parts, [why]);
    // A device's own number is enough.
    machine.at("/s", 20, "8:16");
    let parts = machine.home_in("/s", &unread).parts;
    assert_eq!(parts, [Part::Device(dev("8:16"))]);
}

#[test]
fn this_machine_answers() {
    let folder = tempfile::tempdir().unwrap();
    let spot = look(folder.path()).unwrap().unwrap();
    let all = mounts().unwrap();
    assert!(all.iter().any(|mount| mount.id == spot.mount), "{spot:?}");
    assert_eq!(look(&folder.path().join("none")).unwrap(), None);
    let file = folder.path().join("file");
    fs::write(&file, "x").unwrap();
    assert_eq!(look(&file).unwrap(), Some(spot));
    assert_eq!(look(&file.join("below")).unwrap(), None);
    let memory = home(&Sysfs::default(), &DeviceRef::Path("/proc/self".into()));
    assert_eq!(memory, Home::default());
}
