//! The bytes that a filter or an unpacker reads.

#![allow(unsafe_code)]

use std::fmt;
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};

use crate::abi::{IMGH_INPUT_RANGED, imgh_input};
use crate::call::Call;
use crate::crossing::{blank_error, lie, take_outcome};
use crate::error::{Error, ErrorKind, Result};

/// The bytes given to `filter` and `unpack`: a file, another handler's source or a stream, seen through the host.
///
/// Any offset can be read where [`Input::ranged`] says so, which it does for every handler whose
/// [`HandlerInfo`](crate::HandlerInfo) says `ranged_input`; otherwise offsets only go forward, and one reader is all
/// there is. Reads come from any thread and block it while the bytes are fetched. What is read is what is hashed, but
/// the digest is compared only at the end: nothing in these bytes may be believed before it was checked, nor read twice
/// in the hope that it is the same.
///
/// Why not a path or a URL: what an image refers to is the host's to open, by name, and only within the same container.
#[derive(Clone)]
pub struct Input {
    call: Call,
    table: imgh_input,
}

// SAFETY: the ABI lets any thread read an input; that it lives is guarded by the call.
unsafe impl Send for Input {}
// SAFETY: as above.
unsafe impl Sync for Input {}

impl Input {
    pub(crate) fn new(call: Call, table: imgh_input) -> Self {
        Self { call, table }
    }

    /// Bytes, when that is known.
    pub fn size(&self) -> Option<u64> {
        u64::try_from(self.table.size).ok()
    }

    /// Whether any offset can be read; otherwise offsets only go forward.
    pub fn ranged(&self) -> bool {
        self.table.flags & IMGH_INPUT_RANGED != 0
    }

    /// A descriptor of one's own with the same bytes at the same offsets, where there is one.
    pub fn descriptor(&self) -> Result<Option<OwnedFd>> {
        if self.table.fd < 0 {
            return Ok(None);
        }
        self.call.attempt(|_, _| {
            // SAFETY: the host keeps it open while the call lives, which `attempt` holds.
            let lent = unsafe { BorrowedFd::borrow_raw(self.table.fd) };
            lent.try_clone_to_owned().map(Some).map_err(|error| Error::os(&error, "duplicate the input's descriptor"))
        })
    }

    /// Reads into `buffer` from `offset`; fewer bytes than asked for only at the end. Going back where offsets only go
    /// forward is `unsupported`, code `input-forward-only`.
    pub fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<usize> {
        let read_at = self.table.read_at.ok_or_else(|| Error::unsupported("read_at"))?;
        let got = self.call.attempt(|_, _| {
            let (mut got, mut error) = (0, blank_error());
            // SAFETY: the input lives while the call does, which `attempt` holds; the slice is writable.
            let status = unsafe {
                read_at(self.table.ctx, buffer.as_mut_ptr().cast(), buffer.len(), offset, &raw mut got, &raw mut error)
            };
            take_outcome(status, &error).map(|()| got)
        })?;
        if got > buffer.len() {
            return Err(lie("bad-read", format!("the host read {got} bytes into a buffer of {}", buffer.len())));
        }
        Ok(got)
    }

    /// Fills all of `buffer` from `offset`; an early end is `corrupt`.
    pub fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> Result<()> {
        let got = self.read_at(buffer, offset)?;
        if got == buffer.len() {
            return Ok(());
        }
        let message = format!("the input ends at {}, inside {} bytes at {offset}", offset + got as u64, buffer.len());
        Err(Error::new(ErrorKind::Corrupt, "unexpected-end", message))
    }

    /// A sequential reader from the start, for formats that are streams: one of them, where offsets only go forward.
    /// Wrap it in a [`io::BufReader`].
    pub fn reader(&self) -> InputReader {
        InputReader { input: self.clone(), offset: 0 }
    }
}

impl fmt::Debug for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Input").field("size", &self.size()).field("ranged", &self.ranged()).finish()
    }
}

/// Reads an [`Input`] from start to end. Its errors hold an [`Error`], which [`Error::os`] gives back.
#[derive(Debug)]
pub struct InputReader {
    input: Input,
    offset: u64,
}

impl io::Read for InputReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let got = self.input.read_at(buffer, self.offset).map_err(io::Error::other)?;
        self.offset += got as u64;
        Ok(got)
    }
}
