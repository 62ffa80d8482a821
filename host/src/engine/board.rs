//! What the lanes of one fetch share: what is there, what is still to be read, and what went wrong.

use std::fs::File;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use landfall_handler_api::{Error, ErrorKind, Result, Scope};

use super::frontier::Frontier;
use super::lane::locked;
use super::limits::NodeLimits;
use super::pace::{self, Pace};
use super::pieces::Pieces;
use super::pump::HOLE;
use crate::cancel::Cancel;
use crate::digest::Digest;
use crate::plugin::{Progress, STALLED};
use crate::stage::stage_error;

/// Why the lanes of an origin ended before everything was there.
#[derive(Debug, Clone)]
pub(super) enum Stopped {
    /// The origin is no good, or not now.
    Origin(Error),
    /// No origin can help.
    All(Error),
}

/// Bytes of one origin that were replaced by different ones of another.
#[derive(Debug, Clone, Copy)]
pub(super) struct Difference {
    pub(super) of: u32,
    pub(super) by: u32,
    pub(super) offset: u64,
}

/// How one origin is read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reading {
    /// Whether its bytes are held against those that are there, and replace them.
    pub(super) compares: bool,
    /// Whether it can only be read from its start, or to an end that only it knows: then what is to be read is not cut.
    pub(super) whole: bool,
    /// The most lanes.
    pub(super) most: usize,
    /// Failures in a row that are only tried again.
    pub(super) patience: u32,
    /// Stalls that are only tried again, in a row or not: each costs much time, however many bytes come in between.
    pub(super) stalls: u32,
}

/// One fetch, as its lanes and its coordinator see it.
pub(super) struct Board {
    file: File,
    size: Option<u64>,
    limits: Option<Arc<NodeLimits>>,
    progress: Progress,
    state: Mutex<State>,
    changed: Condvar,
    total: AtomicU64,
    compares: AtomicBool,
    /// Ends the digest early.
    abandon: Arc<AtomicBool>,
}

struct State {
    pieces: Pieces,
    frontier: Frontier,
    /// What no lane has taken yet, in order.
    todo: Vec<Range<u64>>,
    differences: Vec<Difference>,
    lanes: usize,
    pace: Pace,
    /// Failures since bytes last arrived, and how many there may be.
    failures: u32,
    patience: u32,
    stalls_left: u32,
    whole: bool,
    stopped: Option<Stopped>,
    /// Stops the lanes of the origin at hand.
    cancel: Option<Cancel>,
    /// Where a source of unknown size ended.
    end: Option<u64>,
}

impl Board {
    /// A board with `pieces` there already. `size`: how many bytes there are to be, if that is known.
    pub(super) fn new(
        file: File,
        size: Option<u64>,
        limits: Option<Arc<NodeLimits>>,
        progress: Progress,
        pieces: Pieces,
        frontier: Frontier,
    ) -> Arc<Self> {
        let pace = Pace::new(1, Instant::now(), 0);
        let abandon = frontier.abandon();
        let state = State {
            pieces,
            frontier,
            todo: Vec::new(),
            differences: Vec::new(),
            lanes: 0,
            pace,
            failures: 0,
            patience: 0,
            stalls_left: 0,
            whole: false,
            stopped: None,
            cancel: None,
            end: None,
        };
        Arc::new(Self {
            file,
            size,
            limits,
            progress,
            state: Mutex::new(state),
            changed: Condvar::new(),
            total: AtomicU64::new(0),
            compares: AtomicBool::new(false),
            abandon,
        })
    }

    /// Sets up a run of one origin's lanes over the ranges `todo`.
    pub(super) fn begin(&self, todo: Vec<Range<u64>>, reading: Reading, cancel: &Cancel) {
        let mut state = locked(&self.state);
        state.todo = todo;
        self.compares.store(reading.compares, Ordering::Relaxed);
        state.pace = Pace::new(reading.most, Instant::now(), self.total());
        (state.failures, state.patience, state.whole) = (0, reading.patience, reading.whole);
        state.stalls_left = reading.stalls;
        (state.stopped, state.end) = (None, None);
        state.cancel = Some(cancel.clone());
    }

    /// How many more lanes there should be now; they are counted as running.
    pub(super) fn more_lanes(&self) -> usize {
        let mut state = locked(&self.state);
        if state.stopped.is_some() {
            return 0;
        }
        let wanted = state.pace.lanes(Instant::now(), self.total());
        let more = if state.todo.is_empty() { 0 } else { wanted.saturating_sub(state.lanes) };
        state.lanes = state.lanes.saturating_add(more);
        more
    }

    /// Waits for a change, at most so long; gives whether lanes are still running.
    pub(super) fn wait(&self, limit: Duration) -> bool {
        let state = locked(&self.state);
        if state.lanes == 0 {
            return false;
        }
        let waited = self.changed.wait_timeout(state, limit).unwrap_or_else(PoisonError::into_inner);
        waited.0.lanes > 0
    }

    /// How the run ended, after its last lane did: `Ok` when everything was read.
    pub(super) fn outcome(&self) -> Result<(), Stopped> {
        let mut state = locked(&self.state);
        state.cancel = None;
        state.stopped.take().map_or(Ok(()), Err)
    }

    /// Stops all lanes, because of the first thing that went wrong.
    pub(super) fn stop(&self, why: Stopped) {
        if matches!(why, Stopped::All(_)) {
            // Lanes may be waiting for it with the board in their hands.
            self.abandon.store(true, Ordering::Relaxed);
        }
        let cancel = {
            let mut state = locked(&self.state);
            state.stopped.get_or_insert(why);
            state.cancel.clone()
        };
        if let Some(cancel) = cancel {
            cancel.cancel();
        }
        self.changed.notify_all();
    }

    /// The next range for a lane, unless there is none or all are to stop.
    pub(super) fn take_range(&self) -> Option<Range<u64>> {
        let mut state = locked(&self.state);
        if state.stopped.is_some() {
            return None;
        }
        if state.whole {
            return (!state.todo.is_empty()).then(|| state.todo.remove(0));
        }
        let lanes = state.lanes;
        pace::cut(&mut state.todo, lanes, HOLE as u64)
    }

    /// A lane read `range` up to `reached`. Gives how often reads failed by now, when it should pause.
    pub(super) fn range_ended(&self, range: Range<u64>, (reached, outcome): (u64, Result<()>)) -> Option<u32> {
        let left = reached.min(range.end)..range.end;
        let short = |size: u64| {
            Err(Error::new(
                ErrorKind::Corrupt,
                "short-body",
                format!("the source ended after {reached} of {size} bytes"),
            ))
        };
        let outcome = match (outcome, self.size) {
            (Ok(()), Some(size)) if !left.is_empty() => short(size),
            (outcome, _) => outcome,
        };
        let Err(error) = outcome else { return None };
        let (stop, failures) = {
            let mut state = locked(&self.state);
            if state.stopped.is_some() {
                return None;
            }
            let passing = matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::Io)
                && matches!(error.scope(), Scope::Location | Scope::Handler);
            state.failures = state.failures.saturating_add(1);
            let stalled = error.code() == STALLED;
            let worn_out = stalled && state.stalls_left == 0;
            state.stalls_left = state.stalls_left.saturating_sub(u32::from(stalled));
            if passing && !worn_out && state.failures <= state.patience {
                // In its place, so that ranges are still read in order.
                let at = state.todo.partition_point(|range| range.start < left.start);
                state.todo.insert(at, left);
                let others = state.lanes.saturating_sub(1);
                if others > 0 {
                    state.pace.refused(others);
                }
                (None, state.failures)
            } else if matches!(error.scope(), Scope::Location | Scope::Handler) {
                (Some(Stopped::Origin(error)), 0)
            } else {
                (Some(Stopped::All(error)), 0)
            }
        };
        match stop {
            Some(why) => {
                self.stop(why);
                None
            }
            None => Some(failures),
        }
    }

    /// A lane has nothing more to do.
    pub(super) fn lane_ended(&self) {
        let mut state = locked(&self.state);
        state.lanes = state.lanes.saturating_sub(1);
        drop(state);
        self.changed.notify_all();
    }

    /// The node has no connection for another lane.
    pub(super) fn refuse_lanes(&self) {
        let mut state = locked(&self.state);
        let others = state.lanes.saturating_sub(1);
        state.pace.refused(others);
    }

    /// `buffer` was written to the stage at `range`, from `origin`; `differs`: it replaced other bytes. Gives a buffer for
    /// the next bytes.
    pub(super) fn arrived(&self, range: Range<u64>, origin: u32, buffer: Vec<u8>, differs: bool) -> Result<Vec<u8>> {
        let filled = usize::try_from(range.end.saturating_sub(range.start)).unwrap_or(buffer.len());
        self.total.fetch_add(filled as u64, Ordering::Relaxed);
        let mut guard = locked(&self.state);
        let state = &mut *guard;
        state.failures = 0;
        if self.compares() {
            if differs {
                let mut there = state.pieces.iter();
                let replaced = there.find(|(piece, _)| piece.start < range.end && range.start < piece.end);
                let known = |difference: &Difference, of: u32| difference.of == of && difference.by == origin;
                if let Some((_, of)) = replaced
                    && !state.differences.iter().any(|difference| known(difference, of))
                {
                    state.differences.push(Difference { of, by: origin, offset: range.start });
                }
            }
            state.pieces.put(range, origin);
            return Ok(buffer);
        }
        state.pieces.put(range.clone(), origin);
        let buffer = state.frontier.arrived(range.start, buffer, filled, &state.pieces)?;
        let there = state.pieces.bytes();
        drop(guard);
        (self.progress)(there, self.size);
        Ok(buffer)
    }

    /// The source, of unknown size, ended here.
    pub(super) fn ends_at(&self, end: u64) {
        locked(&self.state).end = Some(end);
    }

    /// Where a source of unknown size ended.
    pub(super) fn end(&self) -> Option<u64> {
        locked(&self.state).end
    }

    /// Which bytes are there.
    pub(super) fn pieces(&self) -> Pieces {
        locked(&self.state).pieces.clone()
    }

    /// Which bytes are there, and up to where the digest has come among them, with its state there; none if it was ended.
    pub(super) fn snapshot(&self) -> (Pieces, Option<(u64, Receiver<String>)>) {
        let state = locked(&self.state);
        let digest = state.frontier.snapshot().ok().map(|digest| (state.frontier.next(), digest));
        (state.pieces.clone(), digest)
    }

    /// Up to where the digest was given everything.
    pub(super) fn hashed(&self) -> u64 {
        locked(&self.state).frontier.next()
    }

    /// The digest of everything that is there; once, after the last byte.
    pub(super) fn digest(&self) -> Result<Option<Digest>> {
        locked(&self.state).frontier.finish()
    }

    /// Where bytes were replaced by other ones: the first place for each pair of origins.
    pub(super) fn differences(&self) -> Vec<Difference> {
        locked(&self.state).differences.clone()
    }

    /// Nothing is there any more.
    pub(super) fn clear(&self) {
        locked(&self.state).pieces = Pieces::default();
    }

    /// Whether bytes are held against those that are there, and replace them.
    pub(super) fn compares(&self) -> bool {
        self.compares.load(Ordering::Relaxed)
    }

    /// Bytes that arrived in all, also those that replaced others.
    pub(super) fn total(&self) -> u64 {
        self.total.load(Ordering::Relaxed)
    }

    /// How many bytes there are to be, if that is known.
    pub(super) fn size(&self) -> Option<u64> {
        self.size
    }

    /// The node's limits.
    pub(super) fn limits(&self) -> Option<&NodeLimits> {
        self.limits.as_deref()
    }

    /// The stage.
    pub(super) fn file(&self) -> Result<File> {
        self.file.try_clone().map_err(|error| stage_error(&error, "duplicate the stage's descriptor"))
    }
}
