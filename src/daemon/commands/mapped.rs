//! A mirror that goes on where ddrescue was: `map=` of `new`.

use std::fs::OpenOptions;
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use crate::error::{Error, Result};
use crate::plan::mapped::Mapped;
use crate::text::mapfile;
use crate::text::simple_request::{LogAt, SimpleRequest};

/// The largest mapfile, in bytes: one of some hundred thousand spots.
const MOST: u64 = 16 << 20;

/// What the mapfile of a request says of a mirror of so many sectors; none where it names
/// none.
///
/// # Errors
/// EINVAL for what is no mapfile, and for keys that do not go with one; what reading it
/// answers.
pub(super) fn mapped(short: &SimpleRequest, length: u64) -> Result<Option<Mapped>> {
    let Some(file) = &short.map else {
        return Ok(None);
    };
    if short.log != LogAt::Auto || short.equal || short.live {
        return Err(Error::invalid(
            "map= goes with log=auto alone: what is copied stands in the log. Leave log=, sync= and live= out",
        ));
    }
    let path = file.path();
    let path = path.ok_or_else(|| Error::invalid(format!("map={file} is no file")))?;
    let text = read(path)?;
    let blocks = mapfile::parse(&text).map_err(|error| error.context(path.display()))?;
    Ok(Some(Mapped::of(&blocks, length)))
}

fn read(path: &Path) -> Result<String> {
    let failed =
        |error: std::io::Error| Error::io(format!("the mapfile {}", path.display()), &error);
    let mut options = OpenOptions::new();
    let options = options.read(true).custom_flags(libc::O_NONBLOCK);
    let file = options.open(path).map_err(failed)?;
    let stat = file.metadata().map_err(failed)?;
    if !stat.is_file() || stat.len() > MOST {
        let sentence = format!("{} is no mapfile of at most {MOST} bytes", path.display());
        return Err(Error::invalid(sentence));
    }
    let mut bytes = Vec::new();
    file.take(MOST).read_to_end(&mut bytes).map_err(failed)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
