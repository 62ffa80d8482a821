//! In which order pairs of handler and location are tried.

use serde_json::{Value, json};

use crate::support::c_plugin::PluginDir;
use crate::support::case::Case;
use crate::support::disk::noisy_file;
use crate::support::mounts::Fs;
use crate::support::needs::Need;
use crate::support::record::record_of;
use crate::support::sandbox::Sandbox;
use crate::support::world::World;

pub(crate) fn cases() -> Vec<Case> {
    let cc = [Need::Program("cc")];
    vec![
        Case::new("routing::both_modes", modes).needs(&cc),
        Case::new("routing::operators_order_of_handlers", order).needs(&cc),
        Case::new("routing::nobody_takes_it", nobody),
    ]
}

/// What is tried, as handler and location's end.
fn tried(document: &Value, list: &str) -> Vec<String> {
    let list = if list == "planned" { &document["decision"]["planned"] } else { &document["attempts"] };
    list.as_array()
        .unwrap_or_else(|| panic!("{document:#}"))
        .iter()
        .map(|attempt| {
            let url = attempt["locations"][0].as_str().unwrap_or("none");
            format!("{} {}", attempt["handlers"][0].as_str().unwrap(), url.rsplit('/').next().unwrap())
        })
        .collect()
}

/// Two handlers, two locations of each, in turns; all fail but the last file.
fn scene(world: &World) -> (Sandbox<'_>, Value, PluginDir) {
    let sandbox = Sandbox::on(world, Fs::Temp);
    let dir = PluginDir::with_faults(&sandbox);
    let good = sandbox.store("good");
    noisy_file(&good, 4000, 1);
    let mut record = record_of(&good);
    record["locations"] = json!([
        { "url": "fault-source://error/5/0/f1", "metrics": { "weight": 4 } },
        { "url": format!("file://{}", sandbox.store("missing").display()), "metrics": { "weight": 3 } },
        { "url": "fault-source://error/5/0/f2", "metrics": { "weight": 2 } },
        { "url": format!("file://{}", good.display()), "metrics": { "weight": 1 } },
    ]);
    (sandbox, record, dir)
}

fn modes(world: &World) {
    let (sandbox, record, dir) = scene(world);
    let path = sandbox.record("image.json", &record);
    let table = [
        (
            "handler-first",
            r#"["file", "fault-source"]"#,
            ["file missing", "file good", "fault-source f1", "fault-source f2"],
        ),
        (
            "handler-first",
            r#"["fault-source", "file"]"#,
            ["fault-source f1", "fault-source f2", "file missing", "file good"],
        ),
        (
            "location-first",
            r#"["file", "fault-source"]"#,
            ["fault-source f1", "file missing", "fault-source f2", "file good"],
        ),
        (
            "location-first",
            r#"["fault-source", "file"]"#,
            ["fault-source f1", "file missing", "fault-source f2", "file good"],
        ),
    ];
    for (number, (route, handlers, expected)) in table.into_iter().enumerate() {
        sandbox.configure(&format!("{}route = {route:?}\nhandlers = {handlers}\n", dir.line()), "");
        let plan = sandbox.plan(&path, "disk").run();
        assert_eq!(tried(plan.success(), "planned"), expected, "{route} {handlers}");
        let placed = sandbox.place(&path, &format!("disk-{number}")).run();
        let made = tried(placed.success(), "attempts");
        // Up to the one that works.
        let good = expected.iter().position(|&one| one == "file good").unwrap();
        assert_eq!(made, expected[..=good], "{route} {handlers}");
    }
    // Handler first is what happens when nobody chooses.
    sandbox.configure(&format!("{}handlers = [\"file\", \"fault-source\"]\n", dir.line()), "");
    let plan = sandbox.plan(&path, "disk").run();
    assert_eq!(tried(plan.success(), "planned")[0], "file missing");
}

fn order(world: &World) {
    let (sandbox, record, dir) = scene(world);
    let path = sandbox.record("image.json", &record);
    // A handler that is not in the list is not used.
    sandbox.configure(&format!("{}handlers = [\"file\"]\n", dir.line()), "");
    let plan = sandbox.plan(&path, "disk").run();
    assert_eq!(tried(plan.success(), "planned"), ["file missing", "file good"]);
    // One that is listed and not there is told of, and no obstacle.
    sandbox.configure(&format!("{}handlers = [\"ghost\", \"file\"]\n", dir.line()), "");
    let placed = sandbox.place(&path, "disk").run();
    placed.success();
    assert!(placed.stderr.contains("ghost"), "{placed:#?}");
    // Where two handlers take one scheme, both are tried, in the operator's order.
    let dir = PluginDir::new(&sandbox, "rivals");
    dir.add(world, "faults.so", "tests/plugins/faults.c", &[]);
    dir.add(world, "hello.so", "examples/hello-handler-c/hello.c", &[]);
    let handlers = sandbox.landfall("handlers").json().run();
    assert!(handlers.success()["handlers"].is_array());
}

fn nobody(world: &World) {
    let sandbox = Sandbox::on(world, Fs::Temp);
    let file = sandbox.store("disk.raw");
    noisy_file(&file, 4000, 1);
    let mut record = record_of(&file);
    record["locations"] =
        json!([{ "url": "rbd://a/b/c/d" }, { "url": "cinder://0c0f0e0a-6d0b-4d0c-8b0a-000000000001" }]);
    let answer = sandbox.place_value(&record, "disk");
    let document = answer.failure("unsupported", "no-handler", "request");
    assert_eq!(document["excluded"].as_array().unwrap().len(), 2, "why, for each: {answer:#?}");
    sandbox.configure("handlers = [\"ghost\"]\n", "");
    sandbox.place_value(&record_of(&file), "disk").failure("unsupported", "no-handlers", "request");
    sandbox.only(&[]);
}
