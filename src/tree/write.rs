//! Writing: each line is a command, judged by itself.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::Tree;
use super::handle::Handle;
use super::lines::commands;
use super::mirror::ROWS;
use super::node::Node;
use super::row::Order;
use super::rows::path;
use super::stat::Attr;
use crate::daemon::admission::permission::Caller;
use crate::error::{Errno, Error, Result};
use crate::model::id::MirrorId;
use crate::model::ownership::Ownership;

impl Tree {
    /// Do the lines of one write in order. Answers how many bytes were done:
    /// where a later line fails that is less than all, so that the writer's
    /// next write begins with that line and meets its error.
    ///
    /// # Errors
    /// The first line's error.
    pub fn write(&self, number: u64, data: &[u8]) -> Result<usize> {
        let handle = self.handle(number)?;
        let (node, caller) = (handle.attr.node, &handle.caller);
        let order = self.writable(node)?;
        let mut written = 0;
        let mut answers = Vec::new();
        for (end, line) in commands(order == Order::Table, data) {
            match self.one(caller, node, order, line) {
                Ok(answer) => {
                    answers.extend(answer);
                    written = end;
                }
                Err(error) if written == 0 => {
                    answer(&handle, order, error.sentence());
                    return Err(error);
                }
                Err(_) => break,
            }
        }
        if !answers.is_empty() {
            answer(&handle, order, &answers.join("\n"));
        }
        Ok(written)
    }

    /// Say on the handle that its write still runs.
    pub fn write_goes_on(&self, number: u64, error: &Error) {
        if let Ok(handle) = self.handle(number) {
            handle.answer(error.sentence());
        }
    }

    fn one(
        &self,
        caller: &Caller,
        node: Node,
        order: Order,
        line: Result<Cow<'_, str>>,
    ) -> Result<Option<String>> {
        let line = match line {
            Ok(line) => line,
            Err(error) => {
                let name = node
                    .mirror_id()
                    .and_then(|mirror_id| self.view.registry.get(mirror_id).ok());
                let name = name.map_or_else(|| "-".into(), |entry| entry.name);
                return self.view.report(&name, Err(error));
            }
        };
        match (order, node.mirror_id()) {
            (Order::Create, _) => self.daemon.create(caller, &line).map(Some),
            (Order::Throttle, _) => self.daemon.throttle(&line).map(|()| None),
            (Order::Verb, Some(mirror_id)) => self
                .daemon
                .verb(caller, mirror_id, &line)
                .map(|()| Some("done".into())),
            (Order::Table, Some(mirror_id)) => {
                self.daemon.reload(caller, mirror_id, &line).map(|()| None)
            }
            (Order::Persist, Some(mirror_id)) => {
                self.daemon.set_persist(mirror_id, &line).map(|()| None)
            }
            (Order::OnFailure, Some(mirror_id)) => {
                self.daemon.set_on_failure(mirror_id, &line).map(|()| None)
            }
            (Order::Limit, Some(mirror_id)) => {
                self.daemon.set_limit(mirror_id, &line).map(|()| None)
            }
            (
                Order::Verb | Order::Table | Order::Persist | Order::OnFailure | Order::Limit,
                None,
            ) => Err(Error::invalid("the file belongs to no mirror")),
        }
    }

    /// Change owner, group or mode. What is changed of a mirror's file is kept with
    /// the mirror, what is changed at the root until the unmount.
    ///
    /// # Errors
    /// As [`Tree::attr`].
    pub fn set_ownership(&self, node: Node, look: Ownership) -> Result<Attr> {
        self.attr(node)?;
        match node.mirror_id() {
            _ if look.is_plain() => {}
            Some(mirror_id) => self.daemon.set_ownership(mirror_id, &path(node), look),
            None => {
                let mut looks = self.looks.lock();
                let entry = looks.entry(node.ino()).or_default();
                *entry = look.over(*entry);
            }
        }
        self.attr(node)
    }

    /// Make a device without a table. Whoever makes it owns its folder and what can be
    /// written in it, as it is with cgroups(7): in a root that is sticky he alone may
    /// remove it again.
    ///
    /// # Errors
    /// EPERM below the root, and those of [`crate::daemon::Daemon::create_empty`].
    pub fn make_folder(&self, parent: Node, name: &str, maker: (u32, u32)) -> Result<Node> {
        at_root(parent)?;
        let looks = if maker.0 == self.owner.0 {
            BTreeMap::new()
        } else {
            owned_by(maker)
        };
        self.daemon.create_empty(name, looks).map(Node::Mirror)
    }

    /// Remove a mirror.
    ///
    /// # Errors
    /// EPERM for what is no mirror's folder, and those of the verb `remove`.
    pub fn remove_folder(&self, parent: Node, name: &str) -> Result<()> {
        at_root(parent)?;
        let mirror_id = self.mirror_named(parent, name)?;
        self.daemon.verb(&Caller::daemon(), mirror_id, "remove")
    }

    /// Rename a mirror.
    ///
    /// # Errors
    /// EPERM for what is no mirror's folder, and those of
    /// [`crate::daemon::Daemon::rename`].
    pub fn rename(&self, from: (Node, &str), to: (Node, &str)) -> Result<()> {
        at_root(from.0).and(at_root(to.0))?;
        let mirror_id = self.mirror_named(from.0, from.1)?;
        if from.1 == to.1 {
            Ok(())
        } else {
            self.daemon.rename(mirror_id, to.1)
        }
    }

    fn mirror_named(&self, parent: Node, name: &str) -> Result<MirrorId> {
        match self.lookup(parent, name)? {
            Node::Mirror(mirror_id) => Ok(mirror_id),
            _ => Err(not_here()),
        }
    }
}

/// The folder of a mirror and its files that can be written.
fn owned_by((uid, gid): (u32, u32)) -> BTreeMap<String, Ownership> {
    let look = Ownership {
        mode: None,
        uid: Some(uid),
        gid: Some(gid),
    };
    let written = ROWS.iter().filter(|row| row.store.is_some());
    let paths = written.map(|row| row.path).chain([""]);
    paths.map(|path| (path.into(), look)).collect()
}

fn at_root(parent: Node) -> Result<()> {
    match parent {
        Node::Root => Ok(()),
        _ => Err(not_here()),
    }
}

/// The error of what the tree does not let anybody do.
pub fn not_here() -> Error {
    Error::new(Errno::EPERM, "files cannot be created or deleted here")
}

/// `new` and `ctl` answer on the descriptor; other files go on showing what
/// they are.
fn answer(handle: &Arc<Handle>, order: Order, text: &str) {
    if matches!(order, Order::Create | Order::Verb) {
        handle.answer(text);
    }
}
