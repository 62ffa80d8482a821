//! Many jobs, one after the other: what was there before is there afterwards, and nothing else.

use std::fs;

use nix::sys::signal::{Signal, kill};

use crate::support::world::World;

use super::lab::{DEEDS, Lab, Place, SIZE, Settings, Where, is_endless};

/// Where each deed is done, in turn.
const PLACES: [Place; 4] = [Place::Open, Place::Read, Place::Transfer, Place::Unpack];

pub(super) fn many(world: &World) {
    let lab = Lab::new(world);
    let rounds = world.rounds(50, 500);
    look_sees(&lab);
    // Those that end by themselves; that a worker which never does is ended is shown elsewhere, and takes its time.
    let takes_time = |deed: &str| is_endless(deed) || ["spin", "log-flood"].contains(&deed);
    let quick: Vec<_> = DEEDS.into_iter().filter(|(deed, _)| !takes_time(deed)).collect();
    lab.configure(&Settings::calm());
    let mut names = Vec::new();
    for round in 0..rounds {
        let (deed, known) = quick[round % quick.len()];
        // An unpacker's own word on the size is believed.
        let place = match (PLACES[round / quick.len() % PLACES.len()], deed) {
            (Place::Unpack, "wrong-size") => Place::Transfer,
            (place, _) if known.has(place) => place,
            _ if matches!(known, Where::Bytes) => Place::Read,
            _ => Place::Transfer,
        };
        let name = format!("disk-{round}");
        let answer = lab.place(&lab.record(deed, place, true), &name).run();
        answer.success();
        assert!(lab.take(&name, SIZE), "{deed} at {}: {answer:#?}", place.name());
        // It stays placed: the name is back, with other bytes, which are nobody's concern.
        fs::write(lab.sandbox.out(&name), "").unwrap();
        assert!(lab.processes().is_empty(), "{deed} at {} left {:?}", place.name(), lab.processes());
        names.push(name);
    }
    names.sort();
    lab.assert_left(&names.iter().map(String::as_str).collect::<Vec<_>>());
    // Each job is in the history once, and nothing is on its way any more.
    let answer = lab.sandbox.landfall("history").args(["--most", "1000"]).json().run();
    let entries = answer.success()["entries"].as_array().unwrap_or_else(|| panic!("{answer:#?}")).len();
    assert_eq!(entries, rounds + 1, "with the one that was killed");
    let placed: Vec<_> = names.iter().map(|name| lab.sandbox.out(name)).collect();
    assert_eq!(lab.sandbox.placements(), placed);
}

/// Without this, that no process is found would say nothing.
fn look_sees(lab: &Lab<'_>) {
    lab.configure(&Settings::calm());
    let running = lab.place(&lab.record("stop", Place::Open, false), "stopped").spawn();
    let worker = lab.until_stopped(&running);
    assert_eq!(lab.processes().len(), 2, "agent and worker: {:?}", lab.processes());
    kill(worker, Signal::SIGKILL).unwrap();
    running.finish().failure("crashed", "worker-killed", "handler");
    lab.assert_left(&[]);
}
