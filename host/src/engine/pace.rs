//! How many ranges of an origin are read at once, and how long they are.

use std::ops::Range;
use std::time::{Duration, Instant};

/// The most lanes for one origin, whatever the node's limits.
pub(super) const LANES_MAX: usize = 16;
/// The shortest range that is worth a request of its own, and the longest.
const RANGE_LEAST: u64 = 1 << 20;
const RANGE_MOST: u64 = 64 << 20;
/// As long as it takes a lane, about; before that is known, so long.
const RANGE_TIME: Duration = Duration::from_secs(2);
const RANGE_FIRST: u64 = 4 << 20;
/// How long a number of lanes is measured at least, before it is judged, and at most.
const TRIAL: Duration = Duration::from_millis(100);
const TRIAL_MOST: Duration = Duration::from_secs(3);
/// Growth of the rate, in percent, that twice as many lanes must bring; and so much that each of them is held back by itself,
/// when four times as many are tried next.
const WORTH: u64 = 15;
const PLAIN: u64 = 75;
/// The share of the time, in percent, that lanes may wait for the digest: more of them would only bring bytes out of order, that are
/// read back for it.
const HELD_MOST: u64 = 25;
/// How long a number of lanes that was no better for being larger stays before that is tried again.
const AGAIN: Duration = Duration::from_secs(10);
/// How long an origin that refused lanes is not asked for more of them, at first and at most.
const PEACE: Duration = Duration::from_secs(2);
const PEACE_MOST: Duration = Duration::from_secs(60);

/// Doubles the lanes for as long as that brings more bytes a second, and gives the last ones up where it did not. One origin's; asked now and then.
pub(super) struct Pace {
    lanes: usize,
    /// How many there were before the last were added.
    fewer: usize,
    /// What the node allows, and what the origin does for now.
    most: usize,
    granted: usize,
    /// Bytes a second with fewer lanes.
    before: Option<u64>,
    trial: Trial,
    peace: Duration,
    peace_until: Option<Instant>,
}

/// A number of lanes on trial. Connections take their time to begin and to become fast: nothing is measured before all of
/// them bring bytes, and have done so for as long as the first bytes took.
enum Trial {
    Begins { at: Instant },
    Warms { until: Instant, wait: Duration },
    Measures { since: Instant, from: Arrived, wait: Duration },
    Over,
}

/// What an origin's lanes did until now.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Arrived {
    /// Bytes that they brought in all.
    pub(super) bytes: u64,
    /// Lanes that brought some.
    pub(super) delivering: usize,
    /// How long anybody's bytes waited for the digest.
    pub(super) held: Duration,
}

impl Pace {
    /// Begins with one lane, of at most `most`.
    pub(super) fn new(most: usize, now: Instant) -> Self {
        let most = most.clamp(1, LANES_MAX);
        let trial = if most == 1 { Trial::Over } else { Trial::Begins { at: now } };
        Self { lanes: 1, fewer: 1, most, granted: most, before: None, trial, peace: PEACE, peace_until: None }
    }

    /// How many lanes there should be.
    pub(super) fn wanted(&self) -> usize {
        self.lanes
    }

    /// How many lanes there should be, with so much arrived until `now`.
    pub(super) fn lanes(&mut self, now: Instant, arrived: Arrived) -> usize {
        if self.peace_until.is_some_and(|until| now >= until) {
            self.peace_until = None;
            self.granted = self.granted.saturating_mul(2).min(self.most);
            if self.lanes < self.granted {
                (self.before, self.trial) = (None, Trial::Measures { since: now, from: arrived, wait: TRIAL });
            }
        }
        match self.trial {
            Trial::Begins { at } if arrived.delivering >= self.lanes => {
                let first = now.saturating_duration_since(at).min(TRIAL_MOST);
                self.trial = Trial::Warms { until: now + first, wait: first };
            }
            Trial::Warms { until, wait } if now >= until => {
                self.trial = Trial::Measures { since: now, from: arrived, wait: wait.max(TRIAL) };
            }
            Trial::Measures { since, from, wait } if now.saturating_duration_since(since) >= wait => {
                let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
                let time = millis(now.saturating_duration_since(since)).max(1);
                let held = millis(arrived.held.saturating_sub(from.held)).saturating_mul(100) / time;
                let rate = arrived.bytes.saturating_sub(from.bytes).saturating_mul(1000) / time;
                self.judge(rate, held > HELD_MOST, now);
            }
            _ => {}
        }
        self.lanes
    }

    fn judge(&mut self, rate: u64, held: bool, now: Instant) {
        let grew_by = |percent: u64| {
            move |before: u64| {
                u128::from(rate) * 100 >= u128::from(before) * u128::from(100_u64.saturating_add(percent))
            }
        };
        let better = !held && self.before.is_none_or(grew_by(WORTH));
        if better && self.lanes < self.granted {
            let times = if self.before.is_some_and(grew_by(PLAIN)) { 4 } else { 2 };
            self.fewer = self.lanes;
            self.lanes = self.lanes.saturating_mul(times).min(self.granted);
            (self.before, self.trial) = (Some(rate), Trial::Begins { at: now });
            return;
        }
        self.trial = Trial::Over;
        if !better {
            // The last ones brought nothing. That may have been chance, or change.
            self.lanes = self.fewer.min(self.lanes);
            self.peace_until = Some(now + AGAIN);
        }
    }

    /// The origin, or the node, refuses more than `lanes` at once, for now.
    pub(super) fn refused(&mut self, lanes: usize, now: Instant) {
        self.granted = lanes.clamp(1, self.most);
        self.lanes = self.lanes.min(self.granted);
        self.trial = Trial::Over;
        // Those that fail together are refused once.
        if self.peace_until.is_none() {
            self.peace_until = Some(now + self.peace);
            self.peace = self.peace.saturating_mul(2).min(PEACE_MOST);
        }
    }
}

/// The longest range for one of `lanes` that brought `bytes` in all in `time`.
pub(super) fn longest_range(bytes: u64, time: Duration, lanes: usize) -> u64 {
    let millis = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    let window = u64::try_from(RANGE_TIME.as_millis()).unwrap_or(u64::MAX);
    if bytes < RANGE_FIRST || millis < 100 {
        return RANGE_FIRST;
    }
    let each = bytes.saturating_mul(window).checked_div(millis).unwrap_or(RANGE_MOST) / lanes.max(1) as u64;
    each.clamp(RANGE_LEAST, RANGE_MOST)
}

/// The next range to be read, at most so long, cut off the front of what is `todo`: long while much is left and shorter towards the end, so
/// that all lanes end together.
pub(super) fn cut(todo: &mut Vec<Range<u64>>, lanes: usize, longest: u64, align: u64) -> Option<Range<u64>> {
    let left = todo.iter().fold(0_u64, |sum, range| sum.saturating_add(range.end.saturating_sub(range.start)));
    let first = todo.first_mut()?;
    let share = left / (lanes.max(1) as u64).saturating_mul(2);
    let wanted = share.clamp(RANGE_LEAST, longest.max(RANGE_LEAST));
    let end = first.start.saturating_add(wanted);
    let end = end.saturating_sub(end % align.max(1)).max(first.start.saturating_add(1));
    // What would be left over is taken along.
    let whole = lanes == 1 && left <= RANGE_FIRST;
    let end = if whole || first.end.saturating_sub(end) < RANGE_LEAST { first.end } else { end };
    let range = first.start..end.min(first.end);
    if range.end == first.end {
        todo.remove(0);
    } else {
        first.start = range.end;
    }
    Some(range)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A network where bytes begin to come so many milliseconds after lanes were added, at `rate` of the lanes.
    fn settle(most: usize, first: u64, rate: impl Fn(usize) -> u64) -> (usize, u64) {
        settle_with_digest(most, first, rate, |_| 0)
    }

    /// And a digest that they wait for, so many percent of the time.
    fn settle_with_digest(
        most: usize,
        first: u64,
        rate: impl Fn(usize) -> u64,
        percent: impl Fn(usize) -> u64,
    ) -> (usize, u64) {
        let mut held = Duration::ZERO;
        let start = Instant::now();
        let mut pace = Pace::new(most, start);
        let (mut bytes, mut lanes, mut added, mut delivering) = (0, 1, 0, 0);
        for millis in (0..60_000).step_by(50) {
            if millis >= added + first {
                delivering = lanes;
            }
            bytes += rate(delivering) * 50 / 1000;
            held += Duration::from_micros(percent(delivering) * 500);
            let arrived = Arrived { bytes, delivering, held };
            let wanted = pace.lanes(start + Duration::from_millis(millis), arrived);
            if wanted > lanes {
                added = millis;
            }
            (lanes, delivering) = (wanted, delivering.min(wanted));
            if matches!(pace.trial, Trial::Over) {
                return (lanes, millis);
            }
        }
        (lanes, u64::MAX)
    }

    #[test]
    fn lanes_double_while_that_helps() {
        // Each connection is capped.
        assert_eq!(settle(16, 1, |lanes| 10_000_000 * lanes as u64).0, 16);
        // The link is full with three, which two did not show.
        assert_eq!(settle(16, 1, |lanes| 10_000_000 * lanes.min(3) as u64).0, 8);
        // The link is nearly full with two.
        assert_eq!(settle(16, 1, |lanes| [0, 10_000_000, 15_000_000][lanes.min(2)]).0, 2);
        // One connection fills it.
        assert_eq!(settle(16, 1, |lanes| 10_000_000 * lanes.min(1) as u64).0, 1);
        assert_eq!(settle(1, 1, |lanes| lanes as u64).0, 1);
    }

    #[test]
    fn lanes_that_wait_for_the_digest_are_not_doubled() {
        let faster = |lanes| 10_000_000 * lanes as u64;
        assert_eq!(settle_with_digest(16, 1, faster, |_| 50).0, 1);
        // The last ones brought more than it takes.
        assert_eq!(settle_with_digest(16, 1, faster, |lanes| if lanes > 2 { 60 } else { 0 }).0, 2);
        assert_eq!(settle_with_digest(16, 1, faster, |_| HELD_MOST / 2).0, 16);
    }

    #[test]
    fn connections_that_begin_slowly_are_not_judged_before_they_began() {
        for first in [1, 100, 700, 2500] {
            let (lanes, millis) = settle(16, first, |lanes| 10_000_000 * lanes as u64);
            assert_eq!(lanes, 16, "{first}");
            assert!(millis < 5 * (TRIAL.as_millis() as u64 + 4 * first + 200), "{first}: {millis}");
        }
    }

    #[test]
    fn who_refuses_is_asked_again_later() {
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        let with = |bytes| Arrived { bytes, delivering: 1, held: Duration::ZERO };
        let mut pace = Pace::new(8, start);
        assert_eq!(pace.lanes(at(0), with(0)), 1);
        pace.lanes(at(50), with(0));
        assert_eq!(pace.lanes(at(500), with(1_000_000)), 2);
        pace.refused(1, at(600));
        assert_eq!((pace.lanes(at(1000), with(2_000_000)), pace.wanted()), (1, 1));
        pace.lanes(at(2600), with(2_000_000));
        assert_eq!(pace.lanes(at(3000), with(3_000_000)), 2);
        pace.refused(1, at(3000));
        // Each time it is left in peace for longer.
        pace.lanes(at(6900), with(4_000_000));
        assert_eq!(pace.lanes(at(6950), with(4_000_000)), 1);
        pace.lanes(at(7000), with(4_000_000));
        assert_eq!(pace.lanes(at(7400), with(5_000_000)), 2);
    }

    #[test]
    fn a_range_is_as_long_as_a_lane_reads_in_some_seconds() {
        let second = Duration::from_secs(1);
        assert_eq!(longest_range(0, Duration::ZERO, 1), RANGE_FIRST);
        assert_eq!(longest_range(1 << 30, second, 1), RANGE_MOST);
        assert_eq!(longest_range(128 << 20, second, 16), 16 << 20);
        assert_eq!(longest_range(64 << 20, 600 * second, 16), RANGE_LEAST);
    }

    #[test]
    fn ranges_cover_everything_once() {
        for (size, lanes) in [(1, 1), (RANGE_LEAST, 4), (10 << 20, 4), (1 << 30, 8), ((1 << 30) + 12345, 3)] {
            let mut todo: Vec<Range<u64>> = std::iter::once(0..size).collect();
            let (mut at, mut count) = (0, 0);
            while let Some(range) = cut(&mut todo, lanes, RANGE_MOST, 256 * 1024) {
                assert_eq!(range.start, at);
                assert!(!range.is_empty() && range.end - range.start < RANGE_MOST + RANGE_LEAST);
                at = range.end;
                count += 1;
            }
            assert_eq!(at, size);
            assert!(count >= (size / RANGE_MOST).max(1));
        }
    }
}
