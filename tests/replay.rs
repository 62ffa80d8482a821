//! Decisions of the history, made again under another configuration.

use std::fs;

use serde_json::{Value, json};

use crate::support::case::Case;
use crate::support::fault_server::FaultServer;
use crate::support::mounts::Fs;
use crate::support::sandbox::Sandbox;
use crate::support::seeded::Content;
use crate::support::world::World;

const IMAGE: Content = Content::new(1 << 20, 95);

pub(crate) fn cases() -> Vec<Case> {
    let case = |name: &str, run: fn(&World)| Case::new(format!("replay::{name}"), run).mode_independent();
    vec![case("another_configuration_decides_otherwise", otherwise), case("what_was_measured_then_counts", measured)]
}

fn configure(sandbox: &Sandbox<'_>, selection: &str) {
    sandbox.configure(&format!("selection = [{selection}]"), "[handler.http]\nallow_addresses = [\"127.0.0.1/32\"]\n");
}

fn history(sandbox: &Sandbox<'_>) -> Vec<Value> {
    sandbox.landfall("history").json().run().success()["entries"].as_array().unwrap().clone()
}

fn replay(sandbox: &Sandbox<'_>, entry: &Value) -> Value {
    sandbox.landfall("replay").arg(entry["id"].to_string()).json().run().success().clone()
}

fn first(decision: &Value) -> &Value {
    &decision["planned"][0]["locations"][0]
}

fn otherwise(world: &World) {
    let sandbox = Sandbox::on(world, Fs::Temp);
    configure(&sandbox, "\"weight\"");
    let servers = [FaultServer::honest(IMAGE), FaultServer::honest(IMAGE)];
    let urls = [servers[0].url("/image?token=CANARY1"), servers[1].url("/image")];
    let mut record = IMAGE.record(&urls);
    record["id"] = json!("image");
    record["locations"][1]["metrics"] = json!({ "weight": 9 });
    record["locations"][0]["metadata"] = json!({ "store": "a", "api_key": "CANARY2" });
    record["os_admin_password"] = json!("CANARY3");
    sandbox.place_value(&record, "disk").success();
    let entries = history(&sandbox);
    let shown = serde_json::to_string(&entries).unwrap();
    assert!(shown.contains("\"inputs\"") && !shown.contains("CANARY"), "{shown}");
    // As it was decided.
    let again = replay(&sandbox, &entries[0]);
    assert_eq!((&again["same"], first(&again["now"])), (&json!(true), &json!(urls[1])), "{again:#}");
    // Under another order, and a rule.
    configure(&sandbox, "\"location-order\"");
    let other = replay(&sandbox, &entries[0]);
    assert_eq!((&other["same"], first(&other["was"])), (&json!(false), &json!(urls[1])));
    assert!(first(&other["now"]).as_str().unwrap().starts_with(&servers[0].url("/image")), "{other:#}");
    let text = sandbox.landfall("replay").arg(entries[0]["id"].to_string()).run();
    assert_eq!(text.status, 0);
    assert!(text.stdout.contains("would have tried instead"), "{}", text.stdout);
    assert!(!text.stdout.contains("CANARY"), "{}", text.stdout);
    // Nothing was done, and the history is as it was.
    assert_eq!(history(&sandbox), entries);
    assert_eq!(fs::read_dir(sandbox.out_dir()).unwrap().count(), 1);
    sandbox.landfall("replay").arg("9999").json().run().failure("not-found", "history-entry", "request");
    let removed = sandbox.landfall("remove").arg(sandbox.out("disk")).json().run();
    removed.success();
    let removal = history(&sandbox)[0]["id"].to_string();
    sandbox.landfall("replay").arg(removal).json().run().failure("not-found", "history-entry", "request");
    // One that failed can be decided again too.
    record["locations"] = json!([{ "url": "http://127.0.0.1:1/image", "metadata": {} }]);
    assert_ne!(sandbox.place_value(&record, "disk").status, 0);
    let failed = replay(&sandbox, &history(&sandbox)[0]);
    assert_eq!(failed["same"], true, "{failed:#}");
}

fn measured(world: &World) {
    let sandbox = Sandbox::on(world, Fs::Temp);
    configure(&sandbox, "\"fastest\"");
    let server = FaultServer::honest(IMAGE);
    let record = IMAGE.record(&[server.url("/image")]);
    for number in 0..4 {
        sandbox.place_value(&record, &format!("disk-{number}")).success();
    }
    // The newest first: each knew what came before it, and no more.
    for (entry, samples) in history(&sandbox).iter().zip([3, 2, 1, 0]) {
        let again = replay(&sandbox, entry);
        assert_eq!(again["now"]["planned"][0]["predicted"]["samples"], samples, "{again:#}");
        assert_eq!(again["was"]["planned"][0]["predicted"]["samples"], samples);
        assert_eq!(again["same"], true);
    }
}
