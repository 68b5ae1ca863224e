//! The parameters of a linear target: what a mirror is cut over to.

use std::fmt;

use crate::error::{Error, Result};
use crate::text::device::{DeviceRef, check_end};
use crate::text::log::refused;
use crate::text::words::Words;

/// The parameters of a linear target (drivers/md/dm-linear.c).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Linear {
    /// The device that the sectors are mapped to.
    pub device: DeviceRef,
    /// First sector there.
    pub offset: u64,
}

impl Linear {
    /// Read the parameters of a target of `length` sectors (`linear_ctr`).
    pub(super) fn parse(params: &str, length: u64) -> Result<Linear> {
        let mut words = Words::new(params);
        if words.left() != 2 {
            return Err(refused(
                "Invalid argument count",
                format!("linear has {} words, not DEVICE OFFSET", words.left()),
            ));
        }
        let device = words.next("the device")?;
        let offset = words
            .number("the offset in sectors")
            .map_err(|error| error.context("Invalid device sector"))?;
        check_end("Invalid device sector", offset, length)?;
        let device = device
            .parse()
            .map_err(|error: Error| error.context("Device lookup failed"))?;
        Ok(Linear { device, offset })
    }
}

impl fmt::Display for Linear {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.device, self.offset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn broken_parameters_are_refused_and_named() {
        for (params, named) in [
            ("8:0", "Invalid argument count"),
            ("8:0 0 0", "3 words"),
            ("8:0 x", "Invalid device sector"),
            ("8:0 18014398509481983", "18014398509481983"),
            ("sda 0", "\"sda\""),
        ] {
            let error = Linear::parse(params, 8).unwrap_err();
            assert!(error.sentence().contains(named), "{params}: {error}");
        }
    }

    #[test]
    fn a_real_one_comes_back() {
        let linear = Linear::parse("8:16  2048", 8).unwrap();
        assert_eq!(linear.offset, 2048);
        assert_eq!(linear.to_string(), "8:16 2048");
    }
}
