//! Machines that are made up, and what is found on them.

use std::collections::BTreeSet;

use super::*;
use crate::engine::host::Host;
use crate::engine::host::sysfs::fake::Tree;
use crate::engine::identity::Proof;

/// A machine with disks of these numbers, names and serials.
fn machine(disks: &[(&str, &str, &str)]) -> (Tree, tempfile::TempDir) {
    let (tree, udev) = (Tree::new(), tempfile::tempdir().unwrap());
    for (dev, name, serial) in disks {
        let attributes = [("size", "100"), ("queue/logical_block_size", "512")];
        tree.device(name, dev, &attributes);
        let text = format!("S:disk/by-id/x\nE:ID_SERIAL={serial}\nE:ID_PATH=pci\n");
        fs::write(udev.path().join(format!("b{dev}")), text).unwrap();
    }
    (tree, udev)
}

fn device(serial: &str) -> DeviceId {
    DeviceId {
        node: "/dev/sdb".into(),
        kind: Some(DeviceKind::Disk),
        ids: [("ID_SERIAL".to_string(), serial.to_string())].into(),
        common: BTreeSet::new(),
        size: 51_200,
        block_size: Some(512),
    }
}

fn identity(serial: &str) -> Identity {
    Identity::Device(device(serial))
}

fn found(disks: &[(&str, &str, &str)], identity: &Identity) -> Result<DeviceRef> {
    let (tree, udev) = machine(disks);
    let sys = tree.sysfs();
    let teller = Teller {
        sys: &sys,
        udev: udev.path(),
    };
    teller.find(identity)
}

#[test]
fn a_disk_is_found_wherever_it_is_now() {
    let disks = [("8:0", "sda", "B"), ("8:16", "sdb", "A")];
    for (serial, dev) in [("A", "8:16"), ("B", "8:0")] {
        let device = found(&disks, &identity(serial)).unwrap();
        assert_eq!(device.to_string(), dev);
    }
}

#[test]
fn a_missing_a_doubled_and_a_resized_one_are_refused() {
    let one = [("8:0", "sda", "A")];
    let error = found(&one, &identity("C")).unwrap_err();
    assert_eq!(error.errno(), Errno::ENODEV);
    assert!(error.sentence().contains("ID_SERIAL C"), "{error}");
    let two = [("8:0", "sda", "A"), ("8:16", "sdb", "A")];
    let error = found(&two, &identity("A")).unwrap_err();
    assert!(
        error.sentence().contains("another device says too"),
        "{error}"
    );
    let other = |change: fn(&mut DeviceId)| {
        let mut device = device("A");
        change(&mut device);
        found(&one, &Identity::Device(device)).unwrap_err()
    };
    let error = other(|device| device.size = 7);
    assert!(error.sentence().contains("from 7 to 51200 bytes"));
    let error = other(|device| device.block_size = Some(4096));
    assert!(
        error.sentence().contains("512 bytes now, and had 4096"),
        "{error}"
    );
    let error = other(|device| device.common = ["ID_SERIAL".to_string()].into());
    assert!(error.sentence().contains("or did"), "{error}");
}

#[test]
fn a_partition_is_not_its_disk_nor_another_partition() {
    let (tree, udev) = machine(&[("8:0", "sda", "A")]);
    for (number, start) in [("1", "34"), ("2", "68")] {
        let (place, dev) = (format!("sda/sda{number}"), format!("8:{number}"));
        let attributes = [("partition", number), ("start", start), ("size", "20")];
        tree.device(&place, &dev, &attributes);
        let text = "E:ID_SERIAL=A\n";
        fs::write(udev.path().join(format!("b{dev}")), text).unwrap();
    }
    let sys = tree.sysfs();
    let teller = Teller {
        sys: &sys,
        udev: udev.path(),
    };
    for dev in ["8:0", "8:1", "8:2"] {
        let block = sys.block(dev.parse().unwrap()).unwrap();
        let identity = Identity::Device(teller.of_block(&block));
        let found = teller.find(&identity).unwrap();
        assert_eq!(found.to_string(), dev, "{identity}");
    }
    let before = Identity::Device(DeviceId {
        kind: None,
        ..device("A")
    });
    assert_eq!(teller.find(&before).unwrap().to_string(), "8:0");
}

#[test]
fn what_two_disks_say_is_common_to_them_and_their_partitions() {
    let (tree, udev) = machine(&[("8:0", "sda", "A"), ("8:16", "sdb", "A")]);
    let attributes = [("partition", "1"), ("start", "34"), ("size", "20")];
    tree.device("sda/sda1", "8:1", &attributes);
    fs::write(
        udev.path().join("b8:1"),
        "E:ID_SERIAL=A\nE:ID_PART_ENTRY_UUID=u\n",
    )
    .unwrap();
    let sys = tree.sysfs();
    let teller = Teller {
        sys: &sys,
        udev: udev.path(),
    };
    let of = |dev: &str| teller.of_block(&sys.block(dev.parse().unwrap()).unwrap());
    assert_eq!(of("8:0").proof(), Proof::None);
    assert_eq!(of("8:1").proof(), Proof::Lasting);
    let common: Vec<String> = of("8:1").common.into_iter().collect();
    assert_eq!(common, ["ID_SERIAL"]);
    let part = Identity::Device(of("8:1"));
    assert_eq!(teller.find(&part).unwrap().to_string(), "8:1");
}

#[test]
fn a_file_that_was_replaced_is_another_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("leg");
    fs::write(&path, "12345").unwrap();
    let host = Host::new();
    let facts = host.facts(&DeviceRef::Path(path.clone())).unwrap();
    let identity = host.identity(&facts).unwrap();
    assert_eq!(host.find(&identity), Ok(DeviceRef::Path(path.clone())));
    fs::write(&path, "1234567").unwrap();
    assert!(
        host.find(&identity)
            .unwrap_err()
            .sentence()
            .contains("size")
    );
    fs::rename(&path, folder.path().join("old")).unwrap();
    assert_eq!(host.find(&identity).unwrap_err().errno(), Errno::ENOENT);
    fs::write(&path, "12345").unwrap();
    let error = host.find(&identity).unwrap_err();
    assert!(error.sentence().contains("now another file"), "{error}");
}
