//! Outputs that nobody keeps.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt::Write as _;
use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use landfall_handler_api::{Error, ErrorKind, OutputMeta, Result};
use rustix::fs::{Mode, OFlags};

use super::super::backend::{Output, Outputs};
use super::sample::{Counted, Expected, counted};
use crate::cancel::Cancel;
use crate::disk;
use crate::engine::written;

const STEP: usize = 256 * 1024;

/// Nameless files, with the rules of real outputs.
pub(super) struct Scratch {
    state: Arc<Mutex<State>>,
    /// Outputs that there may be.
    most: u32,
}

/// What goes wrong while outputs are written.
#[derive(Default)]
pub(super) struct Trouble {
    /// Writes that succeed before one fails, and all after it; none fails by default.
    pub(super) writes: Option<u64>,
    /// Fired by the first write.
    pub(super) cancel: Option<Cancel>,
    /// Whether writes were refused for that.
    pub(super) refused: Arc<AtomicBool>,
    /// The most bytes that an output may have.
    pub(super) disk_bytes: Option<u64>,
}

#[derive(Default)]
struct State {
    disks: BTreeMap<u32, Disk>,
    trouble: Trouble,
}

pub(super) struct Disk {
    file: File,
    size: u64,
    finished: bool,
}

/// The disks that an unpacker wrote; the same as others that have the same bytes.
#[derive(Debug)]
pub(super) struct Written(Vec<(Counted, File)>);

impl PartialEq for Written {
    fn eq(&self, other: &Self) -> bool {
        self.counted().eq(other.counted())
    }
}

impl Written {
    /// The size and the digest of each.
    pub(super) fn counted(&self) -> impl Iterator<Item = &Counted> {
        self.0.iter().map(|(counted, _)| counted)
    }

    /// How they differ from what is expected; `None` where they do not, or nothing is expected.
    pub(super) fn differ(&self, expected: &[Expected]) -> std::io::Result<Option<String>> {
        if expected.is_empty() {
            return Ok(None);
        }
        if expected.len() != self.0.len() {
            return Ok(Some(format!("{} disks, where {} are expected", self.0.len(), expected.len())));
        }
        for (number, (expected, (counted, file))) in expected.iter().zip(&self.0).enumerate() {
            if let Some(how) = expected.differs(counted, file)? {
                return Ok(Some(format!("disk {number}: {how}")));
            }
        }
        Ok(None)
    }
}

struct ScratchOutput {
    state: Arc<Mutex<State>>,
    number: u32,
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

/// A file without a name in the folder for temporary files.
pub(super) fn nameless_file() -> std::io::Result<File> {
    let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
    Ok(File::from(rustix::fs::open(std::env::temp_dir(), flags, Mode::RUSR | Mode::WUSR)?))
}

impl Scratch {
    pub(super) fn new(most: u32, trouble: Trouble) -> Self {
        Self { state: Arc::new(Mutex::new(State { trouble, ..State::default() })), most }
    }

    /// Each disk that was written, of which there is one at least.
    pub(super) fn close(&self) -> Result<Written> {
        let count = |disk: Disk| counted(&disk.file).map(|counted| (counted, disk.file)).map_err(failed);
        self.finished()?.into_iter().map(count).collect::<Result<_>>().map(Written)
    }

    /// Takes what was written, if it is as it has to be.
    pub(super) fn finished(&self) -> Result<Vec<Disk>> {
        let mut state = locked(&self.state);
        if state.disks.is_empty() || state.disks.values().any(|disk| !disk.finished) {
            let message = "the handler ended without finishing its outputs";
            return Err(Error::new(ErrorKind::Crashed, "output-unfinished", message));
        }
        if !state.disks.keys().copied().eq((0..).take(state.disks.len())) {
            return Err(misuse("output-numbers", "the outputs are not numbered from 0 without a gap"));
        }
        Ok(std::mem::take(&mut state.disks).into_values().collect())
    }
}

impl Outputs for Scratch {
    fn open(&self, number: u32, size: u64, _: OutputMeta) -> Result<Arc<dyn Output>> {
        if number >= self.most {
            let message = format!("there is room for {} outputs, and this is number {number}", self.most);
            return Err(Error::new(ErrorKind::Unsupported, "several-disks", message));
        }
        let disk = Disk { file: nameless_file().map_err(failed)?, size: 0, finished: false };
        match locked(&self.state).disks.entry(number) {
            Entry::Occupied(_) => return Err(misuse("output-opened-twice", "this output is open already")),
            Entry::Vacant(free) => free.insert(disk),
        };
        let output = ScratchOutput { state: Arc::clone(&self.state), number };
        output.set_size(size)?;
        Ok(Arc::new(output))
    }
}

impl State {
    /// The disk `number`, which may still be written.
    fn open(&mut self, number: u32) -> Result<&mut Disk> {
        let disk = self.disks.get_mut(&number).filter(|disk| !disk.finished);
        disk.ok_or_else(|| misuse("output-finished", "the output is finished"))
    }

    /// The disk that `len` bytes at `offset` are to be written to.
    fn within(&mut self, number: u32, offset: u64, len: u64) -> Result<&mut Disk> {
        if let Some(cancel) = &self.trouble.cancel {
            // As with real outputs: what comes behind the first write is refused.
            cancel.check().inspect_err(|_| self.trouble.refused.store(true, Ordering::Relaxed))?;
            cancel.cancel();
        }
        match &mut self.trouble.writes {
            Some(0) => return Err(Error::new(ErrorKind::NoSpace, "no-space", "there is no space left, as planned")),
            Some(left) => *left = left.saturating_sub(1),
            None => {}
        }
        let disk = self.open(number)?;
        written::check_bounds(offset, len, disk.size)?;
        Ok(disk)
    }
}

impl Output for ScratchOutput {
    fn write_at(&self, bytes: &[u8], offset: u64) -> Result<()> {
        let mut state = locked(&self.state);
        let disk = state.within(self.number, offset, bytes.len() as u64)?;
        disk.file.write_all_at(bytes, offset).map_err(failed)
    }

    fn zero(&self, offset: u64, len: u64) -> Result<()> {
        let mut state = locked(&self.state);
        let disk = state.within(self.number, offset, len)?;
        if len == 0 { Ok(()) } else { disk::punch(disk.file.as_fd(), offset, len).map_err(failed) }
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
        let mut state = locked(&self.state);
        if state.trouble.disk_bytes.is_some_and(|most| size > most) {
            return Err(Error::new(ErrorKind::Limit, "disk-bytes", "the output would have more bytes than it may"));
        }
        let disk = state.open(self.number)?;
        disk::set_size(disk.file.as_fd(), size).map_err(failed)?;
        disk.size = size;
        Ok(())
    }

    fn finish(&self) -> Result<()> {
        locked(&self.state).open(self.number).map(|disk| disk.finished = true)
    }
}
