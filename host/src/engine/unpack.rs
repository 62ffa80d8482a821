//! Moves an image through an unpacker into the stage, hashing the stored bytes on the way: streamed where the unpacker reads
//! them front to back, else spooled to a scratch file first.

use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Arc, Mutex};

use landfall_handler_api::{Error, ErrorKind, Request, Result, Scope};
use landfall_inspect::{HEAD_BYTES, TAIL_BYTES};
use rustix::fs::OFlags;

use super::fetch::RANGE_IGNORED;
use super::opening::open;
use super::output::StageOutputs;
use super::queue::{Queue, QueueSink, StreamInput};
use super::supply::{Origin, Supply};
use super::team::longest_pause;
use super::{Method, Moved, Want, check_size, from_source, written};
use crate::digest::{Algorithm, Digest};
use crate::plugin::{CallContext, Handler, Input, OpenedSource, SourceInfo};
use crate::publish::Dress;
use crate::stage::Stage;

/// Failures in a row that one origin may have, and the bytes that must come for one to be forgotten.
const PATIENCE: u32 = 5;
const FORGETS_FAILURE: u64 = 64 << 10;

/// Who unpacks, and what it is asked.
pub(crate) struct Unpacker {
    pub(crate) handler: Arc<dyn Handler>,
    pub(crate) request: Request,
    pub(crate) call: CallContext,
}

/// The first and last of the stored bytes, for the check of their format.
#[derive(Debug, Clone, Default)]
pub(crate) struct StoredWindow {
    /// The first bytes, as many as the inspector looks at.
    pub(crate) head: Vec<u8>,
    /// The last bytes, as many as the inspector looks at.
    pub(crate) tail: Vec<u8>,
    /// How many there are in all.
    pub(crate) size: u64,
}

impl StoredWindow {
    /// The next bytes, in order.
    pub(super) fn take(&mut self, bytes: &[u8]) {
        let room = HEAD_BYTES.saturating_sub(self.head.len());
        self.head.extend_from_slice(bytes.get(..room.min(bytes.len())).unwrap_or_default());
        let last = bytes.get(bytes.len().saturating_sub(TAIL_BYTES)..).unwrap_or_default();
        let spare = self.tail.len().saturating_add(last.len()).saturating_sub(TAIL_BYTES);
        self.tail.drain(..spare.min(self.tail.len()));
        self.tail.extend_from_slice(last);
        self.size = self.size.saturating_add(bytes.len() as u64);
    }

    fn of(file: &File, size: u64) -> Result<Self> {
        let part = |offset: u64, len: u64| -> Result<Vec<u8>> {
            let mut bytes = vec![0; usize::try_from(len).unwrap_or(0)];
            let filled = written::read_full(file, &mut bytes, offset).map_err(|error| error.scoped(Scope::Node))?;
            bytes.truncate(filled);
            Ok(bytes)
        };
        let tail = size.min(TAIL_BYTES as u64);
        let head = part(0, size.min(HEAD_BYTES as u64))?;
        Ok(Self { head, tail: part(size.saturating_sub(tail), tail)?, size })
    }
}

/// Opens `origin`, and others of `supply` where it fails, and lets `unpacker` make the stage of its bytes.
pub(crate) fn through_unpacker(
    origin: Origin,
    supply: &mut dyn Supply,
    unpacker: &Unpacker,
    stage: &mut Stage<'_>,
    want: &Want<'_>,
    bytes: &mut u64,
) -> Result<Moved> {
    if unpacker.handler.info().ranged_input {
        spooled(origin, supply, unpacker, stage, want, bytes)
    } else {
        let mut origin = origin;
        loop {
            let moved = streamed(origin, supply, unpacker, stage, want, bytes)?;
            let wrong = want.digest.is_some() && moved.digest.as_ref() != want.digest;
            if !wrong || moved.locations.len() < 2 {
                return Ok(moved);
            }
            // One of them may be good: each that is left is tried from its first byte on.
            let message = format!("the bytes of {} locations together are not the image", moved.locations.len());
            let error = Error::new(ErrorKind::Corrupt, "digest-mismatch", message);
            origin = supply.next(error, *bytes, true)?;
            stage.set_size(0)?;
        }
    }
}

/// What came of unpacking, as far as it is known before the stored bytes are verified.
fn unpacked(size: u64, digest: Option<Digest>, stored: StoredWindow, locations: Vec<String>) -> Moved {
    Moved { stored: Some(stored), locations, ..Moved::new(Method::Unpack, size, digest) }
}

/// A failure to unpack bytes whose digest is right is the image's: no other copy is better.
fn blame(error: Error, digest: Option<&Digest>, want: &Want<'_>) -> Error {
    let about_bytes = matches!(error.kind(), ErrorKind::Corrupt | ErrorKind::Limit | ErrorKind::Invalid);
    if about_bytes && !error.scope_is_explicit() && want.digest.is_some() && digest == want.digest {
        error.scoped(Scope::Image)
    } else {
        error
    }
}

fn spooled(
    origin: Origin,
    supply: &mut dyn Supply,
    unpacker: &Unpacker,
    stage: &mut Stage<'_>,
    want: &Want<'_>,
    bytes: &mut u64,
) -> Result<Moved> {
    let mut spool = Stage::open_scratch(stage.target(), want.stage_keep)?;
    let dress = Dress::default();
    let raw = Want { share: false, dress: &dress, limits: want.limits.clone(), ..*want };
    let moved = from_source(origin, supply, &mut spool, &raw, bytes)?;
    if want.digest.is_some() && moved.digest.as_ref() != want.digest {
        // Nothing is parsed that is not the image; the caller says why.
        return Ok(moved);
    }
    moved.refuse_changed_source()?;
    let stored = StoredWindow::of(spool.file(), moved.bytes)?;
    let outputs = Arc::new(StageOutputs::new(stage, None, want.limit, unpacker.call.cancel.clone())?);
    let file = File::from(written::reopen(spool.file(), OFlags::RDONLY)?);
    let input = Arc::new(SpoolInput { file, size: moved.bytes });
    // Its silence counts from now on: the spooling before was not its.
    let call = unpacker.call.begin()?;
    let done = unpacker.handler.unpack(&call, &unpacker.request, input, outputs.clone());
    let size = outputs.close();
    let outcome = done.and(size).map_err(|error| blame(error, moved.digest.as_ref(), want));
    // A crash may be passing; whatever else failed would fail again.
    if outcome.as_ref().err().is_none_or(|error| error.kind() != ErrorKind::Crashed) {
        spool.forget_progress();
    }
    if outcome.is_err() {
        supply.unpacker_failed();
    }
    Ok(unpacked(outcome?, moved.digest, stored, moved.locations))
}

/// The spooled bytes.
struct SpoolInput {
    file: File,
    size: u64,
}

impl Input for SpoolInput {
    fn size(&self) -> Option<u64> {
        Some(self.size)
    }

    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        Some(self.file.as_fd())
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<usize> {
        written::read_full(&self.file, buffer, offset).map_err(|error| error.scoped(Scope::Node))
    }
}

fn streamed(
    origin: Origin,
    supply: &mut dyn Supply,
    unpacker: &Unpacker,
    stage: &mut Stage<'_>,
    want: &Want<'_>,
    bytes: &mut u64,
) -> Result<Moved> {
    check_size(None, want)?;
    let queue = Arc::new(Queue::new(want.size, want.algorithm().map(Algorithm::hasher))?);
    let outputs = Arc::new(StageOutputs::new(stage, None, want.limit, unpacker.call.cancel.clone())?);
    let thread = {
        let (queue, outputs, handler) = (Arc::clone(&queue), Arc::clone(&outputs), Arc::clone(&unpacker.handler));
        let (call, request) = (unpacker.call.begin()?, unpacker.request.clone());
        let work = move || {
            let input = Arc::new(StreamInput::new(Arc::clone(&queue)));
            let done = handler.unpack(&call, &request, input, outputs);
            queue.reader_ended(done.as_ref().err());
            done
        };
        std::thread::Builder::new().name("unpack".into()).spawn(work)
    };
    let thread = thread.map_err(|error| Error::os(&error, "start a thread").scoped(Scope::Node))?;
    let mut names = Vec::new();
    let fed = feed(origin, supply, &queue, want, bytes, &mut names);
    queue.end(fed.as_ref().err());
    let died = |_| Error::new(ErrorKind::Internal, "unpack-thread", "the thread that unpacks ended early");
    let done = thread.join().map_err(died)?;
    let size = outputs.close();
    let (digest, stored) = queue.finish()?;
    match fed {
        // It was the unpacker that wanted no more.
        Err(_) if queue.is_refused() => {}
        // What went wrong before is the cause of what the unpacker then reports; but a failure of the stage stands.
        Err(error) => {
            return Err(size.err().filter(|own| own.scope() == Scope::Node && done.is_err()).unwrap_or(error));
        }
        Ok(()) => {}
    }
    let is_image = want.digest.is_none() || digest.as_ref() == want.digest;
    match done.and(size) {
        Ok(size) => Ok(unpacked(size, digest, stored, names)),
        // Whole, and not the image: that is what is wrong, and nobody need know what an unpacker thinks of it.
        Err(_) if !is_image && !queue.is_refused() => Ok(unpacked(0, digest, stored, names)),
        Err(error) => {
            supply.unpacker_failed();
            Err(blame(error, digest.as_ref(), want))
        }
    }
}

/// Brings the stored bytes to the queue, in order, from one origin after the other.
fn feed(
    mut origin: Origin,
    supply: &mut dyn Supply,
    queue: &Arc<Queue>,
    want: &Want<'_>,
    bytes: &mut u64,
    names: &mut Vec<String>,
) -> Result<()> {
    loop {
        let before = queue.position();
        let fed = feed_from(&origin, supply.has_other(), queue, want);
        *bytes = queue.position().saturating_sub(before);
        if *bytes > 0 && !names.contains(&origin.name) {
            names.push(origin.name.clone());
        }
        let Err(error) = fed else { return Ok(()) };
        let worth = queue.position() > 0 && want.digest.is_some() && !queue.is_refused();
        if !worth || !matches!(error.scope(), Scope::Location | Scope::Handler) {
            return Err(error);
        }
        let later = *bytes > 0 && error.kind() == ErrorKind::Unavailable;
        origin = supply.next(error, *bytes, later)?;
    }
}

fn feed_from(origin: &Origin, others: bool, queue: &Arc<Queue>, want: &Want<'_>) -> Result<()> {
    let (call, source) = open(origin, others, || origin.call.begin())?;
    check_size(source.info().size, want)?;
    let from_file;
    let source: &dyn OpenedSource = match source.descriptor() {
        Some(descriptor) => {
            from_file = FileSource::new(descriptor)?;
            check_size(from_file.info.size, want)?;
            &from_file
        }
        None => source.as_ref(),
    };
    let size = want.size.or(source.info().size);
    let _connection = match want.limits.as_ref().filter(|_| source.descriptor().is_none()) {
        Some(limits) => Some(limits.connect(&origin.connects_to, &call.cancel)?),
        None => None,
    };
    let (mut failures, mut since, mut whole) = (0_u32, queue.position(), !source.info().ranged);
    loop {
        let position = queue.position();
        if size.is_some_and(|size| position >= size) {
            return Ok(());
        }
        let outcome = read_on(source, origin, queue, want, position, whole);
        let reached = queue.position();
        match outcome {
            Ok(()) => {
                return match size {
                    Some(size) if reached < size => {
                        let message = format!("the source ended after {reached} of {size} bytes");
                        Err(Error::new(ErrorKind::Corrupt, "short-body", message))
                    }
                    _ => Ok(()),
                };
            }
            Err(error) if error.code() == RANGE_IGNORED && !whole => whole = true,
            Err(error) => {
                let forgotten = reached.saturating_sub(since) >= FORGETS_FAILURE;
                (failures, since) = (if forgotten { 1 } else { failures.saturating_add(1) }, reached);
                let passing = matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::Io);
                let pause = error.retry_after().unwrap_or_default();
                if !passing || failures > PATIENCE || pause > longest_pause(others) || queue.is_refused() {
                    return Err(error);
                }
                super::lane::pause(&origin.call.cancel, failures);
                origin.call.cancel.wait_out(pause)?;
            }
        }
    }
}

/// Reads from `position` to the end.
fn read_on(
    source: &dyn OpenedSource,
    origin: &Origin,
    queue: &Arc<Queue>,
    want: &Want<'_>,
    position: u64,
    whole: bool,
) -> Result<()> {
    let call = origin.call.begin()?;
    queue.stops(&call.cancel);
    let from = if whole { 0 } else { position };
    let to = source.info().size.unwrap_or(u64::MAX);
    let room = want.size.or(source.info().size).unwrap_or(want.limit).saturating_sub(from);
    let (skip, least_rate) = (position.saturating_sub(from), want.least_rate());
    let sink = QueueSink::new(Arc::clone(queue), skip, room, call.clone(), want.limits.clone(), least_rate);
    let sink = Arc::new(Mutex::new(sink));
    let outcome = source.read(&call, from..to, sink.clone());
    // A handler that was given up may still fill its room; nothing of that is taken.
    let Ok(mut sink) = sink.try_lock() else {
        let in_use = || Error::new(ErrorKind::Crashed, "sink-in-use", "the source handler still writes");
        return Err(outcome.err().unwrap_or_else(in_use));
    };
    sink.finish(outcome)
}

/// A source that is a file: read front to back, so that what is parsed is what was hashed.
struct FileSource {
    file: File,
    info: SourceInfo,
}

impl FileSource {
    fn new(descriptor: BorrowedFd<'_>) -> Result<Self> {
        let file = descriptor.try_clone_to_owned().map_err(|error| Error::os(&error, "duplicate a descriptor"))?;
        let file = File::from(file);
        let metadata = file.metadata().map_err(|error| Error::os(&error, "stat the source"))?;
        if !metadata.is_file() {
            return Err(Error::new(ErrorKind::Denied, "not-a-regular-file", "the source is not a regular file"));
        }
        let info = SourceInfo { size: Some(metadata.len()), ranged: true, validator: None };
        Ok(Self { file, info })
    }
}

impl OpenedSource for FileSource {
    fn info(&self) -> &SourceInfo {
        &self.info
    }

    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        Some(self.file.as_fd())
    }

    fn read(
        &self,
        call: &CallContext,
        mut range: std::ops::Range<u64>,
        into: Arc<Mutex<dyn crate::plugin::ByteSink>>,
    ) -> Result<()> {
        let mut into = super::lane::locked(into.as_ref());
        while !range.is_empty() {
            call.cancel.check()?;
            let room = into.reserve(usize::try_from(range.end.saturating_sub(range.start)).unwrap_or(usize::MAX))?;
            let filled = written::read_full(&self.file, room, range.start)?;
            if filled == 0 {
                return Ok(());
            }
            into.commit(filled)?;
            range.start = range.start.saturating_add(filled as u64);
        }
        Ok(())
    }
}
