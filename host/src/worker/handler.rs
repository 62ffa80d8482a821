//! A handler in a worker, as the straight way sees it: each operation, and each opened source, is a process of its own.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fs::File;
use std::ops::Range;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use landfall_handler_api::crossing::clean_text;
use landfall_handler_api::{
    Error, ErrorKind, HandlerInfo, HandlerStatus, PlacementEvent, Probe, Request, Result, Scope,
};
use serde_json::Value;

use super::mailbox::Letter;
use super::message::{Ask, Bounds, Operation, Outcome};
use super::process::{Launch, Process, Running};
use super::ring::{self, Consumer, LaneParts, Producer, SLOT, Stop, Wait};
use super::wire::MESSAGE_MAX;
use crate::plugin::{ByteSink, CallContext, Handler, Input, OpenedSource, Output, Outputs, PluginIdentity, SourceInfo};

/// Slots of a lane: one being filled, one being emptied, and some between them.
const SLOTS: u32 = 4;
/// What a worker may write that has no output: the memory files of its messages, and of a source that makes one.
const FILES_LEAST: u64 = 4 * MESSAGE_MAX as u64;
/// Bytes of a validator.
const VALIDATOR_MAX: usize = 4096;

/// How workers are run.
#[derive(Debug, Clone)]
pub(crate) struct WorkerSettings {
    /// This program's file.
    pub(crate) agent: PathBuf,
    /// Bytes of address space.
    pub(crate) memory: u64,
    /// CPU time.
    pub(crate) cpu: Duration,
    /// How long an operation may take to stop.
    pub(crate) grace: Duration,
}

/// A configured handler that runs in workers.
pub(crate) struct WorkerHandler {
    info: HandlerInfo,
    identity: PluginIdentity,
    plugin: File,
    config: Value,
    has_probe: bool,
    settings: WorkerSettings,
}

impl WorkerHandler {
    /// The handler `info` of the checked file `plugin`. Starts nothing.
    pub(crate) fn new(
        info: HandlerInfo,
        identity: PluginIdentity,
        plugin: File,
        config: Value,
        has_probe: bool,
        settings: WorkerSettings,
    ) -> Self {
        Self { info, identity, plugin, config, has_probe, settings }
    }

    /// Makes the handler in a worker, and nothing else: whether it takes its configuration.
    pub(crate) fn try_out(&self, call: &CallContext) -> Result<()> {
        self.start(call, FILES_LEAST, false)?.end()
    }

    /// A fresh worker, which may write files of `file_bytes`; `writes`: it is given outputs.
    fn start(&self, call: &CallContext, file_bytes: u64, writes: bool) -> Result<Process> {
        let bounds = Bounds {
            memory: self.settings.memory,
            cpu_seconds: self.settings.cpu.as_secs().max(1),
            file_bytes: file_bytes.max(FILES_LEAST),
        };
        let launch = Launch {
            agent: &self.settings.agent,
            plugin: &self.plugin,
            handler: &self.info.id,
            config: &self.config,
            bounds,
            writes,
            grace: self.settings.grace,
        };
        Process::start(&launch, call)
    }

    /// Runs one operation that has no outputs, in a worker of its own.
    fn ask(&self, call: &CallContext, secrets: &[String], operation: Operation<'_>) -> Result<Outcome> {
        let process = self.start(call, FILES_LEAST, false)?;
        let outcome = process.begin(call, secrets, operation, &[])?.end(no_outputs);
        process.end()?;
        outcome.map(|(outcome, _)| outcome)
    }

    /// Runs one operation that writes outputs, in a worker of its own that is dead when this returns.
    fn write(
        &self,
        call: &CallContext,
        request: &Request,
        operation: Operation<'_>,
        descriptors: Vec<OwnedFd>,
        outputs: &dyn Outputs,
        begun: impl FnOnce(&Process, &Running<'_>) -> Result<()>,
    ) -> Result<Outcome> {
        let process = self.start(call, request.limits.disk_bytes, true)?;
        let run = || -> Result<Outcome> {
            let lent: Vec<BorrowedFd<'_>> = descriptors.iter().map(AsFd::as_fd).collect();
            let mut running = process.begin(call, &request.secrets, operation, &lent)?;
            drop(lent);
            drop(descriptors);
            begun(&process, &running)?;
            let mut opened = HashMap::new();
            running.end(|ask| answer(&process, outputs, &mut opened, ask)).map(|(outcome, _)| outcome)
        };
        let outcome = run();
        process.end()?;
        outcome
    }
}

fn no_outputs(_: Ask) -> Result<(u64, Option<OwnedFd>)> {
    Err(Error::new(ErrorKind::Internal, "no-outputs", "outputs are for transfer and unpack"))
}

fn answer(
    process: &Process,
    outputs: &dyn Outputs,
    opened: &mut HashMap<u32, (Arc<dyn Output>, u64)>,
    ask: Ask,
) -> Result<(u64, Option<OwnedFd>)> {
    let unopened =
        || Error::new(ErrorKind::Internal, "output-unopened", "the output was not opened").scoped(Scope::Handler);
    match ask {
        Ask::Secret { .. } => no_outputs(ask),
        Ask::Open { number, size, meta } => {
            let output = outputs.open(number, size, meta)?;
            let descriptor = output.descriptor()?;
            opened.insert(number, (output, size));
            bound(process, opened)?;
            Ok((0, Some(descriptor)))
        }
        Ask::SetSize { number, size } => {
            let (output, now) = opened.get_mut(&number).ok_or_else(unopened)?;
            output.set_size(size)?;
            *now = size;
            bound(process, opened)?;
            Ok((0, None))
        }
        Ask::Finish { number } => {
            let (output, _) = opened.get(&number).ok_or_else(unopened)?;
            output.finish()?;
            Ok((0, None))
        }
    }
}

/// Lets the worker write files as large as its largest output, and no larger.
fn bound(process: &Process, opened: &HashMap<u32, (Arc<dyn Output>, u64)>) -> Result<()> {
    let largest = opened.values().map(|(_, size)| *size).max().unwrap_or(0);
    process.limit_files(largest.max(MESSAGE_MAX as u64))
}

fn unexpected<T>(operation: &str) -> Result<T> {
    Err(Error::new(ErrorKind::Crashed, "worker-lied", format!("its worker answered {operation} with something else")))
}

/// What an unpacker says at its end.
fn answer_of(outcome: Result<Outcome>) -> Result<Option<String>> {
    match outcome? {
        Outcome::Answer(answer) => Ok(answer),
        _ => unexpected("unpack"),
    }
}

impl Handler for WorkerHandler {
    fn info(&self) -> &HandlerInfo {
        &self.info
    }

    fn plugin(&self) -> &PluginIdentity {
        &self.identity
    }

    fn is_isolated(&self) -> bool {
        true
    }

    fn probe(&self, call: &CallContext, requests: &[&Request]) -> Vec<Result<Probe>> {
        if !self.has_probe || requests.is_empty() {
            return requests.iter().map(|_| Ok(Probe::yes())).collect();
        }
        let operation = Operation::Probe { requests: requests.iter().map(|request| Cow::Borrowed(*request)).collect() };
        let secrets: Vec<String> = Vec::new();
        match self.ask(call, &secrets, operation) {
            Ok(Outcome::Probes(probes)) if probes.len() == requests.len() => {
                probes.into_iter().map(|probe| probe.map_err(Error::from)).collect()
            }
            Ok(_) => requests.iter().map(|_| unexpected("probe")).collect(),
            Err(error) => requests.iter().map(|_| Err(error.clone())).collect(),
        }
    }

    fn open(&self, call: &CallContext, request: &Request) -> Result<Box<dyn OpenedSource>> {
        let process = self.start(call, FILES_LEAST, false)?;
        let operation = Operation::Open { request: Cow::Borrowed(request) };
        let opened = process.begin(call, &request.secrets, operation, &[])?.end(no_outputs);
        match opened? {
            (Outcome::Source(mut info), mut descriptors) => {
                info.validator = info.validator.map(|validator| clean_text(validator.as_bytes(), VALIDATOR_MAX));
                let descriptor = descriptors.pop();
                Ok(Box::new(WorkerSource { info, descriptor, lanes: Mutex::default(), process }))
            }
            _ => unexpected("open"),
        }
    }

    fn transfer(&self, call: &CallContext, request: &Request, outputs: Arc<dyn Outputs>) -> Result<()> {
        let operation = Operation::Transfer { request: Cow::Borrowed(request) };
        self.write(call, request, operation, Vec::new(), outputs.as_ref(), |_, _| Ok(())).map(|_| ())
    }

    fn filter(
        &self,
        call: &CallContext,
        request: &Request,
        input: Arc<dyn Input>,
        into: Arc<Mutex<dyn ByteSink>>,
    ) -> Result<()> {
        let process = self.start(call, FILES_LEAST, false)?;
        let (in_ours, in_theirs) = ring::make(SLOTS)?;
        let (out_ours, out_theirs) = ring::make(SLOTS)?;
        let operation = Operation::Filter { request: Cow::Borrowed(request), size: input.size() };
        let lent: Vec<BorrowedFd<'_>> = [&in_theirs, &out_theirs].into_iter().flat_map(LaneParts::as_fds).collect();
        let mut running = process.begin(call, &[], operation, &lent)?;
        drop((in_theirs, out_theirs));
        feed(&process, &running, Producer::open(in_ours)?, input)?;
        let outcome = pull(&mut running, &mut Consumer::open(out_ours)?, u64::MAX, &into).outcome;
        drop(running);
        process.end()?;
        outcome
    }

    fn unpack(
        &self,
        call: &CallContext,
        request: &Request,
        input: Arc<dyn Input>,
        outputs: Arc<dyn Outputs>,
    ) -> Result<Option<String>> {
        let size = input.size();
        let operation = |ranged| Operation::Unpack { request: Cow::Borrowed(request), size, ranged };
        if let Some(descriptor) = input.descriptor() {
            let duplicate =
                descriptor.try_clone_to_owned().map_err(|error| Error::os(&error, "duplicate a descriptor"))?;
            return answer_of(
                self.write(call, request, operation(true), vec![duplicate], outputs.as_ref(), |_, _| Ok(())),
            );
        }
        let (ours, theirs) = ring::make(SLOTS)?;
        let theirs = vec![theirs.memory, theirs.bell];
        answer_of(self.write(call, request, operation(false), theirs, outputs.as_ref(), |process, running| {
            feed(process, running, Producer::open(ours)?, input)
        }))
    }

    fn status(&self, call: &CallContext) -> Result<HandlerStatus> {
        match self.ask(call, &[], Operation::Status)? {
            Outcome::Status(status) => Ok(status),
            _ => unexpected("status"),
        }
    }

    fn delete_stored(&self, call: &CallContext, request: &Request) -> Result<()> {
        self.ask(call, &request.secrets, Operation::DeleteStored { request: Cow::Borrowed(request) }).map(|_| ())
    }

    fn placement_removed(&self, call: &CallContext, event: &PlacementEvent) -> Result<()> {
        self.ask(call, &[], Operation::PlacementRemoved { event: Cow::Borrowed(event) }).map(|_| ())
    }

    fn placement_moved(&self, call: &CallContext, event: &PlacementEvent) -> Result<()> {
        self.ask(call, &[], Operation::PlacementMoved { event: Cow::Borrowed(event) }).map(|_| ())
    }
}

/// Brings an input's bytes to the worker, on a thread of its own that ends with the operation or with the input.
fn feed(process: &Process, running: &Running<'_>, mut lane: Producer, input: Arc<dyn Input>) -> Result<()> {
    let ending = process.ending(running.id);
    let own = running.own.clone();
    let work = move || {
        let mut position = 0_u64;
        let mut bring = || -> Result<u64> {
            loop {
                // The worker waits for the source, which is watched by itself.
                let mut held = Some(own.pulse.hold());
                let mut take = |mut bytes: &[u8]| -> Result<()> {
                    held = None;
                    position = position.saturating_add(bytes.len() as u64);
                    while !bytes.is_empty() {
                        let wait = Wait { cancel: &own.cancel, other: None, until: None };
                        match lane.put(bytes, &wait) {
                            Ok(put) => bytes = bytes.get(put..).unwrap_or_default(),
                            Err(Stop::Failed(error)) => return Err(error),
                            // Its death, or its end, is told to whoever runs the operation.
                            Err(_) => return Err(Error::cancelled()),
                        }
                        own.pulse.beat();
                    }
                    // Less than a slot is not kept back: who knows when the next bytes come.
                    lane.flush()
                };
                if !input.show_next(&mut take)? {
                    return Ok(position);
                }
            }
        };
        ending.send(bring());
    };
    let spawned = std::thread::Builder::new().name("input".into()).spawn(work);
    spawned.map(drop).map_err(|error| Error::os(&error, "start a thread").scoped(Scope::Node))
}

/// A source that is open in a worker. Closed by ending that.
struct WorkerSource {
    info: SourceInfo,
    descriptor: Option<OwnedFd>,
    /// Lanes that no read uses now, and how many there are.
    lanes: Mutex<(Vec<Lane>, u32)>,
    process: Process,
}

/// The agent's end of a lane.
struct Lane {
    number: u32,
    consumer: Consumer,
}

fn locked<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl WorkerSource {
    /// A lane, and the other end of one that is new.
    fn lane(&self) -> Result<(Lane, Option<LaneParts>)> {
        let mut lanes = locked(&self.lanes);
        if let Some(lane) = lanes.0.pop() {
            return Ok((lane, None));
        }
        let (ours, theirs) = ring::make(SLOTS)?;
        let lane = Lane { number: lanes.1, consumer: Consumer::open(ours)? };
        lanes.1 = lanes.1.saturating_add(1);
        Ok((lane, Some(theirs)))
    }
}

impl OpenedSource for WorkerSource {
    fn info(&self) -> &SourceInfo {
        &self.info
    }

    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.descriptor.as_ref().map(AsFd::as_fd)
    }

    fn read(&self, call: &CallContext, range: Range<u64>, into: Arc<Mutex<dyn ByteSink>>) -> Result<()> {
        let Some(len) = range.end.checked_sub(range.start) else {
            return Err(Error::new(ErrorKind::Internal, "bad-range", "the range ends before it begins"));
        };
        let (mut lane, theirs) = self.lane()?;
        let operation = Operation::Read { lane: lane.number, start: range.start, end: range.end };
        let lent: Vec<BorrowedFd<'_>> = theirs.iter().flat_map(LaneParts::as_fds).collect();
        let mut running = self.process.begin(call, &[], operation, &lent)?;
        drop(theirs);
        let pulled = pull(&mut running, &mut lane.consumer, len, &into);
        // What a read that was stopped left in it is nobody's. One that never began may not even have its lane.
        if pulled.answered && lane.consumer.drain().is_ok() {
            locked(&self.lanes).0.push(lane);
        }
        pulled.outcome
    }
}

/// What came of a read.
struct Pulled {
    outcome: Result<()>,
    /// Whether the worker said how it ended, and so is through with the lane.
    answered: bool,
}

/// Takes the bytes of one read from its lane into the sink. When this returns, the worker has no part in either any more.
fn pull(running: &mut Running<'_>, lane: &mut Consumer, len: u64, into: &Mutex<dyn ByteSink>) -> Pulled {
    let mut answered = false;
    let outcome = pull_all(running, lane, len, into, &mut answered);
    Pulled { outcome, answered }
}

fn pull_all(
    running: &mut Running<'_>,
    lane: &mut Consumer,
    len: u64,
    into: &Mutex<dyn ByteSink>,
    answered: &mut bool,
) -> Result<()> {
    let mut got = 0_u64;
    // How many bytes there are in all, and how it ended, once the worker said so.
    let mut done: Option<(u64, Result<()>)> = None;
    let mut refused = None;
    loop {
        if let Some((bytes, outcome)) = &done
            && (got >= *bytes || running.is_stopping())
        {
            let outcome = running.honest(outcome.clone());
            return match refused {
                Some(error) => Err(error),
                None if got < *bytes => running.honest(Err(Error::cancelled())),
                None => outcome,
            };
        }
        // A read that is over, or has all it may have, only has to say so.
        if done.is_none() && (running.is_stopping() || got >= len) {
            done = Some(read_end(running, len, answered)?);
            continue;
        }
        if done.is_none()
            && let Some(letter) = running.letter()
        {
            done = Some(read_letter(running, letter, len, answered)?);
            continue;
        }
        let until = if done.is_some() { Instant::now() } else { running.keep_time()? };
        if running.is_stopping() {
            continue;
        }
        match take(running, lane, len.saturating_sub(got), into, until, done.is_none()) {
            // Whoever cancelled it does not want the rest, which may well be there.
            Ok(Taken::Nothing) if done.is_some() && running.own.cancel.is_cancelled() => {
                return running.honest(refused.map_or_else(|| Err(Error::cancelled()), Err));
            }
            Ok(Taken::Nothing | Taken::Gone) if done.is_some() => {
                return Err(running.lied("worker-lied", "promised more bytes than it gave"));
            }
            // Its death, or the read's end, is about to be told.
            Ok(Taken::Gone) => done = Some(read_end(running, len, answered)?),
            Ok(Taken::Nothing) => {}
            Ok(Taken::Bytes(bytes)) => got = got.saturating_add(bytes),
            Err(error) => {
                refused = Some(error);
                running.stop()?;
            }
        }
    }
}

/// What a look into a lane gave.
enum Taken {
    Bytes(u64),
    /// Nothing until something else happened.
    Nothing,
    /// Nothing, and nothing will come.
    Gone,
}

/// Takes what there is. An error is the sink's or the ring's.
fn take(
    running: &Running<'_>,
    lane: &mut Consumer,
    room: u64,
    into: &Mutex<dyn ByteSink>,
    until: Instant,
    listen: bool,
) -> Result<Taken> {
    let other = listen.then(|| running.descriptor());
    let wait = Wait { cancel: &running.own.cancel, other, until: Some(until) };
    // A sink that is full is asked for room only when there is a byte too many.
    let taken = lane.wait(&wait).and_then(|()| {
        let _held = running.own.pulse.hold();
        let mut sink = locked(into);
        let want = usize::try_from(room).unwrap_or(SLOT).min(SLOT);
        let bytes = lane.take(sink.reserve(want)?, &wait)?;
        sink.commit(bytes)?;
        Ok(bytes)
    });
    match taken {
        Ok(bytes) => Ok(Taken::Bytes(bytes as u64)),
        Err(Stop::Failed(error)) => Err(error),
        Err(Stop::Gone) => Ok(Taken::Gone),
        Err(Stop::Cancelled | Stop::Other | Stop::TimedOut) => Ok(Taken::Nothing),
    }
}

/// Waits for the end of a read.
fn read_end(running: &mut Running<'_>, len: u64, answered: &mut bool) -> Result<(u64, Result<()>)> {
    let letter = running.wait()?;
    read_letter(running, letter, len, answered)
}

fn read_letter(running: &Running<'_>, letter: Letter, len: u64, answered: &mut bool) -> Result<(u64, Result<()>)> {
    *answered = matches!(&letter, Letter::Done { outcome: Ok(Outcome::Read { .. }), .. });
    match letter {
        Letter::Died(error) => Err(error),
        Letter::Done { outcome: Ok(Outcome::Read { bytes, failure }), .. } if bytes <= len => {
            Ok((bytes, failure.map_or(Ok(()), |failure| Err(failure.into()))))
        }
        Letter::Done { outcome: Err(error), .. } => Ok((0, Err(error))),
        _ => Err(running.lied("worker-lied", "answered a read with something else")),
    }
}
