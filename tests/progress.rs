//! What is shown while a placement runs, and where.

use serde_json::Value;

use crate::support::case::Case;
use crate::support::disk::noisy_file;
use crate::support::mounts::Fs;
use crate::support::sandbox::Sandbox;
use crate::support::world::World;

pub(crate) fn cases() -> Vec<Case> {
    vec![
        Case::new("progress::json_lines", json_lines),
        Case::new("progress::silence", silence),
        Case::new("progress::bar_on_standard_error_only", bar),
    ]
}

/// A sandbox whose store's second copy is the one that works.
fn scene(world: &World) -> (Sandbox<'_>, std::path::PathBuf) {
    let sandbox = Sandbox::on(world, Fs::Temp);
    let source = sandbox.store("disk.raw");
    noisy_file(&source, 8 << 20, 1);
    let mut record = crate::support::record::record_of(&source);
    let good = record["locations"][0].clone();
    let missing = serde_json::json!({ "url": format!("file://{}", sandbox.store("missing").display()) });
    record["locations"] = serde_json::json!([missing, good]);
    let path = sandbox.record("image.json", &record);
    (sandbox, path)
}

fn json_lines(world: &World) {
    let (sandbox, record) = scene(world);
    let answer = sandbox.place(&record, "disk").args(["--progress", "json"]).run();
    answer.success();
    let events: Vec<Value> = answer
        .stderr
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{line}: {error}")))
        .collect();
    let count = |name: &str| events.iter().filter(|event| event["event"] == name).count();
    assert_eq!((count("attempt"), count("failed")), (2, 1), "{events:#?}");
    assert!(count("bytes") >= 1, "{events:#?}");
    assert_eq!(count("attempt") + count("failed") + count("bytes"), events.len(), "no other events: {events:#?}");
    let failed = events.iter().find(|event| event["event"] == "failed").unwrap();
    assert_eq!((&failed["kind"], &failed["code"]), (&"not-found".into(), &"no-such-file".into()));
    let done: Vec<u64> =
        events.iter().filter(|event| event["event"] == "bytes").map(|event| event["done"].as_u64().unwrap()).collect();
    for event in events.iter().filter(|event| event["event"] == "bytes") {
        // A short download has no rate to speak of.
        for (key, told) in [("rate", &event["rate"]), ("eta", &event["eta"])] {
            assert!(event.get(key).is_some() && (told.is_null() || told.is_u64()), "{key}: {event}");
        }
    }
    assert!(done.is_sorted(), "progress goes forward: {done:?}");
    assert_eq!(done.last(), Some(&(8 << 20)), "and to the end");
}

fn silence(world: &World) {
    let (sandbox, record) = scene(world);
    let good = sandbox.record_of_file(&sandbox.store("disk.raw"));
    // Nobody looks at a terminal here: by itself, only what went wrong on the way is told, in a line.
    for (name, mode) in [("none", &["--progress", "none"][..]), ("auto", &["--progress", "auto"]), ("default", &[])] {
        for json in [true, false] {
            let place = |record: &std::path::Path, number: u32| {
                let target = sandbox.out(&format!("{name}-{json}-{number}"));
                let line = sandbox.landfall("place").arg(record).arg("--to").arg(&target).args(mode);
                let answer = if json { line.json() } else { line }.run();
                answer.success();
                assert!(answer.stdout.contains(target.to_str().unwrap()), "{answer:#?}");
                answer.stderr
            };
            assert_eq!(place(&good, 1), "", "{name}");
            let told = place(&record, 2);
            match name {
                "none" => assert_eq!(told, ""),
                _ => assert!(told.lines().count() == 1 && told.contains("no-such-file"), "{told}"),
            }
        }
    }
}

fn bar(world: &World) {
    let (sandbox, record) = scene(world);
    let answer = sandbox.place(&record, "disk").args(["--progress", "bar"]).for_terminal().run();
    // The document on standard output is parsed by the runner, and so was not disturbed.
    answer.success();
    assert!(answer.stderr.contains("attempt 1 of 2") && answer.stderr.contains("attempt 2 of 2"), "{answer:#?}");
}
