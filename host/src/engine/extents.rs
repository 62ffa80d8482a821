//! Where a file has data and where it has holes.

use std::os::fd::BorrowedFd;

use landfall_handler_api::{Error, Result};
use rustix::fs::SeekFrom;
use rustix::io::Errno;

use super::pump::HOLE;

/// A run of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Extent {
    /// Bytes to be read, this many.
    Data(u64),
    /// Bytes that read as zeros without being stored.
    Hole(u64),
}

/// Walks a file's first `size` bytes from the start, run by run. Holes are cut to whole blocks of [`HOLE`]; finer ones,
/// and the ends of coarser ones, count as data.
pub(super) struct Extents<'a> {
    file: BorrowedFd<'a>,
    offset: u64,
    size: u64,
}

impl<'a> Extents<'a> {
    pub(super) fn new(file: BorrowedFd<'a>, size: u64) -> Self {
        Self { file, offset: 0, size }
    }

    fn run(&self) -> Result<Extent> {
        let rest = self.size.saturating_sub(self.offset);
        let failed = |errno: Errno| Error::os(&errno.into(), "look for data in the source");
        match rustix::fs::seek(self.file, SeekFrom::Data(self.offset)) {
            // No data from here to the end.
            Err(Errno::NXIO) => Ok(Extent::Hole(rest)),
            // A file system that does not tell.
            Err(Errno::INVAL | Errno::OPNOTSUPP) => Ok(Extent::Data(rest)),
            Err(errno) => Err(failed(errno)),
            Ok(data) if data > self.offset => Ok(Extent::Hole(data.saturating_sub(self.offset).min(rest))),
            Ok(_) => match rustix::fs::seek(self.file, SeekFrom::Hole(self.offset)) {
                Ok(hole) if hole > self.offset => Ok(Extent::Data(hole.saturating_sub(self.offset).min(rest))),
                // Truncated while we look: let the read find out.
                Ok(_) | Err(Errno::NXIO) => Ok(Extent::Data(rest)),
                Err(errno) => Err(failed(errno)),
            },
        }
    }
}

impl Extents<'_> {
    /// The first part of `run`, with holes cut to whole blocks.
    fn coarse(&self, run: Extent) -> Extent {
        let Extent::Hole(len) = run else { return run };
        let end = self.offset.saturating_add(len);
        let from = self.offset.next_multiple_of(HOLE as u64);
        let to = if end == self.size { end } else { end.saturating_sub(end % HOLE as u64) };
        if from >= to {
            Extent::Data(len)
        } else if from > self.offset {
            Extent::Data(from.saturating_sub(self.offset))
        } else {
            Extent::Hole(to.saturating_sub(from))
        }
    }
}

impl Iterator for Extents<'_> {
    type Item = Result<Extent>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.offset >= self.size {
            return None;
        }
        let run = self.run().map(|run| self.coarse(run));
        match run {
            Ok(Extent::Data(len) | Extent::Hole(len)) => self.offset = self.offset.saturating_add(len),
            Err(_) => self.offset = self.size,
        }
        Some(run)
    }
}

/// Bytes of data among the first `size`: what a copy that keeps the holes may take.
pub(super) fn data_bytes(file: BorrowedFd<'_>, size: u64) -> Result<u64> {
    Extents::new(file, size).try_fold(0_u64, |sum, run| match run? {
        Extent::Data(len) => Ok(sum.saturating_add(len)),
        Extent::Hole(_) => Ok(sum),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Seek, Write};
    use std::os::fd::AsFd;

    #[test]
    fn runs_add_up_to_the_size() {
        let mut file = tempfile::tempfile().unwrap();
        file.seek(std::io::SeekFrom::Start(1 << 20)).unwrap();
        file.write_all(b"data").unwrap();
        file.set_len(4 << 20).unwrap();
        let runs: Vec<_> = Extents::new(file.as_fd(), 4 << 20).map(Result::unwrap).collect();
        let total: u64 = runs
            .iter()
            .map(|run| match run {
                Extent::Data(len) | Extent::Hole(len) => len,
            })
            .sum();
        assert_eq!(total, 4 << 20);
        assert!(runs.contains(&Extent::Hole(1 << 20)), "{runs:?}");
    }
}
