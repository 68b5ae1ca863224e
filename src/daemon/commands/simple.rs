//! Making a mirror from the short form: sizes are looked up, the log gets a file.

use super::make::{Maker, Wanted};
use super::mapped::mapped;
use super::media::choose;
use crate::daemon::journal::managed_logs::new_uuid;
use crate::error::Result;
use crate::plan::divide::divide;
use crate::plan::pace::first_step;
use crate::plan::simple_request;
use crate::text::device::DeviceRef;
use crate::text::request::Request;
use crate::text::simple_request::{LogAt, SimpleRequest};

impl Maker {
    /// Make a mirror, and answer its name.
    ///
    /// # Errors
    /// As those of [`Maker::create`].
    pub(crate) fn make_short(&self, name: Option<String>, short: &SimpleRequest) -> Result<String> {
        let source = self.below.devices.facts(&short.source.device);
        let source = source.map_err(|error| error.context("the source"))?;
        let uuid = new_uuid()?;
        // What cannot be a table needs no folder for its log.
        let whole = simple_request::table(short, source.size, None, false)?;
        let chosen = choose(&self.below, short, &self.legs(short), whole.length())?;
        let whole = simple_request::table(short, source.size, None, chosen.late)?;
        let mut mapped = mapped(short, whole.length())?;
        if let Some((mapped, limit)) = mapped.as_mut().zip(short.limit) {
            mapped.hold_back(&whole, first_step(limit));
        }
        let making = self.below.journal.managed.making();
        let log = match &short.log {
            LogAt::Auto => Some(DeviceRef::Path(making.place(&uuid, 0)?)),
            LogAt::Core => None,
            LogAt::Device(device) => Some(device.clone()),
        };
        let mut table = simple_request::table(short, source.size, log, chosen.late)?;
        if chosen.segments > 1 {
            table = divide(&table, chosen.segments, &mut |number| match &short.log {
                LogAt::Auto => making.place(&uuid, number).map(DeviceRef::Path).map(Some),
                LogAt::Core | LogAt::Device(_) => Ok(None),
            })?;
        }
        if let Some(mapped) = &mapped {
            let mut number = 0;
            table = mapped.table(&table, &mut || {
                number += 1;
                making.place(&uuid, number - 1).map(DeviceRef::Path)
            })?;
        }
        let request = Request {
            name,
            uuid: Some(uuid),
            minor: None,
            read_only: false,
            table,
        };
        let wanted = Wanted {
            short: Some(short),
            mapped: mapped.as_ref().map(|mapped| (mapped, &whole)),
            force: short.force,
        };
        self.make(&request, &wanted)
    }

    /// The devices of the source and the targets, as tables name them; those that are not
    /// there are refused later, with more words.
    fn legs(&self, short: &SimpleRequest) -> Vec<DeviceRef> {
        let places = std::iter::once(&short.source).chain(&short.targets);
        let facts = places.filter_map(|place| self.below.devices.facts(&place.device).ok());
        facts.map(|facts| facts.device).collect()
    }
}
