//! Rules of selection on a whole node: what they deny is never used, whatever else there is.

use std::fs;

use serde_json::{Value, json};

use crate::support::case::Case;
use crate::support::disk::noisy_file;
use crate::support::mounts::Fs;
use crate::support::record::record_of;
use crate::support::sandbox::Sandbox;
use crate::support::world::World;

pub(crate) fn cases() -> Vec<Case> {
    let case = |name: &str, run: fn(&World)| Case::new(format!("rules::{name}"), run).mode_independent();
    vec![
        case("a_denied_location_is_never_used", denied),
        case("preferences_and_scores_order", ordered),
        case("mistakes_have_a_caret", mistakes),
    ]
}

/// A record with one copy in the store for each of these names and metadata.
fn record(sandbox: &Sandbox<'_>, copies: &[(&str, Value)]) -> Value {
    let mut record = Value::Null;
    let mut locations = Vec::new();
    for (name, metadata) in copies {
        let file = sandbox.store(name);
        noisy_file(&file, 50_000, 9);
        record = record_of(&file);
        locations.push(json!({ "url": format!("file://{}", file.display()), "metadata": metadata, "metrics": metadata["metrics"] }));
    }
    record["locations"] = json!(locations);
    record
}

fn configure(sandbox: &Sandbox<'_>, top: &str, rules: &str) {
    sandbox.configure(top, &format!("[labels]\nsite = \"edge\"\n{rules}\n{}", sandbox.store_table("")));
}

fn denied(world: &World) {
    let sandbox = Sandbox::on(world, Fs::Temp);
    let record = record(&sandbox, &[("central", json!({ "kind": "central" })), ("near", json!({ "kind": "near" }))]);
    let rule =
        "[[rule]]\nname = \"edge\"\ndeny = \"node.labels.site == 'edge' && location.metadata.kind == 'central'\"";
    // With the criterion and without it.
    for top in ["", "selection = [\"location-order\", \"rules\"]"] {
        configure(&sandbox, top, rule);
        let answer = sandbox.place_value(&record, "disk");
        let document = answer.success();
        assert!(document["locations"][0].as_str().unwrap().ends_with("/near"), "{document:#}");
        assert_eq!(document["excluded"][0]["reason"], "denied by edge");
        fs::remove_file(sandbox.out("disk")).unwrap();
        // The last that is left is denied all the same.
        fs::rename(sandbox.store("near"), sandbox.store("away")).unwrap();
        let answer = sandbox.place_value(&record, "disk");
        assert_ne!(answer.status, 0);
        assert!(!answer.stdout.contains("digest-mismatch") && !sandbox.out("disk").exists());
        fs::rename(sandbox.store("away"), sandbox.store("near")).unwrap();
    }
    // One that cannot be evaluated denies, and says why.
    configure(&sandbox, "", "[[rule]]\nname = \"weighty\"\ndeny = \"location.metrics.weight > 3\"");
    let answer = sandbox.place_value(&record, "disk");
    assert_ne!(answer.status, 0);
    assert!(
        answer.stdout.contains("denied, since weighty cannot be evaluated: No such key: weight"),
        "{}",
        answer.stdout
    );
}

fn ordered(world: &World) {
    let sandbox = Sandbox::on(world, Fs::Temp);
    let metrics = |score: u32| json!({ "metrics": { "score": score } });
    let record = record(&sandbox, &[("a", metrics(1)), ("b", metrics(5)), ("c", metrics(3))]);
    let rules = "[[rule]]\nname = \"last\"\nprefer = \"location.index == location.count - 1\"\n\
                 [[rule]]\nname = \"scored\"\nscore = \"location.metrics.score * 10\"";
    for (selection, order) in [("[\"rules\"]", ["b", "c", "a"]), ("[\"location-order\", \"rules\"]", ["a", "b", "c"])] {
        configure(&sandbox, &format!("selection = {selection}"), rules);
        let path = sandbox.record("image", &record);
        let plan = sandbox.plan(&path, "disk").run();
        let order_of: Vec<String> = plan.success()["decision"]["order"]
            .as_array()
            .unwrap()
            .iter()
            .map(|place| place["location"].as_str().unwrap().rsplit('/').next().unwrap().to_owned())
            .collect();
        assert_eq!(order_of, order, "{selection}");
    }
    let text =
        sandbox.landfall("plan").arg(sandbox.record("image", &record)).arg("--to").arg(sandbox.out("disk")).run();
    assert!(text.stdout.contains("preferred by last; scored 30"), "{}", text.stdout);
}

fn mistakes(world: &World) {
    let sandbox = Sandbox::on(world, Fs::Temp);
    configure(&sandbox, "", "[[rule]]\ndeny = \"location.urls.host == 'x'\"");
    let answer = sandbox.landfall("config").arg("check").run();
    assert_eq!(answer.status, 2, "{}", answer.stderr);
    assert!(answer.stderr.contains("^^^^ there is no urls there"), "{}", answer.stderr);
}
