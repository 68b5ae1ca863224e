//! Open folders. The list of names is made once, when it is read from its beginning, and
//! where a reader goes on is a place in that list: while mirrors come and go none is
//! passed over or told of twice.

use std::sync::Arc;

use super::limits::Share;
use super::node::Node;
use super::stat::Name;
use crate::daemon::admission::permission::Caller;

/// An open folder.
pub(super) struct Folder {
    pub node: Node,
    pub caller: Caller,
    /// None before it is read.
    pub names: Option<(Arc<Vec<Name>>, Share)>,
    pub _share: Share,
}
