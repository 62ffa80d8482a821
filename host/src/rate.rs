//! How fast bytes come, and how long the rest will take.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// The rate is that of the last seconds: long enough to be calm, and short enough to tell of a change.
const WINDOW: Duration = Duration::from_secs(10);
/// Less says nothing.
const WINDOW_LEAST: Duration = Duration::from_millis(500);
/// How far samples are apart.
const STEP: Duration = Duration::from_millis(250);

/// Counts of bytes, each with its moment. What was there at the first count, from an earlier run, did not come now.
#[derive(Default)]
pub(crate) struct Rate {
    samples: VecDeque<(Instant, u64)>,
    last: Option<(Instant, u64)>,
}

impl Rate {
    /// So many bytes are there now. Fewer than before: another attempt begins.
    pub(crate) fn note(&mut self, now: Instant, done: u64) {
        if self.last.is_some_and(|(_, before)| done < before) {
            self.samples.clear();
        }
        self.last = Some((now, done));
        if self.samples.back().is_none_or(|(at, _)| now.saturating_duration_since(*at) >= STEP) {
            self.samples.push_back((now, done));
        }
        while self.samples.len() > 2
            && self.samples.get(1).is_some_and(|(at, _)| now.saturating_duration_since(*at) >= WINDOW)
        {
            self.samples.pop_front();
        }
    }

    /// Bytes a second, once there is enough to tell.
    pub(crate) fn per_second(&self) -> Option<u64> {
        let ((first, before), (last, done)) = (self.samples.front()?, self.last?);
        let passed = last.saturating_duration_since(*first);
        if passed < WINDOW_LEAST {
            return None;
        }
        let millis = u64::try_from(passed.as_millis()).ok()?;
        done.saturating_sub(*before).saturating_mul(1000).checked_div(millis)
    }

    /// Seconds that the rest of `total` will take, at this rate.
    pub(crate) fn seconds_left(&self, total: u64) -> Option<u64> {
        let (_, done) = self.last?;
        total.saturating_sub(done).checked_div(self.per_second()?.max(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_that_of_the_last_seconds() {
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        let mut rate = Rate::default();
        // What an earlier run left.
        rate.note(at(0), 1_000_000);
        assert_eq!(rate.per_second(), None);
        for second in 1..=20 {
            rate.note(at(second * 1000), 1_000_000 + second * 2_000);
        }
        assert_eq!(rate.per_second(), Some(2_000));
        assert_eq!(rate.seconds_left(1_040_000 + 10_000), Some(5));
        for second in 21..=35 {
            rate.note(at(second * 1000), 1_040_000 + (second - 20) * 500);
        }
        assert_eq!(rate.per_second(), Some(500));
        // Another attempt.
        rate.note(at(40_000), 0);
        assert_eq!((rate.per_second(), rate.seconds_left(7)), (None, None));
    }
}
