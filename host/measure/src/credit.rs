use serde::{Deserialize, Serialize};

/// What of the time of placements may be spent on trying others.
const SHARE: f64 = 0.015;
/// Seconds that a node has to spend before it has placed anything.
const AT_FIRST: f64 = 20.0;
/// The most that is saved up, or owed, in seconds.
const MOST: f64 = 20.0;

/// Seconds that may be spent on finding out: every placement adds a share of its time, every try takes what it took beyond
/// what the best was expected to.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Credit {
    /// What is left.
    pub seconds: f64,
}

impl Default for Credit {
    fn default() -> Self {
        Self { seconds: AT_FIRST }
    }
}

impl Credit {
    /// A placement took so many seconds; where it was a try, `instead_of` are those that the best was expected to take.
    pub fn spent(&mut self, seconds: f64, instead_of: Option<f64>) {
        let seconds = if seconds.is_finite() { seconds.max(0.0) } else { 0.0 };
        let extra = instead_of.map_or(0.0, |best| (seconds - best).max(0.0));
        let (earned, extra) = (seconds * SHARE, if extra.is_finite() { extra } else { 0.0 });
        self.seconds = (self.seconds + earned - extra).clamp(-MOST, MOST);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_spent_is_earned_before() {
        let mut credit = Credit::default();
        credit.spent(30.0, Some(10.0));
        assert!((credit.seconds - (AT_FIRST + 0.45 - 20.0)).abs() < 1e-9);
        (0..10_000).for_each(|_| credit.spent(1.0, None));
        assert!((credit.seconds - MOST).abs() < 1e-9);
        credit.spent(f64::INFINITY, Some(f64::NAN));
        credit.spent(f64::NAN, Some(1.0));
        assert!((credit.seconds - MOST).abs() < 1e-9);
        credit.spent(1e9, Some(0.0));
        assert!(credit.seconds >= -MOST);
    }
}
