/// How long a failure counts in full before it fades, for the first of a row, in seconds.
const FADES: f64 = 120.0;
/// Failures of a row after which it fades no more slowly.
const ROW_MOST: i32 = 6;
/// How likely a failure is to be followed by another at once.
const AGAIN: f64 = 0.95;
/// How much of the share of failures stays after each attempt that goes well.
const KEPT: f64 = 0.9;

/// How a way fails of late.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Failing {
    /// Failures since it last went well.
    row: i32,
    last: f64,
    /// The share that fails in quiet times.
    share: f64,
    /// Seconds that the last failure took.
    pub(crate) seconds: f64,
}

impl Failing {
    pub(crate) fn failed(&mut self, seconds: f64, at: f64) {
        self.row = self.row.saturating_add(1).min(ROW_MOST);
        self.last = at;
        self.share = (1.0 - KEPT) + KEPT * self.share;
        self.seconds = seconds.max(0.0);
    }

    pub(crate) fn went_well(&mut self) {
        self.row = 0;
        self.share *= KEPT;
    }

    /// How likely the next attempt is to fail. The longer a row of failures, the longer it is believed to go on.
    pub(crate) fn probability(self, now: f64) -> f64 {
        if self.row == 0 {
            return self.share.min(AGAIN);
        }
        let fades = FADES * 2.0_f64.powi(self.row - 1);
        let of_the_row = AGAIN * 0.5_f64.powf((now - self.last).max(0.0) / fades);
        of_the_row.max(self.share.min(AGAIN))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_of_failures_is_believed_longer_than_one() {
        let mut failing = Failing::default();
        assert_eq!(failing.probability(0.0), 0.0);
        failing.failed(1.0, 0.0);
        assert!(failing.probability(1.0) > 0.9 && failing.probability(1200.0) < 0.2);
        (0..5).for_each(|step| failing.failed(1.0, f64::from(step)));
        assert!(failing.probability(600.0) > 0.7);
        failing.went_well();
        assert!(failing.probability(601.0) < 0.6);
    }
}
