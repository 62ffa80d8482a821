//! A range on its way from one origin: how far it has come, where it ends, and how fast it is.

use std::ops::Range;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use super::lane::locked;
use super::least_rate::{LeastRate, Window};
use crate::cancel::Cancel;

/// A range that one lane reads. Its end may be given to another lane while it is read.
pub(super) struct Span {
    start: u64,
    /// Whether the source can be read from anywhere, and so the range be divided.
    divisible: bool,
    began: Instant,
    state: Mutex<State>,
}

struct State {
    /// Up to where the lane may have bytes already.
    claimed: u64,
    end: u64,
    /// Whether the end is not any more where it was.
    cut: bool,
    arrived: u64,
    /// Stops the read, once it has begun.
    cancel: Option<Cancel>,
    window: Window,
    too_slow: bool,
}

impl Span {
    pub(super) fn new(range: &Range<u64>, divisible: bool) -> Self {
        let now = Instant::now();
        let state = State {
            claimed: range.start,
            end: range.end,
            cut: false,
            arrived: 0,
            cancel: None,
            window: Window::new(now),
            too_slow: false,
        };
        Self { start: range.start, divisible, began: now, state: Mutex::new(state) }
    }

    /// When it was taken.
    pub(super) fn began(&self) -> Instant {
        self.began
    }

    /// Where it begins.
    pub(super) fn start(&self) -> u64 {
        self.start
    }

    /// Where it ends now.
    pub(super) fn end(&self) -> u64 {
        locked(&self.state).end
    }

    /// Whether its lane has to end it by itself, at `at`: the source was asked for more.
    pub(super) fn is_cut_at(&self, at: u64) -> bool {
        let state = locked(&self.state);
        state.cut && at >= state.end
    }

    /// The read begins; `cancel` stops it.
    pub(super) fn reads(&self, cancel: &Cancel) {
        let mut state = locked(&self.state);
        state.cancel = Some(cancel.clone());
        state.window = Window::new(Instant::now());
    }

    /// How many of `want` bytes at `at` are this lane's; none at the end.
    pub(super) fn claim(&self, at: u64, want: u64) -> u64 {
        let mut state = locked(&self.state);
        let room = state.end.saturating_sub(at).min(want);
        state.claimed = state.claimed.max(at.saturating_add(room));
        room
    }

    /// So many bytes were taken from the source, those included that are not kept. True for the first ones.
    pub(super) fn arrived(&self, bytes: u64) -> bool {
        let mut state = locked(&self.state);
        state.window.arrived(bytes);
        let first = state.arrived == 0;
        state.arrived = state.arrived.saturating_add(bytes);
        first && bytes > 0
    }

    /// Whether it brought any bytes.
    pub(super) fn has_arrived(&self) -> bool {
        locked(&self.state).arrived > 0
    }

    /// From now on, or not any more, the host keeps the source waiting.
    pub(super) fn hold(&self, held: bool) {
        locked(&self.state).window.hold(held);
    }

    /// Stops the read if it is too slow.
    pub(super) fn judge(&self, least: LeastRate, now: Instant) {
        let mut state = locked(&self.state);
        if let Some(cancel) = state.cancel.clone()
            && state.window.misses(least, now)
        {
            state.too_slow = true;
            cancel.cancel();
        }
    }

    /// Whether the read was stopped because it was too slow.
    pub(super) fn is_too_slow(&self) -> bool {
        locked(&self.state).too_slow
    }

    /// How long the rest will take at the rate so far, if it can be divided into parts of at least `least` bytes.
    pub(super) fn takes(&self, least: u64, now: Instant) -> Option<Duration> {
        let state = locked(&self.state);
        let left = state.end.saturating_sub(state.claimed);
        if !self.divisible || left < least.saturating_mul(2) {
            return None;
        }
        let passed = now.saturating_duration_since(self.began);
        let rate = state.arrived.saturating_mul(1000) / u64::try_from(passed.as_millis()).unwrap_or(u64::MAX).max(1);
        // One that has brought nothing yet may never.
        Some(left.checked_div(rate).map_or(passed, Duration::from_secs).max(left_millis(left, rate)))
    }

    /// Gives away the second half of what is left, from a multiple of `align` on.
    pub(super) fn divide(&self, least: u64, align: u64) -> Option<Range<u64>> {
        let mut state = locked(&self.state);
        let left = state.end.saturating_sub(state.claimed);
        if !self.divisible || left < least.saturating_mul(2) {
            return None;
        }
        let middle = state.claimed.saturating_add(left / 2);
        let middle = middle.saturating_sub(middle % align.max(1));
        if middle <= state.claimed {
            return None;
        }
        let given = middle..state.end;
        (state.end, state.cut) = (middle, true);
        Some(given)
    }
}

fn left_millis(left: u64, rate: u64) -> Duration {
    Duration::from_millis(left.saturating_mul(1000).checked_div(rate).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEAST: u64 = 100;

    #[test]
    fn what_is_claimed_is_never_given_away() {
        let span = Span::new(&(1000..2000), true);
        assert_eq!(span.claim(1000, 300), 300);
        assert_eq!(span.divide(LEAST, 64), Some(1600..2000));
        assert!(span.end() == 1600 && !span.is_cut_at(1599) && span.is_cut_at(1600));
        // What is left is too little to be divided again.
        assert_eq!(span.claim(1300, 200), 200);
        assert_eq!(span.divide(LEAST, 64), None);
        assert_eq!((span.claim(1500, 500), span.claim(1600, 1)), (100, 0));
        assert_eq!(Span::new(&(0..1 << 20), false).divide(LEAST, 64), None);
    }

    #[test]
    fn a_slow_read_is_stopped() {
        let later = Instant::now() + Duration::from_secs(60);
        let least = LeastRate { bytes: 100, window: Duration::from_secs(10) };
        let span = Span::new(&(0..1 << 20), true);
        // One that has not begun is nobody's fault.
        span.judge(least, later);
        assert!(!span.is_too_slow());
        let cancel = Cancel::new().unwrap();
        span.reads(&cancel);
        span.judge(least, later);
        assert!(span.is_too_slow() && cancel.is_cancelled());
    }
}
