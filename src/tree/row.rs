//! A file is one row: its name, what it is for, what it shows, what a line
//! written to it does. Names, modes, `help` and the tests all walk the rows.

use crate::daemon::mirrors::query::Detail;
use crate::engine::Kind;

/// What a line written to a file asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Make a mirror.
    Create,
    /// A verb.
    Verb,
    /// Another table.
    Table,
    /// The share of time that copying may take.
    Throttle,
    /// Whether the mirror is brought back.
    Persist,
    /// What is done when a leg or the log fails.
    OnFailure,
    /// How much may be copied in a second.
    Limit,
}

impl Order {
    /// Files that act are for their owner only; settings can be read by all.
    fn is_secret(self) -> bool {
        matches!(self, Order::Create | Order::Verb)
    }
}

/// What a file shows.
pub enum Show<S: 'static> {
    /// Text made of what there is now, as far as it has to be known.
    Text(Detail, fn(&S) -> String),
    /// Text that never changes.
    Fixed(fn() -> String),
    /// The path that a symbolic link leads to.
    Link(fn(&S) -> String),
    /// All that the other files show, as JSON; made from their rows.
    Info(Detail),
    /// What each file is for; made from their rows.
    Help,
    /// The growing list of events.
    Events,
    /// The progress, again and again.
    Follow,
}

/// What a mirror's file becomes in `info.json`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Nothing: it shows no value.
    Absent,
    /// A string, or null where it is empty.
    Word,
    /// A number, or null where it is empty.
    Number,
    /// An array of its lines.
    Lines,
    /// Its first line, as a string.
    First,
}

/// One file of the tree, or of each mirror, or of each leg.
pub struct Row<S: 'static> {
    /// Its path below its folder: `status`, `sync/percent`.
    pub path: &'static str,
    /// A line for the reader of `help`.
    pub doc: &'static str,
    /// What a reader gets.
    pub show: Show<S>,
    /// What writing does, if it can be written.
    pub store: Option<Order>,
    /// The engine that alone has it, if not all do.
    pub only: Option<Kind>,
    /// What it is in `info.json`.
    pub form: Form,
}

impl<S> Row<S> {
    /// A file that can only be read.
    pub const fn read(
        path: &'static str,
        need: Detail,
        show: fn(&S) -> String,
        doc: &'static str,
    ) -> Self {
        Row::new(path, Show::Text(need, show), doc).form(Form::Word)
    }

    /// A file that shows a number.
    pub const fn number(
        path: &'static str,
        need: Detail,
        show: fn(&S) -> String,
        doc: &'static str,
    ) -> Self {
        Row::read(path, need, show, doc).form(Form::Number)
    }

    /// A file that shows any number of lines.
    pub const fn lines(
        path: &'static str,
        need: Detail,
        show: fn(&S) -> String,
        doc: &'static str,
    ) -> Self {
        Row::read(path, need, show, doc).form(Form::Lines)
    }

    /// A file that shows this, and can only be read.
    pub const fn new(path: &'static str, show: Show<S>, doc: &'static str) -> Self {
        Row {
            path,
            doc,
            show,
            store: None,
            only: None,
            form: Form::Absent,
        }
    }

    /// The same, and this in `info.json`.
    pub const fn form(self, form: Form) -> Self {
        Row { form, ..self }
    }

    /// A file of one engine only.
    pub const fn only(self, kind: Kind) -> Self {
        Row {
            only: Some(kind),
            ..self
        }
    }

    /// A setting: what it shows can be written.
    pub const fn write(
        path: &'static str,
        need: Detail,
        show: fn(&S) -> String,
        order: Order,
        doc: &'static str,
    ) -> Self {
        Row {
            store: Some(order),
            ..Row::read(path, need, show, doc)
        }
    }

    /// A file that acts when it is written, and explains itself when it is read.
    pub const fn act(
        path: &'static str,
        help: fn() -> String,
        order: Order,
        doc: &'static str,
    ) -> Self {
        Row {
            store: Some(order),
            ..Row::new(path, Show::Fixed(help), doc)
        }
    }

    /// Its mode, which follows from what can be done with it.
    pub fn mode(&self) -> u16 {
        match (&self.show, self.store) {
            (Show::Link(_), _) => 0o777,
            (_, Some(order)) if order.is_secret() => 0o600,
            (_, Some(_)) => 0o644,
            (_, None) => 0o444,
        }
    }

    /// Whether it is there with an engine of this kind.
    pub fn is_with(&self, kind: Kind) -> bool {
        self.only.is_none_or(|only| only == kind)
    }

    /// The folder and the name of its path; the folder is empty at the top.
    pub fn parts(&self) -> (&'static str, &'static str) {
        self.path.rsplit_once('/').unwrap_or(("", self.path))
    }
}

/// The row of `rows` in `folder` under `name`, with its number.
pub fn find<S>(
    rows: &'static [Row<S>],
    folder: &str,
    name: &str,
) -> Option<(usize, &'static Row<S>)> {
    let mut rows = rows.iter().enumerate();
    rows.find(|(_, row)| row.parts() == (folder, name))
}
