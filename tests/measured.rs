//! Selection by what the node has measured: origins that are slow, that change, that fail.

use std::fs;

use serde_json::Value;

use crate::support::case::Case;
use crate::support::fault_server::{ClosedPort, FaultServer};
use crate::support::mounts::Fs;
use crate::support::sandbox::Sandbox;
use crate::support::seeded::Content;
use crate::support::world::World;

/// Ten seconds at the slowest rate below.
const IMAGE: Content = Content::new(8 << 20, 81);
const SLOW: u64 = 800 << 10;
const MIDDLE: u64 = 4 << 20;

pub(crate) fn cases() -> Vec<Case> {
    let case = |name: &str, run: fn(&World)| Case::new(format!("measured::{name}"), run).mode_independent();
    vec![
        case("three_origins_whose_rates_change", changing),
        case("what_fails_goes_behind", failing),
        case("a_wrong_image_says_nothing_of_its_store", wrong),
        case("rules_may_speak_of_what_was_measured", rules),
        case("what_was_measured_is_no_condition", broken),
    ]
}

struct Site<'w> {
    sandbox: Sandbox<'w>,
    record: Value,
    placed: u32,
}

impl<'w> Site<'w> {
    fn new(world: &'w World, top: &str, more: &str, urls: &[String]) -> Self {
        let sandbox = Sandbox::on(world, Fs::Temp);
        let http = "[handler.http]\nallow_addresses = [\"127.0.0.1/32\"]\n";
        sandbox.configure(top, &format!("{http}{more}"));
        let mut record = IMAGE.record(urls);
        record["id"] = "image".into();
        Self { sandbox, record, placed: 0 }
    }

    /// Places it once more; gives the document.
    fn place(&mut self) -> Value {
        self.placed += 1;
        let name = format!("disk-{}", self.placed);
        let document = self.sandbox.place_value(&self.record, &name).success().clone();
        assert!(fs::read(self.sandbox.out(&name)).unwrap() == IMAGE.bytes(), "{document:#}");
        document
    }

    fn plan(&self) -> Value {
        let path = self.sandbox.record("image.json", &self.record);
        let plan = self.sandbox.landfall("plan").json().arg(&path).arg("--to").arg(self.sandbox.out("new")).run();
        plan.success().clone()
    }

    /// What the next attempt at each location is thought to take, in the record's order.
    fn predicted(&self) -> Vec<f64> {
        let plan = self.plan();
        let planned = plan["decision"]["planned"].as_array().unwrap();
        let of = |location: &Value| {
            let url = location["url"].as_str().unwrap();
            let own = planned.iter().find(|planned| planned["locations"][0] == url).unwrap();
            own["predicted"]["seconds"].as_f64().unwrap_or_else(|| panic!("no prediction in {own:#}"))
        };
        self.record["locations"].as_array().unwrap().iter().map(of).collect()
    }

    /// Places so often; gives how often the last location to give bytes was each of the record's.
    fn served(&mut self, times: usize) -> Vec<usize> {
        let mut counts = vec![0; self.record["locations"].as_array().unwrap().len()];
        for _ in 0..times {
            let document = self.place();
            let last = document["attempts"].as_array().unwrap().last().unwrap()["locations"][0].clone();
            let locations = self.record["locations"].as_array().unwrap();
            counts[locations.iter().position(|location| location["url"] == last).unwrap()] += 1;
        }
        counts
    }
}

/// Three origins, one of them as fast as it can be, and every time another one. No rate is measured here: what is looked at is whom
/// the placements go to, and that the predictions are in the order of the caps.
fn changing(world: &World) {
    let servers = [FaultServer::honest(IMAGE), FaultServer::honest(IMAGE), FaultServer::honest(IMAGE)];
    let urls = [0, 1, 2].map(|at: usize| servers[at].url("/image"));
    let mut site = Site::new(world, "selection = [\"fastest\"]", "", &urls);
    let caps = |caps: [Option<u64>; 3]| servers.iter().zip(caps).for_each(|(server, cap)| server.limit(cap));

    // Nothing is known: the record's order decides, and others are tried soon.
    caps([Some(SLOW), None, Some(MIDDLE)]);
    let first = site.plan();
    assert_eq!(first["decision"]["planned"][0]["predicted"]["samples"], 0, "{first:#}");
    assert!(first["decision"]["order"][0]["reasons"][0].as_str().unwrap().contains("never used"), "{first:#}");
    let served = site.served(8);
    assert!(served[1] >= 4, "{served:?}");
    let predicted = site.predicted();
    assert!(predicted[1] < predicted[0] && predicted[1] < predicted[2], "{predicted:?}");

    // The fast one becomes the slowest: what is under way goes over to another one, with the bytes that are there.
    caps([Some(SLOW), Some(SLOW / 2), None]);
    let mut left = 0;
    let mut served = vec![0; 3];
    for _ in 0..8 {
        let document = site.place();
        let attempts = document["attempts"].as_array().unwrap();
        left += attempts.iter().filter(|attempt| attempt["code"] == "slower-than-another").count();
        let last = &attempts.last().unwrap()["locations"][0];
        served[urls.iter().position(|url| last == url).unwrap()] += 1;
    }
    assert!(left >= 1, "{served:?}");
    assert!(served[2] >= 4, "{served:?}");
    let predicted = site.predicted();
    assert!(predicted[2] < predicted[0] && predicted[2] < predicted[1], "{predicted:?}");

    // The history has what was expected beside what it took.
    let history = site.sandbox.landfall("history").json().run();
    let entries = history.success()["entries"].as_array().unwrap();
    let attempt = &entries[0]["record"]["decision"]["attempts"][0];
    assert!(attempt["predicted"]["seconds"].as_f64().is_some() && attempt["seconds"].as_f64().is_some(), "{attempt:#}");
    let shown = site.sandbox.landfall("history").run().stdout;
    assert!(shown.contains(" s expected)"), "{shown}");
}

/// A location that refuses goes behind one that is slower, and is not asked again at once.
/// Whoever makes an image that is wrong, or a record of one that is not there, changes nothing for others' images.
fn wrong(world: &World) {
    let other = Content::new(IMAGE.size, 82);
    let good = FaultServer::honest(IMAGE);
    let bad = FaultServer::honest(other);
    let mut site = Site::new(world, "selection = [\"fastest\"]", "", &[bad.url("/image"), good.url("/image")]);
    let placed = site.place();
    assert_eq!(placed["attempts"][0]["kind"], "corrupt", "{placed:#}");
    let failing = |site: &Site<'_>| {
        let plan = site.plan();
        let planned = plan["decision"]["planned"].as_array().unwrap().clone();
        let own = planned.iter().find(|planned| planned["locations"][0] == bad.url("/image")).unwrap();
        own["predicted"]["failing"].as_f64().unwrap_or_else(|| panic!("{plan:#}"))
    };
    assert!(failing(&site) < 0.05, "{}", failing(&site));
}

fn failing(world: &World) {
    let closed = ClosedPort::new();
    let server = FaultServer::honest(IMAGE);
    let urls = [format!("http://{}/image", closed.authority()), server.url("/image")];
    let mut site = Site::new(world, "selection = [\"fastest\"]", "", &urls);
    let first = site.place();
    assert_eq!(first["attempts"].as_array().unwrap().len(), 2, "{first:#}");
    let second = site.place();
    assert_eq!(second["attempts"].as_array().unwrap().len(), 1, "{second:#}");
    let plan = site.plan();
    let planned = &plan["decision"]["planned"];
    assert_eq!(planned[0]["locations"][0], urls[1], "{plan:#}");
    assert!(planned[1]["predicted"]["failing"].as_f64().unwrap() > 0.5, "{plan:#}");
    let reason = plan["decision"]["order"][1]["reasons"][0].as_str().unwrap();
    assert!(reason.contains("% of the time"), "{reason}");
}

fn rules(world: &World) {
    let server = FaultServer::honest(IMAGE);
    let never = FaultServer::honest(IMAGE);
    let urls = [server.url("/image"), never.url("/image")];
    let rule = "[[rule]]\nname = \"known\"\nprefer = \"has(measured.samples) && measured.failing < 0.5\"\n\
                [[rule]]\nname = \"new\"\nscore = \"has(measured.rate) ? 0.0 : 0.5\"\n";
    let mut site = Site::new(world, "selection = [\"rules\", \"location-order\"]", rule, &urls);
    let order = |plan: &Value| plan["decision"]["order"][0]["reasons"][0].as_str().unwrap().to_owned();
    assert_eq!(order(&site.plan()), "new 0.5");
    site.place();
    assert!(order(&site.plan()).starts_with("preferred by known"), "{}", order(&site.plan()));
    // A selection without `fastest` is not put into another order.
    assert_eq!(site.plan()["decision"]["planned"][0]["locations"][0], urls[0]);
}

/// Measurements that cannot be read or written change nothing but the order.
fn broken(world: &World) {
    let server = FaultServer::honest(IMAGE);
    let mut site = Site::new(world, "selection = [\"fastest\"]", "", &[server.url("/image")]);
    site.place();
    let file = site.sandbox.home("state/measured.sqlite");
    assert!(file.exists());
    for end in ["", "-wal", "-shm"] {
        let _ = fs::remove_file(site.sandbox.home(&format!("state/measured.sqlite{end}")));
    }
    fs::write(&file, "no database at all, but long enough to be looked at as if it were one, with a header").unwrap();
    site.place();
    assert_eq!(site.plan()["decision"]["planned"][0]["predicted"]["samples"], 1);
    for end in ["", "-wal", "-shm"] {
        let _ = fs::remove_file(site.sandbox.home(&format!("state/measured.sqlite{end}")));
    }
    fs::create_dir(&file).unwrap();
    site.place();
    assert_eq!(site.plan()["decision"]["planned"][0]["predicted"]["samples"], 0);
}
