//! What the inspector looks at of bytes that pass by.

use std::fs::File;

use landfall_handler_api::{Result, Scope};
use landfall_inspect::{HEAD_BYTES, TAIL_BYTES, Window};

use super::written;

/// The first and last of the stored bytes, for the check of their format.
#[derive(Debug, Clone, Default)]
pub(crate) struct StoredWindow {
    /// The first bytes, as many as the inspector looks at.
    pub(crate) head: Vec<u8>,
    /// The last bytes, as many as the inspector looks at.
    pub(crate) tail: Vec<u8>,
    /// How many there are in all.
    pub(crate) size: u64,
}

impl StoredWindow {
    /// The next bytes, in order.
    pub(super) fn take(&mut self, bytes: &[u8]) {
        let room = HEAD_BYTES.saturating_sub(self.head.len());
        self.head.extend_from_slice(bytes.get(..room.min(bytes.len())).unwrap_or_default());
        let last = bytes.get(bytes.len().saturating_sub(TAIL_BYTES)..).unwrap_or_default();
        let spare = self.tail.len().saturating_add(last.len()).saturating_sub(TAIL_BYTES);
        self.tail.drain(..spare.min(self.tail.len()));
        self.tail.extend_from_slice(last);
        self.size = self.size.saturating_add(bytes.len() as u64);
    }

    /// Those of a file.
    pub(super) fn of(file: &File, size: u64) -> Result<Self> {
        let part = |offset: u64, len: u64| -> Result<Vec<u8>> {
            let mut bytes = vec![0; usize::try_from(len).unwrap_or(0)];
            let filled = written::read_full(file, &mut bytes, offset).map_err(|error| error.scoped(Scope::Node))?;
            bytes.truncate(filled);
            Ok(bytes)
        };
        let tail = size.min(TAIL_BYTES as u64);
        let head = part(0, size.min(HEAD_BYTES as u64))?;
        Ok(Self { head, tail: part(size.saturating_sub(tail), tail)?, size })
    }

    /// For the inspector.
    pub(crate) fn window(&self) -> Window<'_> {
        Window { head: &self.head, tail: &self.tail, size: self.size }
    }
}
