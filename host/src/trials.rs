//! The attempts of a plan, one after the other, and what their failures rule out.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use landfall_handler_api::{Error, ErrorKind, Result, Scope};
use landfall_measure::{Sample, should_leave};

use crate::cancel::Cancel;
use crate::catalog::Image;
use crate::complaint::complain;
use crate::decision::{AttemptOutcome, Decision};
use crate::engine::{Origin, Shaper, Supply};
use crate::ledger::{Ledger, Subject};
use crate::measured::{Clock, Way, authority, seconds_since_1970};
use crate::plugin::{CallContext, Pulse, WORKER_KILLED};
use crate::progress::Watch;
use crate::publish;
use crate::redact;
use crate::route::{Attempt, Chain, LOCATION_URL, Plan, TLS_ROOTS};
use crate::shaping::Step;
use crate::trusted;

/// How often one attempt is returned to after the others.
const RETURNS_MAX: u32 = 3;
/// How likely to fail, and how much slower than the first, a location is at most that is read at the same time.
const JOINS_FAILING: f64 = 0.5;
const JOINS_RATE: f64 = 0.05;
/// The code of an attempt that was left for a faster one.
const SLOWER: &str = "slower-than-another";
/// Characters of a location's name in messages and journals.
const NAME_MAX: usize = 300;

/// The attempts of one placement.
pub(crate) struct Trials<'a> {
    pending: VecDeque<Attempt>,
    current: Option<Current>,
    made: usize,
    image: &'a Image,
    ledger: &'a Ledger,
    decision: &'a mut Decision,
    cancel: &'a Cancel,
    watch: &'a dyn Watch,
    stall: Duration,
    bench: Duration,
    dead_handlers: HashSet<String>,
    returns: HashMap<(String, Option<usize>), u32>,
    last: Option<Error>,
    /// The clock of the attempt that is being made.
    clock: Arc<Clock>,
    /// Seconds of the attempts that were made.
    seconds: f64,
    /// Where the first attempt is made to find out about it: the seconds that the best would cost.
    instead_of: Option<f64>,
    /// Locations that were left because others are faster; once is enough.
    left: HashSet<Option<usize>>,
}

/// The attempt that is being made.
struct Current {
    attempt: Attempt,
    /// Others that are part of it: their locations are read at the same time.
    companions: Vec<Attempt>,
    clock: Arc<Clock>,
    bytes: u64,
    /// The filter or unpacker that failed, if it was one.
    failed_shaper: Option<String>,
}

impl<'a> Trials<'a> {
    pub(crate) fn new(
        plan: Plan,
        image: &'a Image,
        ledger: &'a Ledger,
        decision: &'a mut Decision,
        cancel: &'a Cancel,
        watch: &'a dyn Watch,
    ) -> Self {
        Self {
            stall: plan.stall,
            bench: plan.bench,
            instead_of: plan.instead_of,
            pending: plan.attempts.into(),
            current: None,
            made: 0,
            image,
            ledger,
            decision,
            cancel,
            watch,
            dead_handlers: HashSet::new(),
            returns: HashMap::new(),
            last: None,
            clock: Clock::start(),
            seconds: 0.0,
            left: HashSet::new(),
        }
    }

    /// Makes the next attempt that nothing rules out the current one; false when there is none.
    pub(crate) fn next_attempt(&mut self) -> bool {
        while let Some(attempt) = self.pending.pop_front() {
            if self.is_dead(&attempt) {
                self.decision.skipped(&attempt, "an earlier failure ruled this handler out");
                continue;
            }
            let of = self.made.saturating_add(self.pending.len()).saturating_add(1);
            self.watch.attempt(self.made, of, &attempt);
            self.made = self.made.saturating_add(1);
            self.clock = Clock::start();
            let clock = Arc::clone(&self.clock);
            self.current = Some(Current { attempt, companions: Vec::new(), clock, bytes: 0, failed_shaper: None });
            return true;
        }
        false
    }

    fn is_dead(&self, attempt: &Attempt) -> bool {
        attempt.handlers().iter().any(|handler| self.dead_handlers.contains(*handler))
    }

    /// The attempt that is being made.
    pub(crate) fn attempt(&self) -> Result<&Attempt> {
        let none = || Error::new(ErrorKind::Internal, "no-attempt", "no attempt is being made");
        self.current.as_ref().map(|current| &current.attempt).ok_or_else(none)
    }

    /// The decision, with the attempt that is being made as one that went well.
    pub(crate) fn decision(&self) -> Decision {
        let mut decision = self.decision.clone();
        if let Some(current) = &self.current {
            let seconds = current.clock.elapsed().as_secs_f64();
            let outcome = AttemptOutcome { error: None, seconds, bytes: current.bytes };
            decision.tried(&current.attempt, &current.companions, outcome);
        }
        decision
    }

    /// Something that is worth knowing of the image.
    pub(crate) fn note(&mut self, text: &str) {
        complain(text);
        self.decision.notes.push(redact::printable(text));
    }

    /// So many bytes arrived in this attempt.
    pub(crate) fn arrived(&mut self, bytes: u64) {
        if let Some(current) = &mut self.current {
            current.bytes = bytes;
        }
    }

    /// The attempt's location, for the engine.
    pub(crate) fn origin(&self, attempt: &Attempt) -> Result<Origin> {
        let handler = Arc::clone(&attempt.handler);
        let mut name = match &attempt.request.location {
            Some(location) => redact::url(&location.url),
            None => handler.info().id.clone(),
        };
        if let Some((cut, _)) = name.char_indices().nth(NAME_MAX) {
            name.truncate(cut);
        }
        let store = attempt.belonging.store.as_ref().map(|store| store.id.clone()).filter(|id| !id.is_empty());
        let connects_to = self.url(attempt.location).and_then(authority).or(store).unwrap_or_else(|| name.clone());
        // What is shown of two URLs may be the same.
        let key = format!("{} {:?}", handler.info().id, attempt.location);
        let (request, call) = (attempt.request.clone(), self.call(attempt.location, &attempt.request.secrets));
        Ok(Origin { handler, request, call, key, name, connects_to })
    }

    /// A filter or unpacker of the attempt, for the engine.
    pub(crate) fn shaper(&self, step: &Step) -> Shaper {
        let (handler, request) = (Arc::clone(&step.handler), step.request.clone());
        Shaper { handler, request, call: self.call(None, &[]) }
    }

    fn url(&self, location: Option<usize>) -> Option<&str> {
        location.and_then(|index| self.image.record.locations.get(index)).map(|location| location.url.as_str())
    }

    /// `named`: the secrets that the request names.
    fn call(&self, location: Option<usize>, named: &[String]) -> CallContext {
        let url = self.url(location).map(|url| url.as_bytes().to_vec());
        let (logins, named) = (self.image.logins.clone(), named.to_vec());
        CallContext {
            cancel: self.cancel.clone(),
            progress: self.clock.watch(self.watch.bytes()),
            secrets: Arc::new(move |name| match name {
                LOCATION_URL => url.clone(),
                TLS_ROOTS => trusted::roots(),
                name if named.iter().any(|known| known == name) => logins.get(name).map(<[u8]>::to_vec),
                _ => None,
            }),
            pulse: Pulse::new(self.stall),
        }
    }

    /// Writes down what came of the attempt, and follows from its failure what is still worth trying.
    pub(crate) fn ended<T>(&mut self, outcome: Result<T>) -> Option<T> {
        let mut current = self.current.take()?;
        let error = match outcome {
            Ok(done) => {
                self.write_down(&current, None);
                self.ledger.measured().spent(self.seconds, self.instead_of);
                return Some(done);
            }
            // A plugin's code must not pass for the agent's own word on its configuration.
            Err(error) if error.code().starts_with("config") => error.coded("plugin-config"),
            Err(error) => error,
        };
        self.failed(&current, &error);
        self.leave_companions(&mut current);
        match error.scope() {
            Scope::Location if error.code() == publish::LINK_REFUSED && current.attempt.belonging.hardlink => {
                current.attempt.belonging.hardlink = false;
                self.pending.push_front(current.attempt);
            }
            Scope::Image | Scope::Request | Scope::Node => self.pending.clear(),
            Scope::Location | Scope::Handler => {}
        }
        None
    }

    /// Writes a failure down, and what it says of the handler.
    fn failed(&mut self, current: &Current, error: &Error) {
        self.write_down(current, Some(error));
        self.watch.failed(&current.attempt, error);
        let culprit = current.culprit();
        if error.kind() == ErrorKind::Crashed {
            let location = current.attempt.location.filter(|_| current.failed_shaper.is_none());
            let subject = self.image.crash_subject(location);
            remember_crash(self.ledger, &culprit, &subject, error, self.bench);
        }
        if error.scope() == Scope::Handler {
            self.dead_handlers.insert(culprit);
        }
        self.last = Some(error.clone().context(what(&current.attempt)));
    }

    fn write_down(&mut self, current: &Current, error: Option<&Error>) {
        let seconds = current.clock.elapsed().as_secs_f64();
        self.seconds += seconds;
        self.measure(current, seconds, error);
        let outcome = AttemptOutcome { error, seconds, bytes: current.bytes };
        self.decision.tried(&current.attempt, &current.companions, outcome);
    }

    /// Keeps what came of the attempt for predictions, where that says something of its source.
    fn measure(&self, current: &Current, seconds: f64, error: Option<&Error>) {
        let is_shaped = !current.attempt.shaping.is_none();
        // Others' images come from there too: what whoever made this one, or its record, can bring about is not held against it.
        let is_the_sources = |error: &Error| match error.kind() {
            ErrorKind::Unavailable | ErrorKind::Io => matches!(error.scope(), Scope::Location | Scope::Handler),
            ErrorKind::Crashed => !is_shaped,
            _ => false,
        };
        // Of several at once nobody knows how each would be alone.
        let says_something = error.map_or(current.companions.is_empty(), is_the_sources);
        if !says_something {
            return;
        }
        let is_left = error.is_some_and(|error| error.code() == SLOWER);
        let failure = error.map(Error::code).filter(|_| !is_left);
        // A count of bytes on the way is one of stored bytes where nothing takes them apart.
        let counted = current.clock.counted().filter(|_| !is_shaped || failure.is_some());
        let sample = Sample {
            at: seconds_since_1970(SystemTime::now()),
            bytes: counted.unwrap_or(current.bytes),
            first_byte: current.clock.first_byte().map(|first| first.as_secs_f64()),
            seconds,
            failed: failure.is_some(),
        };
        let way = Way::of(&current.attempt, self.url(current.attempt.location));
        self.ledger.measured().learn(&way, &sample, failure);
    }

    /// Those that were part of an attempt that failed are tried by themselves.
    fn leave_companions(&mut self, current: &mut Current) {
        for companion in current.companions.drain(..).rev() {
            self.pending.push_front(companion);
        }
    }

    /// The error that stopped the plan, else the last one.
    pub(crate) fn failure(self) -> Error {
        self.last.unwrap_or_else(|| Error::new(ErrorKind::Internal, "no-attempt", "nothing was tried"))
    }

    /// The first pending attempt that `dead` does not rule out, if it can go on with the current one's bytes.
    fn follower(&self, dead: Option<&str>) -> Option<usize> {
        let current = &self.current.as_ref()?.attempt;
        let ruled_out =
            |attempt: &Attempt| self.is_dead(attempt) || dead.is_some_and(|dead| attempt.handlers().contains(&dead));
        let (at, next) = self.pending.iter().enumerate().find(|(_, attempt)| !ruled_out(attempt))?;
        goes_on(current, next).then_some(at)
    }
}

impl Current {
    /// The handler that a failure is to be blamed on.
    fn culprit(&self) -> String {
        self.failed_shaper.clone().unwrap_or_else(|| self.attempt.handler.info().id.clone())
    }
}

/// Whether `next` has the same bytes as `current`, for the same use.
fn goes_on(current: &Attempt, next: &Attempt) -> bool {
    current.chain == Chain::Source
        && next.chain == Chain::Source
        && current.expected.digest.is_some()
        && current.expected.digest == next.expected.digest
        && current.expected.form == next.expected.form
        && current.size == next.size
        && current.shaping.ids() == next.shaping.ids()
}

/// Whether reading `other` at the same time is of any use, as far as that was measured: not where it mostly fails, or is so slow that
/// its connections and its last range cost more.
fn is_worth_joining(current: &Attempt, other: &Attempt) -> bool {
    let (Some(own), Some(its)) = (current.prediction(0), other.prediction(0)) else { return true };
    its.samples == 0 || (its.failing <= JOINS_FAILING && its.rate >= own.rate * JOINS_RATE)
}

/// Holds a crash against the handler. A process that somebody else killed says nothing of it.
pub(crate) fn remember_crash(ledger: &Ledger, handler: &str, on: &Subject, error: &Error, bench: Duration) {
    if error.code() == WORKER_KILLED {
        return;
    }
    if let Err(error) = ledger.crashed(handler, on, error.code(), bench) {
        complain(format_args!("the crash of {handler} is not remembered: {error}"));
    }
}

impl Supply for Trials<'_> {
    fn has_other(&self) -> bool {
        self.follower(None).is_some()
    }

    fn companions(&mut self, most: usize) -> Vec<Origin> {
        let Some(mut current) = self.current.take() else { return Vec::new() };
        let mut origins = Vec::new();
        let (mut at, mut locations) = (0, vec![current.attempt.location]);
        while let Some(attempt) = self.pending.get(at).filter(|_| origins.len() < most) {
            let joins = current.attempt.belonging.combine
                && attempt.belonging.combine
                && goes_on(&current.attempt, attempt)
                && !locations.contains(&attempt.location)
                && !self.is_dead(attempt)
                && is_worth_joining(&current.attempt, attempt);
            match self.origin(attempt).ok().filter(|_| joins) {
                Some(origin) => {
                    origins.push(origin);
                    locations.push(attempt.location);
                    current.companions.extend(self.pending.remove(at));
                }
                None => at = at.saturating_add(1),
            }
        }
        self.current = Some(current);
        origins
    }

    fn dropped(&mut self, origin: &Origin, error: Error, bytes: u64) {
        let Some(mut current) = self.current.take() else { return };
        let is_it = |attempt: &Attempt| self.origin(attempt).is_ok_and(|own| own.key == origin.key);
        let attempt = match current.companions.iter().position(is_it) {
            Some(at) => current.companions.remove(at),
            // The first of them goes on in its place.
            None if current.companions.is_empty() => current.attempt.clone(),
            None => std::mem::replace(&mut current.attempt, current.companions.remove(0)),
        };
        let clock = Arc::clone(&current.clock);
        let failed = Current { attempt, companions: Vec::new(), clock, bytes, failed_shaper: None };
        self.failed(&failed, &error);
        self.current = Some(current);
    }

    fn next(&mut self, error: Error, bytes: u64, later: bool) -> Result<Origin> {
        let dead = match &self.current {
            Some(current) if error.scope() == Scope::Handler => Some(current.culprit()),
            _ => None,
        };
        let follower = self.follower(dead.as_deref());
        let has_companions = self.current.as_ref().is_some_and(|current| !current.companions.is_empty());
        let Some(mut current) = self.current.take() else { return Err(error) };
        let key = (current.attempt.handler.info().id.clone(), current.attempt.location);
        let returns = self.returns.entry(key).or_default();
        // Alone, it may only come back to be held against itself: passing faults were waited for already.
        let comes_back = later
            && dead.is_none()
            && *returns < RETURNS_MAX
            && (follower.is_some() || has_companions || error.kind() == ErrorKind::Corrupt);
        if follower.is_none() && !has_companions && !comes_back {
            self.current = Some(current);
            return Err(error);
        }
        *returns = returns.saturating_add(u32::from(comes_back));
        current.bytes = bytes;
        self.failed(&current, &error);
        self.leave_companions(&mut current);
        if comes_back {
            self.pending.push_back(current.attempt);
        }
        if !self.next_attempt() {
            return Err(error);
        }
        let attempt = self.attempt()?.clone();
        self.origin(&attempt)
    }

    fn slower_than_another(&mut self, left: u64, rate: f64) -> Option<Error> {
        let current = self.current.as_ref()?;
        let other = self.pending.get(self.follower(None)?)?;
        let better = other.prediction(left)?;
        if self.left.contains(&current.attempt.location) || !should_leave(left, rate, &better) {
            return None;
        }
        let message = format!(
            "it gives {rate:.0} bytes a second, and another location would have the rest in {:.1} s",
            better.seconds
        );
        self.left.insert(current.attempt.location);
        Some(Error::new(ErrorKind::Unavailable, SLOWER, message))
    }

    fn lied(&mut self, name: &str, message: &str) {
        complain(format_args!("{name}: {message}"));
        self.decision.lied(name, message);
    }

    fn shaper_failed(&mut self, handler: &str) {
        if let Some(current) = &mut self.current {
            current.failed_shaper = Some(handler.to_owned());
        }
    }
}

/// Handlers and location of an attempt, for messages.
fn what(attempt: &Attempt) -> String {
    let handlers = attempt.handlers().join(" and ");
    match &attempt.request.location {
        Some(location) => format!("{handlers}, from {}", redact::url(&location.url)),
        None => handlers,
    }
}
