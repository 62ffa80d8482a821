//! The least rate that a read must have: a source that gives a byte now and then is as good as silent.

use std::time::{Duration, Instant};

use landfall_handler_api::{Error, ErrorKind};

use crate::plugin::STALLED;

/// The least rate of a read.
#[derive(Debug, Clone, Copy)]
pub(super) struct LeastRate {
    /// Bytes a second.
    pub(super) bytes: u64,
    /// Over how long.
    pub(super) window: Duration,
}

impl LeastRate {
    /// What is said of a read that is slower.
    pub(super) fn missed(self) -> Error {
        let (bytes, seconds) = (self.bytes, self.window.as_secs_f32());
        let message = format!("it gave less than {bytes} bytes a second for {seconds} s (limits.least_rate)");
        Error::new(ErrorKind::Unavailable, STALLED, message)
    }
}

/// A stretch of time of one read. What the host takes for itself does not count.
pub(super) struct Window {
    since: Instant,
    bytes: u64,
    held: Duration,
    held_since: Option<Instant>,
}

impl Window {
    /// Begins now.
    pub(super) fn new(now: Instant) -> Self {
        Self { since: now, bytes: 0, held: Duration::ZERO, held_since: None }
    }

    /// So many bytes came.
    pub(super) fn arrived(&mut self, bytes: u64) {
        self.bytes = self.bytes.saturating_add(bytes);
    }

    /// From now on, or not any more, the host keeps the source waiting.
    pub(super) fn hold(&mut self, held: bool) {
        if held {
            self.held_since = Some(Instant::now());
        } else if let Some(since) = self.held_since.take() {
            self.held = self.held.saturating_add(since.elapsed());
        }
    }

    /// Whether less came than must have; begins anew once its time is over.
    pub(super) fn misses(&mut self, least: LeastRate, now: Instant) -> bool {
        if self.held_since.is_some() {
            return false;
        }
        let passed = now.saturating_duration_since(self.since).saturating_sub(self.held);
        if passed < least.window {
            return false;
        }
        let millis = u64::try_from(passed.as_millis()).unwrap_or(u64::MAX);
        let misses = self.bytes < least.bytes.saturating_mul(millis) / 1000;
        *self = Self::new(now);
        misses
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_slow_misses_and_what_waits_for_the_host_does_not() {
        let now = Instant::now();
        let later = |seconds| now + Duration::from_secs(seconds);
        let least = LeastRate { bytes: 100, window: Duration::from_secs(10) };
        let mut window = Window::new(now);
        assert!(!window.misses(least, later(9)));
        window.hold(true);
        assert!(!window.misses(least, later(60)));
        window.hold(false);
        window.arrived(2_000);
        assert!(!window.misses(least, later(15)));
        window.arrived(900);
        // Its time is not over yet.
        assert!(!window.misses(least, later(20)));
        assert!(window.misses(least, later(26)));
        // Each time is judged by itself.
        window.arrived(1_000);
        assert!(!window.misses(least, later(36)));
        assert_eq!(least.missed().code(), STALLED);
    }
}
