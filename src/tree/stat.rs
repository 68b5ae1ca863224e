//! What is told of a place: its attributes, and its name in a folder.

use std::time::SystemTime;

use super::node::Node;

/// What sort of file a node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NodeType {
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
    pub sort: NodeType,
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

/// A name in a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name {
    /// The place that it leads to.
    pub node: Node,
    /// What sort of file is there.
    pub sort: NodeType,
    /// The name in its folder, as the kernel has it.
    pub name: String,
}
