//! The tree of files: what there is, what each shows, what a line written to
//! it does. It knows no FUSE; `fuse.rs` hands its requests through.

pub mod attr;
mod folder;
mod follow;
pub mod handle;
pub mod help;
pub mod info;
pub mod limits;
pub mod lines;
mod listing;
pub mod locks;
pub mod metrics;
pub mod mirror;
pub mod node;
pub mod open;
pub mod root;
pub mod row;
pub mod rows;
pub mod stat;
mod texts;
pub mod top;
pub mod usage;
pub mod walk;
pub mod write;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::SystemTime;

use parking_lot::Mutex;

use crate::daemon::Daemon;
use crate::daemon::tasks::deadline::Deadlines;
use crate::daemon::view::View;
use crate::model::ownership::Ownership;

/// The tree over one daemon.
pub struct Tree {
    /// What the files show.
    view: Arc<View>,
    /// Who does what is written into them. Its calls may wait for devices: only `write`
    /// makes them, on a thread of their own.
    daemon: Arc<Daemon>,
    /// Long work.
    pub deadlines: Arc<Deadlines>,
    /// Locks of its files.
    pub locks: locks::Locks,
    looks: Mutex<HashMap<u64, Ownership>>,
    handles: Mutex<HashMap<u64, Arc<handle::Handle>>>,
    folders: Mutex<HashMap<u64, folder::Folder>>,
    limits: Arc<limits::Limits>,
    texts: texts::Texts,
    last_handle: AtomicU64,
    lookups: AtomicU64,
    born: SystemTime,
    owner: (u32, u32),
}

impl Tree {
    /// A tree whose files belong to `owner`, a user and a group.
    pub fn new(daemon: Arc<Daemon>, owner: (u32, u32)) -> Self {
        Tree {
            view: Arc::clone(&daemon.view),
            deadlines: Arc::clone(&daemon.deadlines),
            daemon,
            locks: locks::Locks::default(),
            looks: Mutex::default(),
            handles: Mutex::default(),
            folders: Mutex::default(),
            limits: Arc::default(),
            texts: texts::Texts::default(),
            last_handle: AtomicU64::new(0),
            lookups: AtomicU64::new(0),
            born: SystemTime::now(),
            owner,
        }
    }
}
