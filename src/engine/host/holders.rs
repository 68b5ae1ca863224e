//! Who holds a device beside somebody who is known: mappings and arrays that are made
//! of it, and other loop devices of its file. An exclusive open keeps off all but other
//! mappings: device-mapper opens for all of them in one name (`_dm_claim_ptr`,
//! drivers/md/dm.c). Only sysfs is asked, which waits for no device.

use std::cell::OnceCell;
use std::collections::HashMap;
use std::path::PathBuf;

use super::sysfs::{Block, Sysfs};
use super::users::parts;
use crate::engine::Holder;

/// The loop devices by the paths of their files, looked through once for all that is asked.
pub(super) struct Loops<'a> {
    sys: &'a Sysfs,
    by_file: OnceCell<HashMap<PathBuf, Vec<Block>>>,
}

impl<'a> Loops<'a> {
    /// Those that there are when it is first asked.
    pub(super) fn of(sys: &'a Sysfs) -> Loops<'a> {
        let by_file = OnceCell::new();
        Loops { sys, by_file }
    }

    fn with_file(&self, file: &PathBuf) -> &[Block] {
        let by_file = self.by_file.get_or_init(|| {
            let mut by_file: HashMap<PathBuf, Vec<Block>> = HashMap::new();
            for device in self.sys.loops() {
                let file = device.backing_file().into_iter();
                file.for_each(|file| by_file.entry(file).or_default().push(device.clone()));
            }
            by_file
        });
        by_file.get(file).map_or(&[], Vec::as_slice)
    }
}

/// All that hold a device, but for mappings of the very device: of these there may be
/// thousands, and their tables say more.
pub(super) fn of(loops: &Loops<'_>, block: &Block) -> Vec<Holder> {
    let made_of = parts(block).into_iter().flat_map(|(part, how)| {
        let holders = if part == *block {
            part.holders_but_mappings()
        } else {
            part.holders()
        };
        let holder = move |holder: Block| made_of(&holder, &how);
        holders.into_iter().map(holder)
    });
    made_of.chain(same_file(loops, block)).collect()
}

fn made_of(holder: &Block, how: &str) -> Holder {
    let words = match holder.mapping() {
        Some(name) => format!("the mapping {name}"),
        None if holder.is_array() => format!("the array {}", holder.name()),
        None => holder.name(),
    };
    Holder {
        dev: holder.dev,
        words: words + how,
    }
}

/// Loop devices whose file has the same name: whether it is the same file only stat(2)
/// could tell, which may wait for the file system below.
fn same_file(loops: &Loops<'_>, block: &Block) -> Vec<Holder> {
    let disk = block.whole().unwrap_or_else(|| block.clone());
    let Some(file) = disk.backing_file() else {
        return Vec::new();
    };
    let others = loops.with_file(&file).iter();
    let others = others.filter(|other| other.dev != disk.dev);
    let holder = |other: &Block| Holder {
        dev: other.dev,
        words: format!("{} over the same file", other.node().display()),
    };
    others.map(holder).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::host::sysfs::fake::Tree;

    fn words(tree: &Tree, dev: &str) -> Vec<String> {
        let sys = tree.sysfs();
        let block = sys.block(dev.parse().unwrap()).unwrap();
        let holders = of(&Loops::of(&sys), &block).into_iter();
        holders.map(|holder| holder.words).collect()
    }

    #[test]
    fn what_shares_the_bytes_is_named() {
        let tree = Tree::new();
        tree.device("sdx", "4000:0", &[]);
        tree.device("sdx/sdx1", "4000:1", &[("partition", "1")]);
        tree.device("dm-9", "4001:9", &[("dm/name", "m")]);
        tree.device("dm-8", "4001:8", &[("dm/name", "t")]);
        assert!(words(&tree, "4000:0").is_empty());
        tree.hold("sdx", "dm-9");
        tree.hold("sdx/sdx1", "dm-8");
        let through = "the mapping t through its partition sdx1";
        assert_eq!(words(&tree, "4000:0"), [through]);
        let with = "the mapping m with the whole disk sdx";
        assert_eq!(words(&tree, "4000:1"), [with]);
        tree.device("md7", "4002:7", &[("md/level", "raid1")]);
        tree.hold("sdx", "md7");
        assert_eq!(words(&tree, "4000:0"), ["the array md7", through]);
    }

    #[test]
    fn another_loop_device_of_the_file_is_named() {
        let tree = Tree::new();
        let backing = [("loop/backing_file", "/a/file")];
        tree.device("loop7", "4003:7", &backing);
        tree.device("loop8", "4003:8", &backing);
        tree.device("loop9", "4003:9", &[("loop/backing_file", "/a/other")]);
        assert_eq!(words(&tree, "4003:7"), ["/dev/loop8 over the same file"]);
    }
}
