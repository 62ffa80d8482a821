//! An output that nobody keeps.

use std::fmt::Write as _;
use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use landfall_handler_api::{Error, ErrorKind, OutputMeta, Result};
use rustix::fs::{Mode, OFlags};
use sha2::{Digest as _, Sha256};

use super::super::backend::{Output, Outputs};
use crate::disk;

const STEP: usize = 256 * 1024;

/// One nameless file, with the rules of a real output.
pub(super) struct Scratch {
    state: Arc<Mutex<State>>,
}

struct State {
    file: File,
    size: u64,
    opened: bool,
    finished: bool,
}

struct ScratchOutput {
    state: Arc<Mutex<State>>,
}

fn locked(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

fn misuse(code: &'static str, message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Internal, code, message)
}

fn failed(error: std::io::Error) -> Error {
    Error::os(&error, "use the scratch file")
}

/// Lower-case hex.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut hex, byte| {
        // Writing to a String does not fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

impl Scratch {
    pub(super) fn new() -> Result<Self> {
        let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
        let file = rustix::fs::open(std::env::temp_dir(), flags, Mode::RUSR | Mode::WUSR)
            .map_err(|errno| Error::os(&errno.into(), "make a scratch file"))?;
        let state = State { file: File::from(file), size: 0, opened: false, finished: false };
        Ok(Self { state: Arc::new(Mutex::new(state)) })
    }

    /// The size and the digest of what was written.
    pub(super) fn close(&self) -> Result<(u64, String)> {
        let state = locked(&self.state);
        if !state.finished {
            return Err(misuse("output-unfinished", "the handler ended without finishing its output"));
        }
        let (mut hasher, mut buffer, mut offset) = (Sha256::new(), vec![0; STEP], 0_u64);
        loop {
            match state.file.read_at(&mut buffer, offset).map_err(failed)? {
                0 => return Ok((state.size, hex(&hasher.finalize()))),
                filled => {
                    hasher.update(buffer.get(..filled).unwrap_or_default());
                    offset = offset.saturating_add(filled as u64);
                }
            }
        }
    }
}

impl Outputs for Scratch {
    fn open(&self, number: u32, size: u64, _: OutputMeta) -> Result<Arc<dyn Output>> {
        if number != 0 {
            return Err(Error::new(ErrorKind::Unsupported, "several-disks", "there is one output, number 0"));
        }
        if std::mem::replace(&mut locked(&self.state).opened, true) {
            return Err(misuse("output-opened-twice", "output 0 is open already"));
        }
        let output = ScratchOutput { state: Arc::clone(&self.state) };
        output.set_size(size)?;
        Ok(Arc::new(output))
    }
}

impl ScratchOutput {
    fn open(&self) -> Result<MutexGuard<'_, State>> {
        let state = locked(&self.state);
        if state.finished { Err(misuse("output-finished", "the output is finished")) } else { Ok(state) }
    }

    fn within(&self, offset: u64, len: u64) -> Result<MutexGuard<'_, State>> {
        let state = self.open()?;
        if offset.checked_add(len).is_none_or(|end| end > state.size) {
            let message = format!("{len} bytes at {offset} are beyond the output's {} bytes", state.size);
            return Err(Error::new(ErrorKind::Limit, "output-bounds", message));
        }
        Ok(state)
    }
}

impl Output for ScratchOutput {
    fn write_at(&self, bytes: &[u8], offset: u64) -> Result<()> {
        self.within(offset, bytes.len() as u64)?.file.write_all_at(bytes, offset).map_err(failed)
    }

    fn zero(&self, offset: u64, len: u64) -> Result<()> {
        let state = self.within(offset, len)?;
        if len == 0 { Ok(()) } else { disk::punch(state.file.as_fd(), offset, len).map_err(failed) }
    }

    fn adopt(&self, descriptor: OwnedFd, source_offset: u64, offset: u64, len: u64) -> Result<()> {
        let (source, mut buffer, mut done) = (File::from(descriptor), vec![0; STEP], 0_u64);
        while done < len {
            let step = usize::try_from(len.saturating_sub(done)).unwrap_or(STEP).min(STEP);
            let part = buffer.get_mut(..step).unwrap_or_default();
            source.read_exact_at(part, source_offset.saturating_add(done)).map_err(failed)?;
            self.write_at(part, offset.saturating_add(done))?;
            done = done.saturating_add(step as u64);
        }
        Ok(())
    }

    fn set_size(&self, size: u64) -> Result<()> {
        let mut state = self.open()?;
        disk::set_size(state.file.as_fd(), size).map_err(failed)?;
        state.size = size;
        Ok(())
    }

    fn finish(&self) -> Result<()> {
        self.open().map(|mut state| state.finished = true)
    }
}
