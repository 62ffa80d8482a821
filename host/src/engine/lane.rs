//! One connection to an origin: reads range after range into the stage.

use std::fs::File;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use landfall_handler_api::{Error, ErrorKind, Result, Scope};

use super::board::{Board, Task};
use super::crew::Crew;
use super::pump::{CHUNK, write_sparse};
use super::span::Span;
use super::writeback::Writeback;
use super::{too_large, written};
use crate::cancel::Cancel;
use crate::disk;
use crate::plugin::{ByteSink, CallContext};
use crate::stage::stage_error;

/// The first pause after a failure, and the longest.
const PAUSE: Duration = Duration::from_millis(100);
const PAUSE_MOST: Duration = Duration::from_secs(5);

/// What a lane works on.
pub(super) struct Lane<'a> {
    crew: &'a Crew<'a>,
    /// Whether it is the first of its crew, which waits for a connection; the others are only wanted where there is one to
    /// spare.
    first: bool,
}

impl<'a> Lane<'a> {
    pub(super) fn new(crew: &'a Crew<'a>, first: bool) -> Self {
        Self { crew, first }
    }

    /// Reads until there is nothing more to read, or something is wrong.
    pub(super) fn run(&self) {
        let Crew { board, team, cancel, .. } = self.crew;
        let delivered = Arc::new(AtomicBool::new(false));
        let outcome = self.connect();
        if let Ok(Some(_connection)) = &outcome {
            loop {
                match board.next_task(*team) {
                    Task::Leave => break,
                    Task::Pause(pause) => cancel.sleep(pause),
                    Task::Read(span) => {
                        let outcome = self.read(&span, &delivered);
                        if let Some(failures) = board.span_ended(*team, &span, outcome) {
                            pause(cancel, failures);
                        }
                    }
                }
            }
        } else if let Err(error) = outcome {
            // Whoever was told to stop while waiting has no part in why.
            if error.kind() == ErrorKind::Cancelled {
                board.stop_team(*team, error);
            } else {
                board.stop_all(error);
            }
        }
        board.lane_ended(*team, delivered.load(Ordering::Relaxed));
    }

    /// A connection within the node's limits. None: there is none to spare for one more lane.
    fn connect(&self) -> Result<Option<Option<super::limits::Connection>>> {
        let Crew { board, team, origin, cancel, .. } = self.crew;
        let Some(limits) = board.limits() else { return Ok(Some(None)) };
        if self.first {
            return limits.connect(&origin.connects_to, cancel).map(|connection| Some(Some(connection)));
        }
        let connection = limits.try_connect(&origin.connects_to)?;
        if connection.is_none() {
            board.refuse_lane(*team);
        }
        Ok(connection.map(Some))
    }

    /// Reads one range; gives up to where its bytes have arrived, and how that ended.
    fn read(&self, span: &Arc<Span>, delivered: &Arc<AtomicBool>) -> (u64, Result<()>) {
        let Crew { board, origin, source, whole, .. } = self.crew;
        let (start, end) = (span.start(), span.end());
        let begin = || -> Result<(CallContext, LaneSink)> {
            let begun = origin.call.begin()?;
            // This lane's own, below the cancel of all lanes.
            let call = CallContext { cancel: self.crew.cancel.child()?, ..begun };
            let sink = LaneSink {
                board: Arc::clone(board),
                file: board.file()?,
                team: self.crew.team,
                origin: self.crew.number,
                skip_to: start,
                at: if *whole { 0 } else { start },
                span: Arc::clone(span),
                delivered: Arc::clone(delivered),
                buffer: Vec::new(),
                filled: 0,
                writeback: Writeback::default(),
                cancel: call.cancel.clone(),
                failed: None,
            };
            Ok((call, sink))
        };
        let (call, sink) = match begin() {
            Ok(begun) => begun,
            Err(error) => return (start, Err(error)),
        };
        let from = sink.at;
        // A source that does not know its size is asked for everything, so that what is beyond the record's size shows.
        let is_last = board.size().is_none_or(|size| end == size);
        let to = if source.info().size.is_some() || !is_last { end } else { u64::MAX };
        span.reads(&call.cancel);
        let sink = Arc::new(Mutex::new(sink));
        let outcome = source.read(&call, from..to, sink.clone());
        // A handler that was given up may still fill its room; nothing of that is taken.
        let Ok(mut sink) = sink.try_lock() else {
            let in_use = || Error::new(ErrorKind::Crashed, "sink-in-use", "the source handler still writes");
            return (start, Err(outcome.err().unwrap_or_else(in_use)));
        };
        // What went wrong in here is the cause of what the handler then reports.
        let outcome = match sink.failed.take() {
            Some(error) => Err(error),
            None => sink.flush().and(outcome),
        };
        let reached = sink.at.max(start);
        if span.is_cut_at(reached) {
            // The rest is another lane's, and this one stopped the read for it.
            return (reached, Ok(()));
        }
        if outcome.is_err() && span.is_too_slow() && self.crew.cancel.check().is_ok() {
            return (reached, Err(board.least_rate().missed()));
        }
        if outcome.is_ok() && reached < end && board.size().is_none() {
            board.ends_at(reached);
        }
        (reached, outcome)
    }
}

/// Pauses after so many failures in a row, longer each time, unless `cancel` fires.
pub(super) fn pause(cancel: &Cancel, failures: u32) {
    let longest = PAUSE.saturating_mul(1 << failures.min(6)).min(PAUSE_MOST);
    // Those that failed together should not come back together.
    let share = crate::stage::random().map_or(50, |random| random % 50 + 50);
    cancel.sleep(longest.saturating_mul(u32::try_from(share).unwrap_or(100)) / 100);
}

/// Takes one range's bytes to the stage and tells the board.
struct LaneSink {
    board: Arc<Board>,
    file: File,
    team: usize,
    origin: u32,
    /// Bytes before this are there already: the source can only be read from its start.
    skip_to: u64,
    /// Where the buffer's first byte belongs.
    at: u64,
    span: Arc<Span>,
    /// Whether the lane has brought any bytes.
    delivered: Arc<AtomicBool>,
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
        self.span.hold(true);
        let flushed = self.write();
        self.span.hold(false);
        flushed
    }

    fn write(&mut self) -> Result<()> {
        let bytes = self.buffer.get(..self.filled).unwrap_or_default();
        let end = self.at.saturating_add(bytes.len() as u64);
        if self.at >= self.skip_to {
            let differs = self.board.compares() && self.write_where_different(bytes)?;
            if !self.board.compares() {
                {
                    let _turn = self.board.turn_to_write();
                    write_sparse(self.file.as_fd(), bytes, self.at)?;
                }
                self.writeback.written_to(self.file.as_fd(), end);
            }
            let buffer = std::mem::take(&mut self.buffer);
            self.buffer = self.board.arrived(self.team, self.at..end, self.origin, buffer, differs)?;
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
        let at = self.at.saturating_add(self.filled as u64);
        let want = want.max(1).min(self.flush_at().saturating_sub(self.filled));
        let left = self.span.claim(at, want as u64);
        if left == 0 && self.span.is_cut_at(at) {
            return Err(Error::cancelled());
        }
        if left == 0 {
            return Err(match self.board.size() {
                Some(size) => {
                    let message = format!("the source gives more than the {size} bytes that it should have");
                    Error::new(ErrorKind::Corrupt, "long-body", message)
                }
                None => too_large(self.span.end()),
            });
        }
        let end = self.filled.saturating_add(usize::try_from(left).unwrap_or(want));
        self.buffer
            .get_mut(self.filled..end)
            .ok_or_else(|| Error::new(ErrorKind::Internal, "sink-buffer", "the sink's buffer is short"))
    }
}

fn sleep_unless_zero(cancel: &Cancel, pause: Duration) {
    if !pause.is_zero() {
        cancel.sleep(pause);
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
        if self.span.arrived(filled as u64) && !self.delivered.swap(true, Ordering::Relaxed) {
            self.board.lane_delivers(self.team);
        }
        if self.span.is_cut_at(self.at.saturating_add(end as u64)) {
            // The source was asked for more, which another lane reads now.
            self.flush()?;
            self.cancel.cancel();
        }
        Ok(())
    }
}

/// The lock of a board or a part of it; nobody panics while holding one.
pub(super) fn locked<T: ?Sized>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
