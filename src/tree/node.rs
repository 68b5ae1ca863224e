//! Inode numbers. One names a place in the tree: the mirror's number, which is
//! never given twice, a leg, and a row. No table of inodes is kept.
//!
//! The kernel lets one write at a time into an inode, and a write that hangs
//! would hold up the next one's. So a file that takes commands has many inodes:
//! each lookup answers with another number in the upper bits, which says nothing
//! more. stat(2) shows the number without them, the same for a path and for what was
//! opened by it.

use crate::model::id::MirrorId;

/// Bits for a row's number or a folder.
const ROW_BITS: u32 = 8;

/// Bits for a leg's number, plus one.
const LEG_BITS: u32 = 12;

/// Bits for a mirror's number.
const ID_BITS: u32 = 28;

/// Where the bits begin that only tell one inode of a file from another.
const TAG: u32 = ROW_BITS + LEG_BITS + ID_BITS;

/// Legs beyond this are not shown; a kernel mirror has at most nine.
pub const MOST_LEGS: usize = (1 << LEG_BITS) - 2;

/// Row numbers from here on are folders.
const FOLDERS: u64 = 0xf0;

/// The folders of a mirror, by the first part of its rows' paths; `legs` has
/// rows of its own.
pub const MIRROR_FOLDERS: &[&str] = &["sync", "legs", "log"];

/// The number of `legs` among [`MIRROR_FOLDERS`].
pub const LEGS: usize = 1;

/// A place in the tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Node {
    /// The mountpoint, inode 1.
    Root,
    /// A file at the root: its row.
    RootFile(usize),
    /// A mirror's folder: its number.
    Mirror(MirrorId),
    /// A folder in it: number, number in [`MIRROR_FOLDERS`].
    Folder(MirrorId, usize),
    /// A file of it: number, row.
    File(MirrorId, usize),
    /// A leg's folder: number, leg.
    Leg(MirrorId, usize),
    /// A file of a leg: number, leg, row.
    LegFile(MirrorId, usize, usize),
}

impl Node {
    /// Its inode number; FUSE wants 1 for the root.
    pub fn ino(self) -> u64 {
        match self {
            Node::Root => 1,
            Node::RootFile(row) => pack(0, 0, row as u64 + 2),
            Node::Mirror(mirror_id) => pack(mirror_id.number(), 0, FOLDERS - 1),
            Node::Folder(mirror_id, folder) => pack(mirror_id.number(), 0, FOLDERS + folder as u64),
            Node::File(mirror_id, row) => pack(mirror_id.number(), 0, row as u64),
            Node::Leg(mirror_id, leg) => pack(mirror_id.number(), leg as u64 + 1, FOLDERS - 1),
            Node::LegFile(mirror_id, leg, row) => {
                pack(mirror_id.number(), leg as u64 + 1, row as u64)
            }
        }
    }

    /// The place of an inode number; none for one that [`Node::ino`] never gave.
    pub fn from_ino(ino: u64) -> Option<Node> {
        let row = ino & ((1 << ROW_BITS) - 1);
        let leg = (ino >> ROW_BITS) & ((1 << LEG_BITS) - 1);
        let mirror_id = (ino >> (ROW_BITS + LEG_BITS)) & ((1 << ID_BITS) - 1);
        let id = MirrorId::new(mirror_id);
        let (number, legless) = (row as usize, leg == 0);
        match (mirror_id, leg) {
            (0, 0) if row == 1 => Some(Node::Root),
            (0, 0) => number.checked_sub(2).map(Node::RootFile),
            (0, _) => None,
            _ if row == FOLDERS - 1 && legless => Some(Node::Mirror(id)),
            _ if row == FOLDERS - 1 => Some(Node::Leg(id, leg as usize - 1)),
            _ if row >= FOLDERS && legless => Some(Node::Folder(id, (row - FOLDERS) as usize)),
            _ if legless => Some(Node::File(id, number)),
            _ => Some(Node::LegFile(id, leg as usize - 1, number)),
        }
    }

    /// The mirror that it belongs to.
    pub fn mirror_id(self) -> Option<MirrorId> {
        match self {
            Node::Root | Node::RootFile(_) => None,
            Node::Mirror(mirror_id)
            | Node::Folder(mirror_id, _)
            | Node::File(mirror_id, _)
            | Node::Leg(mirror_id, _)
            | Node::LegFile(mirror_id, _, _) => Some(mirror_id),
        }
    }
}

/// Another inode number of the same place.
pub fn tagged(ino: u64, tag: u64) -> u64 {
    (ino & ((1 << TAG) - 1)) | (tag << TAG)
}

fn pack(number: u64, leg: u64, row: u64) -> u64 {
    (number << (ROW_BITS + LEG_BITS)) | (leg << ROW_BITS) | row
}

#[cfg(test)]
mod tests {
    use super::super::{mirror, root};
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn rows_fit_below_the_folders() {
        for rows in [
            root::ROWS.len() + 2,
            mirror::ROWS.len(),
            mirror::LEG_ROWS.len(),
        ] {
            assert!((rows as u64) < FOLDERS - 1);
        }
        assert_eq!(MIRROR_FOLDERS[LEGS], "legs");
    }

    proptest! {
        #[test]
        fn every_place_has_a_number_of_its_own(number in 1_u64..1 << ID_BITS, leg in 0..MOST_LEGS, row in 0_usize..200, tag: u64) {
            let mirror_id = MirrorId::new(number);
            let nodes = [
                Node::Root, Node::RootFile(row), Node::Mirror(mirror_id), Node::Folder(mirror_id, row % 3),
                Node::File(mirror_id, row), Node::Leg(mirror_id, leg), Node::LegFile(mirror_id, leg, row),
            ];
            for node in nodes {
                prop_assert_eq!(Node::from_ino(node.ino()), Some(node));
                prop_assert_eq!(Node::from_ino(tagged(node.ino(), tag)), Some(node));
            }
        }

        #[test]
        fn any_number_is_a_place_or_none(ino: u64) {
            if let Some(node) = Node::from_ino(ino) {
                prop_assert_eq!(tagged(node.ino(), ino >> TAG), ino);
            }
        }
    }
}
