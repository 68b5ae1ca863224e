//! Owners and modes of files: what the rows say, unless root said otherwise.

use std::time::SystemTime;

use super::node::{MIRROR_FOLDERS, Node};
use super::row::{Row, Show};
use super::{Tree, mirror, root};
use crate::error::{Errno, Error, Result};
use crate::model::look::Look;

/// What sort of file a node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sort {
    /// A folder.
    Folder,
    /// A regular file.
    File,
    /// A symbolic link.
    Link,
}

/// What `stat(2)` shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attr {
    /// The place that it describes.
    pub node: Node,
    /// What sort of file.
    pub sort: Sort,
    /// Permission bits.
    pub mode: u16,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Bytes; 0 for what is made when it is opened.
    pub size: u64,
    /// Last change.
    pub mtime: SystemTime,
    /// Whether size and times may change without the kernel being told.
    pub fleeting: bool,
}

impl Tree {
    /// What `stat(2)` shows of a place; of one whose mirror is gone and that somebody
    /// still has open, what it was: he may want to read what his verb came to.
    ///
    /// # Errors
    /// ENODEV where its mirror is gone, ENOENT where the number names nothing.
    pub fn attr(&self, node: Node) -> Result<Attr> {
        if let Some(serial) = node.serial()
            && let Err(gone) = self.daemon.registry.check(serial)
        {
            return self.open_attr(node).ok_or(gone);
        }
        let (sort, mode, events) = describe(node)?;
        let (size, mtime) = if events { self.news() } else { (0, self.born) };
        let look = self.look(node);
        Ok(Attr {
            node,
            sort,
            mode: look.mode.unwrap_or(mode),
            uid: look.uid.unwrap_or(self.owner.0),
            gid: look.gid.unwrap_or(self.owner.1),
            size,
            mtime,
            // What can be written has many inodes, and the kernel knows the attributes
            // of each for itself: what is changed by one must hold for all.
            fleeting: events || self.writable(node).is_ok(),
        })
    }

    /// Change owner, group or mode. What is changed of a mirror's file is kept with
    /// the mirror, what is changed at the root until the unmount.
    ///
    /// # Errors
    /// As [`Tree::attr`].
    pub fn dress(&self, node: Node, look: Look) -> Result<Attr> {
        self.attr(node)?;
        match node.serial() {
            _ if look.is_plain() => {}
            Some(serial) => self.daemon.set_look(serial, &path(node), look),
            None => {
                let mut looks = self.looks.lock();
                let entry = looks.entry(node.ino()).or_default();
                *entry = look.over(*entry);
            }
        }
        self.attr(node)
    }

    fn look(&self, node: Node) -> Look {
        match node.serial() {
            Some(serial) => self.daemon.registry.look(serial, || path(node)),
            None => {
                let looks = self.looks.lock();
                looks.get(&node.ino()).copied().unwrap_or_default()
            }
        }
    }

    fn news(&self) -> (u64, SystemTime) {
        let (_, end) = self.daemon.events.span();
        (end, self.daemon.events.changed().unwrap_or(self.born))
    }
}

/// The path of a mirror's file below its folder, by which a record knows it.
fn path(node: Node) -> String {
    match node {
        Node::Root | Node::RootFile(_) | Node::Mirror(_) => String::new(),
        Node::Folder(_, folder) => MIRROR_FOLDERS
            .get(folder)
            .copied()
            .unwrap_or_default()
            .into(),
        Node::File(_, row) => mirror::ROWS.get(row).map_or("", |row| row.path).into(),
        Node::Leg(_, leg) => format!("legs/{leg}"),
        Node::LegFile(_, leg, row) => {
            let row = mirror::LEG_ROWS.get(row).map_or("", |row| row.path);
            format!("legs/{leg}/{row}")
        }
    }
}

/// Sort, mode, and whether it is the list of events.
fn describe(node: Node) -> Result<(Sort, u16, bool)> {
    match node {
        Node::Root | Node::Mirror(_) | Node::Folder(..) | Node::Leg(..) => {
            Ok((Sort::Folder, 0o755, false))
        }
        Node::RootFile(row) => of_row(root::ROWS.get(row)),
        Node::File(_, row) => of_row(mirror::ROWS.get(row)),
        Node::LegFile(_, _, row) => of_row(mirror::LEG_ROWS.get(row)),
    }
}

fn of_row<S>(row: Option<&Row<S>>) -> Result<(Sort, u16, bool)> {
    let row = row.ok_or_else(|| Error::new(Errno::ENOENT, "there is no such file"))?;
    let (sort, events) = match row.show {
        Show::Link(_) => (Sort::Link, false),
        Show::Events => (Sort::File, true),
        Show::Text(..) | Show::Fixed(_) | Show::Follow => (Sort::File, false),
    };
    Ok((sort, row.mode(), events))
}
