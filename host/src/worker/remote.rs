//! The worker's side of what the agent holds: outputs, whose size and end are the agent's to decide, and inputs that come
//! through a lane.

use std::collections::HashMap;
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use landfall_handler_api::{Error, ErrorKind, OutputMeta, Result, Scope};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::eventfd::{EfdFlags, EventFd};

use super::message::{Ask, Report};
use super::ring::{Consumer, SLOT, Stop, Wait};
use super::wire::Wire;
use crate::cancel::Cancel;
use crate::engine::{StageWriter, written};
use crate::plugin::{Input, Output, Outputs};

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What a question is answered with.
type Answered = (Result<u64>, Option<OwnedFd>);

/// Questions of one operation that wait for their answers.
pub(super) struct Questions {
    wire: Arc<Wire>,
    id: u64,
    next: AtomicU64,
    /// Until the operation is over.
    waiting: Mutex<Option<HashMap<u64, Sender<Answered>>>>,
}

impl Questions {
    pub(super) fn new(wire: Arc<Wire>, id: u64) -> Arc<Self> {
        Arc::new(Self { wire, id, next: AtomicU64::new(0), waiting: Mutex::new(Some(HashMap::new())) })
    }

    /// Asks the agent and waits for its answer. The agent answers at once, or is dead, and so is this process then.
    fn ask(&self, ask: Ask) -> Result<(u64, Option<OwnedFd>)> {
        let question = self.next.fetch_add(1, Ordering::Relaxed);
        let (sender, answer) = channel();
        {
            // Held while it is sent, so that nothing is asked for an operation that was said to be over.
            let mut waiting = locked(&self.waiting);
            let over = || Error::new(ErrorKind::Cancelled, "operation-over", "the operation is over already");
            waiting.as_mut().ok_or_else(over)?.insert(question, sender);
            self.wire.send(&Report::Question { id: self.id, question, ask }, &[])?;
        }
        let gone = || Error::new(ErrorKind::Internal, "agent-gone", "the agent does not answer");
        let (outcome, descriptor) = answer.recv().map_err(|_| gone())?;
        Ok((outcome?, descriptor))
    }

    /// Asks for a secret.
    pub(super) fn secret(&self, name: &str) -> Result<Vec<u8>> {
        let lost = || Error::new(ErrorKind::Internal, "secret-lost", "the agent gave a secret without a descriptor");
        let (len, descriptor) = self.ask(Ask::Secret { name: name.to_owned() })?;
        let mut secret = vec![0; usize::try_from(len).map_err(|_| lost())?];
        let filled = written::read_full(&File::from(descriptor.ok_or_else(lost)?), &mut secret, 0)?;
        secret.truncate(filled);
        Ok(secret)
    }

    /// The operation is over: nothing is asked any more.
    pub(super) fn close(&self) {
        *locked(&self.waiting) = None;
    }

    /// An answer came.
    pub(super) fn answered(&self, question: u64, outcome: Result<u64>, descriptor: Option<OwnedFd>) {
        if let Some(sender) = locked(&self.waiting).as_mut().and_then(|waiting| waiting.remove(&question)) {
            // Whoever asked may have been given up.
            let _ = sender.send((outcome, descriptor));
        }
    }
}

/// The outputs of one operation.
pub(super) struct RemoteOutputs {
    pub(super) questions: Arc<Questions>,
    pub(super) cancel: Cancel,
}

impl Outputs for RemoteOutputs {
    fn open(&self, number: u32, size: u64, meta: OutputMeta) -> Result<Arc<dyn Output>> {
        let (_, descriptor) = self.questions.ask(Ask::Open { number, size, meta })?;
        let lost = || Error::new(ErrorKind::Internal, "output-lost", "the agent opened an output without a descriptor");
        let file = File::from(descriptor.ok_or_else(lost)?);
        Ok(Arc::new(RemoteOutput {
            questions: Arc::clone(&self.questions),
            cancel: self.cancel.clone(),
            number,
            stage: StageWriter::new(file),
            size: AtomicU64::new(size),
            finished: AtomicBool::new(false),
        }))
    }
}

struct RemoteOutput {
    questions: Arc<Questions>,
    cancel: Cancel,
    number: u32,
    stage: StageWriter,
    size: AtomicU64,
    finished: AtomicBool,
}

impl RemoteOutput {
    fn check(&self, offset: u64, len: u64) -> Result<()> {
        self.cancel.check()?;
        if self.finished.load(Ordering::SeqCst) {
            let error = Error::new(ErrorKind::Internal, "output-finished", "the output is finished");
            return Err(error.scoped(Scope::Handler));
        }
        written::check_bounds(offset, len, self.size.load(Ordering::SeqCst))
    }
}

impl Output for RemoteOutput {
    fn write_at(&self, bytes: &[u8], offset: u64) -> Result<()> {
        self.check(offset, bytes.len() as u64)?;
        self.stage.write(bytes, offset)
    }

    fn zero(&self, offset: u64, len: u64) -> Result<()> {
        self.check(offset, len)?;
        written::zero(self.stage.file(), offset, len)
    }

    fn adopt(&self, descriptor: OwnedFd, source_offset: u64, offset: u64, len: u64) -> Result<()> {
        written::adopt(&File::from(descriptor), source_offset, offset, len, |from, to, step| {
            self.check(to, step)?;
            written::adopt_range(from, self.stage.file(), to, step)
        })
    }

    fn set_size(&self, size: u64) -> Result<()> {
        self.questions.ask(Ask::SetSize { number: self.number, size })?;
        self.size.store(size, Ordering::SeqCst);
        Ok(())
    }

    fn finish(&self) -> Result<()> {
        self.finished.store(true, Ordering::SeqCst);
        self.questions.ask(Ask::Finish { number: self.number }).map(|_| ())
    }
}

/// An input with a descriptor.
pub(super) struct FileInput {
    pub(super) file: File,
    pub(super) size: Option<u64>,
}

impl Input for FileInput {
    fn size(&self) -> Option<u64> {
        self.size
    }

    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        Some(self.file.as_fd())
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<usize> {
        written::read_full(&self.file, buffer, offset)
    }
}

/// How an input ended: its size, or why there is no more.
pub(super) struct InputEnd {
    outcome: Mutex<Option<Result<u64>>>,
    event: EventFd,
}

impl InputEnd {
    pub(super) fn new() -> Result<Arc<Self>> {
        let event = EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)
            .map_err(|errno| Error::os(&errno.into(), "make an event descriptor"))?;
        Ok(Arc::new(Self { outcome: Mutex::default(), event }))
    }

    pub(super) fn came(&self, outcome: Result<u64>) {
        *locked(&self.outcome) = Some(outcome);
        // A full counter is readable already.
        let _ = self.event.write(1);
    }
}

/// An input that comes through a lane, front to back.
pub(super) struct LaneInput {
    lane: Mutex<Taken>,
    end: Arc<InputEnd>,
    size: Option<u64>,
    cancel: Cancel,
}

struct Taken {
    consumer: Consumer,
    position: u64,
}

impl LaneInput {
    pub(super) fn new(consumer: Consumer, size: Option<u64>, end: Arc<InputEnd>, cancel: Cancel) -> Self {
        Self { lane: Mutex::new(Taken { consumer, position: 0 }), end, size, cancel }
    }

    /// Takes the next bytes; 0 at the end.
    fn take(&self, taken: &mut Taken, buffer: &mut [u8]) -> Result<usize> {
        loop {
            let ended = locked(&self.end.outcome).clone();
            if let Some(outcome) = &ended {
                match outcome {
                    Ok(total) if taken.position >= *total => return Ok(0),
                    Ok(_) => {}
                    Err(error) => return Err(error.clone()),
                }
            }
            // Once the end is known its event says nothing more.
            let other = ended.is_none().then(|| self.end.event.as_fd());
            let wait = Wait { cancel: &self.cancel, other, until: None };
            match taken.consumer.take(buffer, &wait) {
                Ok(bytes) => {
                    taken.position = taken.position.saturating_add(bytes as u64);
                    return Ok(bytes);
                }
                Err(Stop::Failed(error)) => return Err(error),
                Err(Stop::Cancelled) => return Err(self.cancel.check().err().unwrap_or_else(Error::cancelled)),
                Err(Stop::Gone) if ended.is_some() => {
                    let message = "the input's lane ended before the input did";
                    return Err(Error::new(ErrorKind::Internal, "input-lost", message));
                }
                // The agent closes its end after it said how the input ended, or before it ends this process.
                Err(Stop::Gone) => wait_readable(self.end.event.as_fd(), self.cancel.descriptor()),
                Err(Stop::Other | Stop::TimedOut) => {}
            }
        }
    }
}

fn wait_readable(one: BorrowedFd<'_>, other: BorrowedFd<'_>) {
    let mut wanted = [PollFd::new(one, PollFlags::POLLIN), PollFd::new(other, PollFlags::POLLIN)];
    // An interrupted or failed poll only means that the caller looks again.
    let _ = poll(&mut wanted, PollTimeout::NONE);
}

impl Input for LaneInput {
    fn size(&self) -> Option<u64> {
        self.size
    }

    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        None
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<usize> {
        let mut taken = locked(&self.lane);
        if offset < taken.position {
            return Err(written::forward_only(offset, taken.position));
        }
        let mut skipped = Vec::new();
        while taken.position < offset {
            let step = usize::try_from(offset.saturating_sub(taken.position)).unwrap_or(SLOT).min(SLOT);
            skipped.resize(step, 0);
            if self.take(&mut taken, &mut skipped)? == 0 {
                return Ok(0);
            }
        }
        let mut filled = 0_usize;
        while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match self.take(&mut taken, rest)? {
                0 => break,
                bytes => filled = filled.saturating_add(bytes),
            }
        }
        Ok(filled)
    }
}
