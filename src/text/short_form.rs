//! The short form of a request as text: read word by word, and printed again.

use std::fmt;

use super::device::is_tagged;
use super::request_keys::{KEYS, is_setting, set};
use super::simple_request::{LogAt, SHORT_FORM, SimpleRequest};
use super::words::{Words, quote, with_spaces};
use crate::error::{Error, Result};

/// The most targets: the kernel takes nine legs (`MAX_NR_MIRRORS`, dm-raid1.c).
const MOST: usize = 8;

impl SimpleRequest {
    /// Whether a line without a name is in this form: it begins with a device.
    pub fn is_one(text: &str) -> bool {
        let first = Words::new(text).peek().unwrap_or_default();
        let number = |word: &str| word.starts_with(|c: char| c.is_ascii_digit());
        first.starts_with('/') || is_tagged(first) || (number(first) && first.contains(':'))
    }

    /// Read a line without its name.
    ///
    /// # Errors
    /// EINVAL names the word that is wrong.
    pub fn parse(text: &str) -> Result<SimpleRequest> {
        let mut words = Words::new(text);
        let mut short = SimpleRequest {
            source: words.next("SOURCE")?.parse()?,
            targets: Vec::new(),
            length: None,
            region: None,
            log: LogAt::default(),
            equal: false,
            hold: false,
            live: false,
            limit: None,
            segments: None,
            map: None,
            force: false,
        };
        while let Some(word) = words.peek().filter(|word| !is_setting(word)) {
            let target = word.parse();
            short
                .targets
                .push(if word.starts_with('/') || is_tagged(word) {
                    target?
                } else {
                    target.map_err(with_spaces)?
                });
            if short.targets.len() > MOST {
                return Err(Error::invalid(format!(
                    "more than {MOST} targets after {}: a mirror has at most {MOST}",
                    quote(&short.source.to_string())
                )));
            }
            words.next("a target")?;
        }
        if short.targets.is_empty() {
            return Err(Error::invalid(format!(
                "no TARGET after {}: write {SHORT_FORM}",
                quote(&short.source.to_string())
            )));
        }
        let mut seen = Vec::new();
        while words.peek().is_some() {
            seen.push(set(&mut short, words.next("a key")?, &seen)?);
        }
        Ok(short)
    }
}

impl fmt::Display for SimpleRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.source.fmt(f)?;
        self.targets
            .iter()
            .try_for_each(|place| write!(f, " {place}"))?;
        let mut shown = KEYS
            .iter()
            .filter_map(|key| Some((key.name, (key.show)(self)?)));
        shown.try_for_each(|(name, value)| write!(f, " {name}={value}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Errno;
    use crate::text::request_keys::help;
    use crate::text::simple_request::LogAt;

    #[test]
    fn each_key_is_read_as_it_is_shown() {
        let line = "/dev/sdb@1M /dev/sdc 8:48@3s length=8M region=64K log=/var/l\\ og sync=no \
                    errors=hold live=yes limit=50M segments=4 map=/m\\ ap force=yes";
        let short = SimpleRequest::parse(line).expect(line);
        assert_eq!(short.targets.len(), 2);
        assert_eq!((short.length, short.region), (Some(16384), Some(128)));
        assert!(short.equal && short.hold && short.live && short.force);
        assert_eq!(short.limit, Some(50 << 20));
        assert_eq!(
            short.log,
            LogAt::Device("/var/l\\ og".parse().expect("a path"))
        );
        let shown = short.to_string();
        assert_eq!(SimpleRequest::parse(&shown).as_ref(), Ok(&short), "{shown}");
        for key in KEYS {
            assert!(shown.contains(&format!(" {}=", key.name)), "{}", key.name);
            assert!(help().contains(key.doc));
        }
    }

    #[test]
    fn what_is_left_out_is_usual() {
        let short = SimpleRequest::parse("/dev/sdb /dev/sdc").expect("short");
        assert_eq!(short.to_string(), "/dev/sdb /dev/sdc");
        let usual = "/dev/sdb /dev/sdc log=auto sync=yes errors=drop live=no limit=none segments=auto force=no";
        assert_eq!(SimpleRequest::parse(usual), Ok(short));
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (line, named) in [
            ("/dev/sdb", "no TARGET"),
            ("/dev/sdb sdc", "\"sdc\""),
            ("/dev/sdb live=yes", "no TARGET"),
            ("/dev/sdb /dev/sdc /dev/sdd live", "\"live\""),
            ("/dev/sdb /dev/sdc force=yes /dev/sdd", "\"/dev/sdd\""),
            ("/dev/sdb /dev/sdc size=8M", "\"size\""),
            ("/dev/sdb /dev/sdc length=8", "length="),
            ("/dev/sdb /dev/sdc length=8G length=8G", "twice"),
            ("/dev/sdb /dev/sdc region=1.5M", "region="),
            ("/dev/sdb /dev/sdc log=", "log="),
            ("/dev/sdb /dev/sdc log=disk", "\"disk\""),
            ("/dev/sdb /dev/sdc sync=maybe", "\"maybe\""),
            ("/dev/sdb /dev/sdc errors=ignore", "\"ignore\""),
            ("/dev/sdb /dev/sdc live=1", "\"1\""),
            ("/dev/sdb /dev/sdc force=YES", "\"YES\""),
            ("/dev/sdb /dev/sdc limit=fast", "\"fast\""),
            ("/dev/sdb /dev/sdc map=8:0", "a path"),
            ("/my disk /dev/sdc", r"a space in a path is written `\ `"),
            ("/dev/sdb /my disk", r"a space in a path is written `\ `"),
            ("/a /b /b /b /b /b /b /b /b /b", "more than 8 targets"),
        ] {
            let error = SimpleRequest::parse(line).expect_err(line);
            assert_eq!(error.errno(), Errno::EINVAL, "{line}");
            assert!(error.sentence().contains(named), "{line}: {error}");
        }
    }
}
