//! The list of devices, each with the life that its table was in before.

use super::failure::refusal;
use super::{Kernel, answers, ids};
use crate::engine::Listed;
use crate::error::Result;

impl Kernel {
    /// As [`PromptEngine::list`].
    ///
    /// # Errors
    /// What DM_LIST_DEVICES answers.
    ///
    /// [`PromptEngine::list`]: crate::engine::PromptEngine::list
    pub(super) fn listed(&self) -> Result<Vec<Listed>> {
        let lives = self.lives.each().ok();
        let mut listed = Vec::new();
        let enter = |(name, dev, event_nr): answers::Named<'_>| {
            // One with an odd name cannot be addressed either.
            let name = std::str::from_utf8(name).ok();
            listed.extend(name.filter(|name| ids::is_name(name)).map(|name| Listed {
                name: name.into(),
                dev,
                event_nr,
                life: lives.as_ref().map(|lives| lives.of(dev)),
            }));
        };
        answers::list(self.dm.file(), enter)
            .map_err(|errno| refusal("listing the devices", errno))?;
        Ok(listed)
    }
}
