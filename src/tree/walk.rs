//! Finding one's way: names to places, and the names in a folder.

use std::sync::atomic::Ordering;

use super::node::{LEGS, MIRROR_FOLDERS, MOST_LEGS, Node, tagged};
use super::row::{self, Row, Show};
use super::stat::{Attr, Name, Sort};
use super::{Tree, mirror, root};
use crate::daemon::mirrors::query::Detail;
use crate::engine::Kind;
use crate::error::{Errno, Error, Result};

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
                None => Some(Node::Mirror(self.daemon.find(name)?)),
            },
            Node::Mirror(serial) => self.in_mirror(serial, "", name),
            Node::Folder(serial, LEGS) => self.leg(serial, name)?,
            Node::Folder(serial, folder) => {
                let folder = MIRROR_FOLDERS.get(folder).copied().unwrap_or_default();
                self.in_mirror(serial, folder, name)
            }
            Node::Leg(serial, leg) => {
                let found = row::find(mirror::LEG_ROWS, "", name);
                found.map(|(row, _)| Node::LegFile(serial, leg, row))
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
        if let Some(serial) = folder.serial() {
            self.daemon.registry.check(serial)?;
        }
        match folder {
            Node::Root => self.list_root(),
            Node::Mirror(serial) => {
                let file = |row| Node::File(serial, row);
                let mut names = rows(mirror::ROWS, "", self.kind(), file);
                let folders = MIRROR_FOLDERS.iter().enumerate();
                names.extend(folders.map(|(n, name)| folder_name(Node::Folder(serial, n), name)));
                Ok(names)
            }
            Node::Folder(serial, LEGS) => {
                let legs = 0..self.legs(serial)?;
                Ok(legs
                    .map(|n| folder_name(Node::Leg(serial, n), &n.to_string()))
                    .collect())
            }
            Node::Folder(serial, folder) => {
                let folder = MIRROR_FOLDERS.get(folder).copied().unwrap_or_default();
                let file = |row| Node::File(serial, row);
                Ok(rows(mirror::ROWS, folder, self.kind(), file))
            }
            Node::Leg(serial, leg) => {
                let file = |row| Node::LegFile(serial, leg, row);
                Ok(rows(mirror::LEG_ROWS, "", self.kind(), file))
            }
            _ => Err(Error::new(Errno::ENOTDIR, "it is a file")),
        }
    }

    fn in_mirror(&self, serial: u64, folder: &str, name: &str) -> Option<Node> {
        let found = row::find(mirror::ROWS, folder, name);
        if let Some((row, _)) = found.filter(|(_, row)| row.is_with(self.kind())) {
            return Some(Node::File(serial, row));
        }
        let number = MIRROR_FOLDERS.iter().position(|other| *other == name);
        number
            .filter(|_| folder.is_empty())
            .map(|n| Node::Folder(serial, n))
    }

    fn kind(&self) -> Kind {
        self.daemon.engine.kind()
    }

    fn list_root(&self) -> Result<Vec<Name>> {
        let mut names = rows(root::ROWS, "", self.kind(), Node::RootFile);
        let mirrors = self.daemon.mirrors()?.into_iter();
        let free = mirrors.filter(|(_, name)| row::find(root::ROWS, "", name).is_none());
        names.extend(free.map(|(serial, name)| folder_name(Node::Mirror(serial), &name)));
        Ok(names)
    }

    fn legs(&self, serial: u64) -> Result<usize> {
        let snapshot = self.daemon.snapshot(serial, Detail::Kernel)?;
        Ok(snapshot.legs.len().min(MOST_LEGS))
    }

    fn leg(&self, serial: u64, name: &str) -> Result<Option<Node>> {
        let number = name.parse::<usize>().ok().filter(|n| n.to_string() == name);
        let legs = self.legs(serial)?;
        Ok(number.filter(|n| *n < legs).map(|n| Node::Leg(serial, n)))
    }
}

/// The names of the rows that are in `folder` with an engine of this kind.
fn rows<S>(rows: &[Row<S>], folder: &str, kind: Kind, node: impl Fn(usize) -> Node) -> Vec<Name> {
    let rows = rows.iter().enumerate();
    let inside = rows.filter(|(_, row)| row.parts().0 == folder && row.is_with(kind));
    let name = |(number, row): (usize, &Row<S>)| Name {
        node: node(number),
        sort: if matches!(row.show, Show::Link(_)) {
            Sort::Link
        } else {
            Sort::File
        },
        name: row.parts().1.into(),
    };
    inside.map(name).collect()
}

fn folder_name(node: Node, name: &str) -> Name {
    Name {
        node,
        sort: Sort::Folder,
        name: name.into(),
    }
}
