//! Finding one's way: names to places, and the names in a folder.

use std::sync::atomic::Ordering;

use super::node::{LEGS, MIRROR_FOLDERS, MOST_LEGS, Node, tagged};
use super::row::{self, Row, Show};
use super::stat::{Attr, Name, NodeType};
use super::{Tree, mirror, root};
use crate::daemon::mirrors::query::Detail;
use crate::engine::Kind;
use crate::error::{Errno, Error, Result};
use crate::model::id::MirrorId;

/// What a lookup answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found {
    /// The inode number to use from now on.
    pub ino: u64,
    /// What `stat(2)` shows of it.
    pub attr: Attr,
    /// Whether the name may come to mean something else at any time.
    pub fleeting: bool,
}

impl Tree {
    /// What a name in a folder leads to.
    ///
    /// # Errors
    /// As [`Tree::lookup`].
    pub fn find(&self, parent: Node, name: &str) -> Result<Found> {
        self.found(self.lookup(parent, name)?)
    }

    /// A place as a lookup answers it.
    ///
    /// # Errors
    /// As [`Tree::attr`].
    pub fn found(&self, node: Node) -> Result<Found> {
        let commands = self.writable(node).is_ok();
        let tag = if commands {
            self.lookups.fetch_add(1, Ordering::Relaxed) + 1
        } else {
            0
        };
        Ok(Found {
            ino: tagged(node.ino(), tag),
            attr: self.attr(node)?,
            fleeting: commands || matches!(node, Node::Mirror(_) | Node::Leg(..)),
        })
    }

    /// The place called `name` in the folder `parent`.
    ///
    /// # Errors
    /// ENOENT where there is none, ENODEV where the folder's mirror is gone.
    pub fn lookup(&self, parent: Node, name: &str) -> Result<Node> {
        let found = match parent {
            Node::Root => match row::find(root::ROWS, "", name) {
                Some((row, _)) => Some(Node::RootFile(row)),
                None => Some(Node::Mirror(self.view.find(name)?)),
            },
            Node::Mirror(mirror_id) => self.in_mirror(mirror_id, "", name),
            Node::Folder(mirror_id, LEGS) => self.leg(mirror_id, name)?,
            Node::Folder(mirror_id, folder) => {
                let folder = MIRROR_FOLDERS.get(folder).copied().unwrap_or_default();
                self.in_mirror(mirror_id, folder, name)
            }
            Node::Leg(mirror_id, leg) => {
                let found = row::find(mirror::LEG_ROWS, "", name);
                found.map(|(row, _)| Node::LegFile(mirror_id, leg, row))
            }
            _ => None,
        };
        found.ok_or_else(|| Error::new(Errno::ENOENT, "there is no such file"))
    }

    /// The names in a folder, without `.` and `..`.
    ///
    /// # Errors
    /// ENODEV where its mirror is gone, ENOTDIR for a file.
    pub fn list(&self, folder: Node) -> Result<Vec<Name>> {
        if let Some(mirror_id) = folder.mirror_id() {
            self.view.registry.check(mirror_id)?;
        }
        match folder {
            Node::Root => self.list_root(),
            Node::Mirror(mirror_id) => {
                let file = |row| Node::File(mirror_id, row);
                let mut names = rows(mirror::ROWS, "", self.kind(), file);
                let folders = MIRROR_FOLDERS.iter().enumerate();
                names
                    .extend(folders.map(|(n, name)| folder_name(Node::Folder(mirror_id, n), name)));
                Ok(names)
            }
            Node::Folder(mirror_id, LEGS) => {
                let legs = 0..self.legs(mirror_id)?;
                Ok(legs
                    .map(|n| folder_name(Node::Leg(mirror_id, n), &n.to_string()))
                    .collect())
            }
            Node::Folder(mirror_id, folder) => {
                let folder = MIRROR_FOLDERS.get(folder).copied().unwrap_or_default();
                let file = |row| Node::File(mirror_id, row);
                Ok(rows(mirror::ROWS, folder, self.kind(), file))
            }
            Node::Leg(mirror_id, leg) => {
                let file = |row| Node::LegFile(mirror_id, leg, row);
                Ok(rows(mirror::LEG_ROWS, "", self.kind(), file))
            }
            _ => Err(Error::new(Errno::ENOTDIR, "it is a file")),
        }
    }

    fn in_mirror(&self, mirror_id: MirrorId, folder: &str, name: &str) -> Option<Node> {
        let found = row::find(mirror::ROWS, folder, name);
        if let Some((row, _)) = found.filter(|(_, row)| row.is_with(self.kind())) {
            return Some(Node::File(mirror_id, row));
        }
        let number = MIRROR_FOLDERS.iter().position(|other| *other == name);
        number
            .filter(|_| folder.is_empty())
            .map(|n| Node::Folder(mirror_id, n))
    }

    fn kind(&self) -> Kind {
        self.view.engine.kind()
    }

    fn list_root(&self) -> Result<Vec<Name>> {
        let mut names = rows(root::ROWS, "", self.kind(), Node::RootFile);
        let mirrors = self.view.mirrors()?.into_iter();
        let free = mirrors.filter(|(_, name)| row::find(root::ROWS, "", name).is_none());
        names.extend(free.map(|(mirror_id, name)| folder_name(Node::Mirror(mirror_id), &name)));
        Ok(names)
    }

    fn legs(&self, mirror_id: MirrorId) -> Result<usize> {
        let snapshot = self.view.snapshot(mirror_id, Detail::Kernel)?;
        Ok(snapshot.legs.len().min(MOST_LEGS))
    }

    fn leg(&self, mirror_id: MirrorId, name: &str) -> Result<Option<Node>> {
        let number = name.parse::<usize>().ok().filter(|n| n.to_string() == name);
        let legs = self.legs(mirror_id)?;
        Ok(number
            .filter(|n| *n < legs)
            .map(|n| Node::Leg(mirror_id, n)))
    }
}

/// The names of the rows that are in `folder` with an engine of this kind.
fn rows<S>(rows: &[Row<S>], folder: &str, kind: Kind, node: impl Fn(usize) -> Node) -> Vec<Name> {
    let rows = rows.iter().enumerate();
    let inside = rows.filter(|(_, row)| row.parts().0 == folder && row.is_with(kind));
    let name = |(number, row): (usize, &Row<S>)| Name {
        node: node(number),
        sort: if matches!(row.show, Show::Link(_)) {
            NodeType::Link
        } else {
            NodeType::File
        },
        name: row.parts().1.into(),
    };
    inside.map(name).collect()
}

fn folder_name(node: Node, name: &str) -> Name {
    Name {
        node,
        sort: NodeType::Folder,
        name: name.into(),
    }
}
