//! The daemon: what runs between the files above and device-mapper below. It
//! knows no FUSE and no file names of the tree.
//!
//! Its rooms, from below; a room uses those above it in this list, never those beneath; a
//! test in `mount-tests` holds it:
//!
//! 1. [`tasks`]: threads, and the time that they may take
//! 2. [`events`]: what happened
//! 3. [`records`]: what is known after a reboot, as files
//! 4. [`mirrors`]: which mirrors there are, and what is remembered of each
//! 5. [`view`]: what can be read, without waiting for a device
//! 6. [`admission`]: what must be true of a device before it becomes writable
//! 7. [`journal`]: records kept true
//! 8. [`switch`]: another table for a mirror in use
//! 9. [`checks`]: whether the legs of a mirror are equal
//! 10. [`commands`]: what somebody asks for
//! 11. [`watch`]: who listens to the kernel

pub mod admission;
pub mod checks;
pub mod commands;
pub mod events;
pub mod journal;
pub mod mirrors;
pub mod records;
pub mod switch;
pub mod tasks;
pub mod view;
pub mod watch;

use std::collections::BTreeMap;
use std::sync::Arc;

use self::admission::admit::Admission;
use self::admission::permission::Caller;
use self::checks::state::Checks;
use self::commands::make::Maker;
use self::commands::remake::Remaker;
use self::commands::restore::{Restorer, Task};
use self::commands::rooms::Rooms;
use self::commands::settings::Preferences;
use self::commands::starting::Starter;
use self::commands::table::Tables;
use self::commands::verbs::Verbs;
use self::events::log::Events;
use self::journal::keep::Journal;
use self::mirrors::query::Mirrors;
use self::mirrors::registry::Registry;
use self::records::store::Records;
use self::switch::act::Switcher;
use self::tasks::deadline::Deadlines;
use self::tasks::hands::Hands;
use self::view::View;
use self::watch::watching::Watch;
use crate::engine::bell::Bell;
use crate::engine::{Devices, Engine, PromptDevices, PromptEngine};
use crate::error::Result;
use crate::model::id::MirrorId;
use crate::model::ownership::Ownership;

/// Everything that a mounted mirrorfs consists of, below the tree: it only wires the
/// rooms, and hands requests to the one whose they are.
pub struct Daemon {
    /// What can be read.
    pub view: Arc<View>,
    /// Long work.
    pub deadlines: Arc<Deadlines>,
    engine: Arc<dyn Engine>,
    journal: Arc<Journal>,
    maker: Arc<Maker>,
    restorer: Arc<Restorer>,
    starter: Arc<Starter>,
    switcher: Arc<Switcher>,
    checks: Arc<Checks>,
    tables: Tables,
    verbs: Verbs,
    preferences: Preferences,
    watch: Arc<Watch>,
}

impl Daemon {
    /// A daemon over `engine` and `devices` that keeps `records`; [`Daemon::start`] sets it
    /// going.
    ///
    /// # Errors
    /// EAGAIN, EMFILE where the system has no room for a thread or a pipe.
    pub fn new(
        engine: Arc<dyn Engine>,
        devices: Arc<dyn Devices>,
        records: Records,
    ) -> Result<Arc<Daemon>> {
        let events = Arc::new(Events::default());
        let waiters = Arc::clone(&events.waiters);
        tasks::thread::spawn("readers", move || waiters.serve())?;
        let registry = Arc::new(Registry::default());
        let bell = Bell::new()?;
        let prompt: (Arc<dyn PromptEngine>, Arc<dyn PromptDevices>) =
            (engine.clone(), devices.clone());
        let mirrors = Arc::new(Mirrors::new(&prompt, &registry));
        let admission = Arc::new(Admission::new(&engine, &devices));
        let hands = Arc::new(Hands::new()?);
        let below = (&engine, &devices);
        let journal = Arc::new(Journal::new(&mirrors, below, &events, &hands, records));
        let switcher = Arc::new(Switcher::new(&journal, &admission, &bell));
        let checks = Arc::new(Checks::new(&switcher));
        let watch = Arc::new(watch::watch(&switcher, &checks));
        let view = Arc::new(View::new(&mirrors, &events, &bell));
        let below = Rooms {
            engine: Arc::clone(&engine),
            devices: Arc::clone(&devices),
            registry: Arc::clone(&registry),
            mirrors: Arc::clone(&mirrors),
            admission,
            journal: Arc::clone(&journal),
            switcher: Arc::clone(&switcher),
            checks: Arc::clone(&checks),
            events: Arc::clone(&events),
            bell,
        };
        let maker = Arc::new(Maker::new(&below));
        let remaker = Arc::new(Remaker::new(&maker));
        let restorer = Arc::new(Restorer::new(&below));
        let starter = Arc::new(Starter::new(&below, &remaker, &restorer));
        Ok(Arc::new(Daemon {
            tables: Tables::new(&below),
            verbs: Verbs::new(&below, &remaker, &starter),
            restorer,
            preferences: Preferences::new(&below),
            deadlines: Deadlines::open()?,
            engine,
            view,
            journal,
            maker,
            starter,
            switcher,
            checks,
            watch,
        }))
    }

    /// Enter what runs already, then watch.
    ///
    /// # Errors
    /// As those of [`Watch::start`].
    pub fn start(&self) -> Result<()> {
        self.watch.start()
    }

    /// As [`Maker::create`].
    ///
    /// # Errors
    /// Those of the interface; nothing of a refused request is left behind.
    pub fn create(&self, caller: &Caller, line: &str) -> Result<String> {
        self.maker.create(caller, line)
    }

    /// As [`Maker::create_empty`].
    ///
    /// # Errors
    /// EINVAL for a bad name, EEXIST for a taken one.
    pub fn create_empty(&self, name: &str, looks: BTreeMap<String, Ownership>) -> Result<MirrorId> {
        self.maker.create_empty(name, looks)
    }

    /// As [`Verbs::verb`].
    ///
    /// # Errors
    /// Those of the verb.
    pub fn verb(&self, caller: &Caller, mirror_id: MirrorId, line: &str) -> Result<()> {
        self.verbs.verb(caller, mirror_id, line)
    }

    /// As [`Tables::reload`].
    ///
    /// # Errors
    /// As those of `new`; the old table then goes on.
    pub fn reload(&self, caller: &Caller, mirror_id: MirrorId, line: &str) -> Result<()> {
        self.tables.reload(caller, mirror_id, line)
    }

    /// As [`Verbs::rename`].
    ///
    /// # Errors
    /// EINVAL for a bad name, EEXIST for a taken one, EPERM where LVM owns it.
    pub fn rename(&self, mirror_id: MirrorId, to: &str) -> Result<()> {
        self.verbs.rename(mirror_id, to)
    }

    /// As [`Preferences::throttle`].
    ///
    /// # Errors
    /// EINVAL for what is no number from 1 to 100.
    pub fn throttle(&self, line: &str) -> Result<()> {
        self.preferences.throttle(line)
    }

    /// As [`Preferences::set_persist`].
    ///
    /// # Errors
    /// EINVAL for what is neither yes nor no, and where that cannot be.
    pub fn set_persist(&self, mirror_id: MirrorId, line: &str) -> Result<()> {
        self.preferences.set_persist(mirror_id, line)
    }

    /// As [`Preferences::set_on_failure`].
    ///
    /// # Errors
    /// EINVAL for what is neither drop nor hold; EPERM where LVM owns the mirror.
    pub fn set_on_failure(&self, mirror_id: MirrorId, line: &str) -> Result<()> {
        self.preferences.set_on_failure(mirror_id, line)
    }

    /// As [`Preferences::set_limit`].
    ///
    /// # Errors
    /// EINVAL for what is no amount; EPERM where LVM owns the mirror.
    pub fn set_limit(&self, mirror_id: MirrorId, line: &str) -> Result<()> {
        self.preferences.set_limit(mirror_id, line)
    }

    /// Keep owner and mode of a file of a mirror, by its path below the mirror.
    pub fn set_ownership(&self, mirror_id: MirrorId, path: &str, look: Ownership) {
        self.preferences.set_ownership(mirror_id, path, look);
    }

    /// As [`Restorer::restore`].
    ///
    /// # Errors
    /// What the folder of the records answers.
    pub fn restore(&self, restart: bool) -> Result<Vec<Task>> {
        self.restorer.restore(restart)
    }

    /// As [`Starter::start_all`].
    pub fn start_all(&self, tasks: Vec<Task>) {
        self.starter.start_all(tasks);
    }

    /// What only this process runs stops; what is left of the state is tidied.
    pub fn close(&self) {
        self.checks.close();
        if self.engine.survives_daemon() {
            self.switcher.let_all_be_copied();
        }
        self.journal.end();
        self.engine.close();
        self.journal.close();
    }
}
