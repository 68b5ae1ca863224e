//! A line written to `new`, in any of its forms.

use super::device::DeviceRef;
use super::name;
use super::place::Place;
use super::request::{Request, named, printable, take_force};
use super::simple_request::SimpleRequest;
use crate::error::Result;

/// What somebody asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NewRequest {
    /// A mirror with this table; whether what its log holds may be written over, and
    /// larger blocks be taken.
    Table(Request, bool),
    /// A mirror of these devices, under this name if one was given.
    SimpleRequest(Option<String>, SimpleRequest),
}

impl NewRequest {
    /// Read one line, without or with its newline.
    ///
    /// # Errors
    /// EINVAL names the word that is wrong.
    pub fn parse(line: &str) -> Result<NewRequest> {
        let text = printable(line)?;
        let (name, rest) = named(text);
        if !SimpleRequest::is_one(rest) {
            let (line, force) = take_force(text);
            return Request::parse(line).map(|request| NewRequest::Table(request, force));
        }
        if let Some(name) = name {
            name::check(name)?;
        }
        let short = SimpleRequest::parse(rest)?;
        Ok(NewRequest::SimpleRequest(name.map(str::to_owned), short))
    }

    /// Every device that is named.
    pub fn devices(&mut self) -> Vec<&mut DeviceRef> {
        match self {
            NewRequest::Table(request, _) => request.table.devices().collect(),
            NewRequest::SimpleRequest(_, short) => short.devices().collect(),
        }
    }

    /// The places that are named with an `@`, or could be.
    pub fn places(&mut self) -> Vec<&mut Place> {
        match self {
            NewRequest::Table(..) => Vec::new(),
            NewRequest::SimpleRequest(_, short) => short.places().collect(),
        }
    }

    /// The name that was asked for.
    pub fn name(&self) -> Option<&str> {
        match self {
            NewRequest::Table(request, _) => request.name.as_deref(),
            NewRequest::SimpleRequest(name, _) => name.as_deref(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_word_tells_the_forms_apart() {
        for (line, short) in [
            ("0 4096 mirror core 1 8 2 8:0 0 8:1 0", false),
            ("m: 0 4096 mirror core 1 8 2 8:0 0 8:1 0", false),
            ("m,,,,0 4096 mirror core 1 8 2 8:0 0 8:1 0", false),
            ("/dev/sdb /dev/sdc", true),
            ("m: /dev/sdb /dev/sdc\n", true),
            ("8:16 8:32", true),
            ("m: /dev/by,path /dev/sdc", true),
            ("/dev/a,b /dev/sdc", true),
        ] {
            let wish = NewRequest::parse(line).expect(line);
            assert_eq!(
                matches!(wish, NewRequest::SimpleRequest(..)),
                short,
                "{line}"
            );
            assert_eq!(wish.name(), line.starts_with('m').then_some("m"));
        }
        for (line, wanted) in [
            ("m,,,,0 4096 mirror core 1 8 2 8:0 0 8:1 0 force=yes", true),
            ("0 4096 mirror core 1 8 2 8:0 0 8:1 0 force=yes\n", true),
            ("0 4096 mirror core 1 8 2 8:0 0 8:1 0", false),
        ] {
            let Ok(NewRequest::Table(_, force)) = NewRequest::parse(line) else {
                panic!("{line}")
            };
            assert_eq!(force, wanted, "{line}");
        }
        for line in [
            "m: ",
            "sdb /dev/sdc",
            "new: /dev/sdb /dev/sdc",
            "m:/dev/sdb /dev/sdc",
        ] {
            NewRequest::parse(line).expect_err(line);
        }
    }
}
