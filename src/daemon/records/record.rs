//! A record: what has to be known to make a mirror again.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::engine::identity::{Identity, LoopId};
use crate::engine::{Info, Kind};
use crate::error::{Error, Result};
use crate::model::settings::{Settings, SettingsEdit};
use crate::text::device::DeviceRef;
use crate::text::name;
use crate::text::table::{Line, Table};
use crate::text::words::quote;

/// The version of the format that is written here.
pub(crate) const VERSION: u32 = 2;

/// The first version, which is read too. It does not say what kind of thing a device is,
/// nor which part of its file a loop device shows.
pub(crate) const FIRST: u32 = 1;

/// What the UUIDs of LVM's devices begin with, which are never recorded.
const LVM: &str = "LVM-";

/// The one field that is not written where there is nothing to say.
const MADE: &str = "made";

/// What is recorded of a mirror. A field that is not known is refused by
/// [`Record::parse`]: serde cannot do that beside a flattened one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    pub(crate) version: u32,
    /// The name of the mirror when it was recorded.
    pub name: String,
    /// The UUID of its device: also the name of the file.
    pub uuid: String,
    /// Which engine it is of; none in a record of before.
    #[serde(default)]
    pub engine: Option<Kind>,
    /// Whether another program removed it: it is not started by itself any more.
    #[serde(default)]
    pub withdrawn: bool,
    /// Whether it can only be read.
    pub read_only: bool,
    /// Whether its I/O is held.
    pub suspended: bool,
    /// Its table, a line for each target; none before it has one.
    pub table: Vec<String>,
    /// The devices and files that the table names.
    pub places: Vec<RecordedDevice>,
    /// What is set for it.
    #[serde(flatten)]
    pub settings: Settings,
    /// The log files that were made for it; none in a record of before, which does
    /// not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub made: Option<Vec<Identity>>,
    /// What was begun with it and has not come to its end.
    pub unfinished: Option<Unfinished>,
}

/// Something that a crash may leave half done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Unfinished {
    /// What was begun.
    pub stage: Stage,
    /// Log files that are made for it or go with it: those that the mirror does not
    /// use afterwards are nobody's.
    pub files: Vec<PathBuf>,
    /// Whether the disk logs of its table are to begin afresh, and may not have: they
    /// would call a leg equal that they have never seen.
    #[serde(default)]
    pub afresh: bool,
    /// What takes the settings back to those of the table that is switched from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undo: Option<Box<SettingsEdit>>,
}

impl Unfinished {
    /// Something of which the logs stay as they are.
    pub fn of(stage: Stage, files: Vec<PathBuf>) -> Unfinished {
        Unfinished {
            stage,
            files,
            afresh: false,
            undo: None,
        }
    }
}

/// What is being done with a mirror.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// It is being made: without a live table it never was.
    Making,
    /// It gets another table.
    Reloading,
    /// It is being removed: without a device it is gone.
    Removing,
}

/// A device or file of the table, and what it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecordedDevice {
    /// How the table names it.
    pub device: String,
    /// What it is, whatever it will be called.
    pub identity: Identity,
    /// Whether it is a file that mirrorfs attached, which goes with its mirror.
    pub ours: bool,
}

impl RecordedDevice {
    /// A loop device that somebody set up was recorded as its file, whatever part of it
    /// that was.
    fn upgrade(&mut self) {
        let is_number = !self.device.starts_with('/');
        if let Identity::File(file) = &self.identity
            && is_number
            && !self.ours
        {
            let (file, window) = (file.clone(), None);
            self.identity = Identity::Loop(LoopId { file, window });
        }
    }
}

impl Record {
    /// A record from its JSON.
    ///
    /// # Errors
    /// EINVAL where it is none, has a field that is not known, or says what
    /// [`Record::check`] refuses.
    pub fn parse(text: &str) -> Result<Record> {
        let wrong = |error: serde_json::Error| Error::invalid(error.to_string());
        let record: Record = serde_json::from_str(text).map_err(wrong)?;
        let written: Map<String, Value> = serde_json::from_str(text).map_err(wrong)?;
        let known = serde_json::to_value(&record).map_err(wrong)?;
        let is_known = |field: &str| known.get(field).is_some() || field == MADE;
        match written.keys().find(|field| !is_known(field)) {
            Some(field) => Err(Error::invalid(format!("unknown field {}", quote(field)))),
            None => record.check().map(|()| record.upgraded()),
        }
    }

    /// The same as this version has it.
    fn upgraded(mut self) -> Record {
        if self.version == FIRST {
            let places = self.places.iter_mut();
            places.for_each(RecordedDevice::upgrade);
            self.version = VERSION;
        }
        self
    }

    /// What there is to record of a device; the rest is for the caller.
    pub fn of(info: &Info, table: &[Line]) -> Record {
        Record {
            read_only: info.read_only,
            suspended: info.suspended,
            table: table.iter().map(ToString::to_string).collect(),
            ..Record::new(&info.name, &info.uuid)
        }
    }

    /// A mirror that is about to be made, with the files that will be made for it.
    pub fn intent(name: &str, uuid: &str, files: Vec<PathBuf>) -> Record {
        Record {
            unfinished: Some(Unfinished::of(Stage::Making, files)),
            ..Record::new(name, uuid)
        }
    }

    fn new(name: &str, uuid: &str) -> Record {
        Record {
            version: VERSION,
            name: name.into(),
            uuid: uuid.into(),
            engine: None,
            withdrawn: false,
            read_only: false,
            suspended: false,
            table: Vec::new(),
            places: Vec::new(),
            settings: Settings::default(),
            made: Some(Vec::new()),
            unfinished: None,
        }
    }

    /// Check what the file system and the tree do not: names that nobody could reach, and
    /// text that would be more than a line.
    ///
    /// # Errors
    /// EINVAL names what is wrong.
    pub fn check(&self) -> Result<()> {
        name::check_any(&self.name)?;
        let uuid = self.uuid.is_empty() || self.uuid.len() > name::MAX_UUID;
        if uuid || self.uuid.starts_with(LVM) {
            let uuid = quote(&self.uuid);
            return Err(Error::invalid(format!("{uuid} is not a mirror's UUID")));
        }
        for place in &self.places {
            place.device.parse::<DeviceRef>()?;
        }
        let places = self.places.iter().map(|place| &place.identity);
        let nodes = places.chain(self.made.iter().flatten()).map(Identity::node);
        let files = self.unfinished.iter().flat_map(|begun| &begun.files);
        let paths = nodes.chain(files).map(|path| path.to_string_lossy());
        let names = [self.uuid.as_str()]
            .into_iter()
            .chain(self.settings.ownership.keys().map(String::as_str));
        let lines = self.table.iter().map(String::as_str);
        let dropped = self.settings.dropped.iter().map(|one| one.node.as_str());
        let texts = names
            .chain(lines)
            .chain(dropped)
            .map(Cow::Borrowed)
            .chain(paths);
        match texts
            .into_iter()
            .find(|text| text.contains(char::is_control))
        {
            Some(text) => Err(Error::invalid(format!(
                "{} contains control characters",
                quote(&text)
            ))),
            None => Ok(()),
        }
    }

    /// Its table, with the names of when it was written.
    ///
    /// # Errors
    /// EINVAL where somebody has changed it into none.
    pub fn table(&self) -> Result<Table> {
        let lines: Vec<&str> = self.table.iter().map(String::as_str).collect();
        Table::parse(&lines)
    }

    /// What a device of its table is.
    pub fn place(&self, device: &DeviceRef) -> Option<&RecordedDevice> {
        let name = device.to_string();
        self.places.iter().find(|place| place.device == name)
    }

    /// Whether it names a file, as one of its places or as one that is made for it.
    pub fn names(&self, file: &Path) -> bool {
        let mut begun = self.unfinished.iter().flat_map(|begun| &begun.files);
        let mut places = self.places.iter();
        begun.any(|other| other == file)
            || places.any(|place| place.identity.node().as_path() == file)
    }
}
