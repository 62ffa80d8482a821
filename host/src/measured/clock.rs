//! The clock of one attempt: when its first byte came, and how many came.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::plugin::Progress;

/// When an attempt began, and what came since.
#[derive(Debug)]
pub(crate) struct Clock {
    began: Instant,
    /// When the first count came, and what was counted then: what others brought before does not count.
    first: OnceLock<(Instant, u64)>,
    last: AtomicU64,
}

impl Clock {
    /// Begins now.
    pub(crate) fn start() -> std::sync::Arc<Self> {
        std::sync::Arc::new(Self { began: Instant::now(), first: OnceLock::new(), last: AtomicU64::new(0) })
    }

    /// Counts what is told to `progress`, too.
    pub(crate) fn watch(self: &std::sync::Arc<Self>, progress: Progress) -> Progress {
        let clock = std::sync::Arc::clone(self);
        std::sync::Arc::new(move |done, total| {
            if done > 0 {
                clock.first.get_or_init(|| (Instant::now(), done));
                clock.last.fetch_max(done, Ordering::Relaxed);
            }
            progress(done, total);
        })
    }

    /// Time since the beginning.
    pub(crate) fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    /// Time until the first count, where anything was counted.
    pub(crate) fn first_byte(&self) -> Option<Duration> {
        self.first.get().map(|(at, _)| at.saturating_duration_since(self.began))
    }

    /// Bytes from the first count to the last.
    pub(crate) fn counted(&self) -> Option<u64> {
        let (_, first) = self.first.get()?;
        Some(self.last.load(Ordering::Relaxed).saturating_sub(*first))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn what_was_there_before_does_not_count() {
        let clock = Clock::start();
        assert_eq!((clock.first_byte(), clock.counted()), (None, None));
        let progress = clock.watch(Arc::new(|_, _| {}));
        progress(0, None);
        assert_eq!(clock.counted(), None);
        progress(1000, None);
        progress(5000, None);
        progress(4000, None);
        assert_eq!(clock.counted(), Some(4000));
        assert!(clock.first_byte().is_some_and(|first| first <= clock.elapsed()));
    }
}
