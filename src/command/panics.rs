//! A panic in any thread ends the process: a daemon without its watch is blind, and
//! says `ok` all the same. It may be killed at any instant, and whoever starts it
//! again (the unit does) finds every mirror as it goes on.

use std::any::Any;
use std::panic::{self, PanicHookInfo};
use std::process;
use std::thread;

use super::logging;

/// From now on a panic is logged and ends the process by SIGABRT.
pub fn abort() {
    panic::set_hook(Box::new(|info| {
        log::error!("{}; the daemon exits, start it again", sentence(info));
        logging::finish();
        process::abort()
    }));
}

fn sentence(info: &PanicHookInfo<'_>) -> String {
    let thread = thread::current();
    let name = thread.name().unwrap_or("without a name").to_owned();
    let at = info
        .location()
        .map_or_else(String::new, |at| format!(" at {at}"));
    format!(
        "the thread `{name}` panicked{at}: {}",
        words(info.payload())
    )
}

/// What panic! was given.
fn words(payload: &dyn Any) -> &str {
    let text = payload.downcast_ref::<&str>().copied();
    let owned = || payload.downcast_ref::<String>().map(String::as_str);
    text.or_else(owned).unwrap_or("without a word")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_said_is_told() {
        assert_eq!(words(&"a word"), "a word");
        assert_eq!(words(&String::from("a text")), "a text");
        assert_eq!(words(&7), "without a word");
    }
}
