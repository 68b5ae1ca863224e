//! A line written to `new`, in any of its forms.

use super::device::DeviceRef;
use super::name;
use super::place::Place;
use super::request::{Request, named, printable, take_force};
use super::short::Short;
use crate::error::Result;

/// What somebody asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wish {
    /// A mirror with this table; whether what its log holds may be written over, and
    /// larger blocks be taken.
    Table(Request, bool),
    /// A mirror of these devices, under this name if one was given.
    Short(Option<String>, Short),
}

impl Wish {
    /// Read one line, without or with its newline.
    ///
    /// # Errors
    /// EINVAL names the word that is wrong.
    pub fn parse(line: &str) -> Result<Wish> {
        let text = printable(line)?;
        let (name, rest) = named(text);
        if !Short::is_one(rest) {
            let (line, force) = take_force(text);
            return Request::parse(line).map(|request| Wish::Table(request, force));
        }
        if let Some(name) = name {
            name::check(name)?;
        }
        let short = Short::parse(rest)?;
        Ok(Wish::Short(name.map(str::to_owned), short))
    }

    /// Every device that is named.
    pub fn devices(&mut self) -> Vec<&mut DeviceRef> {
        match self {
            Wish::Table(request, _) => request.table.devices().collect(),
            Wish::Short(_, short) => short.devices().collect(),
        }
    }

    /// The places that are named with an `@`, or could be.
    pub fn places(&mut self) -> Vec<&mut Place> {
        match self {
            Wish::Table(..) => Vec::new(),
            Wish::Short(_, short) => short.places().collect(),
        }
    }

    /// The name that was asked for.
    pub fn name(&self) -> Option<&str> {
        match self {
            Wish::Table(request, _) => request.name.as_deref(),
            Wish::Short(name, _) => name.as_deref(),
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
            let wish = Wish::parse(line).expect(line);
            assert_eq!(matches!(wish, Wish::Short(..)), short, "{line}");
            assert_eq!(wish.name(), line.starts_with('m').then_some("m"));
        }
        for (line, wanted) in [
            ("m,,,,0 4096 mirror core 1 8 2 8:0 0 8:1 0 force=yes", true),
            ("0 4096 mirror core 1 8 2 8:0 0 8:1 0 force=yes\n", true),
            ("0 4096 mirror core 1 8 2 8:0 0 8:1 0", false),
        ] {
            let Ok(Wish::Table(_, force)) = Wish::parse(line) else {
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
            Wish::parse(line).expect_err(line);
        }
    }
}
