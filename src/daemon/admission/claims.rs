//! Claims: the devices that requests under way are about to use. The kernel
//! shares a device among mappings, so two requests at once would both find it
//! free.

use std::collections::HashSet;

use parking_lot::Mutex;

use crate::error::{Error, Result};

/// What all requests together are about to use.
#[derive(Debug, Default)]
pub struct Claims {
    bases: Mutex<HashSet<String>>,
}

impl Claims {
    /// The claims of a new request, which has none yet.
    pub fn none(&self) -> Claimed<'_> {
        let bases = HashSet::new();
        Claimed {
            claims: self,
            bases,
        }
    }
}

/// What one request claims, until this is dropped.
#[derive(Debug)]
pub struct Claimed<'a> {
    claims: &'a Claims,
    bases: HashSet<String>,
}

impl Claimed<'_> {
    /// Claim the device or file that an extent lies on.
    ///
    /// # Errors
    /// EBUSY with `what` where another request has it.
    pub fn claim(&mut self, base: &str, what: impl FnOnce() -> String) -> Result<()> {
        if self.bases.contains(base) {
            return Ok(());
        }
        if !self.claims.bases.lock().insert(base.into()) {
            let what = what();
            return Err(Error::busy(format!(
                "{what} is being used by another request"
            )));
        }
        self.bases.insert(base.into());
        Ok(())
    }
}

impl Drop for Claimed<'_> {
    fn drop(&mut self) {
        let mut all = self.claims.bases.lock();
        all.retain(|base| !self.bases.contains(base));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Errno;

    #[test]
    fn one_request_at_a_time_has_a_device() {
        let claims = Claims::default();
        let (mut one, mut other) = (claims.none(), claims.none());
        let claim = |claimed: &mut Claimed<'_>, base| claimed.claim(base, || "leg 0".into());
        assert_eq!(claim(&mut one, "8:0"), Ok(()));
        assert_eq!(claim(&mut one, "8:0"), Ok(()));
        let error = claim(&mut other, "8:0").expect_err("claimed");
        assert_eq!(error.errno(), Errno::EBUSY);
        assert_eq!(claim(&mut other, "8:16"), Ok(()));
        drop(one);
        assert_eq!(claim(&mut other, "8:0"), Ok(()));
    }
}
