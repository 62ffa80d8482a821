//! The stage as a transfer handler sees it.

use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard};

use landfall_handler_api::{Error, ErrorKind, OutputMeta, Result, Scope};
use rustix::fs::OFlags;

use super::lent::Lent;
use super::{size_mismatch, written};
use crate::cancel::Cancel;
use crate::disk;
use crate::plugin::{Output, Outputs};
use crate::stage::{Stage, stage_error};

/// The outputs of one transfer: for now one disk. Closed by the host when the transfer is over; whatever a handler still
/// does then is refused.
pub(crate) struct StageOutputs {
    shared: Arc<Mutex<State>>,
}

struct State {
    /// The stage; gone once the outputs are closed.
    file: Option<File>,
    cancel: Cancel,
    /// The record's size.
    expected: Option<u64>,
    limit: u64,
    size: u64,
    opened: bool,
    finished: bool,
    /// How the file was when it was given to another process.
    lent: Option<Lent>,
    /// The first failure of the host's own; it outranks what the handler makes of it.
    failed: Option<Error>,
}

impl StageOutputs {
    pub(super) fn new(stage: &Stage<'_>, expected: Option<u64>, limit: u64, cancel: Cancel) -> Result<Self> {
        let file = stage.file().try_clone().map_err(|error| stage_error(&error, "duplicate the stage's descriptor"))?;
        let file = Some(file);
        let state =
            State { file, cancel, expected, limit, size: 0, opened: false, finished: false, lent: None, failed: None };
        Ok(Self { shared: Arc::new(Mutex::new(state)) })
    }

    /// Takes the stage away from the handler; gives the size of what it wrote.
    pub(super) fn close(&self) -> Result<u64> {
        let mut state = lock(&self.shared);
        let file = state.file.take();
        if let Some(error) = state.failed.take() {
            return Err(error);
        }
        if let (Some(lent), Some(file)) = (state.lent.take(), &file) {
            lent.refuse_changes(file, state.size)?;
        }
        if !state.finished {
            let message = "the handler ended without finishing its output";
            return Err(Error::new(ErrorKind::Crashed, "output-unfinished", message));
        }
        Ok(state.size)
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

fn misuse(code: &'static str, message: &str) -> Error {
    Error::new(ErrorKind::Internal, code, message).scoped(Scope::Handler)
}

impl Outputs for StageOutputs {
    fn open(&self, number: u32, size: u64, _meta: OutputMeta) -> Result<Arc<dyn Output>> {
        let mut state = lock(&self.shared);
        if number != 0 {
            return Err(Error::new(ErrorKind::Unsupported, "several-disks", "one disk can be placed, not several"));
        }
        if state.opened {
            return Err(misuse("output-opened-twice", "output 0 is open already"));
        }
        state.opened = true;
        drop(state);
        let output = StageOutput { shared: Arc::clone(&self.shared) };
        output.set_size(size)?;
        Ok(Arc::new(output))
    }
}

struct StageOutput {
    shared: Arc<Mutex<State>>,
}

impl StageOutput {
    /// Runs `action` on the stage if the output is still open and `offset..offset + len` lies in it.
    fn within(&self, offset: u64, len: u64, action: impl FnOnce(&File) -> Result<()>) -> Result<()> {
        let mut state = lock(&self.shared);
        if state.finished {
            return Err(misuse("output-finished", "the output is finished"));
        }
        written::check_bounds(offset, len, state.size)?;
        let Some(file) = &state.file else { return Err(misuse("output-closed", "the transfer is over")) };
        let done = state.cancel.check().and_then(|()| action(file));
        if let Err(error) = &done {
            state.failed.get_or_insert_with(|| error.clone());
        }
        done
    }
}

impl Output for StageOutput {
    fn write_at(&self, bytes: &[u8], offset: u64) -> Result<()> {
        self.within(offset, bytes.len() as u64, |file| written::write(file, bytes, offset))
    }

    fn zero(&self, offset: u64, len: u64) -> Result<()> {
        self.within(offset, len, |file| written::zero(file, offset, len))
    }

    fn adopt(&self, descriptor: OwnedFd, source_offset: u64, offset: u64, len: u64) -> Result<()> {
        // In steps, since the host waits for the one that runs when it takes the stage away.
        written::adopt(&File::from(descriptor), source_offset, offset, len, |from, to, step| {
            self.within(to, step, |file| written::adopt_range(from, file, to, step))
        })
    }

    fn descriptor(&self) -> Result<OwnedFd> {
        let mut state = lock(&self.shared);
        let Some(file) = &state.file else { return Err(misuse("output-closed", "the transfer is over")) };
        let lent = Lent::of(file)?;
        let descriptor = written::reopen(file, OFlags::RDWR)?;
        state.lent = Some(lent);
        Ok(descriptor)
    }

    fn set_size(&self, size: u64) -> Result<()> {
        let mut state = lock(&self.shared);
        if state.finished {
            return Err(misuse("output-finished", "the output is finished"));
        }
        if let Some(expected) = state.expected.filter(|expected| size > *expected) {
            return Err(size_mismatch(expected, size));
        }
        if size > state.limit {
            let message = format!("{size} bytes are more than the {} bytes that this disk may have", state.limit);
            return Err(Error::new(ErrorKind::Limit, "disk-bytes", message));
        }
        let Some(file) = &state.file else { return Err(misuse("output-closed", "the transfer is over")) };
        let done = disk::set_size(file.as_fd(), size).map_err(|error| stage_error(&error, "set the stage's size"));
        match &done {
            Ok(()) => state.size = size,
            Err(error) => {
                state.failed.get_or_insert_with(|| error.clone());
            }
        }
        done
    }

    fn finish(&self) -> Result<()> {
        let mut state = lock(&self.shared);
        if state.file.is_none() {
            return Err(misuse("output-closed", "the transfer is over"));
        }
        state.finished = true;
        Ok(())
    }
}
