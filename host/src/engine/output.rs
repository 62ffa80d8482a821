//! The stages as a handler that writes them sees them.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use landfall_handler_api::{Error, ErrorKind, OutputMeta, Result, Scope};
use rustix::fs::OFlags;

use super::lent::Lent;
use super::stage_writer::StageWriter;
use super::{size_mismatch, written};
use crate::cancel::Cancel;
use crate::disk;
use crate::plugin::{Output, Outputs};
use crate::stage::{Stage, refuse_short_space, stage_error};
use crate::target::Target;

/// What a handler may open and write.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Allowed {
    /// Outputs.
    pub(crate) disks: u32,
    /// Bytes of each.
    pub(crate) bytes: u64,
    /// Bytes of the one there is, as the record says.
    pub(crate) expected: Option<u64>,
    /// Bytes of all together: what the file system has free. `None` does not look.
    pub(crate) space: Option<u64>,
}

/// A disk that a handler wrote.
#[derive(Debug)]
pub(crate) struct Disk {
    /// Where it is.
    pub(crate) stage: Stage,
    /// Its size.
    pub(crate) bytes: u64,
    /// What the handler says of it.
    pub(crate) meta: OutputMeta,
}

/// What a handler wrote.
#[derive(Debug)]
pub(crate) struct Written {
    /// Bytes of the first disk, in the stage that there was.
    pub(crate) bytes: u64,
    /// What the handler says of that.
    pub(crate) meta: OutputMeta,
    /// The others, in the order of their numbers.
    pub(crate) more: Vec<Disk>,
}

/// The outputs of one operation. Closed by the host when that is over; whatever a handler still does then is refused.
pub(crate) struct StageOutputs {
    allowed: Allowed,
    /// For stages beside the first: whose target they are for, and how they are opened.
    target: Arc<Target>,
    keep: Duration,
    owner: Option<(u32, u32)>,
    /// The first stage, until it is opened.
    first: Mutex<Option<StageWriter>>,
    cancel: Cancel,
    opened: Mutex<BTreeMap<u32, Opened>>,
    /// The first failure of the host's own; it outranks what the handler makes of it.
    failed: Arc<Mutex<Option<Error>>>,
}

struct Opened {
    shared: Arc<Shared>,
    /// Where it is, unless it is the first.
    stage: Option<Stage>,
    meta: OutputMeta,
}

/// What an output and its owner both have.
struct Shared {
    allowed: Allowed,
    cancel: Cancel,
    /// Read by those who write to the stage, several at once; written by whoever changes what they may do.
    state: RwLock<State>,
    failed: Arc<Mutex<Option<Error>>>,
}

struct State {
    /// The stage; gone once the outputs are closed.
    file: Option<StageWriter>,
    size: u64,
    finished: bool,
    /// How the file was when it was given to another process.
    lent: Option<Lent>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn misuse(code: &'static str, message: &str) -> Error {
    Error::new(ErrorKind::Internal, code, message).scoped(Scope::Handler)
}

fn closed() -> Error {
    misuse("output-closed", "the operation is over")
}

/// A second descriptor of a stage, to be written by a handler.
fn writer(stage: &Stage) -> Result<StageWriter> {
    let file = stage.file().try_clone().map_err(|error| stage_error(&error, "duplicate the stage's descriptor"))?;
    Ok(StageWriter::new(file))
}

impl StageOutputs {
    /// Outputs of which the first is `stage`; others are made beside it, kept no longer than `keep`.
    pub(super) fn new(stage: &Stage, allowed: Allowed, keep: Duration, cancel: Cancel) -> Result<Self> {
        Ok(Self {
            allowed,
            target: stage.target(),
            keep,
            owner: stage.owner(),
            first: Mutex::new(Some(writer(stage)?)),
            cancel,
            opened: Mutex::default(),
            failed: Arc::default(),
        })
    }

    /// Takes the stages away from the handler; gives what it wrote.
    pub(super) fn close(&self) -> Result<Written> {
        locked(&self.first).take();
        let opened = std::mem::take(&mut *locked(&self.opened));
        let sizes: Vec<Result<u64>> = opened.values().map(|opened| opened.shared.close()).collect();
        if let Some(error) = locked(&self.failed).take() {
            return Err(error);
        }
        let unfinished = || {
            let message = "the handler ended without finishing its output";
            Error::new(ErrorKind::Crashed, "output-unfinished", message)
        };
        let mut disks = Vec::new();
        for ((number, opened), size) in opened.into_iter().zip(sizes) {
            if usize::try_from(number).ok() != Some(disks.len()) {
                return Err(misuse("output-missing", "the handler left out a number of its outputs"));
            }
            disks.push((opened, size?));
        }
        let mut disks = disks.into_iter();
        let (first, bytes) = disks.next().ok_or_else(unfinished)?;
        let disk = |(opened, bytes): (Opened, u64)| {
            let stage = opened.stage.ok_or_else(|| misuse("output-missing", "an output has no stage"))?;
            Ok(Disk { stage, bytes, meta: opened.meta })
        };
        Ok(Written { bytes, meta: first.meta, more: disks.map(disk).collect::<Result<_>>()? })
    }

    fn make_room(&self, opened: &BTreeMap<u32, Opened>, size: u64) -> Result<()> {
        let Some(space) = self.allowed.space else { return Ok(()) };
        let sizes = opened.values().map(|opened| opened.shared.read().size);
        refuse_short_space(space, sizes.fold(size, u64::saturating_add), "; limits.overcommit leaves that out")
    }
}

impl Outputs for StageOutputs {
    fn open(&self, number: u32, size: u64, meta: OutputMeta) -> Result<Arc<dyn Output>> {
        let mut opened = locked(&self.opened);
        if number >= self.allowed.disks {
            return Err(too_many_disks(self.allowed.disks));
        }
        if opened.contains_key(&number) {
            return Err(misuse("output-opened-twice", "the output is open already"));
        }
        let note = |error: Error| {
            locked(&self.failed).get_or_insert_with(|| error.clone());
            error
        };
        self.make_room(&opened, size).map_err(note)?;
        let (file, stage) = if number == 0 {
            (locked(&self.first).take().ok_or_else(closed)?, None)
        } else {
            let stage = Stage::open(&self.target, self.keep, self.owner).map_err(note)?;
            (writer(&stage).map_err(note)?, Some(stage))
        };
        let state = State { file: Some(file), size: 0, finished: false, lent: None };
        let (allowed, cancel, failed) = (self.allowed, self.cancel.clone(), Arc::clone(&self.failed));
        let shared = Arc::new(Shared { allowed, cancel, state: RwLock::new(state), failed });
        shared.set_size(size)?;
        opened.insert(number, Opened { shared: Arc::clone(&shared), stage, meta });
        Ok(shared)
    }
}

/// An image has more disks than may be placed.
fn too_many_disks(most: u32) -> Error {
    if most == 1 {
        let message = "the image has several disks, and one can be placed under one name; --to-dir places them all";
        return Error::new(ErrorKind::Unsupported, "several-disks", message).scoped(Scope::Image);
    }
    Error::new(ErrorKind::Limit, "disks", format!("the image has more than {most} disks")).scoped(Scope::Image)
}

impl Shared {
    fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the stage away from the handler; gives the size of what it wrote.
    fn close(&self) -> Result<u64> {
        let mut state = self.write();
        let file = state.file.take();
        if let (Some(lent), Some(file)) = (state.lent.take(), &file) {
            lent.refuse_changes(file.file(), state.size)?;
        }
        if !state.finished {
            let message = "the handler ended without finishing its output";
            return Err(Error::new(ErrorKind::Crashed, "output-unfinished", message));
        }
        Ok(state.size)
    }

    /// Remembers the first failure.
    fn note<T>(&self, done: Result<T>) -> Result<T> {
        if let Err(error) = &done {
            locked(&self.failed).get_or_insert_with(|| error.clone());
        }
        done
    }

    /// Runs `action` on the stage if the output is still open and `offset..offset + len` lies in it.
    fn within(&self, offset: u64, len: u64, action: impl FnOnce(&StageWriter) -> Result<()>) -> Result<()> {
        let state = self.read();
        if state.finished {
            return Err(misuse("output-finished", "the output is finished"));
        }
        written::check_bounds(offset, len, state.size)?;
        let stage = state.file.as_ref().ok_or_else(closed)?;
        self.note(self.cancel.check().and_then(|()| action(stage)))
    }
}

impl Output for Shared {
    fn write_at(&self, bytes: &[u8], offset: u64) -> Result<()> {
        self.within(offset, bytes.len() as u64, |stage| stage.write(bytes, offset))
    }

    fn zero(&self, offset: u64, len: u64) -> Result<()> {
        self.within(offset, len, |stage| written::zero(stage.file(), offset, len))
    }

    fn adopt(&self, descriptor: OwnedFd, source_offset: u64, offset: u64, len: u64) -> Result<()> {
        // In steps, since the host waits for the one that runs when it takes the stage away.
        written::adopt(&descriptor.into(), source_offset, offset, len, |from, to, step| {
            self.within(to, step, |stage| written::adopt_range(from, stage.file(), to, step))
        })
    }

    fn descriptor(&self) -> Result<OwnedFd> {
        let mut state = self.write();
        let stage = state.file.as_ref().ok_or_else(closed)?;
        let lent = Lent::of(stage.file())?;
        let descriptor = written::reopen(stage.file(), OFlags::RDWR)?;
        state.lent = Some(lent);
        Ok(descriptor)
    }

    fn set_size(&self, size: u64) -> Result<()> {
        let mut state = self.write();
        if state.finished {
            return Err(misuse("output-finished", "the output is finished"));
        }
        if let Some(expected) = self.allowed.expected.filter(|expected| size > *expected) {
            return Err(size_mismatch(expected, size));
        }
        if size > self.allowed.bytes {
            let message =
                format!("{size} bytes are more than the {} bytes that this disk may have", self.allowed.bytes);
            return Err(Error::new(ErrorKind::Limit, "disk-bytes", message));
        }
        let stage = state.file.as_ref().ok_or_else(closed)?;
        let done = disk::set_size(stage.file().as_fd(), size);
        self.note(done.map_err(|error| stage_error(&error, "set the stage's size")))?;
        state.size = size;
        Ok(())
    }

    fn finish(&self) -> Result<()> {
        let mut state = self.write();
        if state.file.is_none() {
            return Err(closed());
        }
        state.finished = true;
        Ok(())
    }
}
