//! What Keystone and Glance answer: endpoints that a token may be shown to, and places that stand once.

use std::collections::HashSet;

use landfall_handler_api::Cloud;
use landfall_keystone::fuzzing::granted;
use serde_json::{Map, Value};

use crate::knobs;
use crate::verdict::verdict;

pub(crate) fn run(mut data: &[u8]) {
    let knobs = knobs::byte(&mut data);
    match knobs & 1 {
        0 => keystone(data, knobs >> 1),
        _ => glance(data),
    }
}

fn keystone(data: &[u8], knobs: u8) {
    let mut cloud = Cloud::default();
    cloud.region = (knobs & 1 != 0).then(|| "R".to_owned());
    cloud.interface = ["", "internal"][usize::from(knobs >> 1 & 1)].to_owned();
    for service in ["object-store", "image"] {
        let Ok((_, endpoint)) = granted(data, &cloud, service) else { continue };
        let Ok((url, covered)) = verdict(endpoint) else { continue };
        assert!(matches!(url.scheme(), "http" | "https") && url.has_host(), "{url}");
        assert!(url.username().is_empty() && url.password().is_none(), "{url} has credentials");
        assert!(url.query().is_none() && url.fragment().is_none(), "{url} has more than a path");
        assert!(covered, "the token may not be shown to the endpoint {url}");
    }
}

fn glance(mut data: &[u8]) {
    let record = knobs::part(&mut data);
    let Ok(Value::Object(record)) = serde_json::from_slice(record) else { return };
    let listed: Vec<Value> = serde_json::from_slice(data).unwrap_or_default();
    let merged = landfall_handler_glance::fuzzing::merge(record.clone(), listed.clone());
    let places = urls(&merged);
    let mut known = HashSet::new();
    assert!(places.iter().all(|place| known.insert(*place)), "a place stands twice: {places:?}");
    // Every place that either of them has is there, and no other.
    let own = record.get("locations").and_then(Value::as_array).into_iter().flatten();
    let named = listed.iter().chain(own).filter_map(|location| location.get("url")?.as_str());
    let expected: HashSet<&str> = named.chain(record.get("direct_url").and_then(Value::as_str)).collect();
    assert_eq!(known, expected);
    assert_eq!(merged, landfall_handler_glance::fuzzing::merge(merged.clone(), Vec::new()), "once more");
}

fn urls(record: &Map<String, Value>) -> Vec<&str> {
    let locations = record["locations"].as_array().expect("there is a list");
    locations.iter().map(|location| location["url"].as_str().expect("a location has a URL")).collect()
}
