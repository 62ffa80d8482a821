//! Signs of life: what tells an operation that is slow from one that hangs.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use landfall_handler_api::{Error, ErrorKind};

/// The code of an operation that showed no sign of life for too long.
pub(crate) const STALLED: &str = "stalled";

/// Watches one operation. Every byte, count or question of the handler is a beat; too long without one, and the handler is
/// given up. While the host itself keeps the handler waiting, no beat is missed. Clones watch together.
#[derive(Clone, Debug)]
pub(crate) struct Pulse {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    limit: Duration,
    begun: Instant,
    /// Milliseconds from `begun` to the last beat.
    last: AtomicU64,
    /// How many beats there were.
    beats: AtomicU64,
    /// How often the host keeps the handler waiting at the moment.
    held: AtomicUsize,
}

/// The host keeps the handler waiting, for as long as this value lives.
pub(crate) struct Held(Pulse);

impl Drop for Held {
    fn drop(&mut self) {
        self.0.beat();
        self.0.shared.held.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Pulse {
    /// An operation that begins now, and may be silent for `limit`.
    pub(crate) fn new(limit: Duration) -> Self {
        let (last, beats, held) = (AtomicU64::new(0), AtomicU64::new(0), AtomicUsize::new(0));
        Self { shared: Arc::new(Shared { limit, begun: Instant::now(), last, beats, held }) }
    }

    /// One with the same limit, for an operation that begins now.
    pub(crate) fn anew(&self) -> Self {
        Self::new(self.shared.limit)
    }

    /// A sign of life.
    pub(crate) fn beat(&self) {
        let now = u64::try_from(self.shared.begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.shared.last.fetch_max(now, Ordering::SeqCst);
        self.shared.beats.fetch_add(1, Ordering::Relaxed);
    }

    /// How many signs of life there were.
    pub(crate) fn beats(&self) -> u64 {
        self.shared.beats.load(Ordering::Relaxed)
    }

    /// From now on, until the value is dropped, it is the host that the handler waits for.
    pub(crate) fn hold(&self) -> Held {
        self.shared.held.fetch_add(1, Ordering::SeqCst);
        Held(self.clone())
    }

    /// When it will have been silent for too long, as things stand.
    pub(crate) fn flat_at(&self) -> Instant {
        let Shared { limit, begun, last, held, .. } = self.shared.as_ref();
        let last = match held.load(Ordering::SeqCst) {
            0 => begun.checked_add(Duration::from_millis(last.load(Ordering::SeqCst))).unwrap_or(*begun),
            _ => Instant::now(),
        };
        // A limit beyond every clock is a day.
        last.checked_add(*limit).unwrap_or_else(|| last + Duration::from_secs(24 * 60 * 60))
    }

    /// Whether it has been silent for too long.
    pub(crate) fn is_flat(&self) -> bool {
        self.flat_at() <= Instant::now()
    }

    /// What is said of an operation that was silent for too long, and stopped when it was told to.
    pub(crate) fn stalled(&self) -> Error {
        let message = format!("it gave no sign of life for {} s", self.shared.limit.as_secs_f32());
        Error::new(ErrorKind::Unavailable, STALLED, message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_is_noticed_and_waiting_for_the_host_is_none() {
        let pulse = Pulse::new(Duration::ZERO);
        assert!(pulse.is_flat());
        let patient = Pulse::new(Duration::from_secs(3600));
        assert!(!patient.is_flat());
        let short = Pulse::new(Duration::from_nanos(1));
        let held = short.hold();
        assert!(short.flat_at() > short.shared.begun);
        drop(held);
        assert_eq!(short.stalled().code(), "stalled");
    }
}
