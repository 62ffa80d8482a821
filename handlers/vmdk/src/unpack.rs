//! Unpacks a disk that is in one file.

use landfall_handler_api::{Error, ErrorKind, Result};
use landfall_unpack::{Crew, Disk, Stored, StoredReader};

use crate::descriptor::CreateType;
use crate::head::{read_descriptor, read_header};
use crate::refusal::corrupt;
use crate::sparse::GrainList;
use crate::stream;
use crate::stream_tables::StreamTables;

/// What an unpacker may use.
#[derive(Debug, Clone, Copy)]
pub struct Means {
    /// Threads that inflate and write, beside the one that reads; at least 1.
    pub threads: usize,
    /// Bytes that the disk may have.
    pub disk_bytes: u64,
}

impl Means {
    /// Whether a disk of `bytes` may be made; `limit`, code `disk-too-large`, otherwise.
    pub fn check(&self, bytes: u64) -> Result<()> {
        if bytes <= self.disk_bytes {
            return Ok(());
        }
        let message = format!("the disk has {bytes} bytes, and {} are allowed", self.disk_bytes);
        Err(Error::new(ErrorKind::Limit, "disk-too-large", message))
    }
}

/// Unpacks a VMDK that is in one file: streamOptimized, front to back, or monolithicSparse, front to back where its
/// tables are in front of its grains, which may be in any order.
///
/// `open` is called once, with the disk's size in bytes, a multiple of 512, after everything that can be known before
/// the first write was checked; it gives the disk, of that size. Holes are never finer than [`landfall_unpack::BLOCK`],
/// and the error is the same for any number of threads.
pub fn unpack<D: Disk>(stored: &dyn Stored, means: &Means, open: impl FnOnce(u64) -> Result<D>) -> Result<D> {
    let mut reader = StoredReader::new(stored);
    let header = read_header(&mut reader)?;
    let descriptor = read_descriptor(&mut reader, &header)?;
    if header.compressed() != (descriptor.create_type == CreateType::StreamOptimized) {
        return Err(corrupt("vmdk-create-type-mismatch", "header and descriptor do not say the same form"));
    }
    let bytes = header.disk_bytes()?;
    means.check(bytes)?;

    if header.compressed() {
        let tables = StreamTables::read(&mut reader, &header)?;
        let disk = open(bytes)?;
        Crew::run(means.threads, &disk, 0..bytes, |crew| stream::feed(&mut reader, &header, tables, crew))?;
        Ok(disk)
    } else {
        let grains = GrainList::read(&mut reader, &header, header.descriptor_sectors.saturating_add(1))?;
        let disk = open(bytes)?;
        Crew::run(means.threads, &disk, 0..bytes, |crew| grains.feed(&mut reader, &header, 0, crew))?;
        Ok(disk)
    }
}
