//! The stage as a transfer handler sees it.

use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard};

use landfall_handler_api::{Error, ErrorKind, OutputMeta, Result, Scope};

use super::size_mismatch;
use crate::cancel::Cancel;
use crate::disk;
use crate::plugin::{Output, Outputs};
use crate::stage::{Stage, stage_error};

/// Bytes of one step of a copy from an adopted descriptor.
const STEP: usize = 256 * 1024;
/// Bytes that are adopted before cancellation is looked at again; a multiple of every block size, so that clones work.
const ADOPT_STEP: u64 = 1 << 30;

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
    /// The first failure of the host's own; it outranks what the handler makes of it.
    failed: Option<Error>,
}

impl StageOutputs {
    pub(super) fn new(stage: &Stage<'_>, expected: Option<u64>, limit: u64, cancel: Cancel) -> Result<Self> {
        let file = stage.file().try_clone().map_err(|error| stage_error(&error, "duplicate the stage's descriptor"))?;
        let file = Some(file);
        let state = State { file, cancel, expected, limit, size: 0, opened: false, finished: false, failed: None };
        Ok(Self { shared: Arc::new(Mutex::new(state)) })
    }

    /// Takes the stage away from the handler; gives the size of what it wrote.
    pub(super) fn close(&self) -> Result<u64> {
        let mut state = lock(&self.shared);
        state.file = None;
        if let Some(error) = state.failed.take() {
            return Err(error);
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
        if offset.checked_add(len).is_none_or(|end| end > state.size) {
            let message = format!("{len} bytes at {offset} are beyond the output's {} bytes", state.size);
            return Err(Error::new(ErrorKind::Limit, "output-bounds", message).scoped(Scope::Handler));
        }
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
        self.within(offset, bytes.len() as u64, |file| {
            disk::write_all_at(file.as_fd(), bytes, offset).map_err(|error| stage_error(&error, "write the stage"))
        })
    }

    fn zero(&self, offset: u64, len: u64) -> Result<()> {
        self.within(offset, len, |file| zero(file, offset, len))
    }

    fn adopt(&self, descriptor: OwnedFd, source_offset: u64, offset: u64, len: u64) -> Result<()> {
        let source = File::from(descriptor);
        let mut done = 0_u64;
        // In steps, since the host waits for the one that runs when it takes the stage away.
        while done < len {
            let step = len.saturating_sub(done).min(ADOPT_STEP);
            let (from, to) = (source_offset.saturating_add(done), offset.saturating_add(done));
            self.within(to, step, |file| adopt_range(&source, file, from, to, step))?;
            done = done.saturating_add(step);
        }
        Ok(())
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

/// Makes a range read as zeros, as a hole where the file system has them.
fn zero(file: &File, offset: u64, len: u64) -> Result<()> {
    if len == 0 {
        return Ok(());
    }
    match disk::punch(file.as_fd(), offset, len) {
        Err(error) if disk::is_missing(&error) => {
            let zeros = vec![0; STEP];
            let mut done = 0_u64;
            while done < len {
                let step = usize::try_from(len.saturating_sub(done)).unwrap_or(STEP).min(STEP);
                let part = zeros.get(..step).unwrap_or_default();
                disk::write_all_at(file.as_fd(), part, offset.saturating_add(done))
                    .map_err(|error| stage_error(&error, "write zeros to the stage"))?;
                done = done.saturating_add(step as u64);
            }
            Ok(())
        }
        done => done.map_err(|error| stage_error(&error, "make a hole in the stage")),
    }
}

/// Takes a range of an adopted descriptor: inside the kernel where possible (which clones on file systems that share
/// blocks), else by reading and writing.
fn adopt_range(source: &File, target: &File, mut source_offset: u64, mut offset: u64, mut len: u64) -> Result<()> {
    let metadata = source.metadata().map_err(|error| Error::os(&error, "stat the adopted descriptor"))?;
    if !metadata.is_file() {
        return Err(Error::new(ErrorKind::Denied, "not-a-regular-file", "the adopted descriptor is no regular file"));
    }
    let mut in_kernel = true;
    let mut buffer = Vec::new();
    while len > 0 {
        let step = usize::try_from(len).unwrap_or(usize::MAX);
        let moved = if in_kernel {
            match disk::copy_range(source.as_fd(), source_offset, target.as_fd(), offset, step) {
                Err(error) if disk::is_missing(&error) => {
                    in_kernel = false;
                    continue;
                }
                moved => moved.map_err(|error| stage_error(&error, "copy into the stage"))?,
            }
        } else {
            buffer.resize(step.min(STEP), 0);
            let filled = rustix::io::pread(source, &mut buffer, source_offset)
                .map_err(|errno| Error::os(&errno.into(), "read the adopted descriptor"))?;
            disk::write_all_at(target.as_fd(), buffer.get(..filled).unwrap_or_default(), offset)
                .map_err(|error| stage_error(&error, "write the stage"))?;
            filled
        };
        if moved == 0 {
            let message = "the adopted descriptor ends before the range that was adopted";
            return Err(Error::new(ErrorKind::Corrupt, "short-body", message));
        }
        let moved = moved as u64;
        source_offset = source_offset.saturating_add(moved);
        offset = offset.saturating_add(moved);
        len = len.saturating_sub(moved);
    }
    Ok(())
}
