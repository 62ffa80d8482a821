//! Kills and faults at every point where a command changes the disk or the ledger, and power cuts.
//!
//! `operation.rs` says what is swept, `sweep.rs` how, `view.rs` what must hold afterwards; `power.rs` cuts the power of a
//! disk that is the test's own. `mutant.rs` leaves out one call at a time, to show that these tests notice. `ladder.rs` is
//! about what file systems lack, `race.rs` about two commands at once.

mod build;
mod c_plugins;
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
mod view;

pub(crate) use tally::tell;

pub(crate) use build::FaultBuild;

use crate::support::case::Case;
use crate::support::mode::Mode;
use crate::support::mounts::Fs;
use crate::support::needs::Need;
use crate::support::world::World;

const NEEDS: [Need; 4] = [Need::Root, Need::Mount, Need::Program("cc"), Need::Program("xfs_io")];

/// What is swept in workers in every run: each way in which bytes come from a handler. The rest is for the long run, since
/// the agent's own calls are the same in both modes.
const IN_WORKERS: [&str; 5] = ["reflink", "copy", "stream", "transfer", "fail_over_named"];

/// What is swept only: a power cut there is one of `copy`, `corrupt_named`, `collect` or `stream_kept_fail_over`.
const NOT_CUT: [&str; 4] = ["crash", "corrupt_kept", "collect_kept", "resume_damaged"];

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for operation in operation::all() {
        let fs = operation.fs;
        let name = format!("faults::sweep_{}", operation.name);
        let fuse = operation.through_fuse;
        let mirror: &[Need] = if fuse { &[Need::Fuse] } else { &[] };
        let in_workers = IN_WORKERS.contains(&operation.name);
        let swept = operation.clone();
        let case = Case::new(name, move |world| sweep::sweep(world, &swept)).on(fs).needs(&NEEDS).needs(mirror);
        cases.push(if in_workers { case } else { case.worker_in_full() });
        // What a FUSE server promises about a power cut is its own business.
        if !fuse && !NOT_CUT.contains(&operation.name) {
            let name = format!("faults::power_cut_{}", operation.name);
            let case = Case::new(name, move |world| power::cut(world, &operation)).on(fs).needs(&NEEDS);
            cases.push(case.worker_in_full());
        }
    }
    // About the list of operations.
    cases.push(case("every_point_is_met", every_point).mode_independent());
    cases.push(case("mutants_are_noticed", mutant::all_are_noticed).worker_in_full());
    cases.push(case("ladders_of_missing_calls", ladder::all).worker_in_full());
    cases.extend(race::cases());
    cases
}

fn case(name: &str, run: fn(&World)) -> Case {
    Case::new(format!("faults::{name}"), run).on(Fs::Xfs).on(Fs::Ext4).needs(&NEEDS)
}

/// Whether the points of this operation's writes are the agent's. What a worker writes itself meets them in its own process,
/// which has no environment and so no faults.
fn writes_in_the_agent(world: &World, operation: &str) -> bool {
    world.mode == Mode::Inline || operation != "transfer"
}

/// Every point of the build is met by an operation of the sweep, and no operation meets another.
fn every_point(world: &World) {
    let mut known = build::FaultBuild::get(world).points.clone();
    // Those of a catalog's records are swept, and counted, in tests/locations.rs.
    known.retain(|point| !point.starts_with("record."));
    known.sort();
    let operations: Vec<_> = operation::all().into_iter().filter(|operation| !operation.through_fuse).collect();
    assert_eq!(sweep::points_met(world, &operations).unwrap(), known);
}
