//! A sink that counts what it is given.

use std::sync::mpsc;

use landfall_handler_api::{Error, ErrorKind, Result};
use sha2::{Digest as _, Sha256};

use super::sample::Counted;
use super::scratch::hex;
use crate::cancel::Cancel;

/// Bytes that are kept to compare others with.
const KEPT_MAX: usize = 16 << 20;
const ROOM: usize = 256 * 1024;

/// Counts what it is given, and keeps the beginning.
pub(super) struct Collected {
    pub(super) kept: Vec<u8>,
    pub(super) count: u64,
    pub(super) hasher: Sha256,
    pub(super) room: Vec<u8>,
    /// The most that is given room for at a time.
    pub(super) room_max: usize,
    /// The most that is taken.
    pub(super) most: u64,
    /// Fired by the first bytes.
    pub(super) cancel: Option<Cancel>,
    /// Told of all bytes.
    pub(super) alive: Option<mpsc::Sender<()>>,
}

impl Default for Collected {
    fn default() -> Self {
        Self {
            kept: Vec::new(),
            count: 0,
            hasher: Sha256::new(),
            room: Vec::new(),
            room_max: ROOM,
            most: u64::MAX,
            cancel: None,
            alive: None,
        }
    }
}

impl Collected {
    /// How many bytes there were, and their digest.
    pub(super) fn counted(&self) -> Counted {
        (self.count, hex(&self.hasher.clone().finalize()))
    }
}

impl super::super::backend::ByteSink for Collected {
    fn reserve(&mut self, want: usize) -> Result<&mut [u8]> {
        if self.count >= self.most {
            let message = format!("no more than {} bytes are taken", self.most);
            return Err(Error::new(ErrorKind::Limit, "disk-bytes", message));
        }
        self.room.resize(want.min(self.room_max), 0);
        Ok(&mut self.room)
    }

    fn commit(&mut self, filled: usize) -> Result<()> {
        let bytes = self.room.get(..filled).unwrap_or_default();
        self.hasher.update(bytes);
        self.count = self.count.saturating_add(filled as u64);
        let left = KEPT_MAX.saturating_sub(self.kept.len());
        self.kept.extend(bytes.iter().take(left));
        if let Some(cancel) = self.cancel.take() {
            cancel.cancel();
        }
        if let Some(alive) = &self.alive {
            // Nobody listens once the read was cancelled.
            let _ = alive.send(());
        }
        Ok(())
    }
}
