//! Who listens to the kernel.
//!
//! Owns: the thread that waits for device-mapper's events, what is told of a change, and
//! what is done by itself when something fails. Nobody in the daemon calls it, but for
//! its bell. Its own thread waits for nothing but events: what may wait for a device is
//! behind an [`Apart`].

mod acts;
mod failover;
mod observe;
mod remedy;
pub mod watching;

use std::sync::Arc;

use self::acts::Acts;
use self::failover::Failover;
use self::observe::Observer;
use self::watching::Watch;
use super::checks::state::Checks;
use super::switch::act::Switcher;
use super::tasks::hands::Apart;

/// A watch that acts by `switcher` where something fails, and has `checks` go on with what
/// has come back.
pub fn watch(switcher: &Arc<Switcher>, checks: &Arc<Checks>) -> Watch {
    let acts = Apart::new(&switcher.journal.hands, Acts::new(switcher, checks));
    let (registry, mirrors) = (&switcher.registry, &switcher.mirrors);
    Watch {
        registry: Arc::clone(registry),
        mirrors: Arc::clone(mirrors),
        events: Arc::clone(&switcher.events),
        bell: Arc::clone(&switcher.bell),
        observer: Observer {
            registry: Arc::clone(registry),
            mirrors: Arc::clone(mirrors),
            events: Arc::clone(&switcher.events),
            acts: acts.clone(),
        },
        failover: Failover {
            registry: Arc::clone(registry),
            mirrors: Arc::clone(mirrors),
            events: Arc::clone(&switcher.events),
            acts: acts.clone(),
        },
        acts,
    }
}
