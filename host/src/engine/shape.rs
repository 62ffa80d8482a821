//! Takes stored bytes apart on their way into the stage, hashing them as they are stored: inflated by a filter, made a raw
//! disk by an unpacker. Streamed where the unpacker reads them front to back, else spooled to a scratch file first.

use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use landfall_handler_api::{Error, ErrorKind, OutputMeta, Request, Result, Scope};
use landfall_inspect::{Window, inspect_at};
use rustix::fs::OFlags;
use serde_json::{Map, Value};

use super::feed::feed;
use super::least_rate::LeastRate;
use super::output::{Allowed, StageOutputs, Written};
use super::pump::write_sparse;
use super::queue::{Queue, QueueSink, StreamInput};
use super::supply::{Origin, Supply};
use super::{Method, Moved, Want, check_size, from_source, written};
use crate::digest::{Algorithm, Digest};
use crate::plugin::{CallContext, Handler, Input};
use crate::publish::Dress;
use crate::shaping::Shaping;
use crate::stage::{Stage, Steps};

/// A filter or an unpacker, and what it is asked.
pub(crate) struct Shaper {
    pub(crate) handler: Arc<dyn Handler>,
    pub(crate) request: Request,
    pub(crate) call: CallContext,
}

impl Shaper {
    fn id(&self) -> &str {
        &self.handler.info().id
    }
}

/// Opens `origin`, and others of `supply` where it fails, and makes the stage of its bytes as `shaping` says.
pub(crate) fn shaped(
    mut origin: Origin,
    supply: &mut dyn Supply,
    shaping: &Shaping<Shaper>,
    stage: &mut Stage,
    want: &Want<'_>,
    bytes: &mut u64,
) -> Result<Moved> {
    let Shaping { filter, unpacker } = shaping;
    if let Some(unpacker) = unpacker.as_ref().filter(|unpacker| unpacker.handler.info().ranged_input) {
        return spooled(origin, supply, filter.as_ref(), unpacker, stage, want, bytes);
    }
    loop {
        let again = origin.clone();
        let streamed = streamed(origin, supply, filter.as_ref(), unpacker.as_ref(), stage, want, bytes);
        let moved = match (streamed, unpacker) {
            (Err(error), Some(unpacker)) if error.code() == written::FORWARD_ONLY => {
                // This one's tables come after what they speak of.
                stage.set_size(0)?;
                return spooled(again, supply, filter.as_ref(), unpacker, stage, want, bytes);
            }
            (streamed, _) => streamed?,
        };
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

/// Whether an error says that the bytes are wrong.
pub(super) fn is_about_bytes(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Corrupt | ErrorKind::Limit | ErrorKind::Invalid)
}

/// Whether an error may come of bytes that are not the image: then it says nothing of handler or form. What is only in the way
/// of reading front to back is none.
pub(super) fn is_verdict(error: &Error) -> bool {
    let of_handler = matches!(error.kind(), ErrorKind::Unsupported | ErrorKind::Internal);
    is_about_bytes(error) || (of_handler && error.code() != written::FORWARD_ONLY)
}

/// A failure to take bytes apart whose digest is right is the image's: no other copy is better.
fn blame(error: Error, digest: Option<&Digest>, want: &Want<'_>) -> Error {
    if is_about_bytes(&error) && !error.scope_is_explicit() && want.digest.is_some() && digest == want.digest {
        error.scoped(Scope::Image)
    } else {
        error
    }
}

fn spooled(
    origin: Origin,
    supply: &mut dyn Supply,
    filter: Option<&Shaper>,
    unpacker: &Shaper,
    stage: &mut Stage,
    want: &Want<'_>,
    bytes: &mut u64,
) -> Result<Moved> {
    let mut spool = Stage::open_scratch(&stage.target(), want.stage_keep)?;
    let dress = Dress::default();
    let raw = Want { share: false, virtual_size: None, dress: &dress, limits: want.limits.clone(), ..*want };
    let moved = match filter {
        Some(_) => streamed(origin, supply, filter, None, &mut spool, &raw, bytes)?,
        None => from_source(origin, supply, &mut spool, &raw, bytes)?,
    };
    if want.digest.is_some() && moved.digest.as_ref() != want.digest {
        // Nothing is parsed that is not the image; the caller says why.
        return Ok(moved);
    }
    moved.refuse_changed_source()?;
    let Moved { bytes: spooled, digest, locations, stored, .. } = moved;
    let stored = match stored {
        Some(stored) => stored,
        None => vec![spooled_window(spool.file(), spooled)?],
    };
    let outputs = outputs(unpacker, stage, want)?;
    let file = File::from(written::reopen(spool.file(), OFlags::RDONLY)?);
    let input = Arc::new(SpoolInput { file, size: spooled });
    // Its silence counts from now on: the spooling before was not its.
    let call = unpacker.call.begin()?;
    let done = unpacker.handler.unpack(&call, &unpacker.request, input, outputs.clone());
    let written = outputs.close();
    let outcome = made(done, written).map_err(|error| blame(error, digest.as_ref(), want));
    // A crash may be passing; whatever else failed would fail again.
    if outcome.as_ref().err().is_none_or(|error| error.kind() != ErrorKind::Crashed) {
        spool.forget_progress();
    }
    if outcome.is_err() {
        supply.shaper_failed(unpacker.id());
    }
    let Made { written, machine } = outcome?;
    let moved = Moved::new(Method::Unpack, written.bytes, digest);
    let Written { meta, more, .. } = written;
    Ok(Moved { stored: Some(stored), unpacked: true, locations, meta, more, machine, ..moved })
}

/// What the inspector looks at of the bytes that were spooled.
fn spooled_window(spool: &File, size: u64) -> Result<Window> {
    inspect_at(size, |offset, into| written::read_full(spool, into, offset)).map_err(|error| error.scoped(Scope::Node))
}

/// The outputs of an unpacker.
fn outputs(unpacker: &Shaper, stage: &Stage, want: &Want<'_>) -> Result<Arc<StageOutputs>> {
    let space = if want.overcommit { None } else { Some(stage.unpromised_space()?) };
    let allowed = Allowed { disks: want.disks, bytes: want.limit, expected: None, space };
    StageOutputs::new(stage, allowed, want.stage_keep, unpacker.call.cancel.clone()).map(Arc::new)
}

/// What came of the bytes.
struct Made {
    written: Written,
    /// What the unpacker says of the machine that the disks are for.
    machine: Option<Map<String, Value>>,
}

impl Made {
    /// One disk of so many bytes, of which nothing more is known.
    fn disk(bytes: u64) -> Self {
        Self { written: Written { bytes, meta: OutputMeta::default(), more: Vec::new() }, machine: None }
    }
}

/// Puts together what an unpacker says and what it wrote.
fn made(done: Result<Option<String>>, written: Result<Written>) -> Result<Made> {
    let answer = done?;
    let written = written?;
    let machine = answer.map(|json| serde_json::from_str(&json)).transpose().map_err(|error| {
        let message = format!("what it says of the machine is no JSON object: {error}");
        Error::new(ErrorKind::Internal, "bad-answer", message)
    })?;
    Ok(Made { written, machine })
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

/// Lets the bytes pass through `filter`, if there is one, and then through `unpacker` into the stage, or into the stage as
/// they are.
fn streamed(
    origin: Origin,
    supply: &mut dyn Supply,
    filter: Option<&Shaper>,
    unpacker: Option<&Shaper>,
    stage: &mut Stage,
    want: &Want<'_>,
    bytes: &mut u64,
) -> Result<Moved> {
    check_size(None, want)?;
    let first = Arc::new(Queue::new(want.size, want.algorithm().map(Algorithm::hasher))?);
    let last = match filter {
        Some(_) => Arc::new(Queue::of_filter()?),
        None => Arc::clone(&first),
    };
    let end = End::start(unpacker, &last, stage, want)?;
    let filtering = match filter.map(|filter| start_filter(filter, &first, &last, want.limit)).transpose() {
        Ok(filtering) => filtering,
        Err(error) => {
            last.end(Some(&error));
            // What it says is that the bytes ended.
            let _ = end.join();
            return Err(error);
        }
    };
    let mut names = Vec::new();
    let fed = feed(origin, supply, &first, want, bytes, &mut names);
    first.end(fed.as_ref().err());
    let filtered = filtering.map_or(Ok(Ok(())), join);
    let ended = end.join();
    let (digest, stored) = first.finish()?;
    let mut windows = vec![stored];
    if filter.is_some() {
        windows.push(last.finish()?.1);
    }
    let (filtered, ended) = (filtered?, ended?);
    match fed {
        // It was a filter or the unpacker that wanted no more.
        Err(_) if first.is_refused() => {}
        // What went wrong before is the cause of what they then report; but a failure of the stage stands.
        Err(error) => {
            return Err(ended.err().filter(|own| own.scope() == Scope::Node).unwrap_or(error));
        }
        Ok(()) => {}
    }
    // A filter fails as well when nobody takes what it gives; and what the unpacker finds wrong in front of that is first.
    let (culprit, outcome) = match (filter, filtered) {
        (Some(filter), Err(error)) if !last.is_refused() => (Some(filter), Err(error)),
        _ => (unpacker, ended),
    };
    let is_image = want.digest.is_none() || digest.as_ref() == want.digest;
    let made = match outcome {
        Ok(made) => made,
        // Whole, and not the image: that is what is wrong, and nobody need know what an unpacker thinks of it.
        Err(_) if !is_image && !first.is_refused() => Made::disk(0),
        Err(error) => {
            if let Some(culprit) = culprit.filter(|_| error.code() != written::FORWARD_ONLY) {
                supply.shaper_failed(culprit.id());
            }
            return Err(blame(error, digest.as_ref(), want));
        }
    };
    let Made { written: Written { bytes: size, meta, more }, machine } = made;
    if unpacker.is_none() {
        stage.set_size(size)?;
    }
    let moved = Moved::new(Method::Unpack, size, digest);
    let unpacked = unpacker.is_some();
    Ok(Moved { stored: Some(windows), unpacked, locations: names, meta, more, machine, ..moved })
}

/// Runs the filter between two queues, on a thread of its own.
fn start_filter(filter: &Shaper, from: &Arc<Queue>, to: &Arc<Queue>, limit: u64) -> Result<JoinHandle<Result<()>>> {
    let (from, to) = (Arc::clone(from), Arc::clone(to));
    let (handler, request) = (Arc::clone(&filter.handler), filter.request.clone());
    // What counts is what arrives of the stored bytes.
    let call = CallContext { progress: Arc::new(|_, _| {}), ..filter.call.begin()? };
    to.stops(&call.cancel);
    spawn("filter", move || {
        let any_rate = LeastRate { bytes: 0, window: Duration::MAX };
        let sink = QueueSink::new(Arc::clone(&to), 0, limit, call.clone(), None, any_rate);
        let sink = Arc::new(Mutex::new(sink));
        let input = Arc::new(StreamInput::new(Arc::clone(&from)));
        let outcome = QueueSink::close(&sink, handler.filter(&call, &request, input, sink.clone()));
        to.end(outcome.as_ref().err());
        // What was condemned is no matter of the stored bytes: these are read to their end, for their digest.
        from.reader_ended(outcome.as_ref().err().filter(|_| !to.is_condemned()));
        outcome
    })
}

/// What takes the bytes at the end, on a thread of its own.
enum End {
    /// An unpacker, with outputs.
    Unpacks(JoinHandle<Result<Option<String>>>, Arc<StageOutputs>),
    /// Nobody: they are written as they are. Gives how many.
    Writes(JoinHandle<Result<u64>>),
}

impl End {
    fn start(unpacker: Option<&Shaper>, queue: &Arc<Queue>, stage: &Stage, want: &Want<'_>) -> Result<Self> {
        let queue = Arc::clone(queue);
        let Some(unpacker) = unpacker else {
            let file = stage.file().try_clone();
            let file = file.map_err(|error| crate::stage::stage_error(&error, "duplicate the stage's descriptor"))?;
            let room = if want.overcommit { None } else { Some(stage.steps()?) };
            let most = want.virtual_size;
            let write = move || {
                let written = write_out(&StreamInput::new(Arc::clone(&queue)), &file, room, most);
                queue.reader_ended(written.as_ref().err());
                written
            };
            return spawn("write", write).map(Self::Writes);
        };
        let outputs = outputs(unpacker, stage, want)?;
        let (handler, theirs) = (Arc::clone(&unpacker.handler), Arc::clone(&outputs));
        let (call, request) = (unpacker.call.begin()?, unpacker.request.clone());
        let unpack = move || {
            let input = Arc::new(StreamInput::new(Arc::clone(&queue)));
            let done = handler.unpack(&call, &request, input, theirs);
            queue.reader_ended(done.as_ref().err());
            done
        };
        Ok(Self::Unpacks(spawn("unpack", unpack)?, outputs))
    }

    /// Waits for it: gives what it made, or why it made nothing. The outer error is this program's own.
    fn join(self) -> Result<Result<Made>> {
        match self {
            Self::Unpacks(thread, outputs) => {
                let done = join(thread);
                let written = outputs.close();
                Ok(match (done?, written) {
                    // A failure of the stage is the cause of what the unpacker makes of it.
                    (Err(_), Err(error)) if error.scope() == Scope::Node => Err(error),
                    (done, written) => made(done, written),
                })
            }
            Self::Writes(thread) => Ok(join(thread)?.map(Made::disk)),
        }
    }
}

/// Writes everything, zeros left out, while there is `room` and the disk has not more bytes than `most`.
fn write_out(input: &StreamInput, file: &File, mut room: Option<Steps>, most: Option<u64>) -> Result<u64> {
    let mut position = 0_u64;
    let mut take = |bytes: &[u8]| {
        let end = position.saturating_add(bytes.len() as u64);
        if let Some(most) = most.filter(|most| end > *most) {
            let message = format!("the record says that the disk has {most} bytes, the inflated one has more");
            return Err(Error::new(ErrorKind::Corrupt, "virtual-size-mismatch", message));
        }
        room.as_mut().map_or(Ok(()), |room| room.reach(end))?;
        write_sparse(file.as_fd(), bytes, position)?;
        position = end;
        Ok(())
    };
    while input.show_next(&mut take)? {}
    Ok(position)
}

fn spawn<T: Send + 'static>(name: &str, work: impl FnOnce() -> T + Send + 'static) -> Result<JoinHandle<T>> {
    let spawned = std::thread::Builder::new().name(name.into()).spawn(work);
    spawned.map_err(|error| Error::os(&error, "start a thread").scoped(Scope::Node))
}

fn join<T>(thread: JoinHandle<T>) -> Result<T> {
    let died = |_| Error::new(ErrorKind::Internal, "shape-thread", "a thread that takes bytes apart ended early");
    thread.join().map_err(died)
}
