//! Unpacks VMware's virtual disks.

use landfall_handler_api::{Error, Result};
use landfall_unpack::{Disk, Stored};

/// What an unpacker may use.
#[derive(Debug, Clone, Copy)]
pub struct Means {
    /// Threads that inflate and write, beside the one that reads; at least 1.
    pub threads: usize,
    /// Bytes that the disk may have.
    pub disk_bytes: u64,
}

/// Unpacks a VMDK that is in one piece (streamOptimized or monolithicSparse). `open` is called once, with the disk's size
/// in bytes, after everything that can be known before the first write was checked; it gives the disk, of that size.
pub fn unpack<D: Disk>(stored: &dyn Stored, means: &Means, open: impl FnOnce(u64) -> Result<D>) -> Result<D> {
    let _ = (stored, means, open);
    Err(Error::unsupported("vmdk"))
}
