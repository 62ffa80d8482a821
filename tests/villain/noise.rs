//! What a worker says, and what it must not.

use std::fs;

use nix::sys::signal::{Signal, kill};

use crate::secrets::files_with_secret;
use crate::support::answer::{CANARY, has_secret};
use crate::support::world::World;

use super::lab::{Lab, Place, SIZE, Settings};

/// Lines of one worker that are shown, and some of the command's own.
const LINES_MOST: usize = 210;

pub(super) fn flood(world: &World) {
    let lab = Lab::new(world);
    lab.configure(&Settings::calm());
    for place in [Place::Open, Place::Transfer] {
        let answer = lab.place(&lab.record("log-flood", place, false), "disk").run();
        answer.success();
        assert!(lab.take("disk", SIZE));
        let shown = answer.stderr.lines().filter(|line| line.contains("which nobody wants to read")).count();
        assert!((100..LINES_MOST).contains(&shown), "{shown} lines");
        assert!(answer.stderr.lines().count() < LINES_MOST, "{} lines", answer.stderr.lines().count());
        assert!(answer.stderr.contains("has more to say, which is not shown"), "{answer:#?}");
    }
    lab.assert_left(&[]);
}

/// The villain has the secret in its memory, and dies, or is looked at from outside.
pub(super) fn secrets(world: &World) {
    let lab = Lab::new(world);
    let record = |deed: &str, place: Place| {
        let mut record = lab.record(deed, place, false);
        // The villain asks for the whole URL, and does not mind a fragment.
        let url = format!("{}#token={CANARY}", record["locations"][0]["url"].as_str().unwrap());
        record["locations"][0]["url"] = url.into();
        record
    };
    lab.configure(&Settings::calm());
    // Every answer is searched by the runner.
    let table = [
        ("segv", "worker-signal"),
        ("abort", "worker-signal"),
        ("exit", "worker-exit"),
        ("garbage", "wire-garbage"),
        ("eat-memory", "worker-memory"),
    ];
    for (deed, code) in table {
        for place in [Place::Probe, Place::Open, Place::Read, Place::Transfer] {
            let answer = lab.place(&record(deed, place), "disk").run();
            match place {
                Place::Probe => answer.failure("crashed", code, "request"),
                _ => answer.failure("crashed", code, "handler"),
            };
        }
    }
    lab.place(&record("fine", Place::Open), "disk").run().success();
    assert!(lab.take("disk", SIZE));

    // Arguments and environment of agent and worker, while the worker has it.
    let running = lab.place(&record("stop", Place::Open), "disk").spawn();
    let worker = lab.until_stopped(&running);
    assert_eq!(lab.processes().len(), 2, "agent and worker: {:?}", lab.processes());
    for (process, line) in lab.processes() {
        assert!(!has_secret(&line), "{line}");
        // The environment is for root's eyes, once the worker hides its memory.
        let environment = fs::read(format!("/proc/{process}/environ"));
        assert!(environment.is_ok() || !nix::unistd::geteuid().is_root(), "{environment:?}");
        assert!(!has_secret(&String::from_utf8_lossy(&environment.unwrap_or_default())), "{line}");
    }
    kill(worker, Signal::SIGKILL).unwrap();
    running.finish().failure("crashed", "worker-killed", "handler");

    for command in ["placements", "history"] {
        lab.sandbox.landfall(command).run().success();
        lab.sandbox.landfall(command).json().run().success();
    }
    let found = files_with_secret(&lab.sandbox.home(""));
    assert!(!found.is_empty(), "the search finds the records");
    assert!(found.iter().all(|file| file.extension().is_some_and(|end| end == "json")), "{found:?}");
    assert!(files_with_secret(lab.sandbox.out_dir()).is_empty());
    lab.assert_left(&[]);
}
