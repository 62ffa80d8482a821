//! How many ranges are read at once, and how long they are.

use std::ops::Range;
use std::time::{Duration, Instant};

/// The most lanes for one origin, whatever the node's limits.
pub(super) const LANES_MAX: usize = 16;
/// The shortest range that is worth a request of its own, and the longest.
const RANGE_LEAST: u64 = 1 << 20;
const RANGE_MOST: u64 = 64 << 20;
/// How long a number of lanes is tried before it is judged.
const TRIAL: Duration = Duration::from_millis(250);
/// Growth of the rate, in percent, that more lanes must bring.
const WORTH: u64 = 15;

/// Doubles the lanes for as long as that brings more bytes a second. One origin's; asked now and then.
pub(super) struct Pace {
    lanes: usize,
    most: usize,
    began: Instant,
    bytes: u64,
    /// Bytes a second with fewer lanes.
    before: Option<u64>,
    settled: bool,
}

impl Pace {
    /// Begins with one lane, of at most `most`.
    pub(super) fn new(most: usize, now: Instant, bytes: u64) -> Self {
        let most = most.clamp(1, LANES_MAX);
        Self { lanes: 1, most, began: now, bytes, before: None, settled: most == 1 }
    }

    /// How many lanes there should be, with `bytes` arrived in all until `now`.
    pub(super) fn lanes(&mut self, now: Instant, bytes: u64) -> usize {
        let trial = now.saturating_duration_since(self.began);
        if self.settled || trial < TRIAL {
            return self.lanes;
        }
        let millis = u64::try_from(trial.as_millis()).unwrap_or(u64::MAX).max(1);
        let rate = bytes.saturating_sub(self.bytes).saturating_mul(1000) / millis;
        // Nothing arrived: a slow first answer says nothing of the number of lanes.
        if rate == 0 {
            return self.lanes;
        }
        let better = self.before.is_none_or(|before| rate >= before.saturating_mul(100 + WORTH) / 100);
        if better && self.lanes < self.most {
            self.lanes = self.lanes.saturating_mul(2).min(self.most);
            (self.before, self.began, self.bytes) = (Some(rate), now, bytes);
        } else {
            self.settled = true;
        }
        self.lanes
    }

    /// The origin refuses more than `lanes` at once.
    pub(super) fn refused(&mut self, lanes: usize) {
        self.most = lanes.max(1);
        self.lanes = self.lanes.min(self.most);
        self.settled = true;
    }
}

/// The next range to be read, cut off the front of what is `todo`: long while much is left and shorter towards the end, so
/// that all lanes end together.
pub(super) fn cut(todo: &mut Vec<Range<u64>>, lanes: usize, align: u64) -> Option<Range<u64>> {
    let left = todo.iter().fold(0_u64, |sum, range| sum.saturating_add(range.end.saturating_sub(range.start)));
    let first = todo.first_mut()?;
    let share = left / (lanes.max(1) as u64).saturating_mul(2);
    let wanted = share.clamp(RANGE_LEAST, RANGE_MOST);
    let end = first.start.saturating_add(wanted);
    let end = end.saturating_sub(end % align.max(1)).max(first.start.saturating_add(1));
    // What would be left over is taken along.
    let end =
        if first.end.saturating_sub(end) < RANGE_LEAST || lanes == 1 && left <= RANGE_MOST { first.end } else { end };
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

    #[test]
    fn lanes_double_while_that_helps() {
        let start = Instant::now();
        let mut pace = Pace::new(8, start, 0);
        let at = |millis| start + Duration::from_millis(millis);
        assert_eq!(pace.lanes(at(100), 1_000), 1);
        assert_eq!(pace.lanes(at(250), 10_000_000), 2);
        assert_eq!(pace.lanes(at(500), 30_000_000), 4);
        // Four lanes bring no more than two did.
        assert_eq!(pace.lanes(at(750), 50_000_000), 4);
        assert_eq!(pace.lanes(at(1000), 500_000_000), 4);
        pace.refused(2);
        assert_eq!(pace.lanes(at(1250), 900_000_000), 2);
    }

    #[test]
    fn the_first_answer_may_take_its_time() {
        let start = Instant::now();
        let mut pace = Pace::new(4, start, 0);
        assert_eq!(pace.lanes(start + Duration::from_secs(9), 0), 1);
        assert_eq!(pace.lanes(start + Duration::from_secs(10), 100), 2);
    }

    #[test]
    fn ranges_cover_everything_once() {
        for (size, lanes) in [(1, 1), (RANGE_LEAST, 4), (10 << 20, 4), (1 << 30, 8), ((1 << 30) + 12345, 3)] {
            let mut todo: Vec<Range<u64>> = std::iter::once(0..size).collect();
            let (mut at, mut count) = (0, 0);
            while let Some(range) = cut(&mut todo, lanes, 256 * 1024) {
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
