//! End-to-end tests of the `landfall` binary: real file systems, real plugins, hostile inputs.
//!
//! They see what a caller sees: the command line, JSON, exit statuses and files. A test whose needs this machine does not
//! meet is skipped by name, with the reason; in continuous integration as root a skip must be explained in may-skip.txt.
//! `LANDFALL_FULL=1` selects the full counts of repeated tests.
//!
//! Each test runs twice: with plugins in the agent, and, as `worker::NAME`, with plugins in workers. Exceptions say so
//! where they are listed (`Case::mode_independent`, `Case::worker_in_full`).

// A failed unwrap is a failed test, and what is printed is the report.
#![allow(clippy::unwrap_used, clippy::disallowed_macros)]

use std::path::Path;
use std::process::ExitCode;

use libtest_mimic::{Arguments, Failed, Trial};

mod agent;
mod canary;
mod chains;
mod command_line;
mod conformance;
mod differential;
mod directories;
mod errors;
mod failover;
mod faults;
mod glance;
mod halfway;
mod hostile;
mod http;
mod ledger;
mod locations;
mod measured;
mod nginx;
mod oslo;
mod panics;
mod plan;
mod plugins;
mod progress;
mod records;
mod remembered;
mod replay;
mod resume;
mod routing;
mod rules;
mod s3;
mod scrub;
mod secrets;
mod selection;
mod services_smoke;
mod stores;
mod support;
mod swift;
mod targets;
mod together;
mod unpack;
mod verify;
mod villain;
mod zero_copy;

use support::case::Case;
use support::mode::Mode;
use support::report::{self, Skips};
use support::world::{World, is_full};

fn cases() -> Vec<Case> {
    [
        zero_copy::cases(),
        verify::cases(),
        selection::cases(),
        routing::cases(),
        rules::cases(),
        errors::cases(),
        stores::cases(),
        records::cases(),
        targets::cases(),
        directories::cases(),
        unpack::cases(),
        differential::cases(),
        oslo::cases(),
        hostile::cases(),
        agent::cases(),
        together::cases(),
        halfway::cases(),
        remembered::cases(),
        ledger::cases(),
        locations::cases(),
        measured::cases(),
        plan::cases(),
        replay::cases(),
        scrub::cases(),
        panics::cases(),
        plugins::cases(),
        conformance::cases(),
        progress::cases(),
        secrets::cases(),
        command_line::cases(),
        chains::cases(),
        failover::cases(),
        resume::cases(),
        http::cases(),
        nginx::cases(),
        services_smoke::cases(),
        swift::cases(),
        glance::cases(),
        s3::cases(),
        canary::cases(),
        faults::cases(),
        villain::cases(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Every test of every mode. With `full`, those of the long run too.
fn all(full: bool) -> impl Iterator<Item = (Mode, Case)> {
    let of = move |mode| cases().into_iter().filter(move |case| case.runs_in(mode, full)).map(move |case| (mode, case));
    Mode::ALL.into_iter().flat_map(of)
}

fn main() -> ExitCode {
    let mut args = Arguments::from_args();
    args.test_threads.get_or_insert(2);
    if args.list {
        let trials = all(is_full()).map(|(mode, case)| Trial::test(mode.named(&case.name), || Ok(()))).collect();
        return libtest_mimic::run(&args, trials).exit_code();
    }

    let allowed = report::may_skip(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/may-skip.txt"));
    let names: Vec<String> = all(true).map(|(mode, case)| mode.named(&case.name)).collect();
    if let Some(unknown) = allowed.keys().find(|name| !names.contains(name)) {
        eprintln!("error: tests/may-skip.txt names {unknown}, which is no test");
        return ExitCode::FAILURE;
    }

    let world = World::prepare();
    let strict = std::env::var("CI").is_ok_and(|value| value == "true") && nix::unistd::geteuid().is_root();
    let mut skipped = Skips::new();
    let mut trials = Vec::new();
    for (mode, case) in all(is_full()) {
        let unmet = case.needs.iter().find_map(|need| need.check(&world.mounts).err());
        let trial = trial(case, unmet.clone(), world.of_mode(mode));
        if let Some(reason) = unmet
            && !args.is_filtered_out(&trial)
            && args.is_ignored(&trial)
        {
            skipped.insert(trial.name().to_owned(), reason);
        }
        trials.push(trial);
    }

    let conclusion = libtest_mimic::run(&args, trials);
    faults::tell();
    support::openstack::finish();
    let running = world.finish();
    if !running.is_empty() {
        println!("FAILED processes outlived the tests that started them:\n{}", running.join("\n"));
    }
    let failed = conclusion.num_failed + running.len() as u64;
    match report::close(conclusion.num_passed, failed, &skipped, strict, &allowed) {
        0 => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}

/// The test as the runner knows it: to be skipped where something is missing, and failing where it is run in spite of that.
fn trial(case: Case, unmet: Option<String>, world: World) -> Trial {
    let skip = unmet.is_some();
    Trial::test(world.mode.named(&case.name), move || {
        if let Some(reason) = unmet {
            return Err(Failed::from(reason));
        }
        (case.run)(&world);
        Ok(())
    })
    .with_ignored_flag(skip)
}
