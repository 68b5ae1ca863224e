//! Errors, delays and panics on demand, over any engine: what makes every point of
//! failure of a plan testable without breaking a disk. For tests only; it knows
//! nothing of what the calls mean.

use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use super::{Changes, Engine, Id, Info, Kind, Listed, PromptEngine, Slot, Suspend, Versions};
use crate::error::{Errno, Error, Result};
use crate::text::device::{DevNo, DeviceRef};
use crate::text::table::Line;

/// Every call of [`Engine`] that can fail, by its name there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Op {
    /// [`PromptEngine::versions`]
    Versions,
    /// [`PromptEngine::list`]
    List,
    /// [`PromptEngine::info`]
    Info,
    /// [`PromptEngine::status`]
    Status,
    /// [`PromptEngine::table`]
    Table,
    /// [`PromptEngine::deps`]
    Deps,
    /// [`Engine::create`]
    Create,
    /// [`Engine::load`]
    Load,
    /// [`Engine::clear`]
    Clear,
    /// [`Engine::suspend`]
    Suspend,
    /// [`Engine::resume`]
    Resume,
    /// [`Engine::remove`]
    Remove,
    /// [`Engine::rename`]
    Rename,
    /// [`PromptEngine::arm`]
    Arm,
    /// [`PromptEngine::throttle`]
    Throttle,
    /// [`Engine::set_throttle`]
    SetThrottle,
}

/// What is to happen instead of, or before, a call.
#[derive(Debug, Clone, Copy)]
enum Fault {
    Fail(Errno),
    Delay(Duration),
    Panic,
}

/// The faults that are still to come, and the calls that were made.
#[derive(Debug, Default)]
struct Script {
    calls: Vec<Op>,
    /// The call's place among those of its kind, counted from the first ever.
    faults: Vec<(Op, usize, Fault)>,
}

impl Script {
    fn count(&self, op: Op) -> usize {
        self.calls.iter().filter(|&&made| made == op).count()
    }

    /// Note the call and take out the faults that were waiting for it.
    fn enter(&mut self, op: Op) -> Vec<Fault> {
        self.calls.push(op);
        let now = self.count(op);
        let due = |&mut (kind, nth, _): &mut (Op, usize, Fault)| kind == op && nth == now;
        self.faults
            .extract_if(.., due)
            .map(|(_, _, fault)| fault)
            .collect()
    }
}

/// An engine that does as it is told before it does as it is asked.
#[derive(Debug)]
pub struct Inject<E> {
    engine: E,
    script: Mutex<Script>,
}

impl<E> Inject<E> {
    /// `engine`, with nothing injected yet.
    pub fn new(engine: E) -> Self {
        let script = Mutex::default();
        Inject { engine, script }
    }

    /// The engine that the calls go to.
    pub fn engine(&self) -> &E {
        &self.engine
    }

    /// Let the `nth` call of `op` from now on fail with `errno` and do nothing;
    /// 1 is the next one.
    pub fn fail(&self, op: Op, nth: usize, errno: Errno) {
        self.plan(op, nth, Fault::Fail(errno));
    }

    /// Let the `nth` call of `op` from now on take `time` longer; 1 is the next.
    pub fn delay(&self, op: Op, nth: usize, time: Duration) {
        self.plan(op, nth, Fault::Delay(time));
    }

    /// Let the thread of the `nth` call of `op` from now on panic; 1 is the next.
    pub fn panic(&self, op: Op, nth: usize) {
        self.plan(op, nth, Fault::Panic);
    }

    /// The calls made so far, those that were made to fail among them.
    pub fn calls(&self) -> Vec<Op> {
        self.script.lock().calls.clone()
    }

    fn plan(&self, op: Op, nth: usize, fault: Fault) {
        let mut script = self.script.lock();
        let nth = script.count(op).saturating_add(nth);
        script.faults.push((op, nth, fault));
    }

    // A test that panics elsewhere has its own report; the script stays usable.

    fn enter(&self, op: Op) -> Result<()> {
        // The guard is gone before the sleep: other calls must not wait with it.
        let faults = self.script.lock().enter(op);
        let mut answer = Ok(());
        for fault in faults {
            match fault {
                Fault::Delay(time) => std::thread::sleep(time),
                Fault::Fail(errno) => answer = Err(Error::sys(format!("{op:?} (injected)"), errno)),
                Fault::Panic => broken(op),
            }
        }
        answer
    }
}

// The one that is asked for.
#[allow(clippy::panic)]
fn broken(op: Op) -> ! {
    panic!("{op:?} (injected)")
}

macro_rules! through {
    ($($op:ident $call:ident($($arg:ident: $type:ty),*) -> $answer:ty;)*) => {
        $(fn $call(&self $(, $arg: $type)*) -> Result<$answer> {
            self.enter(Op::$op)?;
            self.engine.$call($($arg),*)
        })*
    };
}

impl<E: Engine> PromptEngine for Inject<E> {
    fn kind(&self) -> Kind {
        self.engine.kind()
    }

    fn events(&self) -> Vec<BorrowedFd<'_>> {
        self.engine.events()
    }

    fn messages(&self) -> Option<BorrowedFd<'_>> {
        self.engine.messages()
    }

    fn hear(&self) {
        self.engine.hear();
    }

    // Counted by the process itself: there is no call that could fail.
    fn life(&self, dev: DevNo) -> Result<u64> {
        self.engine.life(dev)
    }

    fn lives(&self) -> Result<u64> {
        self.engine.lives()
    }

    fn changes(&self) -> Result<Changes> {
        self.engine.changes()
    }

    through! {
        Versions versions() -> Versions;
        List list() -> Arc<[Listed]>;
        Info info(id: &Id) -> Info;
        Status status(id: &Id) -> (Info, Vec<Line>);
        Status status_unless(id: &Id, seen: (&Info, &[Line])) -> Option<(Info, Vec<Line>)>;
        Table table(id: &Id, slot: Slot) -> (Info, Vec<Line>);
        Deps deps(id: &Id, slot: Slot) -> Vec<DeviceRef>;
        Arm arm() -> ();
        Throttle throttle() -> u32;
    }
}

impl<E: Engine> Engine for Inject<E> {
    fn close(&self) {
        self.engine.close();
    }

    fn note_late(&self, dev: DevNo) {
        self.engine.note_late(dev);
    }

    through! {
        Create create(name: &str, uuid: &str, minor: Option<u32>) -> Info;
        Load load(id: &Id, table: &[Line], read_only: bool) -> ();
        Clear clear(id: &Id) -> ();
        Suspend suspend(id: &Id, how: Suspend) -> ();
        Resume resume(id: &Id) -> ();
        Remove remove(id: &Id, deferred: bool) -> ();
        Rename rename(id: &Id, name: &str) -> ();
        SetThrottle set_throttle(percent: u32) -> ();
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::os::fd::AsFd;
    use std::time::Instant;

    use super::*;

    /// Answers one number and one list; everything else is ENOSYS.
    struct Plain(File);

    macro_rules! nothing {
        ($($call:ident($($type:ty),*) -> $answer:ty;)*) => {
            $(fn $call(&self $(, _: $type)*) -> Result<$answer> {
                Err(Error::sys(stringify!($call), Errno::ENOSYS))
            })*
        };
    }

    impl PromptEngine for Plain {
        fn kind(&self) -> Kind {
            Kind::Kernel
        }
        fn events(&self) -> Vec<BorrowedFd<'_>> {
            vec![self.0.as_fd()]
        }
        fn throttle(&self) -> Result<u32> {
            Ok(42)
        }
        fn list(&self) -> Result<Arc<[Listed]>> {
            Ok([].into())
        }
        nothing! {
            versions() -> Versions;
            info(&Id) -> Info;
            status(&Id) -> (Info, Vec<Line>);
            table(&Id, Slot) -> (Info, Vec<Line>);
            deps(&Id, Slot) -> Vec<DeviceRef>;
            arm() -> ();
            life(DevNo) -> u64;
            lives() -> u64;
        }
    }

    impl Engine for Plain {
        nothing! {
            create(&str, &str, Option<u32>) -> Info;
            load(&Id, &[Line], bool) -> ();
            clear(&Id) -> ();
            suspend(&Id, Suspend) -> ();
            resume(&Id) -> ();
            remove(&Id, bool) -> ();
            rename(&Id, &str) -> ();
            set_throttle(u32) -> ();
        }
    }

    fn engine() -> Inject<Plain> {
        Inject::new(Plain(File::open("/dev/null").unwrap()))
    }

    #[test]
    fn only_the_nth_call_of_that_kind_fails_and_only_once() {
        let engine = engine();
        engine.throttle().unwrap();
        engine.fail(Op::Throttle, 2, Errno::EIO);
        assert_eq!(engine.throttle(), Ok(42));
        engine.list().unwrap();
        assert_eq!(engine.throttle().unwrap_err().errno(), Errno::EIO);
        assert_eq!(engine.throttle(), Ok(42));
        let all = [
            Op::Throttle,
            Op::Throttle,
            Op::List,
            Op::Throttle,
            Op::Throttle,
        ];
        assert_eq!(engine.calls(), all);
    }

    #[test]
    fn only_the_thread_that_calls_panics() {
        let engine = engine();
        engine.panic(Op::List, 1);
        let called = std::thread::scope(|scope| scope.spawn(|| engine.list()).join());
        assert!(called.is_err());
        assert_eq!(engine.list(), Ok([].into()));
    }

    #[test]
    fn what_is_not_injected_goes_through() {
        let engine = engine();
        assert_eq!(engine.arm().unwrap_err().errno(), Errno::ENOSYS);
        let id = Id::Name("m0".into());
        assert_eq!(engine.info(&id).unwrap_err().errno(), Errno::ENOSYS);
    }

    #[test]
    fn a_delayed_call_answers_late_and_a_failed_one_may_be_late_too() {
        let engine = engine();
        let time = Duration::from_millis(30);
        engine.delay(Op::List, 1, time);
        engine.fail(Op::List, 1, Errno::EBUSY);
        let begin = Instant::now();
        assert_eq!(engine.list().unwrap_err().errno(), Errno::EBUSY);
        assert!(begin.elapsed() >= time);
        assert_eq!(engine.list(), Ok([].into()));
    }
}
