//! A line of `new`: who may ask, and which way of making it asks for.

use super::make::{Maker, Wanted};
use crate::daemon::admission::permission::Caller;
use crate::error::Result;
use crate::text::new_request::NewRequest;

impl Maker {
    /// Do what a line of `new` asks for, and answer the new mirror's name.
    ///
    /// # Errors
    /// Those of the interface; nothing of a refused request is left behind.
    pub fn create(&self, caller: &Caller, line: &str) -> Result<String> {
        let wish = NewRequest::parse(line);
        let name = wish
            .as_ref()
            .ok()
            .and_then(NewRequest::name)
            .map(str::to_owned);
        let result = wish.and_then(|mut wish| {
            self.below.admission.check_wish(caller, &mut wish)?;
            self.make_any(wish)
        });
        self.below.bell.ring();
        self.below
            .events
            .report(name.as_deref().unwrap_or("-"), result)
    }

    fn make_any(&self, wish: NewRequest) -> Result<String> {
        match wish {
            NewRequest::Table(request, force) => {
                let wanted = Wanted {
                    short: None,
                    mapped: None,
                    force,
                };
                self.make(&request, &wanted)
            }
            NewRequest::SimpleRequest(name, short) if short.live => {
                self.slide_under(name.as_deref(), &short)
            }
            NewRequest::SimpleRequest(name, short) => self.make_short(name, &short),
        }
    }
}
