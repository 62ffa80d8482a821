//! Stored bytes and disks in memory, and every way to unpack one to the other.

use std::sync::Mutex;

use landfall_handler_api::{Error, ErrorKind, Result};
use landfall_unpack::{BLOCK, Disk, Stored};

use crate::{Means, unpack};

pub(super) struct Bytes<'a> {
    bytes: &'a [u8],
    /// A stream gives so many bytes at a time, and goes forwards only.
    stream: Option<(usize, Mutex<u64>)>,
}

impl<'a> Bytes<'a> {
    pub(super) fn ranged(bytes: &'a [u8]) -> Self {
        Self { bytes, stream: None }
    }

    pub(super) fn stream(bytes: &'a [u8], chunk: usize) -> Self {
        Self { bytes, stream: Some((chunk, Mutex::new(0))) }
    }
}

impl Stored for Bytes<'_> {
    fn size(&self) -> Option<u64> {
        self.stream.is_none().then_some(self.bytes.len() as u64)
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<usize> {
        let rest = usize::try_from(offset).ok().and_then(|offset| self.bytes.get(offset..)).unwrap_or_default();
        let mut got = rest.len().min(buffer.len());
        if let Some((chunk, at)) = &self.stream {
            got = got.min(*chunk);
            let mut at = at.lock().unwrap();
            if offset < *at {
                return Err(Error::new(ErrorKind::Unsupported, "input-forward-only", "going back"));
            }
            *at = offset.saturating_add(got as u64);
        }
        buffer[..got].copy_from_slice(&rest[..got]);
        Ok(got)
    }
}

/// A disk that holds every write against the rules: whole blocks, none of zeros.
pub(super) struct Memory(Mutex<Vec<u8>>);

impl Memory {
    pub(super) fn new(bytes: usize) -> Self {
        Self(Mutex::new(vec![0; bytes]))
    }

    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.0.into_inner().unwrap()
    }
}

impl Disk for Memory {
    fn write_at(&self, bytes: &[u8], offset: u64) -> Result<()> {
        let mut disk = self.0.lock().unwrap();
        let end = offset as usize + bytes.len();
        assert_eq!(offset % BLOCK as u64, 0);
        assert!(end.is_multiple_of(BLOCK) || end == disk.len());
        assert!(bytes.chunks(BLOCK).all(|block| block.iter().any(|byte| *byte != 0)));
        disk[offset as usize..end].copy_from_slice(bytes);
        Ok(())
    }
}

/// The most that a test's disk may have.
pub(super) const DISK_BYTES: u64 = 64 << 20;

pub(super) fn unpack_from(stored: &dyn Stored, threads: usize) -> Result<Vec<u8>> {
    let means = Means { threads, disk_bytes: DISK_BYTES };
    unpack(stored, &means, |bytes| Ok(Memory::new(bytes as usize))).map(Memory::into_bytes)
}

/// What unpacking gives in every way alike. Only a stream may say that it must be read again from a file.
pub(super) fn unpack_all_ways(bytes: &[u8]) -> Result<Vec<u8>> {
    let verdict = unpack_from(&Bytes::ranged(bytes), 1);
    let same = |other: Result<Vec<u8>>, way: &str| match (&verdict, &other) {
        (Ok(one), Ok(other)) => assert!(one == other, "{way}: other bytes"),
        (Err(one), Err(other)) => assert_eq!((one.kind(), one.code()), (other.kind(), other.code()), "{way}"),
        _ => panic!("{way}: {:?} instead of {:?}", other.err(), verdict.as_ref().err()),
    };
    for threads in [2, 8] {
        same(unpack_from(&Bytes::ranged(bytes), threads), &format!("{threads} threads"));
    }
    for (threads, chunk) in [(1, usize::MAX), (2, 70_001)] {
        let streamed = unpack_from(&Bytes::stream(bytes, chunk), threads);
        if streamed.as_ref().is_err_and(|error| error.code() == "input-forward-only") {
            continue;
        }
        same(streamed, &format!("stream, {chunk} at a time"));
    }
    verdict
}
