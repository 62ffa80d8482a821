//! The lanes of one origin in a fetch: how many there should be, and what its failures mean.

use std::time::{Duration, Instant};

use landfall_handler_api::{Error, ErrorKind, Scope};

use super::pace::{self, Pace};
use crate::cancel::Cancel;
use crate::plugin::STALLED;

/// Failures in a row that one origin may have when there is no other, and when there is.
const PATIENCE: u32 = 6;
const PATIENCE_WITH_OTHERS: u32 = 1;
/// Stalls in a row that it may have when there is no other. Each costs much time.
const STALLS: u32 = 6;
const STALLS_WITH_OTHERS: u32 = 2;
/// Bytes that must arrive before a failure is forgotten, and a stall.
const FORGETS_FAILURE: u64 = 64 << 10;
const FORGETS_STALL: u64 = 64 << 20;
const PAUSE_MOST: Duration = Duration::from_secs(60);
const PAUSE_WITH_OTHERS: Duration = Duration::from_secs(5);

/// The longest pause that an origin may ask for, alone or with others to turn to.
pub(super) fn longest_pause(others: bool) -> Duration {
    if others { PAUSE_WITH_OTHERS } else { PAUSE_MOST }
}

/// How one origin is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Reading {
    /// Whether it can only be read from its start, or to an end that only it knows: then what is to be read is not cut.
    pub(super) whole: bool,
    /// The most lanes.
    pub(super) most: usize,
    /// Whether there are other origins of the same bytes.
    pub(super) others: bool,
}

/// What follows from the failure of a read.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The range is read again, after a pause; this was the so many-th failure in a row.
    Again(u32),
    /// The origin is no good, or not now.
    Leave,
    /// No origin can help.
    StopAll,
}

/// One origin's lanes, as the board knows them.
pub(super) struct Team {
    pub(super) reading: Reading,
    pub(super) cancel: Cancel,
    pub(super) pace: Pace,
    pub(super) lanes: usize,
    /// Lanes that have brought bytes.
    pub(super) delivering: usize,
    began: Instant,
    /// Bytes that it brought in this run.
    pub(super) bytes: u64,
    /// Why it ended early.
    pub(super) stopped: Option<Error>,
    /// Whether whoever waits for it was told of that.
    pub(super) told: bool,
    /// Whether its crew has ended, or never began.
    pub(super) gone: bool,
    failures: u32,
    /// When the last failure that counts happened.
    failed_at: Option<Instant>,
    since_failure: u64,
    stalls: u32,
    since_stall: u64,
    not_before: Option<Instant>,
}

impl Team {
    pub(super) fn new(reading: Reading, cancel: Cancel, now: Instant) -> Self {
        Self {
            reading,
            cancel,
            pace: Pace::new(reading.most, now),
            lanes: 0,
            delivering: 0,
            began: now,
            bytes: 0,
            stopped: None,
            told: false,
            gone: false,
            failures: 0,
            failed_at: None,
            since_failure: 0,
            stalls: 0,
            since_stall: 0,
            not_before: None,
        }
    }

    /// Whether it ended early by its own fault: one that was told to stop did not.
    pub(super) fn has_failed(&self) -> bool {
        self.stopped.as_ref().is_some_and(|error| error.kind() != ErrorKind::Cancelled)
    }

    /// So many bytes arrived.
    pub(super) fn arrived(&mut self, bytes: u64) {
        self.bytes = self.bytes.saturating_add(bytes);
        self.since_failure = self.since_failure.saturating_add(bytes);
        self.since_stall = self.since_stall.saturating_add(bytes);
        if self.since_failure >= FORGETS_FAILURE {
            self.failures = 0;
        }
        if self.since_stall >= FORGETS_STALL {
            self.stalls = 0;
        }
    }

    /// The longest range for one of its lanes.
    pub(super) fn longest_range(&self, now: Instant) -> u64 {
        pace::longest_range(self.bytes, now.saturating_duration_since(self.began), self.delivering)
    }

    /// Until when it asked to be left alone.
    pub(super) fn not_before(&self) -> Option<Instant> {
        self.not_before
    }

    /// Whether one lane more is running than there should be.
    pub(super) fn has_too_many(&self) -> bool {
        self.lanes > 1 && self.lanes > self.pace.wanted()
    }

    /// A read that began at `began` failed. `refused`: it brought nothing, while others of the team bring bytes.
    pub(super) fn failed(&mut self, error: &Error, began: Instant, refused: bool, now: Instant) -> Verdict {
        if !matches!(error.scope(), Scope::Location | Scope::Handler) {
            return Verdict::StopAll;
        }
        if !matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::Io) {
            return Verdict::Leave;
        }
        // Lanes that were running when one failed, and fail as well, met the same fault. One that is refused beside others
        // that are not says nothing but that there are too many.
        let same = self.failed_at.is_some_and(|failed| began < failed) || (refused && error.code() != STALLED);
        if !same {
            self.failures = self.failures.saturating_add(1);
            (self.failed_at, self.since_failure) = (Some(now), 0);
        }
        if error.code() == STALLED {
            self.stalls = self.stalls.saturating_add(u32::from(!same));
            self.since_stall = 0;
        }
        let others = self.reading.others;
        let (patience, stalls) = match others {
            true => (PATIENCE_WITH_OTHERS, STALLS_WITH_OTHERS),
            false => (PATIENCE, STALLS),
        };
        if let Some(pause) = error.retry_after() {
            if pause > longest_pause(others) {
                return Verdict::Leave;
            }
            self.not_before = now.checked_add(pause).max(self.not_before);
        }
        // It may refuse more at once than it has.
        let fewer = self.lanes.saturating_sub(1);
        if fewer > 0 {
            self.pace.refused(fewer, now);
        }
        if self.failures > patience || self.stalls > stalls {
            Verdict::Leave
        } else {
            Verdict::Again(self.failures.max(1))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn team(others: bool) -> Team {
        let reading = Reading { whole: false, most: 16, others };
        let mut team = Team::new(reading, Cancel::new().unwrap(), Instant::now());
        team.lanes = 16;
        team
    }

    fn passing() -> Error {
        Error::new(ErrorKind::Unavailable, "reset", "try again")
    }

    #[test]
    fn lanes_that_fail_together_fail_once() {
        let mut team = team(false);
        let began = Instant::now();
        let after = |seconds| began + Duration::from_secs(seconds);
        for _ in 0..16 {
            assert_eq!(team.failed(&passing(), began, false, after(1)), Verdict::Again(1));
        }
        for failures in 2..=6 {
            assert_eq!(
                team.failed(&passing(), after(failures), false, after(failures)),
                Verdict::Again(failures as u32)
            );
        }
        assert_eq!(team.failed(&passing(), after(7), false, after(7)), Verdict::Leave);
    }

    #[test]
    fn who_takes_only_so_many_is_not_worn_out_by_more() {
        let mut team = team(true);
        let now = Instant::now();
        let at = |seconds| now + Duration::from_secs(seconds);
        for seconds in 0..100 {
            team.lanes = 4;
            assert_eq!(team.failed(&passing(), at(seconds), true, at(seconds)), Verdict::Again(1));
            assert!(team.has_too_many());
        }
        // The lanes that it had are another matter.
        assert_eq!(team.failed(&passing(), at(100), false, at(100)), Verdict::Again(1));
        assert_eq!(team.failed(&passing(), at(101), false, at(101)), Verdict::Leave);
    }

    #[test]
    fn a_byte_now_and_then_does_not_wear_patience_out_for_ever() {
        let mut team = team(false);
        let now = Instant::now();
        let mut tries = 0;
        while team.failed(&passing(), now + Duration::from_secs(tries), false, now + Duration::from_secs(tries))
            != Verdict::Leave
        {
            team.arrived(1);
            tries += 1;
        }
        assert_eq!(tries, 6);
        let mut team = self::team(false);
        for tries in 0..100 {
            let at = now + Duration::from_secs(tries);
            assert_eq!(team.failed(&passing(), at, false, at), Verdict::Again(1));
            team.arrived(FORGETS_FAILURE);
        }
    }

    #[test]
    fn stalls_are_forgotten_late() {
        let mut team = team(true);
        let stalled = Error::new(ErrorKind::Unavailable, STALLED, "silent");
        let now = Instant::now();
        for tries in 0..2 {
            let at = now + Duration::from_secs(tries);
            assert_eq!(team.failed(&stalled, at, false, at), Verdict::Again(1));
            team.arrived(FORGETS_FAILURE);
        }
        let at = now + Duration::from_secs(3);
        assert_eq!(team.failed(&stalled, at, false, at), Verdict::Leave);
    }

    #[test]
    fn a_pause_that_is_asked_for_is_kept_or_is_too_long() {
        let now = Instant::now();
        for (others, seconds, verdict) in [
            (false, 60, Verdict::Again(1)),
            (false, 61, Verdict::Leave),
            (true, 5, Verdict::Again(1)),
            (true, 6, Verdict::Leave),
        ] {
            let mut team = team(others);
            let busy = passing().retried_after(Duration::from_secs(seconds));
            assert_eq!(team.failed(&busy, now, false, now), verdict);
        }
        let mut team = team(false);
        team.failed(&passing().retried_after(Duration::from_secs(9)), now, false, now);
        assert_eq!(team.not_before(), Some(now + Duration::from_secs(9)));
    }

    #[test]
    fn what_is_not_passing_is_not_tried_again() {
        let mut team = team(false);
        let now = Instant::now();
        let gone = Error::new(ErrorKind::NotFound, "http-404", "gone");
        assert_eq!(team.failed(&gone, now, false, now), Verdict::Leave);
        assert_eq!(team.failed(&passing().scoped(Scope::Node), now, false, now), Verdict::StopAll);
    }
}
