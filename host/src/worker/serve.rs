//! The worker itself: the hidden command that loads one plugin, makes one handler and runs the operations of one job.
//!
//! The main thread listens to the agent; each operation has a thread. The process ends when the agent closes the
//! connection, whatever the plugin is doing then.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use landfall_handler_api::{Error, ErrorKind, HandlerInfo, Result};
use serde_json::Value;

use super::confine::{self, vanish};
use super::message::{Operation, Order, Outcome, Report, Secret, pack, unpack};
use super::remote::{FileInput, InputEnd, LaneInput, Questions, RemoteOutputs};
use super::ring::{Consumer, LaneParts, Producer, SLOT, Stop, Wait};
use super::wire::Wire;
use crate::cancel::Cancel;
use crate::complaint::complain;
use crate::plugin::{self, ByteSink, CallContext, Handler, InlineHandler, Input, OpenedSource, Pulse};

/// The hidden command that this file serves.
pub(crate) const WORKER_COMMAND: &str = "worker";

/// The agent watches the time; nothing here gives up before it does.
const NO_LIMIT: Duration = Duration::from_secs(365 * 24 * 60 * 60);
/// How often the agent is told of a handler's count and that it is alive.
const BEAT_EVERY: Duration = Duration::from_millis(100);
/// Bytes that a slow source gave are handed over after so long, though the slot is not full.
const HAND_OVER_AFTER: Duration = Duration::from_millis(100);

fn locked<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The whole of the hidden command. Standard input is the connection to the agent.
pub(crate) fn worker_main() -> ExitCode {
    match begin() {
        Ok((wire, first)) => serve(&wire, first),
        Err(error) => {
            complain(format_args!("worker: {error}"));
            ExitCode::FAILURE
        }
    }
}

/// An order and the descriptors that came with it.
type Received = (Order<'static>, Vec<OwnedFd>);

/// Takes the connection away from standard input, closes what is not this process's, and waits for the first order.
fn begin() -> Result<(Arc<Wire>, Received)> {
    let failed = |error: std::io::Error| Error::os(&error, "begin a worker");
    confine::keep_heap_small();
    confine::hide_memory().map_err(failed)?;
    confine::close_from(3).map_err(failed)?;
    let socket = std::io::stdin().as_fd().try_clone_to_owned().map_err(failed)?;
    let null = OpenOptions::new().read(true).open("/dev/null").map_err(failed)?;
    nix::unistd::dup2_stdin(&null).map_err(|errno| failed(errno.into()))?;
    let wire = Arc::new(Wire::new(socket)?);
    let first = wire.receive::<Order<'static>>()?;
    let first = first.ok_or_else(|| Error::new(ErrorKind::Internal, "no-order", "this is for the agent to run"))?;
    Ok((wire, first))
}

fn serve(wire: &Arc<Wire>, (first, descriptors): Received) -> ExitCode {
    let made = start(first, descriptors, wire);
    let (started, handler) = match made {
        Ok(handler) => (Ok(()), Some(handler)),
        Err(error) => (Err(error), None),
    };
    if wire.send(&Report::Started(pack(started)), &[]).is_err() {
        vanish();
    }
    let Some(handler) = handler else { vanish() };
    let served = Arc::new(Served {
        wire: Arc::clone(wire),
        handler,
        source: Mutex::default(),
        lanes: Mutex::default(),
        operations: Mutex::default(),
    });
    loop {
        match wire.receive::<Order<'static>>() {
            Ok(Some((order, descriptors))) => served.take(order, descriptors),
            // The agent is gone, or wants no more of this.
            Ok(None) => vanish(),
            Err(error) => {
                complain(format_args!("worker: {error}"));
                vanish();
            }
        }
    }
}

/// Confines this process, loads the plugin and makes its handler.
fn start(first: Order<'static>, descriptors: Vec<OwnedFd>, wire: &Arc<Wire>) -> Result<InlineHandler> {
    let Order::Start { version, handler, config, bounds, agent } = first else {
        return Err(Error::new(ErrorKind::Internal, "no-start", "the first order is not to start"));
    };
    if version != env!("CARGO_PKG_VERSION") {
        let message = format!("the agent is {version} and its program file is {} now", env!("CARGO_PKG_VERSION"));
        return Err(Error::new(ErrorKind::Internal, "agent-replaced", message));
    }
    let failed = |error: std::io::Error| Error::os(&error, "confine a worker");
    confine::die_with(agent).map_err(failed)?;
    confine::confine(&bounds).map_err(failed)?;
    let log = Arc::clone(wire);
    plugin::send_log(move |level, target, text| {
        // Whoever cannot be told is about to end this process.
        let _ = log.send(&Report::Log { level, target: target.to_owned(), text: text.to_owned() }, &[]);
    });
    let missing = || Error::new(ErrorKind::Internal, "no-plugin", "the order to start came without a plugin");
    let file = File::from(descriptors.into_iter().next().ok_or_else(missing)?);
    let loaded = plugin::load(file).map_err(|refusal| {
        Error::new(ErrorKind::Crashed, "worker-load", format!("its plugin does not load: {refusal}"))
    })?;
    let identity = loaded.shape.identity(Path::new(""));
    let found = loaded.shape.handlers.into_iter().zip(loaded.tables).find(|(shape, _)| shape.info.id == *handler);
    let gone = || Error::new(ErrorKind::Crashed, "worker-load", "its plugin does not have this handler any more");
    let (shape, table) = found.ok_or_else(gone)?;
    let (info, config): (HandlerInfo, Value) = (shape.info, config.into_owned());
    InlineHandler::create(info, identity, table, &config, NO_LIMIT, NO_LIMIT)
}

/// A running operation, as far as orders can reach it.
struct Reachable {
    cancel: Cancel,
    questions: Arc<Questions>,
    input_end: Arc<InputEnd>,
}

struct Served {
    wire: Arc<Wire>,
    handler: InlineHandler,
    source: Mutex<Option<Arc<dyn OpenedSource>>>,
    lanes: Mutex<HashMap<u32, Producer>>,
    operations: Mutex<HashMap<u64, Reachable>>,
}

impl Served {
    fn take(self: &Arc<Self>, order: Order<'static>, descriptors: Vec<OwnedFd>) {
        match order {
            Order::Start { .. } => vanish(),
            Order::Call { id, secrets, operation } => {
                if let Err(error) = self.begin(id, secrets, operation, descriptors) {
                    // Out of descriptors or threads, which the plugin used up.
                    let starved = Error::new(ErrorKind::Crashed, "worker-starved", error.message().to_owned());
                    self.done(id, Err(starved), None);
                }
            }
            Order::Cancel { id } => {
                if let Some(reachable) = locked(&self.operations).get(&id) {
                    reachable.cancel.cancel();
                }
            }
            Order::Answer { id, question, outcome } => {
                if let Some(reachable) = locked(&self.operations).get(&id) {
                    reachable.questions.answered(question, unpack(outcome), descriptors.into_iter().next());
                }
            }
            Order::InputEnd { id, outcome } => {
                if let Some(reachable) = locked(&self.operations).get(&id) {
                    reachable.input_end.came(unpack(outcome));
                }
            }
        }
    }

    fn begin(
        self: &Arc<Self>,
        id: u64,
        secrets: Vec<Secret>,
        operation: Operation<'static>,
        descriptors: Vec<OwnedFd>,
    ) -> Result<()> {
        let cancel = Cancel::new()?;
        let questions = Questions::new(Arc::clone(&self.wire), id);
        let input_end = InputEnd::new()?;
        let reachable =
            Reachable { cancel: cancel.clone(), questions: Arc::clone(&questions), input_end: Arc::clone(&input_end) };
        locked(&self.operations).insert(id, reachable);
        // Whoever runs a read, or a probe, listens for bytes or for an answer.
        let asks = !matches!(operation, Operation::Read { .. } | Operation::Filter { .. } | Operation::Probe { .. });
        let call = self.context(id, cancel, secrets, asks.then(|| Arc::clone(&questions)));
        let run = Run { served: Arc::clone(self), id, call, questions, input_end };
        std::thread::Builder::new()
            .name("operation".into())
            .spawn(move || run.run(operation, descriptors))
            .map(drop)
            .map_err(|error| Error::os(&error, "start a thread"))
    }

    /// Secrets that were not sent along are asked for with `questions`.
    fn context(&self, id: u64, cancel: Cancel, secrets: Vec<Secret>, questions: Option<Arc<Questions>>) -> CallContext {
        let wire = Arc::clone(&self.wire);
        let last = Mutex::new(None::<Instant>);
        let progress = move |done, total| {
            let mut last = locked(&last);
            if last.is_none_or(|last| last.elapsed() >= BEAT_EVERY) {
                *last = Some(Instant::now());
                let _ = wire.send(&Report::Beat { id, done: Some(done), total }, &[]);
            }
        };
        let secrets: HashMap<String, Vec<u8>> = secrets.into_iter().map(|secret| (secret.name, secret.value)).collect();
        CallContext {
            cancel,
            progress: Arc::new(progress),
            secrets: Arc::new(move |name| {
                let asked = || questions.as_ref().and_then(|questions| questions.secret(name).ok());
                secrets.get(name).cloned().or_else(asked)
            }),
            pulse: Pulse::new(NO_LIMIT),
        }
    }

    fn done(&self, id: u64, outcome: Result<Outcome>, descriptor: Option<OwnedFd>) {
        if let Some(reachable) = locked(&self.operations).remove(&id) {
            reachable.questions.close();
        }
        let descriptors: Vec<_> = descriptor.iter().map(AsFd::as_fd).collect();
        if self.wire.send(&Report::Done { id, outcome: pack(outcome) }, &descriptors).is_err() {
            vanish();
        }
    }
}

/// One operation, on its thread.
struct Run {
    served: Arc<Served>,
    id: u64,
    call: CallContext,
    questions: Arc<Questions>,
    input_end: Arc<InputEnd>,
}

impl Run {
    fn run(self, operation: Operation<'static>, descriptors: Vec<OwnedFd>) {
        let mut descriptor = None;
        let outcome = self.operate(operation, descriptors, &mut descriptor);
        self.served.done(self.id, outcome, descriptor);
    }

    fn operate(
        &self,
        operation: Operation<'static>,
        descriptors: Vec<OwnedFd>,
        descriptor: &mut Option<OwnedFd>,
    ) -> Result<Outcome> {
        let (handler, call) = (&self.served.handler, &self.call);
        match operation {
            Operation::Probe { requests } => {
                let requests: Vec<_> = requests.iter().map(AsRef::as_ref).collect();
                Ok(Outcome::Probes(handler.probe(call, &requests).into_iter().map(pack).collect()))
            }
            Operation::Open { request } => {
                let source: Arc<dyn OpenedSource> = handler.open(call, &request)?.into();
                let duplicate = source.descriptor().map(|descriptor| descriptor.try_clone_to_owned()).transpose();
                *descriptor = duplicate.map_err(|error| Error::os(&error, "duplicate a descriptor"))?;
                let info = source.info().clone();
                *locked(&self.served.source) = Some(source);
                Ok(Outcome::Source(info))
            }
            Operation::Read { lane, start, end } => self.read(lane, start..end, descriptors),
            Operation::Transfer { request } => {
                self.alive(|| handler.transfer(call, &request, Arc::new(self.outputs()))).map(|()| Outcome::Nothing)
            }
            Operation::Filter { request, size } => {
                let mut descriptors = descriptors.into_iter();
                let input = self.input(size, false, descriptors.by_ref().take(2).collect())?;
                let (Some(memory), Some(bell)) = (descriptors.next(), descriptors.next()) else {
                    return Err(Error::new(ErrorKind::Internal, "no-lane", "the filter came without its lane"));
                };
                let sink = LaneSink::new(Producer::open(LaneParts { memory, bell })?, self.call.cancel.clone());
                let outcome = self.alive(|| handler.filter(call, &request, input, sink.clone()));
                Ok(locked(&sink).end(outcome).0)
            }
            Operation::Unpack { request, size, ranged } => {
                let input = self.input(size, ranged, descriptors)?;
                let outputs = Arc::new(self.outputs());
                self.alive(|| handler.unpack(call, &request, input, outputs)).map(Outcome::Answer)
            }
            Operation::Status => handler.status(call).map(Outcome::Status),
            Operation::DeleteStored { request } => {
                self.alive(|| handler.delete_stored(call, &request)).map(|()| Outcome::Nothing)
            }
            Operation::PlacementRemoved { event } => handler.placement_removed(call, &event).map(|()| Outcome::Nothing),
            Operation::PlacementMoved { event } => handler.placement_moved(call, &event).map(|()| Outcome::Nothing),
        }
    }

    fn outputs(&self) -> RemoteOutputs {
        RemoteOutputs { questions: Arc::clone(&self.questions), cancel: self.call.cancel.clone() }
    }

    /// Runs `work`, and tells the agent now and then that it writes or reads: the agent sees neither by itself.
    fn alive<T>(&self, work: impl FnOnce() -> Result<T>) -> Result<T> {
        let (stop, stopped) = std::sync::mpsc::channel::<()>();
        let (wire, id, pulse) = (Arc::clone(&self.served.wire), self.id, self.call.pulse.clone());
        let tell = move || {
            let mut last = pulse.beats();
            while matches!(stopped.recv_timeout(BEAT_EVERY), Err(std::sync::mpsc::RecvTimeoutError::Timeout)) {
                let now = pulse.beats();
                if now != last {
                    last = now;
                    let _ = wire.send(&Report::Beat { id, done: None, total: None }, &[]);
                }
            }
        };
        let teller = std::thread::Builder::new().name("beats".into()).spawn(tell);
        let outcome = work();
        drop(stop);
        teller.map(drop).map_err(|error| Error::os(&error, "start a thread"))?;
        outcome
    }

    fn input(&self, size: Option<u64>, ranged: bool, descriptors: Vec<OwnedFd>) -> Result<Arc<dyn Input>> {
        let mut descriptors = descriptors.into_iter();
        let first = descriptors.next();
        let missing = || Error::new(ErrorKind::Internal, "no-input", "the input came without its descriptors");
        if ranged {
            return Ok(Arc::new(FileInput { file: File::from(first.ok_or_else(missing)?), size }));
        }
        let (Some(memory), Some(bell)) = (first, descriptors.next()) else { return Err(missing()) };
        let consumer = Consumer::open(LaneParts { memory, bell })?;
        Ok(Arc::new(LaneInput::new(consumer, size, Arc::clone(&self.input_end), self.call.cancel.clone())))
    }

    fn read(&self, lane: u32, range: std::ops::Range<u64>, descriptors: Vec<OwnedFd>) -> Result<Outcome> {
        let source = locked(&self.served.source).clone();
        let source = source.ok_or_else(|| Error::new(ErrorKind::Internal, "no-source", "no source is open"))?;
        let mut descriptors = descriptors.into_iter();
        let producer = match (descriptors.next(), descriptors.next()) {
            (Some(memory), Some(bell)) => Some(Producer::open(LaneParts { memory, bell })?),
            _ => locked(&self.served.lanes).remove(&lane),
        };
        let producer = producer.ok_or_else(|| Error::new(ErrorKind::Internal, "no-lane", "there is no such lane"))?;
        let sink = LaneSink::new(producer, self.call.cancel.clone());
        let outcome = source.read(&self.call, range, sink.clone());
        let (read, producer) = locked(&sink).end(outcome);
        if let Some(producer) = producer {
            locked(&self.served.lanes).insert(lane, producer);
        }
        Ok(read)
    }
}

/// Fills the slots of a lane, in place.
struct LaneSink {
    producer: Option<Producer>,
    cancel: Cancel,
    /// Bytes of the slot at hand.
    filled: usize,
    /// When the first of them came.
    begun: Option<Instant>,
    /// Bytes that were handed over.
    bytes: u64,
}

impl LaneSink {
    fn new(producer: Producer, cancel: Cancel) -> Arc<Mutex<Self>> {
        Arc::new(Mutex::new(Self { producer: Some(producer), cancel, filled: 0, begun: None, bytes: 0 }))
    }

    /// Hands over what is left. Gives what to say of a read that ended with `outcome`, and the lane for the next one.
    fn end(&mut self, outcome: Result<()>) -> (Outcome, Option<Producer>) {
        let flushed = self.hand_over();
        let failure = outcome.and(flushed).err().map(|error| (&error).into());
        let mut producer = self.producer.take();
        if let Some(producer) = &mut producer {
            producer.discard();
        }
        (Outcome::Read { bytes: self.bytes, failure }, producer)
    }

    fn hand_over(&mut self) -> Result<()> {
        if self.filled > 0
            && let Some(producer) = &mut self.producer
        {
            producer.hand_over(self.filled)?;
            self.bytes = self.bytes.saturating_add(self.filled as u64);
            (self.filled, self.begun) = (0, None);
        }
        Ok(())
    }
}

impl ByteSink for LaneSink {
    fn reserve(&mut self, want: usize) -> Result<&mut [u8]> {
        let producer = self.producer.as_mut().ok_or_else(Error::cancelled)?;
        let slot = match producer.slot(&Wait { cancel: &self.cancel, other: None, until: None }) {
            Ok(slot) => slot,
            Err(Stop::Failed(error)) => return Err(error),
            Err(_) => return Err(self.cancel.check().err().unwrap_or_else(Error::cancelled)),
        };
        let end = self.filled.saturating_add(want.max(1)).min(SLOT);
        slot.get_mut(self.filled..end)
            .ok_or_else(|| Error::new(ErrorKind::Internal, "lane-slot", "the lane's slot is short"))
    }

    fn commit(&mut self, filled: usize) -> Result<()> {
        self.cancel.check()?;
        self.filled = self.filled.saturating_add(filled).min(SLOT);
        let begun = *self.begun.get_or_insert_with(Instant::now);
        if self.filled == SLOT || begun.elapsed() >= HAND_OVER_AFTER {
            self.hand_over()?;
        }
        Ok(())
    }
}
