//! Owners and modes of files: what the rows say, unless root said otherwise.

use std::time::SystemTime;

use super::Tree;
use super::node::Node;
use super::rows::{path, row_of};
use super::stat::{Attr, NodeType};
use crate::error::Result;
use crate::model::ownership::Ownership;

impl Tree {
    /// What `stat(2)` shows of a place; of one whose mirror is gone and that somebody
    /// still has open, what it was: he may want to read what his verb came to.
    ///
    /// # Errors
    /// ENODEV where its mirror is gone, ENOENT where the number names nothing.
    pub fn attr(&self, node: Node) -> Result<Attr> {
        if let Some(mirror_id) = node.mirror_id()
            && let Err(gone) = self.view.registry.check(mirror_id)
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

    fn look(&self, node: Node) -> Ownership {
        match node.mirror_id() {
            Some(mirror_id) => self.view.registry.look(mirror_id, || path(node)),
            None => {
                let looks = self.looks.lock();
                looks.get(&node.ino()).copied().unwrap_or_default()
            }
        }
    }

    fn news(&self) -> (u64, SystemTime) {
        let (_, end) = self.view.events.span();
        (end, self.view.events.changed().unwrap_or(self.born))
    }
}

/// What sort of file, its mode, and whether it is the list of events.
fn describe(node: Node) -> Result<(NodeType, u16, bool)> {
    Ok(match row_of(node)?.map(|row| row.nature()) {
        None => (NodeType::Folder, 0o755, false),
        Some(file) if file.is_link => (NodeType::Link, file.mode, false),
        Some(file) => (NodeType::File, file.mode, file.is_events),
    })
}
