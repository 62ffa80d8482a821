//! What fuzz targets call: a decoder with the host's part in memory.

use landfall_handler_api::{Error, ErrorKind, Result};

use crate::config::{XzConfig, ZstdConfig};
use crate::inflate::{self, Bounds, Host, Room, Stored};
use crate::source::Compression;

/// How the host cuts what passes, and how much it takes.
#[derive(Debug, Clone, Copy)]
pub struct Cut {
    /// Stored bytes that are read at a time; at least 1.
    pub chunk: usize,
    /// Inflated bytes that there is room for at a time; at least 1.
    pub room: usize,
    /// Inflated bytes after which the reader wants no more.
    pub wanted: u64,
    /// Inflated bytes that the image may have.
    pub disk_bytes: u64,
    /// Threads of a decoder that can have several.
    pub threads: u32,
}

/// What `stored` inflates to by the handler `id`, as far as it was given, and what came of it.
pub fn inflate(id: &str, stored: &[u8], cut: Cut) -> (Vec<u8>, Result<()>) {
    let compression = match id {
        "gzip" => Compression::Gzip,
        "zstd" => Compression::Zstd(ZstdConfig::default()),
        "xz" => Compression::Xz(XzConfig { threads: cut.threads, ..XzConfig::default() }),
        "bzip2" => Compression::Bzip2,
        _ => return (Vec::new(), Err(Error::new(ErrorKind::Invalid, "no-filter", "there is no such filter"))),
    };
    let mut rooms = Rooms { bytes: Vec::new(), room: vec![0; cut.room.max(1)] };
    let outcome = compression.decoder().and_then(|mut decoder| {
        let bounds = Bounds { wanted: cut.wanted, disk_bytes: cut.disk_bytes };
        let mut chunk = vec![0; cut.chunk.max(1)];
        inflate::inflate(&mut *decoder, &mut Memory(stored), &mut chunk, &mut rooms, &Quiet, bounds)
    });
    (rooms.bytes, outcome)
}

struct Memory<'a>(&'a [u8]);

impl Stored for Memory<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        let (now, later) = self.0.split_at(buffer.len().min(self.0.len()));
        if let Some(room) = buffer.get_mut(..now.len()) {
            room.copy_from_slice(now);
        }
        self.0 = later;
        Ok(now.len())
    }
}

struct Rooms {
    bytes: Vec<u8>,
    room: Vec<u8>,
}

impl Room for Rooms {
    fn reserve(&mut self, want: usize) -> Result<&mut [u8]> {
        let most = want.min(self.room.len());
        Ok(self.room.get_mut(..most).unwrap_or_default())
    }

    fn commit(&mut self, filled: usize) -> Result<()> {
        self.bytes.extend_from_slice(self.room.get(..filled).unwrap_or_default());
        Ok(())
    }
}

struct Quiet;

impl Host for Quiet {
    fn check(&self) -> Result<()> {
        Ok(())
    }

    fn alive(&self, _: u64) {}
}
