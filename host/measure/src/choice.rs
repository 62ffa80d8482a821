use std::cmp::Ordering;

use crate::credit::Credit;
use crate::estimate::Prediction;

/// Seconds after the first byte within which the engine sees that a way is slower than others, and leaves it for them.
pub const GRACE: f64 = 1.0;
/// So much longer than by another way it must take before one is left in the middle: the other may be slower than is thought.
const LEFT_BEYOND: f64 = 1.1;
/// Seconds that going over to another way takes by itself.
const GOING_OVER: f64 = 1.0;
/// For so many placements to come what is found out may be of use.
const HORIZON: f64 = 40.0;
/// The standard deviation of the logarithm of what has changed altogether, around what it usually is.
const CHANGES_BY: f64 = 0.5;
/// Beyond this likelihood of failing, nothing is tried out.
const TOO_LIKELY: f64 = 0.5;

/// One way from stored bytes to a disk.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Way {
    /// What it may take.
    pub prediction: Prediction,
    /// Whether it can be left in the middle for another one, which goes on with its bytes.
    pub can_be_left: bool,
}

/// In which order ways are to be tried.
#[derive(Debug, Clone, PartialEq)]
pub struct Choice {
    /// By index, the first to be tried first.
    pub order: Vec<usize>,
    /// For each way, by index: the seconds to a disk that beginning with it may cost, those of others after its failure with them.
    pub costs: Vec<f64>,
    /// Where the first one stands there to be found out about: the seconds that the best would cost.
    pub instead_of: Option<f64>,
}

/// Orders ways by what beginning with each may cost, and puts one first that may well be better than the best, if what that may cost
/// more is within the credit.
#[must_use]
pub fn choose(ways: &[Way], credit: Credit) -> Choice {
    let costs: Vec<f64> = (0..ways.len()).map(|at| cost(ways, at)).collect();
    let mut order: Vec<usize> = (0..ways.len()).collect();
    order.sort_by(|a, b| compare(costs.get(*a), costs.get(*b)));
    let mut instead_of = None;
    if let Some(best) = order.first().copied()
        && let Some(found) = worth_a_try(ways, &costs, best, credit)
    {
        order.retain(|at| *at != found);
        order.insert(0, found);
        instead_of = costs.get(best).copied();
    }
    Choice { order, costs, instead_of }
}

/// Whether an attempt that has `left` bytes to go, at so many bytes a second, is worse than another way would be for them.
#[must_use]
pub fn should_leave(left: u64, rate: f64, other: &Prediction) -> bool {
    let here = left as f64 / rate.max(1.0);
    other.samples > 0 && other.failing < TOO_LIKELY && here > LEFT_BEYOND * other.seconds + GOING_OVER
}

/// Seconds to a disk, beginning with a way: its own where it goes well, else what is lost and then the best of the others.
fn cost(ways: &[Way], at: usize) -> f64 {
    let Some(Way { prediction: way, .. }) = ways.get(at) else { return f64::INFINITY };
    let others = ways.iter().enumerate().filter(|(other, _)| *other != at).map(|(_, other)| other.prediction);
    let then = others.map(|other| other.seconds + other.failing * (other.lost + other.seconds));
    let then = then.fold(f64::INFINITY, f64::min);
    // Where there is no other, this one is tried again.
    let then = if then.is_finite() { then } else { way.seconds };
    (1.0 - way.failing) * way.seconds + way.failing * (way.lost + then)
}

/// The way that promises most for what finding out may cost.
fn worth_a_try(ways: &[Way], costs: &[f64], best: usize, credit: Credit) -> Option<usize> {
    let (best_seconds, best_cost) = (ways.get(best)?.prediction.seconds, *costs.get(best)?);
    if ways.get(best)?.prediction.samples == 0 {
        // Something is found out anyway.
        return None;
    }
    let mut found: Option<(usize, f64)> = None;
    for (at, (way, cost)) in ways.iter().zip(costs).enumerate() {
        let seen = &way.prediction;
        let extra = (cost - best_cost).max(0.0);
        let extra = if way.can_be_left { extra.min(2.0 * seen.first_byte + GRACE) } else { extra };
        let gain = HORIZON
            * ((1.0 - seen.changed) * expected_gain(best_seconds, seen.seconds, seen.spread)
                + seen.changed * expected_gain(best_seconds, seen.usual, CHANGES_BY));
        // As questions that nothing answers yes of what is no number.
        let may_be_tried = at != best && gain > extra && extra <= credit.seconds && seen.failing <= TOO_LIKELY;
        let worth = gain / (extra + best_seconds * 0.1);
        if may_be_tried && found.is_none_or(|(_, most)| worth > most) {
            found = Some((at, worth));
        }
    }
    found.map(|(at, _)| at)
}

/// The mean of what a way saves against `best`, where it saves anything: its seconds are about `seconds`, and their logarithm has this
/// standard deviation.
fn expected_gain(best: f64, seconds: f64, spread: f64) -> f64 {
    if spread <= 0.0 {
        return (best - seconds).max(0.0);
    }
    let distance = (best / seconds).ln() / spread;
    best * normal(distance) - seconds * (spread * spread / 2.0).exp() * normal(distance - spread)
}

/// The normal distribution, to two thousandths (E. Page, "Approximations to the cumulative normal function", 1977).
fn normal(x: f64) -> f64 {
    1.0 / (1.0 + (-1.5976 * x - 0.070_56 * x * x * x).exp())
}

fn compare(a: Option<&f64>, b: Option<&f64>) -> Ordering {
    let number = |value: Option<&f64>| value.copied().filter(|value| !value.is_nan()).unwrap_or(f64::INFINITY);
    number(a).total_cmp(&number(b))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn way(seconds: f64, spread: f64) -> Way {
        let prediction = Prediction {
            seconds,
            spread,
            changed: 0.0,
            usual: seconds,
            failing: 0.0,
            lost: 0.0,
            rate: 1.0,
            first_byte: 0.1,
            samples: 1,
            age: Some(0.0),
        };
        Way { prediction, can_be_left: false }
    }

    fn failing(seconds: f64, failing: f64, lost: f64) -> Way {
        let way = way(seconds, 0.01);
        Way { prediction: Prediction { failing, lost, ..way.prediction }, ..way }
    }

    #[test]
    fn the_quickest_goes_first() {
        let choice = choose(&[way(9.0, 0.01), way(2.0, 0.01), way(5.0, 0.01)], Credit::default());
        assert_eq!((choice.order, choice.instead_of), (vec![1, 2, 0], None));
    }

    #[test]
    fn one_that_may_be_better_is_tried_within_the_credit() {
        let ways = [way(2.0, 0.01), way(6.0, 1.4)];
        let choice = choose(&ways, Credit { seconds: 4.5 });
        assert_eq!((choice.order, choice.instead_of), (vec![1, 0], Some(2.0)));
        assert_eq!(choose(&ways, Credit { seconds: 3.5 }).order, [0, 1]);
        // One that can be left costs little.
        let left = [ways[0], Way { can_be_left: true, ..ways[1] }];
        assert_eq!(choose(&left, Credit { seconds: 2.0 }).order, [1, 0]);
        // One that is known to be slower is not tried, and one that has had time to change is.
        let known = way(6.0, 0.2);
        assert_eq!(choose(&[ways[0], known], Credit { seconds: 20.0 }).order, [0, 1]);
        let old = Prediction { changed: 0.9, usual: 2.0, ..known.prediction };
        let choice = choose(&[ways[0], Way { prediction: old, ..known }], Credit { seconds: 20.0 });
        assert_eq!(choice.order, [1, 0]);
    }

    #[test]
    fn what_fails_goes_behind_what_is_slower() {
        let choice = choose(&[failing(1.0, 0.9, 10.0), way(4.0, 0.01)], Credit::default());
        assert_eq!(choice.order, [1, 0]);
        // Where failing costs nothing, it may go first.
        assert_eq!(choose(&[failing(1.0, 0.9, 0.0), way(4.0, 0.01)], Credit::default()).order, [0, 1]);
    }

    #[test]
    fn a_way_is_left_where_another_is_clearly_better() {
        let other = way(10.0, 0.1).prediction;
        assert!(should_leave(100, 5.0, &other));
        assert!(!should_leave(100, 9.0, &other));
        assert!(!should_leave(100, 0.0, &Prediction { samples: 0, ..other }));
        assert!(!should_leave(100, 0.0, &Prediction { failing: 0.9, ..other }));
        assert!(should_leave(100, 0.0, &other));
    }

    #[test]
    fn nothing_and_nonsense_are_ordered_too() {
        assert_eq!(choose(&[], Credit::default()).order, Vec::<usize>::new());
        let choice = choose(&[way(f64::NAN, f64::NAN), way(3.0, 0.01)], Credit { seconds: f64::NAN });
        assert_eq!(choice.order, [1, 0]);
    }

    #[test]
    fn the_normal_distribution_is_close_enough() {
        for (x, expected) in [(0.0, 0.5), (1.0, 0.841_345), (-1.0, 0.158_655), (2.0, 0.977_25), (-3.0, 0.001_35)] {
            assert!((normal(x) - expected).abs() < 0.002, "{x}: {}", normal(x));
        }
    }
}
