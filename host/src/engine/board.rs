//! What the lanes of one fetch share: what is there, what is still to be read, by whom, and what went wrong.

use std::fs::File;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use landfall_handler_api::{Error, ErrorKind, Result, Scope};

use super::frontier::Frontier;
use super::lane::locked;
use super::least_rate::LeastRate;
use super::limits::NodeLimits;
use super::pace::{self, Arrived};
use super::pieces::Pieces;
use super::pump::HOLE;
use super::span::Span;
use super::team::{Reading, Team, Verdict};
use crate::cancel::Cancel;
use crate::digest::Digest;
use crate::plugin::Progress;
use crate::stage::stage_error;

/// A range is divided when the rest of it has at least twice so many bytes and would take at least so long: what is on its way
/// then is sent for nothing.
const PART_LEAST: u64 = 2 << 20;
const WORTH_DIVIDING: Duration = Duration::from_secs(1);

/// The longest range that is held against bytes that are there.
const COMPARED: u64 = 4 << 20;

/// Why a run ended before everything was there.
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

/// What a lane is to do next.
pub(super) enum Task {
    Read(Arc<Span>),
    /// The origin is to be left alone for so long.
    Pause(Duration),
    /// Nothing.
    Leave,
}

/// One fetch, as its lanes and its coordinators see it. Origins are known by the number of their team.
pub(super) struct Board {
    file: File,
    size: Option<u64>,
    limits: Option<Arc<NodeLimits>>,
    least_rate: LeastRate,
    progress: Progress,
    state: Mutex<State>,
    changed: Condvar,
    total: AtomicU64,
    compares: AtomicBool,
    /// Ends the digest early.
    abandon: Arc<AtomicBool>,
    writing: Mutex<()>,
}

struct State {
    pieces: Pieces,
    frontier: Frontier,
    /// How long bytes waited for the digest.
    held: Duration,
    /// What no lane has taken yet, in order.
    todo: Vec<Range<u64>>,
    /// What lanes are reading, and of which team they are.
    spans: Vec<(usize, Arc<Span>)>,
    teams: Vec<Team>,
    differences: Vec<Difference>,
    /// Why nobody can go on.
    stopped: Option<Error>,
    /// Where a source of unknown size ended.
    end: Option<u64>,
}

impl State {
    /// Whether anything is left that a lane of this team could read now.
    fn has_work(&self, team: &Team, now: Instant) -> bool {
        !self.todo.is_empty() || (!team.reading.whole && self.slowest(now).is_some())
    }

    /// What is being read and takes the longest, if it is worth dividing.
    fn slowest(&self, now: Instant) -> Option<&Arc<Span>> {
        let times = self.spans.iter().filter_map(|(_, span)| Some((span.takes(PART_LEAST, now)?, span)));
        times.max_by_key(|(time, _)| *time).filter(|(time, _)| *time >= WORTH_DIVIDING).map(|(_, span)| span)
    }

    /// Everything was read, as far as anybody knows by now.
    fn is_done(&self) -> bool {
        self.todo.is_empty() && self.spans.is_empty()
    }
}

impl Board {
    /// A board with `pieces` there already. `size`: how many bytes there are to be, if that is known.
    pub(super) fn new(
        file: File,
        size: Option<u64>,
        limits: Option<Arc<NodeLimits>>,
        least_rate: LeastRate,
        progress: Progress,
        pieces: Pieces,
        frontier: Frontier,
    ) -> Arc<Self> {
        let abandon = frontier.abandon();
        let state = State {
            pieces,
            frontier,
            held: Duration::ZERO,
            todo: Vec::new(),
            spans: Vec::new(),
            teams: Vec::new(),
            differences: Vec::new(),
            stopped: None,
            end: None,
        };
        Arc::new(Self {
            file,
            size,
            limits,
            least_rate,
            progress,
            state: Mutex::new(state),
            changed: Condvar::new(),
            total: AtomicU64::new(0),
            compares: AtomicBool::new(false),
            abandon,
            writing: Mutex::new(()),
        })
    }

    /// Sets up a run over the ranges `todo`, by a team for each of `readings`. `compares`: the bytes are held against those
    /// that are there, and replace them.
    pub(super) fn begin(&self, todo: Vec<Range<u64>>, compares: bool, readings: Vec<(Reading, Cancel)>) {
        let mut state = locked(&self.state);
        let now = Instant::now();
        self.compares.store(compares, Ordering::Relaxed);
        state.todo = todo;
        state.spans.clear();
        state.teams = readings.into_iter().map(|(reading, cancel)| Team::new(reading, cancel, now)).collect();
        (state.stopped, state.end) = (None, None);
    }

    /// How many more lanes a team should have now; they are counted as running.
    pub(super) fn more_lanes(&self, team: usize) -> usize {
        let mut guard = locked(&self.state);
        let state = &mut *guard;
        let now = Instant::now();
        if state.stopped.is_some() {
            return 0;
        }
        let has_work = state.teams.get(team).is_some_and(|team| state.has_work(team, now));
        let Some(team) = state.teams.get_mut(team).filter(|team| team.stopped.is_none()) else { return 0 };
        let arrived = Arrived { bytes: team.bytes, delivering: team.delivering, held: state.held };
        let wanted = team.pace.lanes(now, arrived);
        let more = if has_work { wanted.saturating_sub(team.lanes) } else { 0 };
        team.lanes = team.lanes.saturating_add(more);
        more
    }

    /// Waits for a change, at most so long; gives whether the team has, or may yet have, anything to do.
    pub(super) fn wait(&self, team: usize, limit: Duration) -> bool {
        let busy = |state: &State| {
            let Some(team) = state.teams.get(team) else { return false };
            team.lanes > 0 || (state.stopped.is_none() && team.stopped.is_none() && !state.is_done())
        };
        let state = locked(&self.state);
        if !busy(&state) {
            return false;
        }
        let waited = self.changed.wait_timeout(state, limit).unwrap_or_else(PoisonError::into_inner);
        busy(&waited.0)
    }

    /// Waits for a change, at most so long; gives whether any team is at work. Once everything is there, those that have not
    /// begun yet are told to stop.
    pub(super) fn wait_for_all(&self, limit: Duration) -> bool {
        let (at_work, idle) = {
            let state = locked(&self.state);
            let waited = self.changed.wait_timeout(state, limit).unwrap_or_else(PoisonError::into_inner);
            let state = waited.0;
            let over = state.is_done() || state.stopped.is_some();
            let idle = state.teams.iter().filter(|team| over && !team.gone).map(|team| team.cancel.clone());
            (state.teams.iter().any(|team| !team.gone), idle.collect::<Vec<_>>())
        };
        idle.iter().for_each(Cancel::cancel);
        at_work
    }

    /// A team's crew has ended.
    pub(super) fn crew_ended(&self, team: usize) {
        if let Some(team) = locked(&self.state).teams.get_mut(team) {
            team.gone = true;
        }
        self.changed.notify_all();
    }

    /// A team that failed since this was last asked, while others go on: its number, why, and how many bytes it brought.
    pub(super) fn next_failed(&self) -> Option<(usize, Error, u64)> {
        let mut state = locked(&self.state);
        if state.stopped.is_some() || state.teams.iter().all(Team::has_failed) {
            return None;
        }
        let failed = |(_, team): &(usize, &mut Team)| team.gone && !team.told && team.has_failed();
        let (number, team) = state.teams.iter_mut().enumerate().find(failed)?;
        team.told = true;
        Some((number, team.stopped.clone()?, team.bytes))
    }

    /// How the run ended, after its last lane did: `Ok` when everything was read; else the failure of the last team.
    pub(super) fn outcome(&self) -> Result<(), Stopped> {
        let mut state = locked(&self.state);
        if let Some(error) = state.stopped.take() {
            return Err(Stopped::All(error));
        }
        // Who gave all that was wanted and failed is no good all the same.
        if state.is_done() && !state.teams.iter().all(Team::has_failed) {
            return Ok(());
        }
        let last = state.teams.iter().find(|team| !team.told && team.has_failed());
        let left_over = || {
            let message = "the bytes that are left are nobody's to read";
            Stopped::All(Error::new(ErrorKind::Internal, "left-over", message).scoped(Scope::Node))
        };
        Err(last.and_then(|team| team.stopped.clone()).map_or_else(left_over, Stopped::Origin))
    }

    /// Stops all lanes: nobody can go on.
    pub(super) fn stop_all(&self, error: Error) {
        // Lanes may be waiting for it with the board in their hands.
        self.abandon.store(true, Ordering::Relaxed);
        let cancels: Vec<Cancel> = {
            let mut state = locked(&self.state);
            state.stopped.get_or_insert(error);
            state.teams.iter().map(|team| team.cancel.clone()).collect()
        };
        cancels.iter().for_each(Cancel::cancel);
        self.changed.notify_all();
    }

    /// Stops a team, because of the first thing that went wrong.
    pub(super) fn stop_team(&self, team: usize, error: Error) {
        let cancel = {
            let mut state = locked(&self.state);
            let Some(team) = state.teams.get_mut(team) else { return };
            team.stopped.get_or_insert(error);
            team.cancel.clone()
        };
        cancel.cancel();
        self.changed.notify_all();
    }

    /// The next thing to do for a lane.
    pub(super) fn next_task(&self, team: usize) -> Task {
        let mut guard = locked(&self.state);
        let state = &mut *guard;
        let now = Instant::now();
        let Some(own) = state.teams.get(team) else { return Task::Leave };
        if state.stopped.is_some() || own.stopped.is_some() || own.has_too_many() {
            return Task::Leave;
        }
        if let Some(pause) = own.not_before().and_then(|until| until.checked_duration_since(now))
            && !pause.is_zero()
        {
            return Task::Pause(pause);
        }
        let whole = own.reading.whole;
        let range = if whole {
            (!state.todo.is_empty()).then(|| state.todo.remove(0))
        } else {
            // A team that has not begun is to find something left.
            let own_lanes = |team: &Team| if team.stopped.is_some() { 0 } else { team.lanes.max(1) };
            let lanes = state.teams.iter().map(own_lanes).sum();
            // What is held against other bytes is not divided later.
            let longest = if self.compares() { COMPARED } else { own.longest_range(now) };
            let divided = |state: &State| state.slowest(now)?.divide(PART_LEAST, HOLE as u64);
            pace::cut(&mut state.todo, lanes, longest, HOLE as u64).or_else(|| divided(state))
        };
        let Some(range) = range else { return Task::Leave };
        // What replaces other bytes is judged by whose they are: that is no place to be clever.
        let span = Arc::new(Span::new(&range, !whole && self.size.is_some() && !self.compares()));
        state.spans.push((team, Arc::clone(&span)));
        Task::Read(span)
    }

    /// Looks whether the reads of a team bring enough.
    pub(super) fn judge(&self, team: usize) {
        let now = Instant::now();
        let state = locked(&self.state);
        let own = state.spans.iter().filter(|(of, _)| *of == team);
        own.for_each(|(_, span)| span.judge(self.least_rate, now));
    }

    /// A lane read a range up to `reached`. Gives how often reads failed by now, when it should pause.
    pub(super) fn span_ended(
        &self,
        team: usize,
        span: &Arc<Span>,
        (reached, outcome): (u64, Result<()>),
    ) -> Option<u32> {
        // From here on nobody divides it.
        let mut state = locked(&self.state);
        let end = span.end();
        let left = reached.min(end)..end;
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
        state.spans.retain(|(_, other)| !Arc::ptr_eq(other, span));
        let Err(error) = outcome else {
            drop(state);
            self.changed.notify_all();
            return None;
        };
        // What arrived may be hashed already, and is never written again, whatever is said of how far the read came.
        let again = if self.compares() { vec![left] } else { state.pieces.missing_in(&left) };
        for range in again.into_iter().filter(|range| !range.is_empty()) {
            // In its place, so that ranges are still read in order.
            let at = state.todo.partition_point(|other| other.start < range.start);
            state.todo.insert(at, range);
        }
        let refused = !span.has_arrived() && state.spans.iter().any(|(of, span)| *of == team && span.has_arrived());
        let own = state.teams.get_mut(team)?;
        let verdict = match own.stopped {
            Some(_) => None,
            None => Some(own.failed(&error, span.began(), refused, Instant::now())),
        };
        let stopped = state.stopped.is_some();
        drop(state);
        self.changed.notify_all();
        match verdict.filter(|_| !stopped)? {
            Verdict::Again(failures) => return Some(failures),
            Verdict::Leave => self.stop_team(team, error),
            Verdict::StopAll => self.stop_all(error),
        }
        None
    }

    /// A lane has nothing more to do. `delivered`: it brought bytes.
    pub(super) fn lane_ended(&self, team: usize, delivered: bool) {
        if let Some(team) = locked(&self.state).teams.get_mut(team) {
            team.lanes = team.lanes.saturating_sub(1);
            team.delivering = team.delivering.saturating_sub(usize::from(delivered));
        }
        self.changed.notify_all();
    }

    /// A lane brought its first bytes.
    pub(super) fn lane_delivers(&self, team: usize) {
        if let Some(team) = locked(&self.state).teams.get_mut(team) {
            team.delivering = team.delivering.saturating_add(1);
        }
    }

    /// The node has no connection for another lane of a team.
    pub(super) fn refuse_lane(&self, team: usize) {
        if let Some(team) = locked(&self.state).teams.get_mut(team) {
            let others = team.lanes.saturating_sub(1);
            team.pace.refused(others, Instant::now());
        }
    }

    /// `buffer` was written to the stage at `range`, by a lane of `team`, from `origin`; `differs`: it replaced other bytes.
    /// Gives a buffer for the next bytes.
    pub(super) fn arrived(
        &self,
        team: usize,
        range: Range<u64>,
        origin: u32,
        buffer: Vec<u8>,
        differs: bool,
    ) -> Result<Vec<u8>> {
        let count = range.end.saturating_sub(range.start);
        let filled = usize::try_from(count).unwrap_or(buffer.len());
        self.total.fetch_add(count, Ordering::Relaxed);
        let mut guard = locked(&self.state);
        let state = &mut *guard;
        if let Some(team) = state.teams.get_mut(team) {
            team.arrived(count);
        }
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
        if state.pieces.missing_in(&range) != [range.clone()] {
            let message = format!("bytes {}..{} arrived twice", range.start, range.end);
            return Err(Error::new(ErrorKind::Internal, "overlap", message).scoped(Scope::Node));
        }
        state.pieces.put(range.clone(), origin);
        let began = Instant::now();
        let buffer = state.frontier.arrived(range.start, buffer, filled, &state.pieces)?;
        state.held = state.held.saturating_add(began.elapsed());
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

    /// Gives up what is there beyond the first gap, of `size` bytes, none of which the digest was given; gives where that is.
    pub(super) fn keep_front(&self, size: u64) -> u64 {
        let mut state = locked(&self.state);
        let front = state.pieces.reach(0);
        state.pieces.cut(&(front..size));
        front
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

    /// The least rate of a read.
    pub(super) fn least_rate(&self) -> LeastRate {
        self.least_rate
    }

    /// How many bytes there are to be, if that is known.
    pub(super) fn size(&self) -> Option<u64> {
        self.size
    }

    /// The node's limits.
    pub(super) fn limits(&self) -> Option<&NodeLimits> {
        self.limits.as_deref()
    }

    /// A turn at writing to the stage. File systems let one writer in at a time, and the others spin meanwhile.
    pub(super) fn turn_to_write(&self) -> MutexGuard<'_, ()> {
        locked(&self.writing)
    }

    /// The stage.
    pub(super) fn file(&self) -> Result<File> {
        self.file.try_clone().map_err(|error| stage_error(&error, "duplicate the stage's descriptor"))
    }
}
