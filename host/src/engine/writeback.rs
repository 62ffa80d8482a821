//! Starts writing dirty pages early, so that the final fsync finds little to do.
#![allow(unsafe_code)]

use std::os::fd::{AsRawFd, BorrowedFd};

/// Written bytes after which the kernel is told to start.
const STEP: u64 = 16 << 20;

/// Follows a file that is written from its start to its end.
#[derive(Default)]
pub(super) struct Writeback {
    started: u64,
}

impl Writeback {
    /// Everything before `offset` has been written to the page cache.
    pub(super) fn written_to(&mut self, file: BorrowedFd<'_>, offset: u64) {
        let pending = offset.saturating_sub(self.started);
        if pending < STEP {
            return;
        }
        if let (Ok(start), Ok(len)) = (i64::try_from(self.started), i64::try_from(pending)) {
            // SAFETY: takes no pointer; the descriptor is borrowed and so open. A failure only means that the final
            // fsync has more to do, and reports what is wrong.
            unsafe { libc::sync_file_range(file.as_raw_fd(), start, len, libc::SYNC_FILE_RANGE_WRITE) };
        }
        self.started = offset;
    }
}
