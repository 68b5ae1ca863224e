//! Mirrors whose log the log server has, on one machine alone.

mod changes;
mod copies;
mod disk;
mod killed;

use crate::lab::case::{Case, kernel_only};
use crate::lab::logd::not_built;

pub const CASES: &[Case] = &[
    served("copied_whole", copies::copied),
    served("written_while_copied", copies::written),
    served("killed_under_writers", killed::under_writers).within(600),
    served("killed_and_forgotten", killed::forgotten),
    served("gone_while_removed", killed::removed),
    served("changed_unheard", killed::unheard),
    served("changed_while_killed", changes::meanwhile),
    served("another_leg", changes::another_leg),
    served("two_devices", changes::two_devices),
    served("dirty_on_the_disk", disk::dirty),
    served("the_disk_remembers", disk::remembers),
    served("the_disk_fails", disk::fails),
];

/// A test of the log server.
const fn served(name: &'static str, body: fn(&crate::lab::Lab)) -> Case {
    let why = "only the kernel has userspace logs";
    kernel_only(name, why, body).needing(not_built)
}
