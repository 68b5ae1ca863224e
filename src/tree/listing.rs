//! Opening, reading and closing folders.

use std::sync::Arc;

use super::Tree;
use super::folder::Folder;
use super::limits::Resource;
use super::node::Node;
use super::stat::Name;
use crate::daemon::admission::permission::Caller;
use crate::error::{Errno, Error, Result};

impl Tree {
    /// Open a folder; the number stands for it until it is closed.
    ///
    /// # Errors
    /// EMFILE where the caller has too much open.
    pub fn open_folder(&self, node: Node, caller: Caller) -> Result<u64> {
        let _share = self.share(&caller, Resource::Handles, 1)?;
        let number = self.next_handle();
        let folder = Folder {
            node,
            caller,
            names: None,
            _share,
        };
        self.folders.lock().insert(number, folder);
        Ok(number)
    }

    /// The names in an open folder, without `.` and `..`; `anew` as it is now.
    ///
    /// # Errors
    /// EBADF for a number that was never given, EMFILE where the caller keeps too much
    /// text, and as those of [`Tree::list`].
    pub fn names(&self, number: u64, anew: bool) -> Result<Arc<Vec<Name>>> {
        let closed = || Error::new(Errno::EBADF, "the folder is not open");
        let (node, caller, known) = {
            let folders = self.folders.lock();
            let folder = folders.get(&number).ok_or_else(closed)?;
            let known = folder.names.as_ref().map(|(names, _)| Arc::clone(names));
            (folder.node, folder.caller.clone(), known)
        };
        if let Some(known) = known.filter(|_| !anew) {
            return Ok(known);
        }
        let names = Arc::new(self.list(node)?);
        let size = names
            .iter()
            .map(|name| size_of::<Name>() + name.name.len())
            .sum();
        let share = self.share(&caller, Resource::Bytes, size)?;
        if let Some(folder) = self.folders.lock().get_mut(&number) {
            folder.names = Some((Arc::clone(&names), share));
        }
        Ok(names)
    }

    /// Forget an open folder.
    pub fn close_folder(&self, number: u64) {
        let closed = self.folders.lock().remove(&number);
        drop(closed);
    }
}
