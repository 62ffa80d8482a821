//! Which locations are used, in what order, and that the plan says why.

use serde_json::{Value, json};

use crate::support::case::Case;
use crate::support::disk::noisy_file;
use crate::support::mounts::Fs;
use crate::support::record::record_of;
use crate::support::sandbox::Sandbox;
use crate::support::world::World;

pub(crate) fn cases() -> Vec<Case> {
    vec![
        Case::new("selection::statuses", statuses),
        Case::new("selection::every_location_excluded", all_excluded),
        Case::new("selection::founding_example", founding_example),
        Case::new("selection::weights_as_glance_holds_them", odd_weights),
        Case::new("selection::store_type", store_type),
        Case::new("selection::plan_does_nothing", plan_only),
    ]
}

/// A sandbox whose store has these files, all of the same bytes, and a record of them without locations.
fn with_files<'w>(world: &'w World, names: &[&str]) -> (Sandbox<'w>, Value) {
    let sandbox = Sandbox::on(world, Fs::Temp);
    for name in names {
        noisy_file(&sandbox.store(name), 4000, 1);
    }
    let record = record_of(&sandbox.store(names[0]));
    (sandbox, record)
}

/// The location at this file of the store, with more members.
fn location(sandbox: &Sandbox<'_>, name: &str, more: &Value) -> Value {
    let mut location = json!({ "url": format!("file://{}", sandbox.store(name).display()), "metadata": {} });
    for (key, value) in more.as_object().expect("members") {
        location[key] = value.clone();
    }
    location
}

/// The names of the locations in the order of the plan's attempts.
fn order(plan: &Value) -> Vec<String> {
    let attempts = plan["decision"]["planned"].as_array().unwrap_or_else(|| panic!("{plan:#}"));
    attempts
        .iter()
        .map(|attempt| {
            let url = attempt["locations"][0].as_str().unwrap_or_else(|| panic!("{plan:#}"));
            url.rsplit('/').next().unwrap_or_default().to_owned()
        })
        .collect()
}

/// The reasons of the locations that are not used, with their names.
fn excluded(document: &Value) -> Vec<(String, String)> {
    let list = document["excluded"].as_array().unwrap_or_else(|| panic!("{document:#}"));
    list.iter()
        .filter(|one| one["handler"].is_null())
        .map(|one| {
            let text = |key: &str| one[key].as_str().unwrap_or_else(|| panic!("{document:#}")).to_owned();
            (text("location").rsplit('/').next().unwrap_or_default().to_owned(), text("reason"))
        })
        .collect()
}

fn statuses(world: &World) {
    let (sandbox, mut record) = with_files(world, &["good", "other"]);
    let unusable = [
        json!("pending"),
        json!("pending_delete"),
        json!("deleted"),
        json!("retired"),
        json!("ACTIVE"),
        json!(""),
        json!(5),
        json!(true),
        json!(["active"]),
        json!({ "status": "active" }),
    ];
    for (number, status) in unusable.iter().enumerate() {
        record["locations"] = json!([
            location(&sandbox, "other", &json!({ "status": status, "metrics": { "weight": 9 } })),
            location(&sandbox, "good", &json!({ "status": "active" })),
        ]);
        let name = format!("disk-{number}");
        let answer = sandbox.place_value(&record, &name);
        let document = answer.success();
        let reasons = excluded(document);
        assert_eq!(reasons.len(), 1, "{document:#}");
        assert_eq!(reasons[0].0, "other", "{document:#}");
        assert!(reasons[0].1.contains("status"), "{document:#}");
        if let Some(text) = status.as_str().filter(|text| !text.is_empty()) {
            assert!(reasons[0].1.contains(text), "{text} is named: {document:#}");
        }
        assert!(document["locations"][0].as_str().unwrap().ends_with("/good"), "{document:#}");
    }
    // Without a status, or with null, a location is active.
    for (number, more) in [json!({}), json!({ "status": null }), json!({ "status": "active" })].iter().enumerate() {
        record["locations"] = json!([location(&sandbox, "good", more)]);
        let answer = sandbox.place_value(&record, &format!("active-{number}"));
        assert!(excluded(answer.success()).is_empty());
    }
}

fn all_excluded(world: &World) {
    let (sandbox, mut record) = with_files(world, &["a", "b"]);
    record["locations"] = json!([
        location(&sandbox, "a", &json!({ "status": "pending_delete" })),
        location(&sandbox, "b", &json!({ "status": "deleted" })),
    ]);
    let answer = sandbox.place_value(&record, "disk");
    let document = answer.failure("not-found", "no-usable-location", "request");
    assert_eq!(excluded(document).len(), 2, "{document:#}");
    sandbox.only(&[]);
}

fn founding_example(world: &World) {
    let (sandbox, mut record) = with_files(world, &["near", "far"]);
    record["locations"] = json!([
        location(&sandbox, "near", &json!({ "metrics": { "weight": 1, "node-weights": { "novahost1": 3 } } })),
        location(&sandbox, "far", &json!({ "metrics": { "weight": 2, "node-weights": { "novahost2": 5 } } })),
    ]);
    let path = sandbox.record("image.json", &record);
    let table = [
        ("novahost1", ["near", "far"], "weight 3 (metrics.node-weights.novahost1)", "weight 2 (metrics.weight)"),
        ("novahost2", ["far", "near"], "weight 5 (metrics.node-weights.novahost2)", "weight 1 (metrics.weight)"),
        ("novahost3", ["far", "near"], "weight 2 (metrics.weight)", "weight 1 (metrics.weight)"),
    ];
    for (node, expected, first, second) in table {
        sandbox.configure(&format!("node = {node:?}\n"), "");
        let answer = sandbox.plan(&path, "disk").run();
        let plan = answer.success();
        assert_eq!(order(plan), expected, "{node}: {plan:#}");
        for reason in [first, second] {
            assert!(plan.to_string().contains(reason), "{node}: {reason} in {plan:#}");
        }
        let text = sandbox.landfall("plan").arg(&path).arg("--to").arg(sandbox.out("disk")).run();
        text.success();
        let place = |what: &str| text.stdout.find(what).unwrap_or_else(|| panic!("{what} in {text:#?}"));
        assert!(place(first) < place(second), "{text:#?}");

        let placed = sandbox.place(&path, node).run();
        let document = placed.success();
        assert!(document["locations"][0].as_str().unwrap().ends_with(expected[0]), "{node}: {document:#}");
        assert_eq!(document["attempts"].as_array().unwrap().len(), 1, "{document:#}");
    }
    // The first choice is gone: the second is taken, and the failure is told.
    sandbox.configure("node = \"novahost1\"\n", "");
    std::fs::remove_file(sandbox.store("near")).unwrap();
    let answer = sandbox.place(&path, "fallback").run();
    let document = answer.success();
    assert!(document["locations"][0].as_str().unwrap().ends_with("far"), "{document:#}");
    let attempts = document["attempts"].as_array().unwrap();
    assert_eq!(attempts.len(), 2, "{document:#}");
    assert_eq!(
        (&attempts[0]["kind"], &attempts[0]["code"]),
        (&json!("not-found"), &json!("no-such-file")),
        "{document:#}"
    );
    assert!(attempts[1]["kind"].is_null(), "{document:#}");
}

fn odd_weights(world: &World) {
    let (sandbox, mut record) = with_files(world, &["a", "b"]);
    let table = [
        (json!({ "metrics": { "weight": "2" } }), ["b", "a"], "weight 2 (metrics.weight)"),
        (json!({ "metadata": { "metrics": { "weight": "2" } } }), ["b", "a"], "weight 2 (metadata.metrics.weight)"),
        (
            json!({ "metadata": { "metrics": { "node-weights": { "novahost1": "1.5" } } } }),
            ["b", "a"],
            "weight 1.5 (metadata.metrics.node-weights.novahost1)",
        ),
        (json!({ "metadata": { "metrics": "{\"weight\": 4}" } }), ["b", "a"], "weight 4 (metadata.metrics.weight)"),
        (json!({ "metrics": { "weight": "heavy" } }), ["a", "b"], "unreadable"),
        (json!({ "metrics": { "weight": null } }), ["a", "b"], "weight 0"),
        (json!({ "metrics": { "weight": -1 } }), ["a", "b"], "weight -1 (metrics.weight)"),
        (json!({ "metrics": { "weight": 0.25 } }), ["a", "b"], "weight 0.25 (metrics.weight)"),
        (json!({ "metrics": [] }), ["a", "b"], "weight 0"),
    ];
    for (more, expected, reason) in table {
        record["locations"] =
            json!([location(&sandbox, "a", &json!({ "metrics": { "weight": 0.5 } })), location(&sandbox, "b", &more),]);
        let answer = sandbox.plan(sandbox.record("image.json", &record), "disk").run();
        let plan = answer.success();
        assert_eq!(order(plan), expected, "{more}: {plan:#}");
        assert!(plan.to_string().contains(reason), "{reason} in {plan:#}");
    }
    // Equal weights keep the record's order.
    for names in [["a", "b"], ["b", "a"]] {
        record["locations"] = json!(names.map(|name| location(&sandbox, name, &json!({ "metrics": { "weight": 7 } }))));
        let answer = sandbox.plan(sandbox.record("image.json", &record), "disk").run();
        assert_eq!(order(answer.success()), names);
    }
}

fn store_type(world: &World) {
    let (sandbox, mut record) = with_files(world, &["a"]);
    record["locations"] = json!([
        { "url": "cinder://0c0f0e0a-6d0b-4d0c-8b0a-000000000001", "metrics": { "weight": 100 } },
        location(&sandbox, "a", &json!({})),
        { "url": "rbd://fsid/pool/image/snap" },
    ]);
    let path = sandbox.record("image.json", &record);
    sandbox.configure("selection = [{ store-type = [\"rbd\", \"file\"] }, \"weight\"]\n", "");
    let answer = sandbox.plan(&path, "disk").run();
    let plan = answer.success();
    for reason in ["1st of 2 preferred", "2nd of 2 preferred", "not preferred"] {
        assert!(plan.to_string().contains(reason), "{reason} in {plan:#}");
    }
    // Only the file has a handler; the others are told, with the reason.
    assert_eq!(order(plan), ["a"]);
    let document = sandbox.place(&path, "disk").run();
    assert!(document.success()["locations"][0].as_str().unwrap().ends_with("/a"));
    sandbox.configure("selection = [\"location-order\"]\n", "");
    assert_eq!(order(sandbox.plan(&path, "other").run().success()), ["a"]);
}

fn plan_only(world: &World) {
    let (sandbox, mut record) = with_files(world, &["a"]);
    record["locations"] = json!([location(&sandbox, "a", &json!({}))]);
    let path = sandbox.record("image.json", &record);
    let answer = sandbox.plan(&path, "disk").run();
    let plan = answer.success();
    assert_eq!(plan["decision"]["attempts"], json!([]), "{plan:#}");
    sandbox.only(&[]);
    assert!(sandbox.placements().is_empty());
    let history = sandbox.landfall("history").json().run();
    assert_eq!(history.success()["entries"], json!([]), "a plan is no event");
    // What placing would refuse at once, planning refuses as well.
    std::fs::write(sandbox.out("taken"), "x").unwrap();
    sandbox.plan(&path, "taken").run().failure("exists", "exists", "request");
    sandbox.plan(&path, "missing/disk").run().failure("invalid", "target-directory", "request");
    sandbox.only(&["taken"]);
}
