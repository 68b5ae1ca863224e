//! The executor: it alone acts. It runs steps in order and, where one fails,
//! brings the device back to how it was.

use super::missing::check_in_sync;
use super::step::Step;
use super::steps::{has_nosync, without_sync_words};
use crate::engine::{Engine, Id, Slot};
use crate::error::{Error, Result};
use crate::text::letter::Letter;
use crate::text::status::MirrorStatus;
use crate::text::table::{Line, Table};

/// What has been done and would have to be undone.
#[derive(Default)]
struct Done {
    created: bool,
    loaded: bool,
    suspended: bool,
}

/// What some steps need that is no call of the engine: whoever runs a plan with them
/// has it. A plan with a step that nobody does is refused.
pub trait Bookkeeper {
    /// For [`Step::CheckHeld`].
    ///
    /// # Errors
    /// Why the loaded table may not hold what it holds.
    fn check_held(&self) -> Result<()> {
        nobody("looks at the devices")
    }

    /// For [`Step::Record`].
    ///
    /// # Errors
    /// Why the table cannot be recorded.
    fn record(&self) -> Result<()> {
        nobody("records the table")
    }

    /// For [`Step::Confirm`].
    ///
    /// # Errors
    /// EAGAIN where the mirror is no longer what was planned for.
    fn confirm(&self) -> Result<()> {
        nobody("looks again")
    }

    /// For [`Step::ExpectInSync`], beside what the kernel says.
    ///
    /// # Errors
    /// EBUSY where somebody else writes to a leg.
    fn check_alone(&self) -> Result<()> {
        nobody("looks who else writes")
    }

    /// For [`Step::ClearLogs`].
    ///
    /// # Errors
    /// What writing the logs answers.
    fn clear_logs(&self) -> Result<()> {
        nobody("clears the logs")
    }

    /// For [`Step::CarryLogs`].
    ///
    /// # Errors
    /// What reading the old logs and writing the new ones answers.
    fn carry_logs(&self) -> Result<()> {
        nobody("carries the logs over")
    }

    /// For [`Step::Meanwhile`].
    ///
    /// # Errors
    /// Its own.
    fn meanwhile(&self) -> Result<()> {
        nobody("does something meanwhile")
    }

    /// Before [`Step::Suspend`]: others' I/O waits from now on.
    fn before_suspend(&self) {}

    /// Whether nobody waits for what follows from a resume.
    fn hurries(&self) -> bool {
        false
    }

    /// Before [`Step::Resume`]: the next moment everybody sees the new table.
    fn before_resume(&self) {}
}

fn nobody<T>(does: &str) -> Result<T> {
    let sentence = format!("a plan without anybody who {does}: please report this");
    Err(Error::invalid(sentence))
}

/// For plans of engine calls alone.
pub struct EngineOnly;

impl Bookkeeper for EngineOnly {}

/// Run `steps` on the device `id`.
///
/// # Errors
/// The failed step's own, with the rollback's beside it where that failed too.
pub fn execute(engine: &dyn Engine, id: &Id, steps: &[Step], books: &dyn Bookkeeper) -> Result<()> {
    let mut done = Done::default();
    for step in steps {
        if let Err(cause) = run(engine, id, step, &mut done, books) {
            return Err(explain(cause, step, undo(engine, id, &done)));
        }
    }
    Ok(())
}

fn run(
    engine: &dyn Engine,
    id: &Id,
    step: &Step,
    done: &mut Done,
    books: &dyn Bookkeeper,
) -> Result<()> {
    match step {
        Step::Create { name, uuid, minor } => {
            engine.create(name, uuid, *minor)?;
            done.created = true;
        }
        Step::Load { table, read_only } => {
            engine.load(id, &table.to_lines(), *read_only)?;
            done.loaded = true;
        }
        Step::Suspend(how) => {
            books.before_suspend();
            engine.suspend(id, *how)?;
            done.suspended = true;
        }
        Step::CheckHeld => books.check_held()?,
        Step::Record => books.record()?,
        Step::Confirm => books.confirm()?,
        Step::ClearLogs => books.clear_logs()?,
        Step::CarryLogs => books.carry_logs()?,
        Step::Meanwhile => books.meanwhile()?,
        Step::ExpectInSync => {
            books.check_alone()?;
            check_in_sync(&engine.status(id)?.1)?;
        }
        Step::Resume => {
            books.before_resume();
            if done.loaded && books.hurries() {
                engine.resume_at_once(id)?;
            } else if done.loaded {
                engine.resume(id)?;
            } else {
                resume_live(engine, id)?;
            }
            (done.loaded, done.suspended) = (false, false);
        }
        Step::Remove { deferred } => engine.remove(id, *deferred)?,
        Step::Rename { name } => engine.rename(id, name)?,
    }
    Ok(())
}

/// The loaded table goes first: a resume would switch to it, and where it cannot be
/// cleared there is none. A resume that failed leaves the device suspended on its old
/// table, and a second one lets I/O go on (measured; drivers/md/dm-ioctl.c,
/// `do_resume`).
fn undo(engine: &dyn Engine, id: &Id, done: &Done) -> Vec<Error> {
    if done.created {
        return engine.remove(id, false).err().into_iter().collect();
    }
    if done.loaded
        && let Err(error) = engine.clear(id)
    {
        return vec![error];
    }
    let resumed = done.suspended.then(|| resume_live(engine, id));
    resumed.and_then(Result::err).into_iter().collect()
}

/// Resume a device with its live table. A sync word of its disk log would be believed
/// once more: where a leg has failed, regions that are held count as equal then, while
/// writes to them go to one leg alone (`disk_resume`, drivers/md/dm-log.c, and the
/// region hash, which keeps them). The log itself knows better, so the table is loaded
/// without the word.
///
/// # Errors
/// What device-mapper answers; it stays suspended then.
pub fn resume_live(engine: &dyn Engine, id: &Id) -> Result<()> {
    let (info, status) = engine.status(id)?;
    if info.suspended && !info.inactive && has_errors(&status) {
        let (_, lines) = engine.table(id, Slot::Live)?;
        let table = Table::from_lines(&lines);
        if has_nosync(&table) {
            let table = without_sync_words(table, false);
            engine.load(id, &table.to_lines(), info.read_only)?;
        }
    }
    engine.resume(id)
}

fn has_errors(status: &[Line]) -> bool {
    let mirrors = status.iter().filter(|line| line.kind == "mirror");
    let letters = mirrors.filter_map(|line| Some(MirrorStatus::parse(&line.params).ok()?.health));
    letters.flatten().any(|letter| letter != Letter::Alive)
}

fn explain(cause: Error, step: &Step, rollback: Vec<Error>) -> Error {
    if rollback.is_empty() {
        return cause;
    }
    let failed: Vec<&str> = rollback.iter().map(Error::sentence).collect();
    let sentence = format!(
        "{cause}; then undoing what came before `{step}` failed too: {}",
        failed.join("; ")
    );
    Error::new(cause.errno(), sentence)
}
