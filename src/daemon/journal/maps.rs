//! Maps of mirrors that were cut over although something could not be read: they say
//! which files are hit, and stay until somebody removes them.

use std::path::PathBuf;

use super::keep::Journal;
use crate::daemon::records::durable::{put, sync_parent};
use crate::daemon::records::private::make_folder;
use crate::error::{Error, Result};

/// Their folder in the state directory.
const FOLDER: &str = "maps";

impl Journal {
    /// Keep the map of a mirror; answers where.
    ///
    /// # Errors
    /// What the file system answers.
    pub(crate) fn keep_map(&self, name: &str, uuid: &str, text: &str) -> Result<PathBuf> {
        let folder = self.records.beside(FOLDER);
        let path = folder.join(format!("{name}.{uuid}.map"));
        let kept = make_folder(&folder)
            .and_then(|()| put(&path, text.as_bytes()))
            .and_then(|()| sync_parent(&path));
        let failed = |error| Error::io(format!("keeping {}", path.display()), &error);
        kept.map_err(failed)?;
        Ok(path)
    }
}
