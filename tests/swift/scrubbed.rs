//! The scrubber on a real Swift: plain objects and large ones with their segments go, and of others nothing.

use std::collections::BTreeSet;
use std::fs;

use serde_json::{Value, json};

use super::depot::{Depot, KEEPER, Segment, put_dynamic, put_segment, put_segments, put_static, stored};
use crate::support::answer::Answer;
use crate::support::openstack::{Account, Group};
use crate::support::seeded::Content;
use crate::support::world::World;

const IMAGE: Content = Content::new(150_000, 94);
const SEGMENT: u64 = 65_536;
const LONG_AGO: &str = "2020-01-01T00:00:00Z";

struct Site<'w> {
    depot: Depot<'w>,
    account: Account,
    container: String,
}

impl<'w> Site<'w> {
    fn new(world: &'w World) -> Self {
        let depot = Depot::new(world, Group::Swift);
        let account = depot.services.account(KEEPER);
        let container = account.container("scrubbed");
        fs::create_dir(depot.sandbox.home("records")).unwrap();
        let site = Self { depot, account, container };
        site.allow(&format!("delete_containers = [{:?}]", site.container));
        site
    }

    fn allow(&self, line: &str) {
        let records = self.depot.sandbox.home("records");
        let tables = format!(
            "[catalog.images]\ntype = \"directory\"\npath = {records:?}\n\
             [[store]]\nid = \"far\"\ntype = \"swift\"\ndelete = true\n"
        );
        self.depot.configure(line, &tables);
    }

    /// A location with the account's key.
    fn url(&self, object: &str) -> String {
        let object = format!("{}/{object}", self.container);
        self.depot.with_key(&self.depot.services.swift_auth_url(), KEEPER, &object)
    }

    fn image(&self, id: &str, url: &str, status: &str) {
        let mut record = IMAGE.record(&[url.to_owned()]);
        record["id"] = json!(id);
        let location = &mut record["locations"][0];
        location["metadata"] = json!({ "store": "far" });
        location["status"] = json!(status);
        location["status_since"] = json!(LONG_AGO);
        fs::write(self.depot.sandbox.home(&format!("records/{id}.json")), record.to_string()).unwrap();
    }

    fn location(&self, id: &str) -> Value {
        let text = fs::read(self.depot.sandbox.home(&format!("records/{id}.json"))).unwrap();
        let record: Value = serde_json::from_slice(&text).unwrap();
        record["locations"][0].clone()
    }

    fn status(&self, id: &str) -> String {
        self.location(id)["status"].as_str().unwrap().to_owned()
    }

    fn is_begun(&self, id: &str) -> bool {
        self.location(id).get("deletion_began").is_some()
    }

    fn scrub(&self, more: &[&str]) -> Answer {
        self.depot.sandbox.landfall("scrub").args(more).json().run()
    }

    /// The names of all objects of the container.
    fn listed(&self) -> BTreeSet<String> {
        let reply = self.account.send("GET", &format!("{}?format=json", self.container), &[], b"").ok();
        reply.json().as_array().unwrap().iter().map(|object| object["name"].as_str().unwrap().to_owned()).collect()
    }

    /// Stores a static large object whose segments have these beginnings of names.
    fn put_static(&self, object: &str, prefix: &str) {
        let segments = put_segments(&self.account, &format!("{}/{prefix}", self.container), IMAGE, SEGMENT);
        let entries: Vec<_> = segments.iter().map(Segment::entry).collect();
        put_static(&self.account, &format!("{}/{object}", self.container), &entries);
    }

    fn put_dynamic(&self, object: &str, prefix: &str) {
        let prefix = format!("{}/{prefix}", self.container);
        put_segments(&self.account, &prefix, IMAGE, SEGMENT);
        put_dynamic(&self.account, &format!("{}/{object}", self.container), &prefix);
    }
}

fn outcome(answer: &Answer, image: &str) -> (String, String) {
    let rows = answer.document()["locations"].as_array().unwrap();
    let row = rows.iter().find(|row| row["image"] == image).unwrap_or_else(|| panic!("no {image} in {rows:#?}"));
    let code = row["error"]["code"].as_str().unwrap_or_default().to_owned();
    (row["outcome"].as_str().unwrap().to_owned(), code)
}

pub(super) fn objects(world: &World) {
    let site = Site::new(world);
    let bytes = IMAGE.bytes();
    for object in ["plain", "plain-2", "kept", "shared", "fixed-other"] {
        site.account.put(&format!("{}/{object}", site.container), &bytes);
    }
    // As glance_store and python-swiftclient name segments.
    site.put_static("fixed", "fixed-");
    site.put_dynamic("moving", "moving-");
    site.put_static("client", "client/slo/1763940000.123456/150000/65536/");
    // Manifests that name what is not theirs: another's object, and all objects whose names begin alike.
    let kept = put_segment(&site.account, &format!("{}/kept", site.container), &bytes);
    put_static(&site.account, &format!("{}/greedy", site.container), &[kept.entry()]);
    put_dynamic(&site.account, &format!("{}/eager", site.container), &format!("{}/pl", site.container));
    site.put_dynamic("wide", "wide-");
    site.account.put(&format!("{}/wide-of-another", site.container), &bytes);
    let before = site.listed();

    let pending = ["plain", "fixed", "moving", "client", "greedy", "eager", "wide", "gone", "shared"];
    for object in pending {
        site.image(object, &site.url(object), "pending_delete");
    }
    // Another record has the same object, by its storage URL.
    site.image("user", &stored(&site.account, &format!("{}/shared", site.container)), "active");

    // Not before the operator says where.
    site.allow("");
    let refused = site.scrub(&[]);
    for object in pending {
        assert_eq!(outcome(&refused, object).0, "not-allowed", "{:#}", refused.document());
        assert!(!site.is_begun(object));
    }
    assert!(refused.stdout.contains("delete_containers"), "{}", refused.stdout);
    assert_eq!(site.listed(), before);
    site.allow(&format!("delete_containers = [{:?}]", site.container));

    let dry = site.scrub(&["--dry-run"]);
    assert_eq!(outcome(&dry, "shared"), ("shared".to_owned(), String::new()));
    assert_eq!(site.listed(), before);

    let answer = site.scrub(&[]);
    assert!(!answer.stdout.contains(&site.depot.services.swift_password(KEEPER)));
    for object in ["plain", "fixed", "moving", "client", "gone"] {
        assert_eq!(outcome(&answer, object).0, "deleted", "{object}: {:#}", answer.document());
        assert_eq!(site.status(object), "deleted");
    }
    for object in ["greedy", "eager", "wide"] {
        assert_eq!(outcome(&answer, object), ("failed".to_owned(), "foreign-segment".to_owned()), "{object}");
        assert_eq!(site.status(object), "pending_delete");
        // Nothing of it was touched: it can be restored.
        assert!(!site.is_begun(object));
    }
    assert_eq!(outcome(&answer, "shared").0, "shared");
    let is_gone = |name: &String| {
        let number =
            |prefix: &str| name.strip_prefix(prefix).is_some_and(|rest| rest.bytes().all(|byte| byte.is_ascii_digit()));
        ["plain", "fixed", "moving", "client"].contains(&name.as_str())
            || number("fixed-")
            || number("moving-")
            || name.starts_with("client/")
    };
    let left: BTreeSet<String> = before.iter().filter(|name| !is_gone(name)).cloned().collect();
    // Three objects with segments, and one without.
    assert_eq!(before.len() - left.len(), 4 + 3 * 3);
    assert_eq!(site.listed(), left);
    assert!(left.contains("plain-2") && left.contains("fixed-other") && left.contains("wide-of-another"));
}

/// One that was interrupted when some segments were gone, and two at once.
pub(super) fn again(world: &World) {
    let site = Site::new(world);
    site.put_static("halfway", "halfway-");
    site.account.send("DELETE", &format!("{}/halfway-00000000", site.container), &[], b"").ok();
    site.image("halfway", &site.url("halfway"), "pending_delete");
    for number in 0..6 {
        let object = format!("disk{number}");
        site.put_dynamic(&object, &format!("{object}-"));
        site.image(&object, &site.url(&object), "pending_delete");
    }
    let running = [(); 2].map(|()| site.depot.sandbox.landfall("scrub").json().spawn());
    for running in running {
        running.finish().success();
    }
    assert_eq!(site.listed(), BTreeSet::new());
    assert_eq!((site.status("halfway"), site.status("disk5")), ("deleted".to_owned(), "deleted".to_owned()));
}
