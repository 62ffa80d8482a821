//! The bytes that are unpacked.

use landfall_handler_api::{Input, Result};

/// Stored bytes, as an unpacker reads them: an [`Input`], a member of an archive, or memory.
///
/// Read from one thread at a time, in order. An offset before the end of an earlier read fails with the code
/// `input-forward-only` where the bytes are a stream: the host then spools them and asks the unpacker again. So a
/// reader goes back only where the form leaves it no choice.
pub trait Stored: Send + Sync {
    /// Bytes in all, when that is known.
    fn size(&self) -> Option<u64>;

    /// Reads into `buffer` from `offset`; fewer bytes than asked for only at the end.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<usize>;
}

impl Stored for Input {
    fn size(&self) -> Option<u64> {
        Self::size(self)
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<usize> {
        Self::read_at(self, buffer, offset)
    }
}
