/// The variance, of the logarithm, of what nobody has measured: a factor of four, either way, is one standard deviation.
const UNKNOWN: f64 = 2.0;
/// The variance that one measurement has by itself: 17 % is one standard deviation.
const NOISE: f64 = 0.03;
/// How much a level drifts in an hour, as variance.
const DRIFT_PER_HOUR: f64 = 0.01;
/// A measurement as unlikely as this says that the level itself has changed, in squares of standard deviations.
const SURPRISE: f64 = 6.0;
/// After so many hours without a measurement, a level has as likely as not changed altogether (by 1 - 1/e).
const CHANGED_HOURS: f64 = 12.0;
/// Over so many hours a level's usual value is taken.
const USUAL_HOURS: f64 = 24.0;

/// A positive number that drifts, and now and then changes altogether, such as a rate: followed in its logarithm by a filter of one
/// dimension (Kalman's).
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Level {
    mean: f64,
    variance: f64,
    /// The mean over a day.
    usual: f64,
    at: Option<f64>,
}

impl Level {
    /// What is thought before anything is measured.
    pub(crate) fn new(guess: f64) -> Self {
        let mean = guess.max(f64::MIN_POSITIVE).ln();
        Self { mean, variance: UNKNOWN, usual: mean, at: None }
    }

    /// Takes a measurement of the moment `at`. What is not later than the last one counts as of the same moment.
    pub(crate) fn measured(&mut self, value: f64, at: f64) {
        if !value.is_finite() || value <= 0.0 {
            return;
        }
        self.variance = self.variance_at(at);
        let surprise = value.ln() - self.mean;
        if self.at.is_some() && surprise * surprise > SURPRISE * (self.variance + NOISE) {
            self.variance = (self.variance + surprise * surprise).min(UNKNOWN);
        }
        let gain = self.variance / (self.variance + NOISE);
        self.mean += gain * surprise;
        self.variance *= 1.0 - gain;
        let share = self.at.map_or(1.0, |_| 1.0 - (-self.hours_since(at) / USUAL_HOURS).exp());
        self.usual += share * (value.ln() - self.usual);
        self.at = Some(self.at.map_or(at, |last| last.max(at)));
    }

    /// The number that is as likely too small as too large.
    pub(crate) fn value(self) -> f64 {
        self.mean.exp()
    }

    /// What it usually is.
    pub(crate) fn usual(self) -> f64 {
        self.usual.exp()
    }

    /// The standard deviation of its logarithm, if it has not changed altogether.
    pub(crate) fn spread(self, now: f64) -> f64 {
        self.variance_at(now).sqrt()
    }

    /// How likely it is to have changed altogether since it was measured.
    pub(crate) fn changed(self, now: f64) -> f64 {
        1.0 - (-self.hours_since(now) / CHANGED_HOURS).exp()
    }

    fn hours_since(self, now: f64) -> f64 {
        self.at.map_or(0.0, |last| (now - last).max(0.0) / 3600.0)
    }

    fn variance_at(self, now: f64) -> f64 {
        (self.variance + DRIFT_PER_HOUR * self.hours_since(now)).min(UNKNOWN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_comes_to_what_is_measured_and_is_surer_then() {
        let mut level = Level::new(1.0);
        for step in 0..10 {
            level.measured(if step % 2 == 0 { 95.0 } else { 105.0 }, f64::from(step));
        }
        assert!((90.0..110.0).contains(&level.value()), "{}", level.value());
        assert!(level.spread(10.0) < 0.1);
        assert!(level.changed(10.0) < 0.001);
        // A day later nobody is as sure.
        assert!(level.spread(86_400.0) > 0.4 && level.changed(86_400.0) > 0.8);
    }

    #[test]
    fn a_change_is_believed_at_once_and_what_is_usual_stays() {
        let mut level = Level::new(100.0);
        (0..50).for_each(|step| level.measured(100.0, f64::from(step)));
        level.measured(10.0, 51.0);
        assert!(level.value() < 15.0, "{}", level.value());
        assert!(level.usual() > 90.0, "{}", level.usual());
    }

    #[test]
    fn nonsense_is_passed_over() {
        let mut level = Level::new(5.0);
        for value in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            level.measured(value, 1.0);
        }
        assert_eq!(level.at, None);
        assert!((level.value() - 5.0).abs() < 1e-9);
    }
}
