//! Calls that are made again, by boot code that was told nothing: what was done is found, what is damaged is not taken for
//! done, and what is not wanted any more is given up in one call.

use std::fs;

use serde_json::{Value, json};

use super::{add_image, configure};
use crate::support::agent::{Agent, Reply};
use crate::support::case::Case;
use crate::support::fault_server::FaultServer;
use crate::support::mounts::Fs;
use crate::support::sandbox::Sandbox;
use crate::support::seeded::Content;
use crate::support::world::World;

const IMAGE: Content = Content::new(2 << 20, 91);

pub(super) fn cases() -> Vec<Case> {
    let case = |name: &str, run: fn(&World)| Case::new(format!("agent::{name}"), run).mode_independent();
    vec![
        case("what_was_moved_or_removed_is_so_when_asked_again", moved_and_removed),
        case("what_is_damaged_is_not_taken_for_placed", damaged),
        case("a_plan_tells_what_stands", planned),
        case("one_cancel_ends_all_calls_for_a_target", cancelled),
        case("what_is_being_placed_is_not_moved", being_placed),
    ]
}

struct Site<'w> {
    sandbox: Sandbox<'w>,
    server: FaultServer,
    agent: Agent,
}

impl<'w> Site<'w> {
    fn new(world: &'w World) -> Self {
        let sandbox = Sandbox::on(world, Fs::Temp);
        configure(&sandbox, "", "");
        let server = FaultServer::honest(IMAGE);
        add_image(&sandbox, "image", IMAGE, &server);
        let agent = Agent::start(&sandbox);
        Self { sandbox, server, agent }
    }

    fn request(&self, name: &str) -> Value {
        json!({ "image": { "id": "image" }, "to": self.sandbox.out(name) })
    }

    fn post(&self, what: &str, request: &Value) -> Reply {
        self.agent.ask("POST", &format!("/v0/{what}"), Some(request))
    }

    #[track_caller]
    fn refused(&self, what: &str, request: &Value) -> (u16, String) {
        let reply = self.post(what, request);
        assert_eq!(reply.document["ok"], false, "{:#}", reply.document);
        (reply.status, reply.document["error"]["code"].as_str().unwrap().to_owned())
    }
}

fn moved_and_removed(world: &World) {
    let site = Site::new(world);
    let (here, there) = (site.sandbox.out("here"), site.sandbox.out("there"));
    assert_eq!(site.post("place", &site.request("here")).status, 200);
    let request = json!({ "from": here, "to": there });
    let first = site.post("move", &request);
    assert_eq!((first.status, first.document.get("repeated")), (200, None), "{:#}", first.document);
    for _ in 0..2 {
        let again = site.post("move", &request);
        assert_eq!((again.status, &again.document["repeated"]), (200, &json!(true)), "{:#}", again.document);
        assert_eq!((&again.document["from"], &again.document["to"]), (&json!(here), &json!(there)));
    }
    // Another one, that never was what stands there.
    let other = json!({ "from": site.sandbox.out("elsewhere"), "to": there });
    assert_eq!(site.refused("move", &other), (404, "no-placement".to_owned()));
    // Something else took the old place since: that is not what was moved.
    assert_eq!(site.post("place", &site.request("here")).status, 200);
    assert_eq!(site.refused("move", &request).1, "exists");

    assert_eq!(site.post("remove", &json!({ "path": there })).status, 200);
    assert_eq!(site.refused("remove", &json!({ "path": there })), (404, "no-placement".to_owned()));
    assert!(here.exists() && !there.exists());
}

fn damaged(world: &World) {
    let site = Site::new(world);
    let placement = |name: &str| {
        let path = format!("/v0/placements?path={}", site.sandbox.out(name).display());
        let listed = site.agent.ask("GET", &path, None).document;
        let [placement] = listed["placements"].as_array().unwrap().as_slice() else { panic!("{listed:#}") };
        placement.clone()
    };
    // A mode that is said and is the usual one makes no difference.
    let usual = |name: &str| {
        let mut request = site.request(name);
        request["mode"] = "600".into();
        request
    };
    assert_eq!(site.post("place", &site.request("disk")).status, 200);
    assert_eq!(site.post("place", &usual("disk")).document["repeated"], true);
    assert_eq!(placement("disk")["stands"], true);
    // What grew is what was placed.
    let file = fs::OpenOptions::new().write(true).open(site.sandbox.out("disk")).unwrap();
    file.set_len((2 << 20) + 4096).unwrap();
    assert_eq!(site.post("place", &site.request("disk")).document["repeated"], true);
    file.set_len(4096).unwrap();
    assert_eq!(site.refused("place", &site.request("disk")), (409, "placement-damaged".to_owned()));
    assert_eq!(site.refused("plan", &site.request("disk")).1, "placement-damaged");
    let seen = placement("disk");
    assert_eq!(seen["stands"], false);
    assert!(seen["damage"].as_str().unwrap().contains("4096"), "{seen:#}");
    assert_eq!(site.post("remove", &json!({ "path": site.sandbox.out("disk") })).status, 200);
    assert_eq!(site.post("place", &site.request("disk")).status, 200);

    // Each disk of a directory counts.
    let group = json!({
        "group": [{ "name": "root", "image": { "id": "image" } }, { "name": "data", "image": { "id": "image" } }],
        "to_dir": site.sandbox.out("group"),
    });
    let placed = site.post("place", &group).document;
    let names: Vec<_> =
        placed["targets"].as_array().unwrap().iter().map(|target| target["image_name"].clone()).collect();
    assert_eq!(names, ["root", "data"], "{placed:#}");
    assert_eq!(site.post("place", &group).document["repeated"], true);
    fs::remove_file(site.sandbox.out("group/disk-1.raw")).unwrap();
    let refused = site.post("place", &group).document;
    assert_eq!(refused["error"]["code"], "placement-damaged", "{refused:#}");
    assert!(refused["error"]["message"].as_str().unwrap().contains("disk-1.raw"), "{refused:#}");
    assert!(placement("group")["damage"].as_str().unwrap().contains("disk-1.raw is missing"));
}

fn planned(world: &World) {
    let site = Site::new(world);
    let plan = |request: &Value| site.post("plan", request);
    let before = plan(&site.request("disk"));
    assert_eq!((before.status, before.document.get("repeated")), (200, None), "{:#}", before.document);
    assert_eq!(site.post("place", &site.request("disk")).status, 200);
    let after = plan(&site.request("disk"));
    assert_eq!((after.status, &after.document["repeated"]), (200, &json!(true)), "{:#}", after.document);
    let mut other = site.request("disk");
    other["mode"] = "0640".into();
    assert_eq!(site.refused("plan", &other), (409, "exists".to_owned()));
}

fn cancelled(world: &World) {
    let site = Site::new(world);
    site.server.hold_after(1 << 20);
    let first = site.agent.begin(&site.request("disk"));
    site.agent.until("it is being moved", || site.agent.job(&first)["progress"]["stage"] == "moving");
    // The same call again, and one for another target, that goes on.
    let again = site.agent.begin(&site.request("disk"));
    let other = site.agent.begin(&site.request("other"));
    let listed = |path: &str| {
        let path = format!("/v0/jobs?path={}", site.sandbox.out(path).display());
        let jobs = site.agent.ask("GET", &path, None).document;
        let ids = jobs["jobs"].as_array().unwrap().iter().map(|job| job["job"].as_str().unwrap().to_owned());
        ids.collect::<std::collections::BTreeSet<_>>()
    };
    assert_eq!(listed("disk"), [first.clone(), again.clone()].into());
    assert_eq!(listed("other"), [other.clone()].into());
    let given_up = site.post("cancel", &json!({ "path": site.sandbox.out("./disk") }));
    assert_eq!(given_up.status, 200);
    let jobs = given_up.document["jobs"].as_array().unwrap();
    assert_eq!(jobs.len(), 2, "{:#}", given_up.document);
    for job in jobs {
        assert_eq!(job["report"]["error"]["kind"], "cancelled", "{job:#}");
        assert_eq!(job["report"]["error"]["retry"], "no");
    }
    site.server.go_on();
    assert_eq!(site.agent.report(&other)["ok"], true);
    assert!(!site.sandbox.out("disk").exists());
    // Nothing is left to be given up.
    let nothing = site.post("cancel", &json!({ "path": site.sandbox.out("disk") }));
    assert_eq!((nothing.status, &nothing.document["jobs"]), (200, &json!([])));
    assert_eq!(site.refused("cancel", &json!({ "path": "disk" })), (400, "request".to_owned()));
    assert_eq!(site.post("place", &site.request("disk")).status, 200);
}

fn being_placed(world: &World) {
    let site = Site::new(world);
    assert_eq!(site.post("place", &site.request("here")).status, 200);
    let slow = FaultServer::honest(Content::new(3 << 20, 92));
    add_image(&site.sandbox, "slow", Content::new(3 << 20, 92), &slow);
    slow.hold_after(1 << 20);
    let there = site.sandbox.out("there");
    let job = site.agent.begin(&json!({ "image": { "id": "slow" }, "to": there }));
    site.agent.until("it is being moved", || site.agent.job(&job)["progress"]["stage"] == "moving");
    let request = json!({ "from": site.sandbox.out("here"), "to": there });
    assert_eq!(site.refused("move", &request), (409, "target-in-use".to_owned()));
    slow.go_on();
    assert_eq!(site.agent.report(&job)["ok"], true);
    assert_eq!(site.refused("move", &request), (409, "exists".to_owned()));
}
