//! Many callers at once: each image is fetched once, and everybody gets it.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::{add_image, configure};
use crate::support::agent::{Agent, Caller};
use crate::support::case::Case;
use crate::support::fault_server::FaultServer;
use crate::support::left_over::names;
use crate::support::mounts::Fs;
use crate::support::needs::Need;
use crate::support::sandbox::Sandbox;
use crate::support::seeded::Content;
use crate::support::world::World;

const MIB: u64 = 1 << 20;
const STORM: usize = 64;
/// No call is turned away, and no agent waits longer for a handler than a test does.
const ROOM: &str = "queue = 1000\nqueue_per_caller = 1000\nconnections = 1000\nconnections_per_caller = 1000";

pub(super) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for fs in [Fs::Xfs, Fs::Ext4] {
        let case = |what: &str, run: fn(&World, Fs)| {
            let case = Case::new(format!("agent::{what}_on_{}", fs.name()), move |world| run(world, fs));
            case.on(fs).needs(&[Need::Program("python3")])
        };
        cases.push(case("sixty_four_callers_want_one_image", one_image));
        cases.push(case("sixty_four_callers_want_four_images", four_images).worker_in_full());
        cases.push(case("callers_that_die_stop_nobody", dying_callers).worker_in_full());
        cases.push(case("a_killed_agent_is_started_again_in_a_storm", killed_agent).worker_in_full());
        cases.push(case("who_comes_late_gets_what_is_held", late_caller).mode_independent());
    }
    cases.push(Case::new("agent::a_flight_outlives_its_first_caller", first_caller_leaves));
    cases.push(Case::new("agent::the_same_call_again_joins", same_call).mode_independent());
    cases
}

/// Images, each with an origin of its own that can be held.
struct Storm<'w> {
    sandbox: Sandbox<'w>,
    servers: Vec<FaultServer>,
    images: Vec<(String, Content)>,
}

impl<'w> Storm<'w> {
    fn new(world: &'w World, fs: Fs, images: usize, size: u64) -> Self {
        let sandbox = Sandbox::across(world, Fs::Temp, fs);
        configure(&sandbox, ROOM, "[limits]\nresume_bytes = \"1MiB\"\n");
        let images: Vec<_> =
            (0..images).map(|number| (format!("image-{number}"), Content::new(size, 7 + number as u64))).collect();
        let servers: Vec<_> = images.iter().map(|(_, content)| FaultServer::honest(*content)).collect();
        for ((id, content), server) in images.iter().zip(&servers) {
            add_image(&sandbox, id, *content, server);
        }
        Self { sandbox, servers, images }
    }

    /// No origin serves more than so much until all are let go on.
    fn hold_after(&self, bytes: u64) {
        self.servers.iter().for_each(|server| server.hold_after(bytes));
    }

    fn go_on(&self) {
        self.servers.iter().for_each(FaultServer::go_on);
    }

    /// Bytes of the images that were served.
    fn served(&self) -> u64 {
        self.servers.iter().map(|server| server.counts().sent_content()).sum()
    }

    fn target(&self, number: usize) -> PathBuf {
        self.sandbox.out(&format!("disk-{number:02}"))
    }

    fn request(&self, number: usize) -> String {
        let (id, _) = &self.images[number % self.images.len()];
        json!({ "image": { "id": id }, "to": self.target(number) }).to_string()
    }

    /// Starts callers and waits until the agent has them all.
    fn callers(&self, agent: &Agent, tries: u32) -> Vec<Caller> {
        let callers: Vec<_> =
            (0..STORM).map(|number| agent.caller(&self.sandbox, None, "place", &self.request(number), tries)).collect();
        agent.until("all callers are waiting", || agent.metric("landfall_jobs_running") == STORM as u64);
        callers
    }

    /// Every target has its image's bytes, and nothing else is there.
    fn check_targets(&self, numbers: impl IntoIterator<Item = usize>) {
        let mut expected = Vec::new();
        for number in numbers {
            let (_, content) = self.images[number % self.images.len()];
            assert_eq!(content.fault_of(&self.target(number)), None, "disk {number}");
            expected.push(format!("disk-{number:02}"));
        }
        assert_eq!(names(self.sandbox.out_dir()), expected);
    }

    /// The origin served each byte of each image once.
    fn check_served_once(&self) {
        let all: u64 = self.images.iter().map(|(_, content)| content.size).sum();
        assert_eq!(self.served(), all, "bytes served");
    }
}

fn ok(answer: &Value) {
    assert_eq!(answer["ok"], true, "{answer:#}");
    assert_eq!(answer["verified"], "computed", "{answer:#}");
}

fn one_image(world: &World, fs: Fs) {
    let storm = Storm::new(world, fs, 1, 8 * MIB);
    storm.hold_after(MIB);
    let agent = Agent::start(&storm.sandbox);
    let callers = storm.callers(&agent, 1);
    storm.go_on();
    callers.into_iter().for_each(|caller| ok(&caller.finish()));
    storm.check_targets(0..STORM);
    storm.check_served_once();
    assert_eq!(agent.metric("landfall_saved_bytes_total"), (STORM as u64 - 1) * 8 * MIB);
    assert_eq!(agent.metric("landfall_jobs_running"), 0);
}

fn four_images(world: &World, fs: Fs) {
    let storm = Storm::new(world, fs, 4, 4 * MIB);
    storm.hold_after(MIB);
    let agent = Agent::start(&storm.sandbox);
    let callers = storm.callers(&agent, 1);
    storm.go_on();
    callers.into_iter().for_each(|caller| ok(&caller.finish()));
    storm.check_targets(0..STORM);
    storm.check_served_once();
}

/// Half of the callers are killed while they wait, the one that came first among them. What they asked for is done all the
/// same: nobody told the agent to stop it.
fn dying_callers(world: &World, fs: Fs) {
    let storm = Storm::new(world, fs, 1, 8 * MIB);
    storm.hold_after(MIB);
    let agent = Agent::start(&storm.sandbox);
    let callers = storm.callers(&agent, 1);
    let mut living = Vec::new();
    for (number, caller) in callers.into_iter().enumerate() {
        if number % 2 == 0 { caller.kill() } else { living.push(caller) }
    }
    storm.go_on();
    living.into_iter().for_each(|caller| ok(&caller.finish()));
    agent.until("all jobs end", || agent.metric("landfall_jobs_running") == 0);
    storm.check_targets(0..STORM);
    storm.check_served_once();
    agent.until("connections end", || agent.metric("landfall_connections") == 1);
}

/// The agent is killed when a part of the image is there, and started again: no caller fails, and what was there is not
/// fetched a second time.
fn killed_agent(world: &World, fs: Fs) {
    let size = 96 * MIB;
    let storm = Storm::new(world, fs, 1, size);
    let held = 80 * MIB;
    storm.hold_after(held);
    let mut agent = Agent::start(&storm.sandbox);
    let callers = storm.callers(&agent, 60);
    agent.until("a part is there", || storm.served() >= held);
    // A checkpoint is made of what was written before it.
    let journal = || names(storm.sandbox.out_dir()).iter().any(|name| name.ends_with(".journal"));
    agent.until("there is a checkpoint", || journal() && has_checkpoint(&storm.sandbox));
    agent.kill();
    storm.go_on();
    let agent = Agent::start(&storm.sandbox);
    callers.into_iter().for_each(|caller| ok(&caller.finish()));
    storm.check_targets(0..STORM);
    let served = storm.served();
    assert!(served < size + held, "{served} bytes were served: nothing was gone on with");
    assert_eq!(agent.metric("landfall_jobs_running"), 0);
}

fn has_checkpoint(sandbox: &Sandbox<'_>) -> bool {
    let journals = names(sandbox.out_dir()).into_iter().filter(|name| name.ends_with(".journal"));
    journals.into_iter().any(|name| sandbox.out(&name).metadata().is_ok_and(|metadata| metadata.len() > 0))
}

/// Whoever asks a little later gets what is still held, by a clone or a copy, and the origin is not asked again.
fn late_caller(world: &World, fs: Fs) {
    let storm = Storm::new(world, fs, 1, 4 * MIB);
    let agent = Agent::start(&storm.sandbox);
    let place = |number| agent.place(&serde_json::from_str(&storm.request(number)).unwrap());
    let first = place(0);
    assert_eq!((first.status, &first.document["method"]), (200, &json!("stream")), "{:#}", first.document);
    let late = place(1);
    let method = if fs == Fs::Xfs { "reflink" } else { "copy" };
    assert_eq!((late.status, &late.document["method"]), (200, &json!(method)), "{:#}", late.document);
    storm.check_targets(0..2);
    storm.check_served_once();
    // What one of them writes is its own.
    std::fs::write(storm.target(0), b"changed").unwrap();
    assert_eq!(place(2).status, 200);
    assert_eq!(storm.images[0].1.fault_of(&storm.target(2)), None);
    assert_eq!(agent.metric("landfall_held_images"), 1);
}

/// The first caller gives up, by a cancel or by its deadline; the others get their disks from the same movement.
fn first_caller_leaves(world: &World) {
    let storm = Storm::new(world, Fs::Temp, 1, 4 * MIB);
    storm.hold_after(MIB);
    let agent = Agent::start(&storm.sandbox);
    let request = |number| serde_json::from_str::<Value>(&storm.request(number)).unwrap();
    let first = agent.begin(&request(0));
    agent.until("it is being moved", || agent.job(&first)["progress"]["stage"] == "moving");
    let mut hasty = request(1);
    hasty["deadline_seconds"] = json!(0.05);
    let hasty = agent.begin(&hasty);
    let last = agent.begin(&request(2));
    let cancelled = agent.ask("POST", &format!("/v0/jobs/{first}/cancel"), None);
    assert_eq!(cancelled.status, 200);
    for (job, code) in [(&first, "cancelled"), (&hasty, "deadline")] {
        let report = agent.report(job);
        assert_eq!((&report["error"]["kind"], &report["error"]["code"]), (&json!("cancelled"), &json!(code)));
        // Who gave it up wants no client to call again.
        assert_eq!(report["error"]["retry"], if code == "cancelled" { "no" } else { "later" });
        assert_eq!(agent.job(job)["progress"]["stage"], "failed");
    }
    storm.go_on();
    assert_eq!(agent.report(&last)["ok"], true);
    agent.until("the stage is gone", || names(storm.sandbox.out_dir()) == ["disk-02"]);
    storm.check_targets([2]);
    storm.check_served_once();
    // Where the last one leaves, the movement ends.
    storm.hold_after(0);
    let mut other = request(3);
    other["allow_unhashed"] = json!(true);
    let other = agent.begin(&other);
    agent.until("it is being moved", || agent.job(&other)["progress"]["stage"] == "moving");
    let removal = agent.ask("POST", "/v0/remove", Some(&json!({ "path": storm.target(3) })));
    assert_eq!((removal.status, &removal.document["error"]["code"]), (409, &json!("target-in-use")));
    assert!(removal.document["error"]["message"].as_str().unwrap().contains(&other));
    agent.ask("POST", &format!("/v0/jobs/{other}/cancel"), None);
    agent.until("nothing is left of it", || names(storm.sandbox.out_dir()) == ["disk-02"]);
}

/// The same call while it runs, and when it is done; and another for the same target.
fn same_call(world: &World) {
    let storm = Storm::new(world, Fs::Temp, 2, 2 * MIB);
    storm.hold_after(MIB);
    let agent = Agent::start(&storm.sandbox);
    let request: Value = serde_json::from_str(&storm.request(0)).unwrap();
    let first = agent.begin(&request);
    agent.until("it is being moved", || agent.job(&first)["progress"]["stage"] == "moving");
    let again = agent.begin(&request);
    let mut other = request.clone();
    other["image"]["id"] = json!("image-1");
    let refused = agent.place(&other);
    assert_eq!((refused.status, &refused.document["error"]["code"]), (409, &json!("target-in-use")));
    storm.go_on();
    let reports = [agent.report(&first), agent.report(&again)];
    assert!(reports.iter().all(|report| report["ok"] == true), "{reports:#?}");
    assert_eq!((&reports[0]["repeated"], &reports[1]["repeated"]), (&Value::Null, &json!(true)));
    let done = agent.place(&request);
    assert_eq!((done.status, &done.document["repeated"]), (200, &json!(true)), "{:#}", done.document);
    let refused = agent.place(&other);
    assert_eq!((refused.status, &refused.document["error"]["code"]), (409, &json!("exists")));
    storm.check_targets([0]);
}
