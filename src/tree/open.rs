//! Opening and reading.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::handle::Handle;
use super::limits::{Refused, Resource, Share};
use super::node::Node;
use super::row::{Order, Row, Show};
use super::rows::{AnyRow, row_of};
use super::stat::Attr;
use super::top::Top;
use super::{Tree, help, info};
use crate::daemon::admission::permission::Caller;
use crate::daemon::events::waiters;
use crate::daemon::mirrors::query::Detail;
use crate::error::{Errno, Error, Result};
use crate::model::id::MirrorId;
use crate::model::shared::Piece;
use crate::model::snapshot::{Leg, Snapshot};

/// How a file is read.
enum Shown {
    Text,
    Events,
    Follow(MirrorId),
}

impl Tree {
    /// Open a file; the number stands for it until it is closed.
    ///
    /// # Errors
    /// EACCES for writing to what cannot be written, which root's rights would
    /// otherwise let pass; EISDIR, ENOENT, ENODEV for what is no file; EMFILE where
    /// the caller has too many.
    pub fn open(&self, node: Node, caller: Caller, writing: bool) -> Result<u64> {
        if let Some(mirror_id) = node.mirror_id() {
            self.view.registry.check(mirror_id)?;
        }
        if writing {
            self.writable(node)?;
        }
        let share = self.share(&caller, Resource::Handles, 1)?;
        let handle = Arc::new(Handle::new(self.attr(node)?, caller, share));
        let number = self.next_handle();
        let mut handles = self.handles.lock();
        handles.insert(number, handle);
        Ok(number)
    }

    pub(super) fn next_handle(&self) -> u64 {
        self.last_handle.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// So much of what a caller may have.
    ///
    /// # Errors
    /// EMFILE where he has it already; `events` says so once.
    pub fn share(&self, caller: &Caller, of: Resource, amount: usize) -> Result<Share> {
        let taken = self.limits.take(caller, of, amount);
        taken.map_err(|Refused { error, first }| {
            if first {
                let _ = self.view.report("-", Err::<(), _>(error.clone()));
            }
            error
        })
    }

    /// What a command of an open file takes of what may be under way; `size` bytes are
    /// kept for it.
    ///
    /// # Errors
    /// As those of [`Tree::share`]; who has the file open can read why.
    pub fn begin(&self, number: u64, size: usize) -> Result<[Share; 2]> {
        let handle = self.handle(number)?;
        let share = |of, amount| self.share(&handle.caller, of, amount);
        let begun =
            share(Resource::Commands, 1).and_then(|one| Ok([one, share(Resource::Bytes, size)?]));
        begun.inspect_err(|error| {
            // Not where the answer of what runs is still to come.
            handle.answer_if_idle(error.sentence());
        })
    }

    /// What a place was that somebody has open.
    pub(super) fn open_attr(&self, node: Node) -> Option<Attr> {
        let handles = self.handles.lock();
        let mut attrs = handles.values().map(|handle| handle.attr);
        attrs.find(|attr| attr.node == node)
    }

    /// What a line written to a file does.
    ///
    /// # Errors
    /// EACCES for what cannot be written, EISDIR, ENOENT for what is no file.
    pub fn writable(&self, node: Node) -> Result<Order> {
        let order = self.order(node)?;
        order.ok_or_else(|| Error::new(Errno::EACCES, "the file is read-only"))
    }

    /// Forget an open file.
    pub fn close(&self, number: u64) {
        let mut handles = self.handles.lock();
        let closed = handles.remove(&number);
        drop(handles);
        drop(closed);
        self.view.events.waiters.leave(number);
    }

    /// An open file.
    ///
    /// # Errors
    /// EBADF for a number that was never given.
    pub fn handle(&self, number: u64) -> Result<Arc<Handle>> {
        let handles = self.handles.lock();
        let handle = handles.get(&number).cloned();
        handle.ok_or_else(|| Error::new(Errno::EBADF, "the file is not open"))
    }

    /// Up to `size` bytes of an open file.
    ///
    /// # Errors
    /// ENODEV where its mirror is gone.
    pub fn read(&self, number: u64, offset: u64, size: usize) -> Result<Vec<u8>> {
        let handle = self.handle(number)?;
        let node = handle.attr.node;
        match self.show(node) {
            Shown::Events => return Ok(handle.read_events(&self.view.events, offset, size)),
            Shown::Follow(mirror_id) => {
                return Ok(handle.follow(size, || self.mirror(mirror_id, Detail::Kernel)));
            }
            Shown::Text => {}
        }
        if handle.is_stale(offset) {
            let (text, caller) = (self.text(node)?, &handle.caller);
            let share = |bytes| self.share(caller, Resource::Bytes, bytes);
            handle.show(self.texts.keep((node.ino(), caller.uid()), text, share)?);
        }
        Ok(handle.read(offset, size))
    }

    /// Where a symbolic link leads.
    ///
    /// # Errors
    /// EINVAL for what is none, ENODEV where its mirror is gone.
    pub fn link(&self, node: Node) -> Result<String> {
        match row_of(node)? {
            Some(AnyRow::Mirror(
                mirror_id,
                Row {
                    show: Show::Link(show),
                    ..
                },
            )) => Ok(show(&self.view.snapshot(mirror_id, Detail::Kernel)?)),
            _ => Err(Error::invalid("not a symbolic link")),
        }
    }

    fn order(&self, node: Node) -> Result<Option<Order>> {
        let row = row_of(node)?.ok_or_else(is_folder)?;
        Ok(row.nature().order)
    }

    /// How long a read of an open file has to wait for what it is to answer.
    pub fn pause(&self, number: u64) -> Duration {
        let handle = self.handle(number);
        handle.map_or(Duration::ZERO, |handle| handle.pause())
    }

    /// Whether an open file is another than when it was last read; call `tell`
    /// once, where there is one, when it may have become one.
    ///
    /// # Errors
    /// ENODEV where its mirror is gone, EMFILE where too many wait already.
    pub fn poll(&self, number: u64, tell: Option<impl FnOnce() + Send + 'static>) -> Result<bool> {
        let handle = self.handle(number)?;
        let node = handle.attr.node;
        // First, or a change between the two would be told to nobody.
        if let Some(tell) = tell {
            let changes = &self.view.events.waiters;
            changes.forget(number);
            let share = self.share(&handle.caller, Resource::Pollers, 1)?;
            let tell = move || {
                drop(share);
                tell();
            };
            changes.wait(number, &self.subject(node), Box::new(tell));
        }
        match self.show(node) {
            Shown::Events => Ok(handle.has_events(&self.view.events)),
            Shown::Follow(_) => Ok(handle.pause().is_zero()),
            Shown::Text => self.text(node).map(|text| handle.differs(&text)),
        }
    }

    /// Under which name whoever waits for a file is told of its changes.
    fn subject(&self, node: Node) -> String {
        let name = |mirror_id| self.view.registry.name_of(mirror_id);
        node.mirror_id().map_or_else(|| waiters::ALL.into(), name)
    }

    fn show(&self, node: Node) -> Shown {
        match row_of(node) {
            Ok(Some(AnyRow::Top(row))) if matches!(row.show, Show::Events) => Shown::Events,
            Ok(Some(AnyRow::Mirror(id, row))) if matches!(row.show, Show::Follow) => {
                Shown::Follow(id)
            }
            _ => Shown::Text,
        }
    }

    /// The file as it is now.
    fn text(&self, node: Node) -> Result<String> {
        match row_of(node)?.ok_or_else(is_folder)? {
            AnyRow::Top(row) => text(row, |need| Ok(self.top(need)), info::all),
            AnyRow::Mirror(id, row) => match (&row.show, node) {
                (Show::Text(Detail::Table | Detail::Kernel, show), Node::File(_, number)) => {
                    let seen = self.view.shared(id)?;
                    let made = seen.line(Piece::File(number), show);
                    Ok(made.part(0).into())
                }
                _ => text(row, |need| self.mirror(id, need), info::of),
            },
            AnyRow::Leg(id, leg, row) => {
                text(row, |need| self.leg_of(id, leg, need), |_| "".into())
            }
        }
    }

    fn leg_of(&self, id: MirrorId, leg: usize, need: Detail) -> Result<Leg> {
        let mut snapshot = self.mirror(id, need)?;
        if leg < snapshot.legs.len() {
            Ok(snapshot.legs.swap_remove(leg))
        } else {
            Err(Error::new(Errno::ENODEV, "the leg is gone"))
        }
    }

    fn mirror(&self, mirror_id: MirrorId, need: Detail) -> Result<Snapshot> {
        self.view.resume_sampling(mirror_id);
        self.view.snapshot(mirror_id, need)
    }

    fn top(&self, need: Detail) -> Top {
        let common = match need {
            Detail::Engine | Detail::All => self.common(),
            Detail::Table
            | Detail::Kernel
            | Detail::Logs
            | Detail::Devices
            | Detail::Users
            | Detail::Whole => Top::default(),
        };
        if need == Detail::Engine {
            return common;
        }
        Top {
            mirrors: self.view.snapshots(need).unwrap_or_default(),
            ..common
        }
    }

    /// What is known without a look at the mirrors.
    fn common(&self) -> Top {
        let engine = self.view.engine.as_ref();
        let versions = engine.versions().ok();
        Top {
            engine: versions.map(|versions| (engine.kind(), versions)),
            throttle: engine.throttle().ok(),
            counts: self.view.events.counts(),
            ..Top::default()
        }
    }
}

fn is_folder() -> Error {
    Error::new(Errno::EISDIR, "it is a directory")
}

/// What a row shows of its subject; `info` is all of it as JSON.
fn text<S>(
    row: &Row<S>,
    subject: impl FnOnce(Detail) -> Result<S>,
    info: fn(&S) -> String,
) -> Result<String> {
    match &row.show {
        Show::Text(need, show) => Ok(show(&subject(*need)?)),
        Show::Info(need) => Ok(info(&subject(*need)?)),
        Show::Fixed(show) => Ok(show()),
        Show::Help => Ok(help::text().into()),
        Show::Link(_) | Show::Events | Show::Follow => {
            Err(Error::invalid("the file has no content"))
        }
    }
}
