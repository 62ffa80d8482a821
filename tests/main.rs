//! End-to-end tests of the `landfall` binary: real file systems, real plugins, hostile inputs.
//!
//! They see what a caller sees: the command line, JSON, exit statuses and files. A test whose needs this machine does not
//! meet is skipped by name, with the reason; in continuous integration as root a skip must be explained in may-skip.txt.
//! `LANDFALL_FULL=1` selects the full counts of repeated tests.

// A failed unwrap is a failed test.
#![allow(clippy::unwrap_used)]

use std::process::ExitCode;
use std::sync::Arc;

use libtest_mimic::{Arguments, Failed, Trial};

mod command_line;
mod errors;
mod halfway;
mod ledger;
mod records;
mod remembered;
mod routing;
mod selection;
mod stores;
mod support;
mod targets;
mod together;
mod verify;
mod zero_copy;

use support::case::Case;
use support::report::{self, Skips};
use support::world::World;

fn cases() -> Vec<Case> {
    [
        zero_copy::cases(),
        verify::cases(),
        selection::cases(),
        routing::cases(),
        errors::cases(),
        stores::cases(),
        records::cases(),
        targets::cases(),
        together::cases(),
        halfway::cases(),
        remembered::cases(),
        ledger::cases(),
        command_line::cases(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn main() -> ExitCode {
    let mut args = Arguments::from_args();
    args.test_threads.get_or_insert(2);
    if args.list {
        let trials = cases().into_iter().map(|case| Trial::test(case.name, || Ok(()))).collect();
        return libtest_mimic::run(&args, trials).exit_code();
    }

    let world = World::prepare();
    let strict = std::env::var("CI").is_ok_and(|value| value == "true") && nix::unistd::geteuid().is_root();
    let allowed = report::may_skip(&world.install.source.join("tests/may-skip.txt"));
    let mut skipped = Skips::new();
    let mut names = Vec::new();
    let mut trials = Vec::new();
    // The tests share the world with this function, which takes it back to unmount everything.
    let shared = Arc::new(world);
    for case in cases() {
        names.push(case.name.clone());
        let unmet = case.needs.iter().find_map(|need| need.check(&shared.mounts).err());
        let trial = trial(case, unmet.clone(), Arc::clone(&shared));
        if let Some(reason) = unmet
            && !args.is_filtered_out(&trial)
            && args.is_ignored(&trial)
        {
            skipped.insert(trial.name().to_owned(), reason);
        }
        trials.push(trial);
    }
    if let Some(unknown) = allowed.keys().find(|name| !names.contains(name)) {
        eprintln!("error: tests/may-skip.txt names {unknown}, which is no test");
        return ExitCode::FAILURE;
    }

    let conclusion = libtest_mimic::run(&args, trials);
    let world = Arc::into_inner(shared).expect("every test has ended");
    world.mounts.finish();
    match report::close(conclusion.num_passed, conclusion.num_failed, &skipped, strict, &allowed) {
        0 => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}

/// The test as the runner knows it: to be skipped where something is missing, and failing where it is run in spite of that.
fn trial(case: Case, unmet: Option<String>, world: Arc<World>) -> Trial {
    let skip = unmet.is_some();
    Trial::test(case.name, move || {
        if let Some(reason) = unmet {
            return Err(Failed::from(reason));
        }
        world.take_turn(case.alone, || (case.run)(&world));
        Ok(())
    })
    .with_ignored_flag(skip)
}
