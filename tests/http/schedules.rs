//! Downloads in which every request may meet a fault, as a seed has it: exact bytes or a named error, in bounded requests.

use std::fmt::Write as _;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::thread;

use super::lies::ALLOWED;
use crate::support::case::Case;
use crate::support::fault_server::{FaultServer, Plan, Random, Schedule, Site, Validators};
use crate::support::left_over::names;
use crate::support::mounts::Fs;
use crate::support::sandbox::Sandbox;
use crate::support::seeded::Content;
use crate::support::world::World;

const MIB: u64 = 1 << 20;
/// Sizes around the blocks and ranges that are dealt with.
const SIZES: [u64; 10] = [0, 1, 4097, 65_535, 65_537, MIB - 1, MIB, MIB + 1, 2 * MIB + 4095, 6 * MIB];
/// The most faults of one server, and the requests that it may be asked in all: each fault once, each range some times.
const FAULTS_MOST: u64 = 8;
const REQUESTS_MOST: usize = 40;
/// What a placement may fail with.
const NAMED: [(&str, &str); 14] = [
    ("unavailable", "connection-lost"),
    ("unavailable", "connect-failed"),
    ("unavailable", "connect-refused"),
    ("unavailable", "short-body"),
    ("unavailable", "http-500"),
    ("unavailable", "http-503"),
    ("unavailable", "http-504"),
    ("corrupt", "bad-framing"),
    ("corrupt", "bad-response"),
    ("corrupt", "digest-mismatch"),
    ("corrupt", "range-mismatch"),
    ("corrupt", "size-mismatch"),
    ("corrupt", "source-changed"),
    ("corrupt", "unexpected-encoding"),
];
const AT_ONCE: usize = 4;

pub(super) fn cases() -> Vec<Case> {
    vec![Case::new("http::seeded_schedules", schedules)]
}

/// What came of all seeds.
#[derive(Default)]
struct Sum {
    exact: AtomicUsize,
    failed: AtomicUsize,
    faults: AtomicUsize,
    in_mid_transfer: AtomicUsize,
}

fn schedules(world: &World) {
    let seeds: Vec<u64> = match std::env::var("LANDFALL_SEED") {
        Ok(seed) => vec![seed.parse().expect("LANDFALL_SEED is a number")],
        Err(_) => (0..world.rounds(40, 1000) as u64).collect(),
    };
    let (next, wrongs, sum) = (AtomicUsize::new(0), Mutex::new(Vec::new()), Sum::default());
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some(&seed) = seeds.get(next.fetch_add(1, SeqCst)) {
                    if let Err(wrong) = one(world, seed, &sum) {
                        wrongs.lock().unwrap().push(format!("LANDFALL_SEED={seed}: {wrong}"));
                    }
                }
            });
        }
    });
    let wrongs = wrongs.into_inner().unwrap();
    assert!(wrongs.is_empty(), "{} of {} seeds:\n{}", wrongs.len(), seeds.len(), wrongs.join("\n"));
    let counts = [&sum.exact, &sum.failed, &sum.faults, &sum.in_mid_transfer].map(|count| count.load(SeqCst));
    assert_eq!(counts[0] + counts[1], seeds.len());
    if seeds.len() > 1 {
        assert!(counts.iter().all(|&count| count > 0), "exact, failed, faults, in mid-transfer: {counts:?}");
    }
}

fn one(world: &World, seed: u64, sum: &Sum) -> Result<(), String> {
    let mut random = Random::new(seed);
    let size = if random.chance(50) { random.one_of(&SIZES) } else { random.below(6 * MIB) };
    let content = Content::new(size, 1000 + seed);
    let connections = random.one_of(&[1, 2, 4, 8, 16]);
    // One that is alone is waited for: its faults are fewer.
    let locations = random.one_of(&[1, 2, 2, 3, 3]);
    let transient = if locations == 1 { 25 } else { 45 };
    let servers: Vec<FaultServer> = (0..locations)
        .map(|_| {
            let schedule = Schedule::random(&mut random, FAULTS_MOST, transient, 8);
            let validators = random.one_of(&[
                Validators::Strong,
                Validators::Strong,
                Validators::Weak,
                Validators::Date,
                Validators::None,
            ]);
            let site = Site::new(content).with_plan(Plan::Listed(schedule)).with_validators(validators);
            FaultServer::start(site.with_ranges(random.chance(85)).cut_at(1 + random.below(999)))
        })
        .collect();
    let sandbox = Sandbox::on(world, Fs::Temp);
    sandbox.configure("", &format!("{ALLOWED}[limits]\nconnections_per_origin = {connections}\n"));
    let urls: Vec<String> = servers.iter().map(|server| server.url("/disk.raw")).collect();
    let path = sandbox.record("image.json", &content.record(&urls));
    let answer = sandbox.place(path, "disk").args(["--deadline", "60s"]).run();

    let counts: Vec<_> = servers.iter().map(FaultServer::counts).collect();
    let mut story = format!("{size} bytes, {connections} connections; ");
    for counts in &counts {
        sum.faults.fetch_add(counts.lies, SeqCst);
        sum.in_mid_transfer.fetch_add(counts.broken_off, SeqCst);
        let _ = write!(story, "{} requests and {} faults; ", counts.requests.len(), counts.lies);
    }
    let left = names(sandbox.out_dir());
    let error = &answer.document()["error"];
    let named = NAMED.iter().any(|(kind, code)| error["kind"] == *kind && error["code"] == *code);
    if let Some(counts) = counts.iter().find(|counts| counts.requests.len() > REQUESTS_MOST) {
        return Err(format!("{story}{} requests to one server: {answer:#?}", counts.requests.len()));
    }
    match answer.status {
        0 => {
            sum.exact.fetch_add(1, SeqCst);
            match content.fault_of(&sandbox.out("disk")) {
                Some(fault) => Err(format!("{story}{fault}: {answer:#?}")),
                None if left != ["disk"] => Err(format!("{story}left {left:?}")),
                None => Ok(()),
            }
        }
        _ => {
            sum.failed.fetch_add(1, SeqCst);
            if !named {
                Err(format!("{story}an error that is not expected: {answer:#?}"))
            } else if !left.is_empty() {
                Err(format!("{story}left {left:?}: {answer:#?}"))
            } else if counts.iter().any(|counts| counts.lies == 0) {
                Err(format!("{story}it failed although one server met no fault: {answer:#?}"))
            } else {
                Ok(())
            }
        }
    }
}
