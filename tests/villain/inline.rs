//! What a plugin fails with is the same in the agent's own process and in a worker.

use serde_json::{Value, json};

use crate::support::c_plugin::PluginDir;
use crate::support::mounts::Fs;
use crate::support::sandbox::Sandbox;
use crate::support::world::World;

use super::lab::{Lab, Place, Settings};

/// Deeds that leave the process as it is. `beyond` is none: it writes to every file of the process.
const DEEDS: [&str; 7] = ["message-long", "error-as-success", "fine", "claim", "wrong-size", "adopt-odd", "twice"];

/// What came of a placement, as far as it is the handler's.
fn outcome(document: &Value) -> Value {
    let attempt = |attempt: &Value| json!([attempt["kind"], attempt["code"], attempt["scope"], attempt["handlers"]]);
    let attempts: Vec<Value> = document["attempts"].as_array().unwrap().iter().map(attempt).collect();
    let excluded: Vec<&Value> =
        document["excluded"].as_array().unwrap().iter().map(|excluded| &excluded["reason"]).collect();
    json!({ "ok": document["ok"], "attempts": attempts, "excluded": excluded, "error": document["error"]["code"] })
}

pub(super) fn villain(world: &World) {
    let lab = Lab::new(world);
    let (mut compared, mut wrong) = (0, Vec::new());
    for deed in DEEDS.into_iter().chain(["no-finish"]) {
        for place in [Place::Probe, Place::Open, Place::Read, Place::Transfer, Place::Unpack] {
            let (_, known) = super::lab::DEEDS.into_iter().find(|(name, _)| *name == deed).unwrap();
            if !known.has(place) {
                continue;
            }
            for honest in [true, false] {
                let record = lab.record(deed, place, honest);
                let [inline, worker] = ["inline", "worker"].map(|isolation| {
                    lab.configure(&Settings { isolation, honest, ..Settings::calm() });
                    let answer = lab.place(&record, "disk").run();
                    let bytes = std::fs::read(lab.sandbox.out("disk")).ok();
                    let _ = std::fs::remove_file(lab.sandbox.out("disk"));
                    (outcome(answer.document()), answer.status, bytes)
                });
                compared += 1;
                if inline != worker {
                    let shown = |seen: &(Value, i32, Option<Vec<u8>>)| format!("{} {:?}", seen.1, seen.0);
                    wrong.push(format!("{deed} at {}: {} but {}", place.name(), shown(&inline), shown(&worker)));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert_eq!(compared, 2 * (3 * 5 + 2 * 3 + 3 * 2));
    lab.assert_left(&[]);
}

/// Orders to `faults.c`, and the size that the record gives, if it gives one.
const FAULTS: [(&str, Option<u64>); 38] = [
    ("fault-source://text/abcde", Some(5)),
    ("fault-source://stream/abcde", Some(5)),
    ("fault-source://fd/abcde", Some(5)),
    ("fault-source://bare-error/3", Some(5)),
    ("fault-source://bare-error/14", Some(5)),
    ("fault-source://bare-error/99", Some(5)),
    ("fault-source://unterminated/3", Some(5)),
    ("fault-source://error/5/0/planted", Some(5)),
    ("fault-source://error/12/0/planted", Some(5)),
    ("fault-source://size/4/abcde", Some(5)),
    ("fault-source://size/6/abcdef", Some(5)),
    ("fault-source://size/5/abcd", Some(5)),
    ("fault-source://more/3/abcde", Some(5)),
    ("fault-source://text/abcdX", Some(5)),
    ("fault-source://stream/abcd", Some(5)),
    ("fault-source://stream/abcdef", Some(5)),
    ("fault-source://fd/abcd", Some(5)),
    ("fault-source://read-error/5/0/planted", None),
    ("fault-source://over-commit/abcde", Some(5)),
    ("fault-source://output", Some(5)),
    ("fault-source://bad-fd", Some(5)),
    ("fault-source://no-read", Some(5)),
    ("fault-source://no-source", Some(5)),
    ("fault-source://short-source", Some(5)),
    ("fault-source://bad-size", Some(5)),
    ("fault-source://bad-validator", Some(5)),
    ("fault-transfer://whole/5", Some(5)),
    ("fault-transfer://whole/4", Some(5)),
    ("fault-transfer://whole/6", Some(5)),
    ("fault-transfer://beyond/5", Some(5)),
    ("fault-transfer://beyond-ignored/5", Some(5)),
    ("fault-transfer://unfinished/5", Some(5)),
    ("fault-transfer://after-finish/5", Some(5)),
    ("fault-transfer://no-output", Some(5)),
    ("fault-transfer://reopen/5", Some(5)),
    ("fault-transfer://huge", None),
    ("fault-transfer://nulls", Some(5)),
    ("fault-transfer://unterminated/3", Some(5)),
];

pub(super) fn faults(world: &World) {
    let sandbox = Sandbox::on(world, Fs::Temp);
    let dir = PluginDir::with_faults(&sandbox);
    let mut wrong = Vec::new();
    for (url, size) in FAULTS {
        let record = json!({
            "id": "faulty", "disk_format": "raw", "container_format": "bare", "size": size, "os_hash_algo": "sha256",
            // SHA-256 of "abcde".
            "os_hash_value": "36bbe50ed96841d10443bcb670d6554f0a34b761be67ec9c4a8ad2c0c44ca42c",
            "locations": [{ "url": url }],
        });
        let [inline, worker] = ["inline", "worker"].map(|isolation| {
            let top =
                format!("{}handlers = [\"fault-source\", \"fault-transfer\"]\nisolation = {isolation:?}\n", dir.line());
            sandbox.configure(&top, "[limits]\nbench = \"0s\"\n");
            let answer = sandbox.place_value(&record, "disk");
            let _ = std::fs::remove_file(sandbox.out("disk"));
            (outcome(answer.document()), answer.status)
        });
        if inline != worker {
            wrong.push(format!("{url}: {inline:?} but {worker:?}"));
        }
        sandbox.only(&[]);
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
