//! Stored bytes and disks in memory.

use std::ops::Range;
use std::sync::Mutex;

use landfall_handler_api::{Error, ErrorKind, Result};
use landfall_unpack::{BLOCK, Disk, Stored};

/// Bytes of a disk that a target lets be made.
pub(crate) const DISK_BYTES: u64 = 4 << 20;

/// Stored bytes, in one of the ways in which they come.
pub(crate) struct Bytes<'a> {
    bytes: &'a [u8],
    known: bool,
    /// Of a stream: how many bytes it gives at a time, and where it is.
    stream: Option<(usize, Mutex<u64>)>,
}

impl<'a> Bytes<'a> {
    /// They can be read anywhere.
    pub(crate) fn ranged(bytes: &'a [u8]) -> Self {
        Self { bytes, known: true, stream: None }
    }

    /// They go forwards only, at most `most` at a time; how many there are may be known.
    pub(crate) fn stream(bytes: &'a [u8], most: usize, known: bool) -> Self {
        Self { bytes, known, stream: Some((most, Mutex::new(0))) }
    }
}

impl Stored for Bytes<'_> {
    fn size(&self) -> Option<u64> {
        self.known.then_some(self.bytes.len() as u64)
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<usize> {
        let rest = usize::try_from(offset).ok().and_then(|offset| self.bytes.get(offset..)).unwrap_or_default();
        let mut got = rest.len().min(buffer.len());
        if let Some((most, at)) = &self.stream {
            got = got.min(*most);
            let mut at = at.lock().expect("no reader panics");
            if offset < *at {
                return Err(Error::new(ErrorKind::Unsupported, "input-forward-only", "went back"));
            }
            *at = offset.saturating_add(got as u64);
        }
        buffer[..got].copy_from_slice(&rest[..got]);
        Ok(got)
    }
}

/// A disk that holds every write against the rules: within the disk, whole blocks, none of zeros.
#[derive(Debug)]
pub(crate) struct Memory(Mutex<Written>);

#[derive(Debug)]
struct Written {
    bytes: Vec<u8>,
    /// The part that may be written.
    bounds: Range<usize>,
    /// Whether writes are of whole blocks.
    whole_blocks: bool,
    count: u64,
}

impl Memory {
    pub(crate) fn new(bytes: u64) -> Self {
        Self::part(bytes, 0..bytes)
    }

    /// One of which only a part may be written.
    pub(crate) fn part(bytes: u64, bounds: Range<u64>) -> Self {
        assert!(bounds.end <= bytes && bytes <= DISK_BYTES, "{bounds:?} of a disk of {bytes} bytes was opened");
        let len = |bytes| usize::try_from(bytes).expect("it is within the limit");
        let bounds = len(bounds.start)..len(bounds.end);
        Self(Mutex::new(Written { bytes: vec![0; len(bytes)], bounds, whole_blocks: true, count: 0 }))
    }

    /// One that may be written in parts that share blocks.
    pub(crate) fn of_extents(bytes: u64) -> Self {
        let mut disk = Self::new(bytes);
        disk.0.get_mut().expect("no writer has it yet").whole_blocks = false;
        disk
    }

    /// What was written, of which nothing was written twice.
    pub(crate) fn into_bytes(self) -> Vec<u8> {
        let Written { bytes, count, .. } = self.0.into_inner().expect("no writer panics");
        assert!(count <= bytes.len() as u64, "{count} bytes were written to a disk of {}", bytes.len());
        bytes
    }
}

impl Disk for Memory {
    fn write_at(&self, bytes: &[u8], offset: u64) -> Result<()> {
        let mut disk = self.0.lock().expect("no writer panics");
        let Range { start, end } = disk.bounds;
        let from = usize::try_from(offset).expect("no write is beyond the disk");
        let to = from.checked_add(bytes.len()).expect("no write is beyond the disk");
        assert!(start <= from && to <= end, "{from}..{to} was written, and {start}..{end} may be");
        let parts = !disk.whole_blocks;
        assert!(parts || from.is_multiple_of(BLOCK) || from == start, "a write begins within a block");
        assert!(parts || to.is_multiple_of(BLOCK) || to == end, "a write ends within a block");
        let (first, rest) = bytes.split_at((from.next_multiple_of(BLOCK) - from).min(bytes.len()));
        let mut blocks = rest.chunks(BLOCK).chain(Some(first).filter(|first| !first.is_empty()));
        assert!(blocks.all(|block| block.iter().any(|byte| *byte != 0)), "zeros were written");
        disk.bytes[from..to].copy_from_slice(bytes);
        disk.count += bytes.len() as u64;
        Ok(())
    }
}
