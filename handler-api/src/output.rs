//! The disks that a transfer or an unpacker writes.

#![allow(unsafe_code)]

use std::ffi::c_void;
use std::fmt;
use std::os::fd::{AsFd, AsRawFd};

use crate::abi::{imgh_error, imgh_output, imgh_status};
use crate::call::Call;
use crate::crossing::{blank_error, take_outcome};
use crate::error::{Error, Result};

/// One disk being written: the host's staged file, of which the handler knows neither path nor descriptor.
///
/// Opened with [`Call::output`]. Writes come in any order and from any thread; what is never written reads as zeros.
/// Every method blocks until the host has the bytes. When the operation is over, for whatever reason, writes fail and
/// reach nothing: what a dropped future left running can do no harm.
///
/// Why not a descriptor: the host could not take it back, neither from a handler that hangs nor from a task that was
/// forgotten, and so could never say that nobody writes to a disk that it is about to publish.
#[derive(Clone)]
pub struct Output {
    call: Call,
    table: imgh_output,
}

// SAFETY: the ABI lets any thread use an output; that it lives is guarded by the call.
unsafe impl Send for Output {}
// SAFETY: as above.
unsafe impl Sync for Output {}

impl Output {
    pub(crate) fn new(call: Call, table: imgh_output) -> Self {
        Self { call, table }
    }

    /// Calls one of the host's functions, if it is there and the operation is not over.
    fn ask<F>(
        &self,
        function: Option<F>,
        name: &str,
        ask: impl FnOnce(F, *mut c_void, *mut imgh_error) -> imgh_status,
    ) -> Result<()> {
        let function = function.ok_or_else(|| Error::unsupported(name))?;
        self.call.attempt(|_, _| {
            let mut error = blank_error();
            let status = ask(function, self.table.ctx, &raw mut error);
            take_outcome(status, &error)
        })
    }

    /// Writes all of `bytes` at `offset`, never beyond the output's size.
    pub fn write_at(&self, bytes: &[u8], offset: u64) -> Result<()> {
        self.ask(self.table.write_at, "write_at", |write_at, ctx, error| {
            // SAFETY: the output lives while the call does, which `ask` holds; the slice is readable.
            unsafe { write_at(ctx, bytes.as_ptr().cast(), bytes.len(), offset, error) }
        })
    }

    /// Makes `len` bytes at `offset` read as zeros, as a hole where that is possible.
    pub fn zero(&self, offset: u64, len: u64) -> Result<()> {
        self.ask(self.table.zero, "zero", |zero, ctx, error| {
            // SAFETY: the output lives while the call does, which `ask` holds.
            unsafe { zero(ctx, offset, len, error) }
        })
    }

    /// Brings `len` bytes at `from_offset` of `from` to `offset`: cloned where possible, else copied in the kernel.
    pub fn adopt(&self, from: impl AsFd, from_offset: u64, offset: u64, len: u64) -> Result<()> {
        self.ask(self.table.adopt_fd, "adopt_fd", |adopt_fd, ctx, error| {
            // SAFETY: as above; the descriptor is open while it is borrowed.
            unsafe { adopt_fd(ctx, from.as_fd().as_raw_fd(), from_offset, offset, len, error) }
        })
    }

    /// Changes the output's size within the request's limits; in a transfer, up to the stored size that the record
    /// gives. What lies beyond a smaller size is gone, and zeros when the output grows again.
    pub fn set_size(&self, size: u64) -> Result<()> {
        self.ask(self.table.set_size, "set_size", |set_size, ctx, error| {
            // SAFETY: the output lives while the call does, which `ask` holds.
            unsafe { set_size(ctx, size, error) }
        })
    }

    /// Says that the output is complete; clones of it can write no more either. Without it, the operation has failed.
    pub fn finish(self) -> Result<()> {
        self.ask(self.table.finish, "finish", |finish, ctx, error| {
            // SAFETY: the output lives while the call does, which `ask` holds.
            unsafe { finish(ctx, error) }
        })
    }
}

impl fmt::Debug for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Output").finish_non_exhaustive()
    }
}
