//! Kills and faults at every point where a command changes the disk or the ledger, and power cuts.
//!
//! `operation.rs` says what is swept, `sweep.rs` how, `view.rs` what must hold afterwards; `power.rs` cuts the power of a
//! disk that is the test's own. `mutant.rs` leaves out one call at a time, to show that these tests notice. `ladder.rs` is
//! about what file systems lack, `race.rs` about two commands at once.

mod build;
mod deed;
mod disk;
mod ladder;
mod mutant;
mod operation;
mod power;
mod race;
mod site;
mod sweep;
mod tally;
mod trace;
mod transfer;
mod view;

pub(crate) use tally::tell;

use crate::support::case::Case;
use crate::support::mounts::Fs;
use crate::support::needs::Need;
use crate::support::world::World;

const NEEDS: [Need; 4] = [Need::Root, Need::Mount, Need::Program("cc"), Need::Program("xfs_io")];

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for operation in operation::all() {
        let fs = operation.fs;
        let name = format!("faults::sweep_{}", operation.name);
        let fuse = operation.through_fuse;
        let mirror: &[Need] = if fuse { &[Need::Fuse] } else { &[] };
        let swept = operation.clone();
        cases.push(Case::new(name, move |world| sweep::sweep(world, &swept)).on(fs).needs(&NEEDS).needs(mirror));
        // What a FUSE server promises about a power cut is its own business.
        if !fuse {
            let name = format!("faults::power_cut_{}", operation.name);
            cases.push(Case::new(name, move |world| power::cut(world, &operation)).on(fs).needs(&NEEDS));
        }
    }
    cases.push(case("every_point_is_met", every_point));
    cases.push(case("mutants_are_noticed", mutant::all_are_noticed));
    cases.push(case("ladders_of_missing_calls", ladder::all));
    cases.extend(race::cases());
    cases
}

fn case(name: &str, run: fn(&World)) -> Case {
    Case::new(format!("faults::{name}"), run).on(Fs::Xfs).on(Fs::Ext4).needs(&NEEDS)
}

/// Every point of the build is met by an operation of the sweep, and no operation meets another.
fn every_point(world: &World) {
    let mut known = build::FaultBuild::get(world).points.clone();
    known.sort();
    let operations: Vec<_> = operation::all().into_iter().filter(|operation| !operation.through_fuse).collect();
    assert_eq!(sweep::points_met(world, &operations).unwrap(), known);
}
