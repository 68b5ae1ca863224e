//! The list of devices, each with the life that its table was in before. It is the same list
//! for as long as the kernel's answer and all lives are.

use std::fs::File;
use std::sync::Arc;

use parking_lot::Mutex;

use super::failure::refusal;
use super::lives::Lives;
use super::{answers, ids};
use crate::engine::Listed;
use crate::error::Result;

/// The last list.
#[derive(Default)]
pub(super) struct Listing(Mutex<Option<Last>>);

struct Last {
    /// All lives together, when it was made; none where nothing tells.
    lives: Option<u64>,
    /// As the kernel answered.
    bytes: Vec<u8>,
    listed: Arc<[Listed]>,
}

impl Listing {
    /// As [`PromptEngine::list`].
    ///
    /// # Errors
    /// What DM_LIST_DEVICES answers.
    ///
    /// [`PromptEngine::list`]: crate::engine::PromptEngine::list
    pub(super) fn now(&self, control: &File, lives: &Lives) -> Result<Arc<[Listed]>> {
        let each = lives.each().ok();
        let lives = each.as_ref().map(|each| each.all());
        let mut last = self.0.lock();
        let look = |bytes: &[u8]| {
            let known = last
                .as_ref()
                .filter(|last| lives.is_some() && last.lives == lives && last.bytes == bytes);
            if let Some(last) = known {
                return Arc::clone(&last.listed);
            }
            let mut listed = Vec::new();
            answers::each_name(bytes, |(name, dev, event_nr)| {
                // One with an odd name cannot be addressed either.
                let name = std::str::from_utf8(name).ok();
                let name = name.filter(|name| ids::is_name(name));
                listed.extend(name.map(|name| Listed {
                    name: name.into(),
                    dev,
                    event_nr,
                    life: each.as_ref().map(|each| each.of(dev)),
                }));
            });
            let listed: Arc<[Listed]> = listed.into();
            *last = Some(Last {
                lives,
                bytes: bytes.to_vec(),
                listed: Arc::clone(&listed),
            });
            listed
        };
        answers::list(control, look).map_err(|errno| refusal("listing the devices", errno))
    }
}
