//! The short form of a request: `SOURCE TARGET… [KEY=VALUE…]`. It needs no
//! arithmetic; what it leaves out is chosen from the devices, by others.

use super::device::DeviceRef;
use super::place::Place;

/// The short form, for sentences.
pub const SHORT_FORM: &str = "[NAME: ]SOURCE[@OFFSET] TARGET[@OFFSET]… [KEY=VALUE…]";

/// Where it is logged what is copied.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum LogAt {
    /// In a file below the state directory.
    #[default]
    Auto,
    /// In memory.
    Core,
    /// On this device or in this file.
    Device(DeviceRef),
}

/// A request in the short form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SimpleRequest {
    /// The device or file that is copied, and from which sector on.
    pub source: Place,
    /// What it is copied to.
    pub targets: Vec<Place>,
    /// Sectors to copy; none asks for all that the source has.
    pub length: Option<u64>,
    /// Sectors of a region; none leaves it to be chosen.
    pub region: Option<u64>,
    /// Where clean regions are noted: `log=`.
    pub log: LogAt,
    /// Whether nothing is copied: the legs are equal.
    pub equal: bool,
    /// Whether writes wait when a leg fails, rather than that it is taken out.
    pub hold: bool,
    /// Whether the source is a running device that the mirror is slid under.
    pub live: bool,
    /// Bytes that may be copied in a second: `limit=`.
    pub limit: Option<u64>,
    /// How many parts are copied at once: `segments=`; none leaves it to be chosen.
    pub segments: Option<u32>,
    /// The mapfile of what is copied already: `map=`.
    pub map: Option<DeviceRef>,
    /// Whether what a target holds already may be written over.
    pub force: bool,
}

impl SimpleRequest {
    /// The source and the targets, as they are named.
    pub fn places(&mut self) -> impl Iterator<Item = &mut Place> {
        std::iter::once(&mut self.source).chain(&mut self.targets)
    }

    /// Every device and file that is named: the source, the targets, the log, the map.
    pub fn devices(&mut self) -> impl Iterator<Item = &mut DeviceRef> {
        let log = match &mut self.log {
            LogAt::Device(device) => Some(device),
            LogAt::Auto | LogAt::Core => None,
        };
        let targets = self.targets.iter_mut();
        let places = std::iter::once(&mut self.source).chain(targets);
        let devices = places.map(|place| &mut place.device);
        devices.chain(log).chain(&mut self.map)
    }
}
