//! The row of a place.

use super::node::{MIRROR_FOLDERS, Node};
use super::row::{Order, Row, Show};
use super::top::Top;
use super::{mirror, root};
use crate::error::{Errno, Error, Result};
use crate::model::id::MirrorId;
use crate::model::snapshot::{Leg, Snapshot};

/// A row, by what its file is about.
#[derive(Clone, Copy)]
pub enum AnyRow {
    /// Of a file at the top.
    Top(&'static Row<Top>),
    /// Of a mirror's file.
    Mirror(MirrorId, &'static Row<Snapshot>),
    /// Of a leg's file: the mirror, and the leg's number.
    Leg(MirrorId, usize, &'static Row<Leg>),
}

/// What holds of a file whatever it is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Nature {
    /// Permission bits, before anybody changes them.
    pub mode: u16,
    /// What a line written to it asks for.
    pub order: Option<Order>,
    /// Whether it is a symbolic link.
    pub is_link: bool,
    /// Whether it is the list of events.
    pub is_events: bool,
}

/// The row of a place; none of a folder.
///
/// # Errors
/// ENOENT where the number names no row.
pub fn row_of(node: Node) -> Result<Option<AnyRow>> {
    let found = match node {
        Node::RootFile(row) => root::ROWS.get(row).map(AnyRow::Top),
        Node::File(id, row) => mirror::ROWS.get(row).map(|row| AnyRow::Mirror(id, row)),
        Node::LegFile(id, leg, row) => {
            let row = mirror::LEG_ROWS.get(row);
            row.map(|row| AnyRow::Leg(id, leg, row))
        }
        Node::Root | Node::Mirror(_) | Node::Folder(..) | Node::Leg(..) => return Ok(None),
    };
    let missing = || Error::new(Errno::ENOENT, "there is no such file");
    found.map(Some).ok_or_else(missing)
}

/// The path of a mirror's file below its folder, by which a record knows it.
pub fn path(node: Node) -> String {
    match (node, row_of(node).ok().flatten()) {
        (Node::Folder(_, folder), _) => MIRROR_FOLDERS.get(folder).map_or("", |name| name).into(),
        (Node::Leg(_, leg), _) => format!("legs/{leg}"),
        (_, Some(AnyRow::Mirror(_, row))) => row.path.into(),
        (_, Some(AnyRow::Leg(_, leg, row))) => format!("legs/{leg}/{}", row.path),
        _ => String::new(),
    }
}

impl AnyRow {
    /// What holds of its file.
    pub fn nature(&self) -> Nature {
        match self {
            AnyRow::Top(row) => nature(row),
            AnyRow::Mirror(_, row) => nature(row),
            AnyRow::Leg(_, _, row) => nature(row),
        }
    }
}

fn nature<S>(row: &Row<S>) -> Nature {
    Nature {
        mode: row.mode(),
        order: row.store,
        is_link: matches!(row.show, Show::Link(_)),
        is_events: matches!(row.show, Show::Events),
    }
}
