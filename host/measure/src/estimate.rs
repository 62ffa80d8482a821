use crate::failing::Failing;
use crate::level::Level;
use crate::sample::Sample;

/// Fewer bytes than these say nothing of a rate.
const TELLING: u64 = 256 << 10;
/// The shortest time that counts, in seconds.
const INSTANT: f64 = 0.001;

/// What is thought of a way before it was ever used.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Prior {
    /// Seconds to the first byte.
    pub first_byte: f64,
    /// Bytes a second from then on.
    pub rate: f64,
}

/// What is known of one way from stored bytes to a disk.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Estimate {
    first_byte: Level,
    rate: Level,
    failing: Failing,
    samples: usize,
    last: Option<f64>,
}

/// What an attempt over a way may take.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Prediction {
    /// Seconds, if it goes well; as likely too few as too many.
    pub seconds: f64,
    /// How far that may be off: the standard deviation of its logarithm.
    pub spread: f64,
    /// How likely the way is to have changed altogether since it was last used, from 0 to 1.
    pub changed: f64,
    /// Seconds that it usually takes, which count if it has changed.
    pub usual: f64,
    /// How likely it is to fail, from 0 to 1.
    pub failing: f64,
    /// Seconds that are lost if it fails.
    pub lost: f64,
    /// Bytes a second after the first byte.
    pub rate: f64,
    /// Seconds to the first byte.
    pub first_byte: f64,
    /// Attempts that this was learned from.
    pub samples: usize,
    /// Seconds since the last of them.
    pub age: Option<f64>,
}

impl Estimate {
    /// Learns from a way's samples, the oldest first.
    #[must_use]
    pub fn of(samples: &[Sample], prior: Prior) -> Self {
        let mut estimate = Self {
            first_byte: Level::new(prior.first_byte),
            rate: Level::new(prior.rate),
            failing: Failing::default(),
            samples: 0,
            last: None,
        };
        samples.iter().for_each(|sample| estimate.learn(sample));
        estimate
    }

    /// Takes one more sample, later than those before.
    pub fn learn(&mut self, sample: &Sample) {
        if !sample.at.is_finite() || !sample.seconds.is_finite() || sample.seconds < 0.0 {
            return;
        }
        self.samples = self.samples.saturating_add(1);
        self.last = Some(sample.at);
        let first_byte = sample.first_byte.filter(|first| (0.0..=sample.seconds).contains(first));
        if let Some(first) = first_byte {
            self.first_byte.measured(first.max(INSTANT), sample.at);
        }
        if sample.bytes >= TELLING {
            let flowing = sample.seconds - first_byte.unwrap_or(0.0);
            self.rate.measured(sample.bytes as f64 / flowing.max(INSTANT), sample.at);
        }
        if sample.failed {
            self.failing.failed(sample.seconds, sample.at);
        } else {
            self.failing.went_well();
        }
    }

    /// What an attempt that begins `now` may take for so many stored bytes.
    #[must_use]
    pub fn predict(&self, bytes: u64, now: f64) -> Prediction {
        let bytes = bytes as f64;
        Prediction {
            seconds: self.first_byte.value() + bytes / self.rate.value(),
            spread: self.rate.spread(now),
            changed: self.rate.changed(now),
            usual: self.first_byte.usual() + bytes / self.rate.usual(),
            failing: self.failing.probability(now),
            lost: self.failing.seconds,
            rate: self.rate.value(),
            first_byte: self.first_byte.value(),
            samples: self.samples,
            age: self.last.map(|last| (now - last).max(0.0)),
        }
    }

    /// What this way says of others of the same place, that were never used.
    #[must_use]
    pub fn as_prior(&self) -> Prior {
        Prior { first_byte: self.first_byte.value(), rate: self.rate.value() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PRIOR: Prior = Prior { first_byte: 0.1, rate: 1e8 };

    fn sample(at: f64, bytes: u64, seconds: f64) -> Sample {
        Sample { at, bytes, first_byte: Some(0.5), seconds, failed: false }
    }

    #[test]
    fn sizes_are_told_from_starts() {
        let samples: Vec<Sample> = (0..20).map(|n| sample(f64::from(n), 100_000_000, 0.5 + 2.0)).collect();
        let estimate = Estimate::of(&samples, PRIOR);
        let small = estimate.predict(1, 20.0).seconds;
        assert!((0.4..0.6).contains(&small), "{small}");
        let large = estimate.predict(1_000_000_000, 20.0).seconds;
        assert!((19.0..22.0).contains(&large), "{large}");
        assert_eq!(estimate.predict(1, 25.0).age, Some(6.0));
    }

    #[test]
    fn what_was_never_used_is_as_was_thought() {
        let prediction = Estimate::of(&[], PRIOR).predict(1_000_000_000, 0.0);
        assert!((prediction.seconds - 10.1).abs() < 0.01);
        assert!(prediction.spread > 1.0);
        assert_eq!((prediction.samples, prediction.age, prediction.failing), (0, None, 0.0));
    }

    #[test]
    fn nonsense_is_passed_over() {
        let mut estimate = Estimate::of(&[], PRIOR);
        for (at, seconds) in [(f64::NAN, 1.0), (1.0, f64::NAN), (1.0, -1.0), (1.0, f64::INFINITY)] {
            estimate.learn(&sample(at, 1 << 30, seconds));
        }
        assert_eq!(estimate, Estimate::of(&[], PRIOR));
        let prediction = Estimate::of(&[sample(1e300, u64::MAX, 0.0)], PRIOR).predict(u64::MAX, -1e300);
        assert!(prediction.seconds.is_finite() && prediction.seconds > 0.0);
    }
}
