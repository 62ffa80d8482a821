//! Stored grains, on their way to the threads that write them.

use landfall_handler_api::Result;
use landfall_unpack::{BLOCK, Coding, Crew, Job, StoredReader, WINDOW};

use crate::header::{Header, SECTOR};
use crate::refusal::unsupported;

const WINDOW_BYTES: u64 = WINDOW as u64;

/// Collects the grains of one window of the disk, until one of another window comes.
pub(crate) struct Grains<'a> {
    crew: &'a Crew<'a>,
    job: Job,
    /// Where the extent begins on the disk, and its bytes.
    at: u64,
    bytes: u64,
    grain_bytes: u64,
    /// End of the last grain within the extent.
    last: u64,
}

impl<'a> Grains<'a> {
    /// For an extent that begins at `at` of the disk, a multiple of its grains' size.
    pub(crate) fn new(crew: &'a Crew<'a>, header: &Header, at: u64) -> Result<Self> {
        let (bytes, grain_bytes) = (header.disk_bytes()?, header.grain_bytes());
        Ok(Self { crew, job: crew.job(at), at, bytes, grain_bytes, last: 0 })
    }

    /// Bytes of the disk in `grains` grains from sector `lba` of the extent on, fewer at its end.
    pub(crate) fn len(&self, lba: u64, grains: u64) -> usize {
        let left = self.bytes.saturating_sub(lba.saturating_mul(SECTOR));
        usize::try_from(left.min(self.grain_bytes.saturating_mul(grains))).unwrap_or(usize::MAX)
    }

    /// Whether so many grains from sector `lba` on lie in one window of the disk.
    pub(crate) fn in_one_window(&self, lba: u64, grains: u64) -> bool {
        let first = self.at.saturating_add(lba.saturating_mul(SECTOR));
        let last = first.saturating_add(self.len(lba, grains) as u64).saturating_sub(1);
        first / WINDOW_BYTES == last / WINDOW_BYTES
    }

    /// Adds a compressed grain of `stored` bytes, which come next.
    pub(crate) fn add_compressed(&mut self, reader: &mut StoredReader<'_>, lba: u64, stored: usize) -> Result<()> {
        let offset = lba.saturating_mul(SECTOR);
        // Two windows' jobs would write the same block, each with zeros in place of the other's grains.
        if offset < self.last && self.grain_bytes < BLOCK as u64 {
            return Err(unsupported("vmdk-grain-order", "small grains are not stored in the order of the disk"));
        }
        // The last grain has what is left of the disk (qemu-img, open-vmdk), or is filled up to a whole one
        // (VirtualBox).
        let whole = usize::try_from(self.grain_bytes).unwrap_or(usize::MAX);
        let (offset, len) = self.place(lba, 1)?;
        self.job.add(offset, len, Coding::Zlib { whole }, reader.share(stored)?);
        Ok(())
    }

    /// Room for `grains` plain grains from sector `lba` on, which lie in one window.
    pub(crate) fn add_plain(&mut self, lba: u64, grains: u64) -> Result<&mut [u8]> {
        let (offset, len) = self.place(lba, grains)?;
        Ok(self.job.room(offset, len, Coding::Plain, len))
    }

    /// Where grains are on the disk, and their bytes; begins a job for them where the one at hand is of another window.
    fn place(&mut self, lba: u64, grains: u64) -> Result<(u64, usize)> {
        let len = self.len(lba, grains);
        let offset = lba.saturating_mul(SECTOR);
        self.last = offset.saturating_add(len as u64);
        let offset = offset.saturating_add(self.at);
        if !self.job.takes(offset, len) {
            self.submit(offset)?;
        }
        Ok((offset, len))
    }

    fn submit(&mut self, next: u64) -> Result<()> {
        let job = std::mem::replace(&mut self.job, self.crew.job(next));
        self.crew.submit(job)
    }

    /// Hands over what was collected last; no grain follows.
    pub(crate) fn finish(&mut self) -> Result<()> {
        self.submit(0)
    }
}
