//! Panics of plugins: each a named failure of its attempt, in the agent as in a worker, and the next attempt works.

use serde_json::{Value, json};

use crate::support::case::Case;
use crate::support::mounts::Fs;
use crate::support::record::record_of;
use crate::support::sandbox::Sandbox;
use crate::support::world::World;

pub(crate) fn cases() -> Vec<Case> {
    vec![
        Case::new("panics::each_is_a_failed_attempt", attempts),
        Case::new("panics::of_a_probe", probe),
        Case::new("panics::of_a_destructor", destructor),
        Case::new("panics::of_an_unpacker", unpacker),
    ]
}

fn sandbox(world: &World) -> Sandbox<'_> {
    let sandbox = Sandbox::on(world, Fs::Temp);
    let top = format!("plugin_dirs = [{:?}]\n", world.install.panicky_dir);
    sandbox.configure(&top, "[limits]\nbench = \"0s\"\n");
    std::fs::write(sandbox.store("image"), b"xxxxx").unwrap();
    sandbox
}

/// A record of five bytes at these locations, and then in the store.
fn record(sandbox: &Sandbox<'_>, urls: &[&str]) -> Value {
    let mut record = record_of(&sandbox.store("image"));
    let honest = record["locations"][0].clone();
    let locations: Vec<Value> = urls.iter().map(|url| json!({ "url": url, "metadata": {} })).chain([honest]).collect();
    record["locations"] = locations.into();
    record
}

fn attempts(world: &World) {
    let sandbox = sandbox(world);
    for (url, place) in [
        ("panicky://open", "open"),
        ("panicky://size", "size"),
        ("panicky://read", "read"),
        ("panicky-transfer://x", "transfer"),
    ] {
        let answer = sandbox.place_value(&record(&sandbox, &[url]), place);
        let document = answer.success();
        let attempt = &document["attempts"][0];
        assert_eq!((&attempt["kind"], &attempt["code"]), (&json!("crashed"), &json!("panic")), "{place}: {document:#}");
        // It did panic, and is told where.
        let message = attempt["message"].as_str().unwrap();
        assert!(message.contains(&format!("planted in {place}")) && message.contains("lib.rs"), "{message}");
        assert_eq!(document["handler"], "file", "{place}: {document:#}");
        assert_eq!(std::fs::read(sandbox.out(place)).unwrap(), b"xxxxx");
    }
    // The same handler goes on where nothing panics.
    let answer = sandbox.place_value(&record(&sandbox, &["panicky://fine"]), "fine");
    assert_eq!(answer.success()["handler"], "panicky");
}

fn probe(world: &World) {
    let sandbox = sandbox(world);
    let answer = sandbox.place_value(&record(&sandbox, &["panicky://probe"]), "disk");
    let document = answer.success();
    let reasons = document["excluded"].to_string();
    assert!(reasons.contains("planted in probe"), "{document:#}");
    assert_eq!(document["handler"], "file");
}

fn destructor(world: &World) {
    let sandbox = sandbox(world);
    // What is done is done: closing a source is not part of the attempt.
    let answer = sandbox.place_value(&record(&sandbox, &["panicky://drop"]), "disk");
    assert_eq!(answer.success()["handler"], "panicky");
    assert_eq!(std::fs::read(sandbox.out("disk")).unwrap(), b"xxxxx");
}

fn unpacker(world: &World) {
    let sandbox = sandbox(world);
    let mut record = record(&sandbox, &[]);
    record["disk_format"] = "panicked".into();
    let answer = sandbox.place_value(&record, "disk");
    let error = &answer.failure("crashed", "panic", "handler")["error"];
    assert!(error["message"].as_str().unwrap().contains("planted in unpack"), "{error:#}");
    sandbox.only(&[]);
}
