//! A test as a line in a table: its name, what it does, and on which engines.

use mirrorfs::engine::Kind;

use super::Lab;

/// Why a machine cannot run a test, if so.
pub type Need = fn() -> Option<&'static str>;

/// What most tests end far before.
const SECONDS: u64 = 300;

/// One test; its body panics where something is wrong.
pub struct Case {
    /// Its name within its file.
    pub name: &'static str,
    /// What it does.
    pub body: fn(&Lab),
    /// How long it may take, in seconds, on a machine that has other work.
    pub seconds: u64,
    only: Option<(Kind, &'static str)>,
    need: Option<Need>,
}

/// A test of the mount, whichever engine is below it.
pub const fn both(name: &'static str, body: fn(&Lab)) -> Case {
    Case {
        name,
        body,
        seconds: SECONDS,
        only: None,
        need: None,
    }
}

/// A test of what only the kernel's engine has, and why.
pub const fn kernel_only(name: &'static str, why: &'static str, body: fn(&Lab)) -> Case {
    Case {
        only: Some((Kind::Kernel, why)),
        ..both(name, body)
    }
}

/// A test of what only the embedded engine has, and why.
pub const fn embedded_only(name: &'static str, why: &'static str, body: fn(&Lab)) -> Case {
    Case {
        only: Some((Kind::Embedded, why)),
        ..both(name, body)
    }
}

impl Case {
    /// The same, with more time.
    pub const fn within(self, seconds: u64) -> Case {
        Case { seconds, ..self }
    }

    /// The same, skipped where the machine lacks something.
    pub const fn needing(self, need: Need) -> Case {
        Case {
            need: Some(need),
            ..self
        }
    }

    /// Whether it is meant for this engine.
    pub fn runs_on(&self, engine: Kind) -> bool {
        self.only.is_none_or(|(only, _)| only == engine)
    }

    /// Why it is for one engine, if it is.
    pub fn only(&self) -> Option<&'static str> {
        self.only.map(|(_, why)| why)
    }

    /// Why this machine cannot run it, if so.
    pub fn lacks(&self) -> Option<&'static str> {
        self.need.and_then(|need| need())
    }
}
