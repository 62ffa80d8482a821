//! Bytes on their way from a source to an unpacker: in order, hashed as they pass, a few chunks at a time.

use std::collections::VecDeque;
use std::os::fd::BorrowedFd;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use landfall_handler_api::{Error, ErrorKind, Result, Scope};
use landfall_inspect::Inspector;

use super::lane::locked;
use super::least_rate::{LeastRate, Window};
use super::limits::NodeLimits;
use super::pump::CHUNK;
use super::shape::{is_about_bytes, is_verdict};
use super::{too_large, written};
use crate::cancel::Cancel;
use crate::digest::{Digest, Hasher};
use crate::plugin::{ByteSink, CallContext, Input};

/// Chunks that wait for the unpacker.
const WAITING: usize = 8;
/// How often whoever waits looks whether it was cancelled.
const TICK: Duration = Duration::from_millis(50);

type Chunk = Arc<Vec<u8>>;
type Spare = Arc<Mutex<Vec<Vec<u8>>>>;

/// Whoever is the last to use a chunk leaves its buffer for the next one.
fn recycle(chunk: Chunk, spare: &Spare) {
    if let Some(buffer) = Arc::into_inner(chunk) {
        let mut spare = locked(spare);
        if spare.len() < WAITING {
            spare.push(buffer);
        }
    }
}

/// Between one who gives bytes, a source or a filter, and one who takes them.
pub(super) struct Queue {
    size: Option<u64>,
    /// Whether a filter gives the bytes.
    inflated: bool,
    /// Whether the digest of what is put in is wanted.
    hashes: bool,
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    chunks: VecDeque<Chunk>,
    /// Bytes that were put in.
    position: u64,
    inspector: Inspector,
    hashing: Option<Hashing>,
    /// Buffers that are not used now.
    spare: Spare,
    /// How the source ended.
    end: Option<Result<()>>,
    reader: Reader,
    /// Stops the read that is under way.
    cancel: Option<Cancel>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Reader {
    Reads,
    /// It wants no more, and what is left is only hashed.
    Ended,
    /// It failed for a reason that the rest of the bytes has no part in.
    Refuses,
    /// It found what a filter gives wrong: nobody wants more of that, but what the filter reads is still hashed.
    Condemns,
}

impl Reader {
    fn wants_no_more(self) -> bool {
        matches!(self, Self::Refuses | Self::Condemns)
    }
}

struct Hashing {
    chunks: SyncSender<Chunk>,
    thread: JoinHandle<Digest>,
}

impl Queue {
    /// For an input of `size` bytes, if that is known.
    pub(super) fn new(size: Option<u64>, hasher: Option<Hasher>) -> Result<Self> {
        let spare = Spare::default();
        let hashes = hasher.is_some();
        let hashing = hasher.map(|mut hasher| {
            let (chunks, todo) = sync_channel::<Chunk>(WAITING);
            let spare = Arc::clone(&spare);
            let work = move || {
                for chunk in todo {
                    hasher.update(&chunk);
                    recycle(chunk, &spare);
                }
                hasher.finish()
            };
            let thread = std::thread::Builder::new().name("digest".into()).spawn(work);
            thread.map(|thread| Hashing { chunks, thread })
        });
        let hashing = hashing.transpose().map_err(|error| Error::os(&error, "start a thread").scoped(Scope::Node))?;
        let state = State {
            chunks: VecDeque::new(),
            position: 0,
            inspector: Inspector::new(),
            hashing,
            spare,
            end: None,
            reader: Reader::Reads,
            cancel: None,
        };
        Ok(Self { size, inflated: false, hashes, state: Mutex::new(state), changed: Condvar::new() })
    }

    /// For what a filter gives.
    pub(super) fn of_filter() -> Result<Self> {
        Ok(Self { inflated: true, ..Self::new(None, None)? })
    }

    /// Bytes that were put in.
    pub(super) fn position(&self) -> u64 {
        locked(&self.state).position
    }

    /// Whether the unpacker failed, and the rest need not be read.
    pub(super) fn is_refused(&self) -> bool {
        locked(&self.state).reader.wants_no_more()
    }

    /// Whether the unpacker found wrong what a filter gave.
    pub(super) fn is_condemned(&self) -> bool {
        locked(&self.state).reader == Reader::Condemns
    }

    /// `cancel` stops the read that begins now.
    pub(super) fn stops(&self, cancel: &Cancel) {
        let mut state = locked(&self.state);
        state.cancel = Some(cancel.clone());
        if state.reader.wants_no_more() {
            cancel.cancel();
        }
    }

    /// The unpacker is through, with `error` if it failed.
    pub(super) fn reader_ended(&self, error: Option<&Error>) {
        let mut state = locked(&self.state);
        let passed_on = |error: &Error| matches!(&state.end, Some(Err(end)) if end.code() == error.code());
        state.reader = match error {
            None => Reader::Ended,
            // What the filter said itself.
            Some(error) if self.inflated && passed_on(error) => Reader::Ended,
            // Few stored bytes may be inflated to no end of others.
            Some(error) if is_verdict(error) && self.inflated => Reader::Condemns,
            // Whether bytes are to blame is known only when all of them were hashed.
            Some(error) if is_about_bytes(error) || (self.hashes && is_verdict(error)) => Reader::Ended,
            Some(_) => Reader::Refuses,
        };
        state.chunks.clear();
        if let Some(cancel) = state.cancel.as_ref().filter(|_| state.reader.wants_no_more()) {
            cancel.cancel();
        }
        drop(state);
        self.changed.notify_all();
    }

    /// The source is through, with `error` if it failed.
    pub(super) fn end(&self, error: Option<&Error>) {
        locked(&self.state).end = Some(error.map_or(Ok(()), |error| Err(error.clone())));
        self.changed.notify_all();
    }

    /// Digest of everything that was put in, and what the inspector looks at of it.
    pub(super) fn finish(&self) -> Result<(Option<Digest>, landfall_inspect::Window)> {
        let (hashing, inspector) = {
            let mut state = locked(&self.state);
            (state.hashing.take(), std::mem::take(&mut state.inspector))
        };
        let died = |_| Error::new(ErrorKind::Internal, "digest-thread", "the digest's thread ended early");
        let digest = hashing.map(|Hashing { chunks, thread }| {
            drop(chunks);
            thread.join().map_err(died)
        });
        Ok((digest.transpose()?, inspector.finish()))
    }

    /// A buffer of [`CHUNK`] bytes, to be filled and put in.
    fn buffer(&self) -> Vec<u8> {
        let spare = Arc::clone(&locked(&self.state).spare);
        let mut buffer = locked(&spare).pop().unwrap_or_default();
        buffer.resize(CHUNK, 0);
        buffer
    }

    /// A chunk was used.
    fn used(&self, chunk: Chunk) {
        let spare = Arc::clone(&locked(&self.state).spare);
        recycle(chunk, &spare);
    }

    fn put(&self, bytes: Vec<u8>, cancel: &Cancel) -> Result<()> {
        let chunk = Arc::new(bytes);
        let hashing = {
            let mut state = locked(&self.state);
            while state.reader == Reader::Reads && state.chunks.len() >= WAITING {
                cancel.check()?;
                state = self.changed.wait_timeout(state, TICK).unwrap_or_else(PoisonError::into_inner).0;
            }
            state.inspector.feed(&chunk);
            state.position = state.position.saturating_add(chunk.len() as u64);
            match state.reader {
                Reader::Reads => state.chunks.push_back(Arc::clone(&chunk)),
                Reader::Ended => {}
                Reader::Refuses | Reader::Condemns => return Err(Error::cancelled()),
            }
            state.hashing.as_ref().map(|hashing| hashing.chunks.clone())
        };
        self.changed.notify_all();
        match hashing {
            Some(hashing) => hashing.send(chunk).map_err(|_| {
                Error::new(ErrorKind::Internal, "digest-thread", "the digest's thread ended early").scoped(Scope::Node)
            }),
            None => Ok(()),
        }
    }

    /// The next chunk; none at the end.
    fn take(&self) -> Result<Option<Chunk>> {
        let mut state = locked(&self.state);
        loop {
            if let Some(chunk) = state.chunks.pop_front() {
                drop(state);
                self.changed.notify_all();
                return Ok(Some(chunk));
            }
            match (&state.end, state.reader) {
                (Some(Ok(())), _) => return Ok(None),
                (Some(Err(error)), _) => return Err(error.clone()),
                (None, Reader::Reads) => {}
                // The operation is over, and a thread of the handler's reads on.
                (None, Reader::Ended | Reader::Refuses | Reader::Condemns) => return Err(Error::cancelled()),
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// The unpacker's end.
pub(super) struct StreamInput {
    queue: Arc<Queue>,
    at: Mutex<At>,
}

#[derive(Default)]
struct At {
    position: u64,
    chunk: Option<(Chunk, usize)>,
}

impl StreamInput {
    pub(super) fn new(queue: Arc<Queue>) -> Self {
        Self { queue, at: Mutex::default() }
    }
}

impl At {
    /// What is at hand, at most `most` bytes; empty at the end.
    fn next(&mut self, queue: &Queue, most: usize, mut with: impl FnMut(&[u8])) -> Result<usize> {
        let (chunk, from) = match self.chunk.take() {
            Some(chunk) => chunk,
            None => match queue.take()? {
                Some(chunk) => (chunk, 0),
                None => return Ok(0),
            },
        };
        let count = chunk.len().saturating_sub(from).min(most);
        let end = from.saturating_add(count);
        with(chunk.get(from..end).unwrap_or_default());
        self.position = self.position.saturating_add(count as u64);
        if end < chunk.len() {
            self.chunk = Some((chunk, end));
        } else {
            queue.used(chunk);
        }
        Ok(count)
    }
}

impl Input for StreamInput {
    fn size(&self) -> Option<u64> {
        self.queue.size
    }

    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        None
    }

    fn show_next(&self, take: &mut dyn FnMut(&[u8]) -> Result<()>) -> Result<bool> {
        let Some(chunk) = self.queue.take()? else { return Ok(false) };
        let taken = take(&chunk);
        self.queue.used(chunk);
        taken.map(|()| true)
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<usize> {
        let mut at = locked(&self.at);
        if offset < at.position {
            return Err(written::forward_only(offset, at.position));
        }
        while at.position < offset {
            let step = usize::try_from(offset.saturating_sub(at.position)).unwrap_or(usize::MAX);
            if at.next(&self.queue, step, |_| {})? == 0 {
                return Ok(0);
            }
        }
        let mut filled = 0_usize;
        while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            let room = rest.len();
            let copy = |bytes: &[u8]| {
                if let Some(to) = rest.get_mut(..bytes.len()) {
                    to.copy_from_slice(bytes);
                }
            };
            match at.next(&self.queue, room, copy)? {
                0 => break,
                bytes => filled = filled.saturating_add(bytes),
            }
        }
        Ok(filled)
    }
}

/// The source's end, for one read.
pub(super) struct QueueSink {
    queue: Arc<Queue>,
    /// Bytes that passed already: the source can only be read from its start.
    skip: u64,
    /// Bytes that may still come, those that are skipped included.
    room: u64,
    bounded: bool,
    buffer: Vec<u8>,
    filled: usize,
    call: CallContext,
    limits: Option<Arc<NodeLimits>>,
    least_rate: LeastRate,
    window: Window,
    failed: Option<Error>,
}

impl QueueSink {
    pub(super) fn new(
        queue: Arc<Queue>,
        skip: u64,
        room: u64,
        call: CallContext,
        limits: Option<Arc<NodeLimits>>,
        least_rate: LeastRate,
    ) -> Self {
        let (bounded, window) = (queue.size.is_some(), Window::new(Instant::now()));
        Self {
            queue,
            skip,
            room,
            bounded,
            buffer: Vec::new(),
            filled: 0,
            call,
            limits,
            least_rate,
            window,
            failed: None,
        }
    }

    /// Ends the read that `sink` was for, whose outcome the handler says is this. One that was given up may still fill its
    /// room; nothing of that is taken.
    pub(super) fn close(sink: &Mutex<Self>, outcome: Result<()>) -> Result<()> {
        match sink.try_lock() {
            Ok(mut sink) => sink.finish(outcome),
            Err(_) => {
                let in_use = || Error::new(ErrorKind::Crashed, "sink-in-use", "the handler still writes");
                Err(outcome.err().unwrap_or_else(in_use))
            }
        }
    }

    /// Puts in what is left, and gives how the read ended: `outcome` is what the source says of it.
    fn finish(&mut self, outcome: Result<()>) -> Result<()> {
        match self.failed.take() {
            Some(error) => Err(error),
            None => self.flush().and(outcome),
        }
    }

    fn flush(&mut self) -> Result<()> {
        if self.filled == 0 {
            return Ok(());
        }
        self.window.hold(true);
        let passed = self.pass_on();
        self.window.hold(false);
        passed
    }

    fn pass_on(&mut self) -> Result<()> {
        let mut bytes = std::mem::take(&mut self.buffer);
        bytes.truncate(self.filled);
        self.filled = 0;
        let count = bytes.len() as u64;
        let skipped = usize::try_from(self.skip.min(count)).unwrap_or(bytes.len());
        bytes.drain(..skipped);
        self.skip = self.skip.saturating_sub(skipped as u64);
        if !bytes.is_empty() {
            self.queue.put(bytes, &self.call.cancel)?;
            (self.call.progress)(self.queue.position(), self.queue.size);
        }
        if let Some(limits) = &self.limits {
            let pause = limits.spend(count)?;
            if !pause.is_zero() {
                self.call.cancel.sleep(pause);
            }
        }
        Ok(())
    }

    fn room_for(&mut self, want: usize) -> Result<&mut [u8]> {
        self.call.cancel.check()?;
        if self.filled == CHUNK {
            self.flush()?;
        }
        if self.buffer.is_empty() {
            self.buffer = self.queue.buffer();
        }
        if self.room == 0 {
            let position = self.queue.position();
            return Err(if self.bounded {
                let message = format!("the source gives more than the {position} bytes that it should have");
                Error::new(ErrorKind::Corrupt, "long-body", message)
            } else {
                too_large(position)
            });
        }
        let room = usize::try_from(self.room).unwrap_or(CHUNK);
        let end = self.filled.saturating_add(want.max(1).min(room)).min(CHUNK);
        self.buffer
            .get_mut(self.filled..end)
            .ok_or_else(|| Error::new(ErrorKind::Internal, "sink-buffer", "the sink's buffer is short"))
    }
}

impl ByteSink for QueueSink {
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
        self.window.arrived(filled as u64);
        if self.window.misses(self.least_rate, Instant::now()) {
            let error = self.least_rate.missed();
            self.failed = Some(error.clone());
            return Err(error);
        }
        Ok(())
    }
}
