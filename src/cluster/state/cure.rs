//! What has to be done with a device so that what is not in sync can be copied.

/// What has to be done with a table's device, by the machine that it is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cure {
    /// Load the same table once more and switch to it: the kernel does not ask about all
    /// that is not in sync, or may write some of it to leg 0 alone, as long as it has this
    /// one. To suspend and resume it is not enough: the writes that it holds back go to leg
    /// 0 then.
    Reload,
    /// Read of it: the kernel was told that there is nothing to copy, and now there is.
    Read,
}
