//! Total seconds of placements by each policy, on so many nodes, of so many placements each, in usual and in stormy weather: lines
//! of `weather policy seconds`. For `make bench`.

#[path = "../tests/world/mod.rs"]
mod world;

use std::io::Write;

fn main() {
    let number = |at: usize, usual: usize| std::env::args().nth(at).and_then(|text| text.parse().ok()).unwrap_or(usual);
    let (nodes, placements) = (number(1, 100), number(2, 2000));
    let mut out = std::io::stdout().lock();
    for (name, weather) in [("usual", world::USUAL), ("stormy", world::STORMY)] {
        for policy in world::Policy::ALL {
            let seconds: f64 = (1..=nodes).map(|seed| world::seconds(policy, weather, seed as u64, placements)).sum();
            // Whoever reads may have seen enough.
            let _ = writeln!(out, "{name} {policy:?} {seconds:.0}");
        }
    }
}
