//! Brings stored bytes to a queue, in order: from one location after the other where one fails, and again where a read failed.

use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Arc, Mutex};

use landfall_handler_api::{Error, ErrorKind, Result, Scope};

use super::fetch::RANGE_IGNORED;
use super::opening::open;
use super::queue::{Queue, QueueSink};
use super::supply::{Origin, Supply};
use super::team::longest_pause;
use super::{Want, check_size, written};
use crate::plugin::{CallContext, OpenedSource, SourceInfo};

/// Failures in a row that one origin may have, and the bytes that must come for one to be forgotten.
const PATIENCE: u32 = 5;
const FORGETS_FAILURE: u64 = 64 << 10;

/// Brings the stored bytes to the queue, in order, from one origin after the other.
pub(super) fn feed(
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
    QueueSink::close(&sink, source.read(&call, from..to, sink.clone()))
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
