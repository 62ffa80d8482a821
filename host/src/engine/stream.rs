//! Moves bytes that a source handler streams, one pass, in order.

use std::fs::File;
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex};

use landfall_handler_api::{Error, ErrorKind, Result, Scope};

use super::pump::{CHUNK, Digesting, write_sparse};
use super::writeback::Writeback;
use super::{Method, Moved, Want, too_large};
use crate::digest::{Algorithm, Digest};
use crate::disk;
use crate::plugin::{ByteSink, CallContext, OpenedSource};
use crate::stage::{Stage, stage_error};

/// Moves all bytes of `source` into `stage`.
pub(super) fn stream(
    source: &dyn OpenedSource,
    stage: &Stage<'_>,
    want: &Want<'_>,
    call: &CallContext,
) -> Result<Moved> {
    let expected = want.size.or(source.info().size);
    if let Some(size) = expected {
        stage.check_space(size)?;
    }
    let file = stage.file().try_clone().map_err(|error| stage_error(&error, "duplicate the stage's descriptor"))?;
    let sink = Arc::new(Mutex::new(StageSink {
        file,
        room: expected.unwrap_or(want.limit),
        expected,
        offset: 0,
        buffer: Vec::new(),
        filled: 0,
        spare: None,
        digesting: Some(Digesting::start(want.algorithm.map(Algorithm::hasher))?),
        writeback: Writeback::default(),
        call: call.clone(),
        failed: None,
    }));
    // A source that does not know its size is asked for everything, so that what is beyond the record's size shows.
    let read = source.read(call, 0..source.info().size.unwrap_or(u64::MAX), sink.clone());
    // After a failure the sink is left as it is, but for the cause: a handler that was given up may still fill its room.
    let Ok(mut sink) = sink.try_lock() else {
        return Err(read.err().unwrap_or_else(|| sink_in_use("the source handler still writes")));
    };
    // What went wrong in here is the cause of what the handler then reports.
    if let Some(error) = sink.failed.take() {
        return Err(error);
    }
    read?;
    sink.flush()?;
    let (bytes, digesting) = (sink.offset, sink.digesting.take());
    drop(sink);
    if let Some(size) = expected
        && size != bytes
    {
        let message = format!("the source ended after {bytes} of {size} bytes");
        return Err(Error::new(ErrorKind::Corrupt, "short-body", message));
    }
    stage.set_size(bytes)?;
    let digest = finish(digesting)?;
    Ok(Moved::new(Method::Stream, bytes, digest))
}

fn finish(digesting: Option<Digesting>) -> Result<Option<Digest>> {
    digesting.map_or(Ok(None), Digesting::finish)
}

fn sink_in_use(message: &str) -> Error {
    Error::new(ErrorKind::Crashed, "sink-in-use", message)
}

/// Collects reservations into chunks; each full chunk goes to the stage and to the digest.
struct StageSink {
    file: File,
    /// Bytes that may still come.
    room: u64,
    expected: Option<u64>,
    offset: u64,
    buffer: Vec<u8>,
    filled: usize,
    spare: Option<Vec<u8>>,
    digesting: Option<Digesting>,
    writeback: Writeback,
    call: CallContext,
    failed: Option<Error>,
}

impl StageSink {
    fn flush(&mut self) -> Result<()> {
        if self.filled == 0 {
            return Ok(());
        }
        let digesting = self.digesting.as_mut().ok_or_else(|| sink_in_use("the sink was closed"))?;
        let bytes = self.buffer.get(..self.filled).unwrap_or_default();
        // The file grows first, so that zeros left out at its end are still part of it.
        let end = self.offset.saturating_add(bytes.len() as u64);
        disk::set_size(self.file.as_fd(), end).map_err(|error| stage_error(&error, "set the stage's size"))?;
        write_sparse(self.file.as_fd(), bytes, self.offset)?;
        self.writeback.written_to(self.file.as_fd(), end);
        let (buffer, filled) = (std::mem::take(&mut self.buffer), self.filled);
        digesting.bytes(buffer, filled, &mut self.spare)?;
        (self.offset, self.filled) = (end, 0);
        (self.call.progress)(self.offset, self.expected);
        Ok(())
    }

    fn room_for(&mut self, want: usize) -> Result<&mut [u8]> {
        self.call.cancel.check()?;
        if self.filled == CHUNK {
            self.flush()?;
        }
        if self.buffer.is_empty() {
            self.buffer = match self.spare.take() {
                Some(buffer) => buffer,
                None => self.digesting.as_mut().ok_or_else(|| sink_in_use("the sink was closed"))?.buffer()?,
            };
        }
        if self.room == 0 {
            return Err(match self.expected {
                Some(size) => {
                    let message = format!("the source gives more than the {size} bytes that it should have");
                    Error::new(ErrorKind::Corrupt, "long-body", message)
                }
                None => too_large(self.offset),
            });
        }
        let room = usize::try_from(self.room).unwrap_or(CHUNK);
        let end = self.filled.saturating_add(want.max(1).min(room)).min(CHUNK);
        self.buffer
            .get_mut(self.filled..end)
            .ok_or_else(|| Error::new(ErrorKind::Internal, "sink-buffer", "the sink's buffer is short"))
    }
}

impl ByteSink for StageSink {
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
        if end > self.buffer.len() || filled as u64 > self.room {
            let message = "the source handler says it filled more than it was given";
            let error = Error::new(ErrorKind::Crashed, "plugin-lied", message).scoped(Scope::Handler);
            self.failed = Some(error.clone());
            return Err(error);
        }
        self.filled = end;
        self.room = self.room.saturating_sub(filled as u64);
        Ok(())
    }
}
