//! Making a mirror from the short form: sizes are looked up, the log gets a file,
//! and what the targets hold already is looked at before it is written over.

use super::Daemon;
use super::create::new_uuid;
use crate::error::{Errno, Error, Result};
use crate::model::policy::OnFailure;
use crate::plan::short;
use crate::text::device::DeviceRef;
use crate::text::place::Place;
use crate::text::request::Request;
use crate::text::short::{LogAt, Short};

impl Daemon {
    /// Make a mirror, and answer its name.
    ///
    /// # Errors
    /// As those of [`Daemon::create`].
    pub(super) fn make_short(&self, name: Option<String>, short: &Short) -> Result<String> {
        let source = self.devices.facts(&short.source.device);
        let source = source.map_err(|error| error.context("the source"))?;
        let uuid = new_uuid()?;
        // What cannot be a table needs no folder for its log.
        short::table(short, source.size, None)?;
        let making = self.own_logs.making();
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
            table: short::table(short, source.size, log)?,
        };
        self.make(&request, Some(short))
    }

    /// Check that no target holds what somebody may still want.
    ///
    /// # Errors
    /// ENOTEMPTY where one does; what reading it answers.
    pub(super) fn check_signatures(&self, short: &Short) -> Result<()> {
        if short.force {
            return Ok(());
        }
        let targets = short.targets.iter();
        targets
            .zip(1..)
            .try_for_each(|(target, number)| self.check_signature(&short.source, target, number))
    }

    fn check_signature(&self, source: &Place, target: &Place, number: usize) -> Result<()> {
        let found = self.devices.signature(&target.device, target.offset);
        let found = found.map_err(|error| error.context(format!("leg {number} {target}")))?;
        let Some(what) = found else {
            return Ok(());
        };
        // One that is too small to be compared is no copy.
        if self.was_target(source, target).unwrap_or(false) {
            return Ok(());
        }
        Err(Error::new(
            Errno::ENOTEMPTY,
            format!(
                "leg {number} {target} holds {what}, which the copy would write over: \
                 name another device, or say force=yes"
            ),
        ))
    }
}

/// What is done when a leg fails.
pub(super) fn policy(short: &Short) -> OnFailure {
    match short.hold {
        true => OnFailure::Hold,
        false => OnFailure::Drop,
    }
}
