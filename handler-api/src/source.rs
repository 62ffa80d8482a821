//! What a source handler opens, and where it puts the bytes.

#![allow(unsafe_code)]

use std::fmt;
use std::ops::Range;
use std::os::fd::BorrowedFd;

use async_trait::async_trait;

use crate::abi::imgh_sink;
use crate::call::Call;
use crate::crossing::{blank_error, lie, take_outcome};
use crate::error::{Error, Result};

/// An opened location.
///
/// The host reads on threads that it lends: of a ranged source several ranges, at once and as often as it likes, else
/// the whole, once. A range that failed with `unavailable` is read again; one that gave no byte for a while is
/// cancelled, which drops its future, and read again. So a failed or cancelled read leaves the source usable; only one
/// that panicked is the last. The same location may be opened again, also while this source is open. Dropping the
/// source closes it, inside the plugin's tokio runtime; no read is running then. In a worker the process may end
/// without it.
///
/// Why not a stream of chunks: ranges, their number and size, retries, limits, hashing and fail-over are the host's,
/// once for every source; and the bytes go straight into the buffers that they will be written from.
#[async_trait]
pub trait Source: Send + Sync + 'static {
    /// Stored bytes, when the store says so.
    fn size(&self) -> Option<u64>;

    /// Whether any range can be read, and several at once. Otherwise the host reads the whole, once, from the start.
    fn ranged(&self) -> bool {
        false
    }

    /// What tells this version of the bytes from another: an ETag, or a file's identity and times. The host compares it
    /// when it opened a location again.
    fn validator(&self) -> Option<String> {
        None
    }

    /// A readable descriptor of a regular file of exactly [`Source::size`] bytes, these at the same offsets, where
    /// there is one. The host then clones or copies in the kernel, and `read` is for readers that cannot.
    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        None
    }

    /// Streams `range` into `sink`, in order. The range may reach beyond the end, by far where the size is not known;
    /// fewer bytes without an error mean that the source ends there. `call` and `sink` are this read's own.
    ///
    /// A ranged source that finds out that it can be read from its start alone fails with the code `range-ignored`; the
    /// host then reads the whole, once, as of one that is not ranged. One that is told to try again later says so with
    /// [`Error::retried_after`](crate::Error::retried_after).
    async fn read(&self, call: &Call, range: Range<u64>, sink: &mut Sink) -> Result<()>;
}

/// Where a read puts its bytes: the host's own buffers.
///
/// `reserve` blocks the lent thread while the host is behind; that holds up no other operation. Once the host wants no
/// more, it fails with `cancelled`.
pub struct Sink {
    table: imgh_sink,
}

// SAFETY: the ABI lets one thread at a time use a sink, which `&mut self` assures.
unsafe impl Send for Sink {}
// SAFETY: there is nothing to do with a shared reference.
unsafe impl Sync for Sink {}

impl Sink {
    pub(crate) fn new(table: imgh_sink) -> Self {
        Self { table }
    }

    /// Room for at most `want` bytes, at least one; a `want` of 0 counts as 1. Fill some of it and [`Sink::commit`].
    pub fn reserve(&mut self, want: usize) -> Result<&mut [u8]> {
        let want = want.max(1);
        let reserve = self.table.reserve.ok_or_else(|| Error::unsupported("reserve"))?;
        let (mut buffer, mut room, mut error) = (std::ptr::null_mut(), 0, blank_error());
        // SAFETY: the sink lives as long as the read, and this value is only lent to the read.
        let status = unsafe { reserve(self.table.ctx, want, &raw mut buffer, &raw mut room, &raw mut error) };
        take_outcome(status, &error)?;
        if buffer.is_null() || room == 0 || room > want {
            return Err(lie("bad-reservation", format!("the host reserved {room} bytes where {want} were wanted")));
        }
        // SAFETY: so many bytes are this side's until the next call, which needs `&mut self` again.
        Ok(unsafe { std::slice::from_raw_parts_mut(buffer.cast::<u8>(), room) })
    }

    /// The first `filled` bytes of the last reservation are there.
    pub fn commit(&mut self, filled: usize) -> Result<()> {
        let commit = self.table.commit.ok_or_else(|| Error::unsupported("commit"))?;
        let mut error = blank_error();
        // SAFETY: as in `reserve`.
        let status = unsafe { commit(self.table.ctx, filled, &raw mut error) };
        take_outcome(status, &error)
    }

    /// Copies all of `bytes`, for sources that have them already.
    pub fn write_all(&mut self, mut bytes: &[u8]) -> Result<()> {
        while !bytes.is_empty() {
            let room = self.reserve(bytes.len())?;
            let (now, later) = bytes.split_at(room.len());
            room.copy_from_slice(now);
            self.commit(now.len())?;
            bytes = later;
        }
        Ok(())
    }
}

impl fmt::Debug for Sink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sink").finish_non_exhaustive()
    }
}
