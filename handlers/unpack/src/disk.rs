//! The raw disk that is written.

use landfall_handler_api::{Output, Result};

/// A raw disk of a size that its opener gave: an [`Output`], or memory. What is never written reads as zeros.
pub trait Disk: Send + Sync {
    /// Writes all of `bytes` at `offset`, never beyond the disk's size. From any thread, several at once.
    fn write_at(&self, bytes: &[u8], offset: u64) -> Result<()>;
}

impl Disk for Output {
    fn write_at(&self, bytes: &[u8], offset: u64) -> Result<()> {
        Self::write_at(self, bytes, offset)
    }
}
