//! Placements in a world that changes: what is learned must come close to knowing, and beat what does not learn.

mod world;

use world::{Policy, STORMY, USUAL, Weather, seconds};

const NODES: u64 = 20;
const PLACEMENTS: usize = 2000;

fn total(policy: Policy, weather: Weather) -> f64 {
    (1..=NODES).map(|seed| seconds(policy, weather, seed, PLACEMENTS)).sum()
}

#[test]
fn learning_is_nearly_as_good_as_knowing() {
    for (weather, most) in [(USUAL, 1.05), (STORMY, 1.2)] {
        let oracle = total(Policy::Oracle, weather);
        let ratio = total(Policy::Fastest, weather) / oracle;
        assert!(ratio < most, "{weather:?}: {ratio:.3} of the oracle's seconds");
        for policy in Policy::ALL.into_iter().filter(|policy| !matches!(policy, Policy::Oracle | Policy::Fastest)) {
            let other = total(policy, weather) / oracle;
            assert!(other > ratio, "{policy:?} takes {other:.3}, and learning {ratio:.3} of the oracle's seconds");
        }
    }
}

/// Whoever does not learn is found out by the test above; and the same seeds are the same world.
#[test]
fn not_knowing_costs() {
    let ratio = total(Policy::Weights, USUAL) / total(Policy::Oracle, USUAL);
    assert!(ratio > 1.1, "{ratio:.3}");
    assert_eq!(total(Policy::Fastest, USUAL), total(Policy::Fastest, USUAL));
}
