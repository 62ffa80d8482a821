//! How fast bytes come of late.

use std::time::{Duration, Instant};

use landfall_measure::GRACE;

/// Bytes a second since the first one came, over the last while: at least as long as it takes to tell, and a quarter of the time.
pub(super) struct Speed {
    first: Option<(Instant, u64)>,
    since: Option<(Instant, u64)>,
}

impl Speed {
    pub(super) fn new() -> Self {
        Self { first: None, since: None }
    }

    /// Looks at the count of bytes; gives the rate when a while is over.
    pub(super) fn look(&mut self, bytes: u64, now: Instant) -> Option<f64> {
        let (began, before) = *self.first.get_or_insert((now, bytes));
        if self.since.is_none() {
            // Waiting for the first byte is no rate.
            if bytes == before {
                self.first = Some((now, bytes));
                return None;
            }
            self.since = Some((now, bytes));
        }
        let (since, had) = self.since?;
        let while_ = (now.saturating_duration_since(began) / 4).max(Duration::from_secs_f64(GRACE));
        let passed = now.saturating_duration_since(since);
        if passed < while_ {
            return None;
        }
        self.since = Some((now, bytes));
        Some(bytes.saturating_sub(had) as f64 / passed.as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_begins_with_the_first_byte_and_looks_at_the_last_while() {
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        let mut speed = Speed::new();
        assert_eq!(speed.look(500, at(0)), None);
        assert_eq!(speed.look(500, at(9_000)), None);
        assert_eq!(speed.look(1_500, at(9_100)), None);
        assert_eq!(speed.look(2_000, at(9_600)), None);
        assert_eq!(speed.look(3_500, at(10_100)), Some(2_000.0));
        // The next while begins there.
        assert_eq!(speed.look(3_600, at(10_600)), None);
        assert_eq!(speed.look(3_600, at(11_100)), Some(100.0));
        assert_eq!(speed.look(3_600, at(12_200)), Some(0.0));
    }
}
