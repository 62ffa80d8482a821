//! A sink that counts what it is given.

use std::fs::File;
use std::os::unix::fs::FileExt;
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
    /// None where nobody wants to know the digest.
    pub(super) hasher: Option<Sha256>,
    pub(super) room: Vec<u8>,
    /// The most that is given room for at a time.
    pub(super) room_max: usize,
    /// The most that is taken.
    pub(super) most: u64,
    /// Fired by the first bytes.
    pub(super) cancel: Option<Cancel>,
    /// Whether more was refused for that.
    pub(super) refused: bool,
    /// Where all of it is written.
    pub(super) file: Option<File>,
    /// Told of all bytes.
    pub(super) alive: Option<mpsc::Sender<()>>,
}

impl Default for Collected {
    fn default() -> Self {
        Self {
            kept: Vec::new(),
            count: 0,
            hasher: Some(Sha256::new()),
            room: Vec::new(),
            room_max: ROOM,
            most: u64::MAX,
            cancel: None,
            refused: false,
            file: None,
            alive: None,
        }
    }
}

impl Collected {
    /// How many bytes there were, and their digest.
    pub(super) fn counted(&self) -> Counted {
        (self.count, self.hasher.clone().map(|hasher| hex(&hasher.finalize())).unwrap_or_default())
    }
}

impl super::super::backend::ByteSink for Collected {
    fn reserve(&mut self, want: usize) -> Result<&mut [u8]> {
        if let Some(cancel) = &self.cancel {
            cancel.check().inspect_err(|_| self.refused = true)?;
        }
        if self.count >= self.most {
            let message = format!("no more than {} bytes are taken", self.most);
            return Err(Error::new(ErrorKind::Limit, "disk-bytes", message));
        }
        self.room.resize(want.min(self.room_max), 0);
        Ok(&mut self.room)
    }

    fn commit(&mut self, filled: usize) -> Result<()> {
        let bytes = self.room.get(..filled).unwrap_or_default();
        if let Some(hasher) = &mut self.hasher {
            hasher.update(bytes);
        }
        if let Some(file) = &self.file {
            file.write_all_at(bytes, self.count).map_err(|error| Error::os(&error, "use the scratch file"))?;
        }
        self.count = self.count.saturating_add(filled as u64);
        let left = KEPT_MAX.saturating_sub(self.kept.len());
        self.kept.extend(bytes.iter().take(left));
        if let Some(cancel) = &self.cancel {
            cancel.cancel();
        }
        if let Some(alive) = &self.alive {
            // Nobody listens once the read was cancelled.
            let _ = alive.send(());
        }
        Ok(())
    }
}
