//! The executor: it alone acts. It runs steps in order and, where one fails,
//! brings the device back to how it was.

use super::build::{is_forged, without_sync_words};
use super::legs::check_whole;
use super::step::Step;
use crate::engine::{Engine, Id, Slot};
use crate::error::{Error, Result};
use crate::text::status::MirrorStatus;
use crate::text::table::{Line, Table};

/// What has been done and would have to be undone.
#[derive(Default)]
struct Done {
    created: bool,
    loaded: bool,
    suspended: bool,
}

/// Run `steps` on the device `id`. The error is the failed step's own, with the
/// rollback's beside it where that failed too.
pub fn execute(engine: &dyn Engine, id: &Id, steps: &[Step]) -> Result<()> {
    execute_noting(engine, id, steps, &|_| Ok(()))
}

/// The same; `note` comes before each step, and where it fails the step does. It does
/// what is no call of the engine.
pub fn execute_noting(
    engine: &dyn Engine,
    id: &Id,
    steps: &[Step],
    note: &dyn Fn(&Step) -> Result<()>,
) -> Result<()> {
    let mut done = Done::default();
    for step in steps {
        if let Err(cause) = note(step).and_then(|()| run(engine, id, step, &mut done)) {
            return Err(explain(cause, step, undo(engine, id, &done)));
        }
    }
    Ok(())
}

fn run(engine: &dyn Engine, id: &Id, step: &Step, done: &mut Done) -> Result<()> {
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
            engine.suspend(id, *how)?;
            done.suspended = true;
        }
        Step::CheckHeld | Step::Record | Step::Confirm | Step::ClearLogs => {}
        Step::ExpectWhole => check_whole(&engine.status(id)?.1)?,
        Step::Resume => {
            if done.loaded {
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
        if is_forged(&table) {
            let table = without_sync_words(table, false);
            engine.load(id, &table.to_lines(), info.read_only)?;
        }
    }
    engine.resume(id)
}

fn has_errors(status: &[Line]) -> bool {
    let mirrors = status.iter().filter(|line| line.kind == "mirror");
    let letters = mirrors.filter_map(|line| Some(MirrorStatus::parse(&line.params).ok()?.health));
    letters.flatten().any(|letter| letter != 'A')
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
