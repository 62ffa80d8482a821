//! The scrubber on objects of S3: what is pending goes, and of others nothing.

use std::collections::BTreeSet;
use std::fs;

use serde_json::{Value, json};

use super::bucket::{ACCESS, Bucket, Form, IMAGE};
use crate::support::world::World;

const LONG_AGO: &str = "2020-01-01T00:00:00Z";

pub(super) fn objects(world: &World) {
    let bucket = Bucket::new(world);
    let records = bucket.sandbox.home("records");
    fs::create_dir(&records).unwrap();
    let configure = |line: &str| {
        let tables = format!(
            "[catalog.images]\ntype = \"directory\"\npath = {records:?}\n\
             [[store]]\nid = \"far\"\ntype = \"s3\"\ndelete = true\n"
        );
        bucket.configure(line, &tables);
    };
    let image = |id: &str, url: &str, status: &str| {
        let mut record = IMAGE.record(&[url.to_owned()]);
        record["id"] = json!(id);
        let location = &mut record["locations"][0];
        location["metadata"] = json!({ "store": "far" });
        location["status"] = json!(status);
        location["status_since"] = json!(LONG_AGO);
        fs::write(records.join(format!("{id}.json")), record.to_string()).unwrap();
    };
    let scrub = || bucket.sandbox.landfall("scrub").json().run();
    for (key, form) in
        [("whole", Form::Whole), ("parts", Form::InParts), ("kept", Form::Whole), ("shared", Form::InParts)]
    {
        bucket.put(key, IMAGE, form);
    }
    // What the bucket has, by the store's other protocol. Parts are the store's own affair: Swift's are deleted by a daemon of it, later.
    let account = bucket.services.account(ACCESS);
    let listed = || -> BTreeSet<String> {
        let reply = account.send("GET", &format!("{}?format=json", bucket.name), &[], b"").ok();
        let objects: Vec<Value> = serde_json::from_slice(&reply.body).unwrap();
        objects.into_iter().map(|object| object["name"].as_str().unwrap().to_owned()).collect()
    };
    let before = listed();
    for key in ["whole", "parts", "shared", "gone"] {
        image(key, &bucket.url(key), "pending_delete");
    }
    image("user", &bucket.bare_url("shared"), "active");

    configure("");
    let refused = scrub();
    assert!(refused.stdout.contains("delete_buckets"), "{}", refused.stdout);
    assert_eq!(listed(), before);

    configure(&format!("delete_buckets = [{:?}]", bucket.name));
    let answer = scrub();
    let rows = answer.success()["locations"].as_array().unwrap().clone();
    let outcome = |id: &str| rows.iter().find(|row| row["image"] == id).unwrap()["outcome"].clone();
    assert_eq!(["whole", "parts", "gone", "shared"].map(outcome), ["deleted", "deleted", "deleted", "shared"]);
    assert!(!answer.stdout.contains(&bucket.secret));
    assert_eq!(before.len(), 4);
    assert_eq!(listed(), ["kept".to_owned(), "shared".to_owned()].into());
}
