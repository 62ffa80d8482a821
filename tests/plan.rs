//! What `plan` shows to people.

use std::fs;

use serde_json::json;

use crate::support::case::Case;
use crate::support::disk::noisy_file;
use crate::support::mounts::Fs;
use crate::support::record::record_of;
use crate::support::sandbox::Sandbox;
use crate::support::world::World;

pub(crate) fn cases() -> Vec<Case> {
    vec![Case::new("plan::twelve_locations_in_one_table", twelve).mode_independent()]
}

/// One record with a location in each state that there is: each has one row, which says whether it is tried, when, and why.
fn twelve(world: &World) {
    let sandbox = Sandbox::on(world, Fs::Temp);
    let rules = "[[rule]]\nname = \"no plain HTTP from afar\"\ndeny = \"location.url.host == 'afar.example.org'\"\n\
                 [[rule]]\nname = \"same site\"\nprefer = \"location.url.host.endsWith('.edge-1.example.org')\"\n";
    sandbox.configure("selection = [\"rules\", \"weight\", \"location-order\"]", rules);
    let image = sandbox.store("image");
    noisy_file(&image, 1 << 20, 3);
    let mut record = record_of(&image);
    let file = |path: &str| format!("file://{}", sandbox.store(path).display());
    record["locations"] = json!([
        { "url": file("image"), "metrics": { "weight": 1 } },
        { "url": file("gone"), "status": "active" },
        { "url": "file:///etc/hostname" },
        { "url": "https://swift.edge-1.example.org/v1/AUTH_a/images/8bcd4b5a", "metrics": { "weight": 3 } },
        { "url": "http://mirror.example.org/image", "metrics": { "node-weights": { "novahost1": 9 } } },
        { "url": "http://afar.example.org/image" },
        { "url": "http://mirror2.example.org/image", "status": "pending" },
        { "url": "swift+https://service%3Aglance:SECRET@auth.example.org/v3/images/8bcd", "status": "pending_delete" },
        { "url": file("old"), "status": "deleted" },
        { "url": "http://mirror3.example.org/image", "status": "frozen" },
        { "url": "rbd://fsid/images/8bcd/snap" },
        { "url": "http://mirror4.example.org/image", "os_hash_algo": "sha512", "os_hash_value": "zz" },
    ]);
    let path = sandbox.record("image.json", &record);
    let answer = sandbox.landfall("plan").arg(&path).arg("--to").arg(sandbox.out("disk")).run();
    assert_eq!(answer.status, 0, "{answer:?}");
    let rows: Vec<Vec<&str>> = answer
        .stdout
        .lines()
        .skip(3)
        .map(|line| line.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).collect())
        .collect();
    let ordinal = |number: u32| format!("number {number} in the record; ");
    let verified = format!("verified by {}", record["os_hash_algo"].as_str().unwrap());
    let store = format!("store main; {verified}");
    let expected = [
        ("try", "with", "", "why, or why not".to_owned()),
        ("1.", "file", "1", format!("no rule speaks of it; weight 1 (metrics.weight); {}{store}", ordinal(1))),
        ("2.", "file", "2", format!("no rule speaks of it; weight 0 (none given); {}{store}", ordinal(2))),
        ("3.", "http", "4", format!("preferred by same site; weight 3 (metrics.weight); {}{verified}", ordinal(4))),
        (
            "4.",
            "http",
            "5",
            format!("no rule speaks of it; weight 9 (metrics.node-weights.novahost1); {}{verified}", ordinal(5)),
        ),
        ("no", "-", "3", "file:///etc/hostname belongs to no store of this node".to_owned()),
        ("no", "-", "6", "denied by no plain HTTP from afar".to_owned()),
        ("no", "-", "7", "status pending".to_owned()),
        ("no", "-", "8", "status pending_delete".to_owned()),
        ("no", "-", "9", "status deleted".to_owned()),
        ("no", "-", "10", "status unknown: \"frozen\"".to_owned()),
        ("no", "-", "11", "no handler takes rbd locations".to_owned()),
        ("no", "-", "12", "a sha512 digest is 128 hex digits".to_owned()),
    ];
    assert_eq!(rows.len(), expected.len(), "{}", answer.stdout);
    for (row, (order, with, number, why)) in rows.iter().zip(&expected) {
        let shown = row[2].split(' ').next().unwrap();
        assert_eq!((row[0], row[1], row[3]), (*order, *with, why.as_str()), "{}", answer.stdout);
        assert!(number.is_empty() || shown == *number, "{}", answer.stdout);
    }
    assert!(!answer.stdout.contains("SECRET"), "{}", answer.stdout);
    assert!(answer.stdout.contains("for each handler, in their order, all locations"), "{}", answer.stdout);
    assert!(fs::read_dir(sandbox.out_dir()).unwrap().next().is_none());
}
