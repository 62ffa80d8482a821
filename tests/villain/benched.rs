//! A handler that crashed is not used for a while: for the image, and after several for none.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::world::World;

use super::lab::{Lab, Place, Settings};

/// Longer than any test waits for a bench of a second to be over.
const BOUND: Duration = Duration::from_secs(60);

fn lab<'w>(world: &'w World, bench: &'static str) -> Lab<'w> {
    let lab = Lab::new(world);
    lab.configure(&Settings { bench, ..Settings::calm() });
    lab
}

/// Places the image of this size, alone; fails unless that ends with this kind and code.
#[track_caller]
fn fails(lab: &Lab<'_>, deed: &str, size: u64, kind: &str, code: &str) -> Value {
    let answer = lab.place(&lab.record_of_size(deed, Place::Open, false, size), "disk").run();
    let error = &answer.document()["error"];
    assert_eq!([&error["kind"], &error["code"]], [kind, code], "{answer:#?}");
    answer.document().clone()
}

/// Places the image of this size, by the villain alone.
#[track_caller]
fn works(lab: &Lab<'_>, size: u64) {
    let answer = lab.place(&lab.record_of_size("fine", Place::Open, false, size), "disk").run();
    assert_eq!(answer.success()["handler"], "villain", "{answer:#?}");
    assert!(lab.take("disk", size), "{answer:#?}");
}

/// The reason for which the villain is left out, if it is.
fn left_out(document: &Value) -> Option<&str> {
    let excluded = document["excluded"].as_array().unwrap();
    excluded.iter().find(|excluded| excluded["handler"] == "villain").and_then(|excluded| excluded["reason"].as_str())
}

pub(super) fn image(world: &World) {
    let lab = lab(world, "10m");
    works(&lab, 1 << 20);
    // The crash itself is survived by the honest location, and remembered.
    let answer = lab.place(&lab.record("segv", Place::Open, true), "first").run();
    assert_eq!(answer.success()["attempts"][0]["code"], "worker-signal", "{answer:#?}");
    assert!(lab.take("first", 1 << 20));
    let answer = lab.place(&lab.record("segv", Place::Open, true), "second").run();
    let document = answer.success();
    assert_eq!(document["attempts"].as_array().unwrap().len(), 1, "{answer:#?}");
    assert_eq!(document["handler"], "file", "{answer:#?}");
    let reason = left_out(document).unwrap_or_else(|| panic!("{answer:#?}"));
    assert!(reason.contains("this image (worker-signal) within the last 10 min"), "{reason}");
    assert!(lab.take("second", 1 << 20));
    // Alone, that is the answer; a plan says so too.
    let document = fails(&lab, "segv", 1 << 20, "unavailable", "benched");
    assert!(left_out(&document).is_some(), "{document:#}");
    let path = lab.sandbox.record("planned.json", &lab.record("segv", Place::Open, true));
    let answer = lab.sandbox.plan(path, "planned").run();
    assert!(left_out(&answer.success()["decision"]).is_some(), "{answer:#?}");
    // Another image, another location of the same one, and another handler of the same plugin.
    works(&lab, 1000);
    works(&lab, 1 << 20);
    let answer = lab.place(&lab.record("fine", Place::Transfer, false), "transfer").run();
    assert_eq!(answer.success()["handler"], "villain-transfer", "{answer:#?}");
    assert!(lab.take("transfer", 1 << 20));
    lab.assert_left(&[]);
}

pub(super) fn handler(world: &World) {
    let lab = lab(world, "10m");
    for (deed, size, code) in [("abort", 1000, "worker-signal"), ("exit", 2000, "worker-exit")] {
        fails(&lab, deed, size, "crashed", code);
        works(&lab, 9000);
    }
    fails(&lab, "garbage", 3000, "crashed", "wire-garbage");
    let document = fails(&lab, "fine", 9000, "unavailable", "benched");
    let reason = left_out(&document).unwrap();
    assert!(reason.contains("3 images (wire-garbage)"), "{reason}");
    // An unpacker is blamed for what it did, not the source before it.
    let answer = lab.place(&lab.record("segv", Place::Unpack, true), "unpacked").run();
    let document = answer.success();
    assert_eq!(document["attempts"][0]["code"], "worker-signal", "{answer:#?}");
    assert!(lab.take("unpacked", 1 << 20));
    let answer = lab.place(&lab.record("fine", Place::Unpack, true), "unpacked").run();
    let excluded = answer.success()["excluded"].to_string();
    assert!(excluded.contains("villain-unpack crashed on this image"), "{answer:#?}");
    assert!(lab.take("unpacked", 1 << 20));
    lab.assert_left(&[]);
}

pub(super) fn nobody(world: &World) {
    let mut lab = lab(world, "10m");
    for (deed, kind, code) in [
        // A process that others killed says nothing of its handler.
        ("raise-kill", "crashed", "worker-killed"),
        ("error-as-success", "internal", "bad-error"),
    ] {
        for _ in 0..2 {
            fails(&lab, deed, 1 << 20, kind, code);
        }
        works(&lab, 1 << 20);
    }
    lab.assert_left(&[]);
    lab = self::lab(world, "0s");
    for size in [1000, 2000, 3000, 4000] {
        for _ in 0..2 {
            fails(&lab, "segv", size, "crashed", "worker-signal");
        }
        works(&lab, size);
    }
    lab.assert_left(&[]);
}

pub(super) fn end(world: &World) {
    let lab = lab(world, "1s");
    fails(&lab, "segv", 1 << 20, "crashed", "worker-signal");
    let since = Instant::now();
    loop {
        let answer = lab.place(&lab.record("segv", Place::Open, false), "disk").run();
        // Used again, it crashes again.
        if answer.document()["error"]["code"] == "worker-signal" {
            break;
        }
        answer.failure("unavailable", "benched", "request");
        assert!(since.elapsed() < BOUND, "the bench never ends: {answer:#?}");
    }
    lab.assert_left(&[]);
}
