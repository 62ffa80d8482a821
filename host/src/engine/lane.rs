//! One connection to an origin: reads range after range into the stage.

use std::fs::File;
use std::ops::Range;
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use landfall_handler_api::{Error, ErrorKind, Result, Scope};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::board::{Board, Stopped};
use super::pump::{CHUNK, write_sparse};
use super::supply::Origin;
use super::writeback::Writeback;
use super::{too_large, written};
use crate::cancel::Cancel;
use crate::disk;
use crate::plugin::{ByteSink, CallContext, OpenedSource};
use crate::stage::stage_error;

/// The first pause after a failure, and the longest.
const PAUSE: Duration = Duration::from_millis(100);
const PAUSE_MOST: Duration = Duration::from_secs(5);

/// What a lane works on.
pub(super) struct Lane<'a> {
    pub(super) board: &'a Arc<Board>,
    pub(super) origin: &'a Origin,
    /// The origin's number on the board.
    pub(super) number: u32,
    pub(super) source: &'a dyn OpenedSource,
    /// Of the lanes of this origin.
    pub(super) cancel: &'a Cancel,
    /// Whether only as many lanes run as the node's limits allow; the first lane waits.
    pub(super) first: bool,
}

impl Lane<'_> {
    /// Reads until there is nothing more to read, or something is wrong.
    pub(super) fn run(&self) {
        let outcome = self.connect();
        if let Ok(Some(_connection)) = &outcome {
            while let Some(range) = self.board.take_range() {
                let left = self.read(range.clone());
                if let Some(failures) = self.board.range_ended(range, left) {
                    pause(self.cancel, failures);
                }
            }
        } else if let Err(error) = outcome {
            self.board.stop(Stopped::All(error));
        }
        self.board.lane_ended();
    }

    /// A connection within the node's limits. None: there is none to spare for one more lane.
    fn connect(&self) -> Result<Option<Option<super::limits::Connection>>> {
        let Some(limits) = self.board.limits() else { return Ok(Some(None)) };
        if self.first {
            return limits.connect(&self.origin.connects_to, self.cancel).map(|connection| Some(Some(connection)));
        }
        let connection = limits.try_connect(&self.origin.connects_to)?;
        if connection.is_none() {
            self.board.refuse_lanes();
        }
        Ok(connection.map(Some))
    }

    /// Reads one range; gives up to where its bytes have arrived, and how that ended.
    fn read(&self, range: Range<u64>) -> (u64, Result<()>) {
        let begin = || -> Result<(CallContext, u64)> {
            let begun = self.origin.call.begin()?;
            // This lane's own, below the cancel of all lanes.
            let cancel = self.cancel.child()?;
            let from = if self.source.info().ranged { range.start } else { 0 };
            Ok((CallContext { cancel, ..begun }, from))
        };
        let (call, from) = match begin() {
            Ok(begun) => begun,
            Err(error) => return (range.start, Err(error)),
        };
        let sink = Arc::new(Mutex::new(LaneSink {
            board: Arc::clone(self.board),
            file: match self.board.file() {
                Ok(file) => file,
                Err(error) => return (range.start, Err(error)),
            },
            origin: self.number,
            skip_to: range.start,
            at: from,
            end: range.end,
            buffer: Vec::new(),
            filled: 0,
            writeback: Writeback::default(),
            cancel: call.cancel.clone(),
            failed: None,
        }));
        // A source that does not know its size is asked for everything, so that what is beyond the record's size shows.
        let is_last = self.board.size().is_none_or(|size| range.end == size);
        let to = if self.source.info().size.is_some() || !is_last { range.end } else { u64::MAX };
        let outcome = self.source.read(&call, from..to, sink.clone());
        // A handler that was given up may still fill its room; nothing of that is taken.
        let Ok(mut sink) = sink.try_lock() else {
            let in_use = || Error::new(ErrorKind::Crashed, "sink-in-use", "the source handler still writes");
            return (range.start, Err(outcome.err().unwrap_or_else(in_use)));
        };
        // What went wrong in here is the cause of what the handler then reports.
        let outcome = match sink.failed.take() {
            Some(error) => Err(error),
            None => sink.flush().and(outcome),
        };
        let reached = sink.at.max(range.start);
        if outcome.is_ok() && reached < range.end && self.board.size().is_none() {
            self.board.ends_at(reached);
        }
        (reached, outcome)
    }
}

/// Pauses after so many failures in a row, longer each time, unless `cancel` fires.
pub(super) fn pause(cancel: &Cancel, failures: u32) {
    let longest = PAUSE.saturating_mul(1 << failures.min(6)).min(PAUSE_MOST);
    // Those that failed together should not come back together.
    let share = crate::stage::random().map_or(50, |random| random % 50 + 50);
    sleep(cancel, longest.saturating_mul(u32::try_from(share).unwrap_or(100)) / 100);
}

/// Sleeps, unless `cancel` fires.
pub(super) fn sleep(cancel: &Cancel, pause: Duration) {
    let mut wanted = [PollFd::new(cancel.descriptor(), PollFlags::POLLIN)];
    // Being woken early only means that something is tried again early.
    let _ = poll(&mut wanted, PollTimeout::try_from(pause).unwrap_or(PollTimeout::MAX));
}

/// Takes one range's bytes to the stage and tells the board.
struct LaneSink {
    board: Arc<Board>,
    file: File,
    origin: u32,
    /// Bytes before this are there already: the source can only be read from its start.
    skip_to: u64,
    /// Where the buffer's first byte belongs.
    at: u64,
    /// Where the range ends.
    end: u64,
    buffer: Vec<u8>,
    filled: usize,
    writeback: Writeback,
    cancel: Cancel,
    failed: Option<Error>,
}

impl LaneSink {
    /// Where the buffer must be flushed: chunks stay aligned, so that zeros are found wherever a range begins.
    fn flush_at(&self) -> usize {
        let to_boundary = (CHUNK as u64).saturating_sub(self.at % CHUNK as u64);
        let to_new = if self.at < self.skip_to { self.skip_to.saturating_sub(self.at) } else { u64::MAX };
        usize::try_from(to_boundary.min(to_new)).unwrap_or(CHUNK)
    }

    fn flush(&mut self) -> Result<()> {
        if self.filled == 0 {
            return Ok(());
        }
        let bytes = self.buffer.get(..self.filled).unwrap_or_default();
        let end = self.at.saturating_add(bytes.len() as u64);
        if self.at >= self.skip_to {
            let differs = self.board.compares() && self.write_where_different(bytes)?;
            if !self.board.compares() {
                write_sparse(self.file.as_fd(), bytes, self.at)?;
                self.writeback.written_to(self.file.as_fd(), end);
            }
            let buffer = std::mem::take(&mut self.buffer);
            self.buffer = self.board.arrived(self.at..end, self.origin, buffer, differs)?;
            if let Some(limits) = self.board.limits() {
                sleep_unless_zero(&self.cancel, limits.spend(end.saturating_sub(self.at))?);
            }
        }
        (self.at, self.filled) = (end, 0);
        Ok(())
    }

    /// Replaces what another origin gave, if it is not the same; says whether it was not.
    fn write_where_different(&self, bytes: &[u8]) -> Result<bool> {
        let mut there = vec![0; bytes.len()];
        let read = written::read_full(&self.file, &mut there, self.at).map_err(|error| error.scoped(Scope::Node))?;
        if there.get(..read) == Some(bytes) {
            return Ok(false);
        }
        disk::write_all_at(self.file.as_fd(), bytes, self.at)
            .map_err(|error| stage_error(&error, "write the stage"))?;
        Ok(true)
    }

    fn room_for(&mut self, want: usize) -> Result<&mut [u8]> {
        self.cancel.check()?;
        if self.filled >= self.flush_at() {
            self.flush()?;
        }
        if self.buffer.is_empty() {
            self.buffer = vec![0; CHUNK];
        }
        let left = self.end.saturating_sub(self.at).saturating_sub(self.filled as u64);
        if left == 0 {
            return Err(match self.board.size() {
                Some(size) => {
                    let message = format!("the source gives more than the {size} bytes that it should have");
                    Error::new(ErrorKind::Corrupt, "long-body", message)
                }
                None => too_large(self.end),
            });
        }
        let left = usize::try_from(left).unwrap_or(CHUNK);
        let end = self.filled.saturating_add(want.max(1).min(left)).min(self.flush_at());
        self.buffer
            .get_mut(self.filled..end)
            .ok_or_else(|| Error::new(ErrorKind::Internal, "sink-buffer", "the sink's buffer is short"))
    }
}

fn sleep_unless_zero(cancel: &Cancel, pause: Duration) {
    if !pause.is_zero() {
        sleep(cancel, pause);
    }
}

impl ByteSink for LaneSink {
    fn reserve(&mut self, want: usize) -> Result<&mut [u8]> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        // Twice, since a borrow that is returned cannot be looked at first.
        if let Err(error) = self.room_for(want) {
            self.failed = Some(error.clone());
            return Err(error);
        }
        self.room_for(want)
    }

    fn commit(&mut self, filled: usize) -> Result<()> {
        let end = self.filled.saturating_add(filled);
        if end > self.buffer.len() {
            let message = "the source handler says it filled more than it was given";
            let error = Error::new(ErrorKind::Crashed, "plugin-lied", message).scoped(Scope::Handler);
            self.failed = Some(error.clone());
            return Err(error);
        }
        self.filled = end;
        Ok(())
    }
}

/// The lock of a board or a part of it; nobody panics while holding one.
pub(super) fn locked<T: ?Sized>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
