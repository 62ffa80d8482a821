//! What a thread is given to do.

use std::ops::Range;

use crate::reader::Shared;
use crate::window::WINDOW;

/// How a piece is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Coding {
    /// As it is.
    Plain,
    /// One zlib stream (RFC 1950) and nothing behind it. It gives as many bytes as the piece has or, where that is
    /// more, `whole`: then the piece is its beginning.
    Zlib {
        /// Bytes of an unshortened piece.
        whole: usize,
    },
}

/// Read buffers that a job keeps for its pieces. The stored bytes of a window are in two, or three; whoever puts other bytes
/// between them must not have a buffer kept for each piece.
const BUFFERS_MAX: usize = 3;

/// Some bytes of one window, and how they are stored.
pub(crate) struct Piece {
    stored: Bytes,
    pub(crate) offset: usize,
    pub(crate) len: usize,
    pub(crate) coding: Coding,
}

/// Where a piece's stored bytes are.
enum Bytes {
    /// In the job's own memory.
    Own(Range<usize>),
    /// Where they were read to.
    Shared(Shared),
}

/// Stored bytes of one [`WINDOW`] of the disk. Made by [`Crew::job`](crate::Crew::job()).
#[derive(Default)]
pub struct Job {
    /// Place in the order in which jobs were submitted.
    pub(crate) number: u64,
    /// Where the window is on the disk.
    pub(crate) window: u64,
    /// Memory for stored bytes, of which the first `filled` are this job's; what an earlier one left behind them is not
    /// worth to be cleared.
    memory: Vec<u8>,
    filled: usize,
    /// How many buffers its pieces are in.
    buffers: usize,
    pub(crate) pieces: Vec<Piece>,
}

impl Job {
    /// Makes it an empty job, which keeps its memory.
    pub(crate) fn clear(&mut self) {
        (self.filled, self.buffers) = (0, 0);
        self.pieces.clear();
    }

    /// Where the job's window is on the disk, in bytes.
    pub fn window(&self) -> u64 {
        self.window
    }

    /// Whether nothing was added yet.
    pub fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    /// Whether `len` bytes at `offset` of the disk can be added: they lie within the window, behind all others.
    pub fn takes(&self, offset: u64, len: usize) -> bool {
        let filled = self.pieces.last().map_or(0, |last| last.offset.saturating_add(last.len));
        let within = offset.checked_sub(self.window).and_then(|at| usize::try_from(at).ok());
        within.is_some_and(|at| at >= filled && at.checked_add(len).is_some_and(|end| end <= WINDOW))
    }

    /// Adds `len` bytes at `offset` of the disk, of which [`Job::takes`] is true, stored as `stored` bytes; gives the
    /// room for these.
    pub fn room(&mut self, offset: u64, len: usize, coding: Coding, stored: usize) -> &mut [u8] {
        let room = self.filled..self.filled.saturating_add(stored);
        if self.memory.len() < room.end {
            self.memory.resize(room.end, 0);
        }
        self.filled = room.end;
        self.push(offset, len, coding, Bytes::Own(room.clone()));
        self.memory.get_mut(room).unwrap_or_default()
    }

    /// As [`Job::room`], of bytes that stay where they were read to, unless that is a buffer too many.
    pub fn add(&mut self, offset: u64, len: usize, coding: Coding, stored: Shared) {
        let is_kept = self.pieces.iter().rev().any(|piece| match &piece.stored {
            Bytes::Shared(other) => other.is_beside(&stored),
            Bytes::Own(_) => false,
        });
        if !is_kept && self.buffers >= BUFFERS_MAX {
            let bytes = stored.bytes();
            self.room(offset, len, coding, bytes.len()).copy_from_slice(bytes);
            return;
        }
        self.buffers = self.buffers.saturating_add(usize::from(!is_kept));
        self.push(offset, len, coding, Bytes::Shared(stored));
    }

    fn push(&mut self, offset: u64, len: usize, coding: Coding, stored: Bytes) {
        let offset = usize::try_from(offset.saturating_sub(self.window)).unwrap_or(usize::MAX);
        self.pieces.push(Piece { stored, offset, len, coding });
    }

    /// The stored bytes of one of its pieces.
    pub(crate) fn stored<'a>(&'a self, piece: &'a Piece) -> &'a [u8] {
        match &piece.stored {
            Bytes::Own(range) => self.memory.get(range.clone()).unwrap_or_default(),
            Bytes::Shared(shared) => shared.bytes(),
        }
    }
}

#[cfg(test)]
mod tests {
    use landfall_handler_api::Result;
    use proptest::prelude::*;

    use super::*;
    use crate::reader::{CHUNK, StoredReader};
    use crate::stored::Stored;

    /// Bytes of which one in so many is a piece's, read front to back.
    struct Sparse;

    impl Stored for Sparse {
        fn size(&self) -> Option<u64> {
            None
        }

        fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<usize> {
            buffer.iter_mut().zip(offset..).for_each(|(byte, at)| *byte = at.to_le_bytes()[2]);
            Ok(buffer.len())
        }
    }

    #[test]
    fn pieces_that_lie_apart_keep_few_buffers() {
        let mut reader = StoredReader::new(&Sparse);
        let mut job = Job::default();
        let expected: Vec<Vec<u8>> = (0..256_u64)
            .map(|number| {
                let piece = reader.share(4096).unwrap();
                let bytes = piece.bytes().to_vec();
                job.add(number * 4096, 4096, Coding::Plain, piece);
                reader.seek(reader.position() + CHUNK as u64);
                bytes
            })
            .collect();
        let buffers = job.pieces.iter().filter(|piece| matches!(piece.stored, Bytes::Shared(_))).count();
        assert_eq!((job.pieces.len(), buffers), (256, BUFFERS_MAX));
        let found: Vec<&[u8]> = job.pieces.iter().map(|piece| job.stored(piece)).collect();
        assert_eq!(found, expected);
        // The control: of what lies together all stays where it was read to.
        let (mut reader, mut job) = (StoredReader::new(&Sparse), Job::default());
        (0..256_u64).for_each(|number| job.add(number * 4096, 4096, Coding::Plain, reader.share(4096).unwrap()));
        assert!(job.pieces.iter().all(|piece| matches!(piece.stored, Bytes::Shared(_))));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(512))]

        /// Whatever it is asked, a job takes what lies within its window and behind the rest, and nothing else.
        #[test]
        fn pieces_lie_in_the_window_and_in_order(
            window in prop_oneof![0..4_u64, Just(u64::MAX / WINDOW as u64), 0..=u64::MAX / WINDOW as u64],
            pieces in proptest::collection::vec((prop_oneof![-10_i64..WINDOW as i64 + 10, any::<i64>()], 0..WINDOW + 10), 0..8),
            huge: usize,
        ) {
            let mut job = Job { window: window * WINDOW as u64, ..Job::default() };
            let (start, mut filled) = (i128::from(job.window()), 0);
            for (at, len) in pieces {
                let Ok(offset) = u64::try_from(start + i128::from(at)) else { continue };
                let at = i128::from(offset) - start;
                let end = at + len as i128;
                prop_assert_eq!(job.takes(offset, len), at >= filled && end <= WINDOW as i128);
                prop_assert!(!job.takes(offset, huge) || huge <= WINDOW);
                if job.takes(offset, len) {
                    prop_assert_eq!(job.room(offset, len, Coding::Plain, len / 2).len(), len / 2);
                    filled = end;
                }
            }
            let stored: usize = job.pieces.iter().map(|piece| job.stored(piece).len()).sum();
            prop_assert_eq!(stored, job.filled);
        }
    }
}
