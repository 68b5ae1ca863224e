//! Making a mirror from the short form: sizes are looked up, the log gets a file.

use super::make::Maker;
use super::make::new_uuid;
use crate::error::Result;
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
        simple_request::table(short, source.size, None)?;
        let making = self.below.journal.managed.making();
        let log = match &short.log {
            LogAt::Auto => Some(DeviceRef::Path(making.place(&uuid, 0)?)),
            LogAt::Core => None,
            LogAt::Device(device) => Some(device.clone()),
        };
        let request = Request {
            name,
            uuid: Some(uuid),
            minor: None,
            read_only: false,
            table: simple_request::table(short, source.size, log)?,
        };
        self.make(&request, Some(short), short.force)
    }
}
