//! A record and its locations, put together.
//!
//! `GET /v2/images/{id}/locations` is for services (Glance's API 2.17); `locations` and `direct_url` stand in the record where
//! `show_multiple_locations` and `show_image_direct_url` say so, and may name the same place twice.

use std::collections::HashMap;

use serde_json::{Map, Value};

const LOCATIONS: &str = "locations";
const DIRECT_URL: &str = "direct_url";
const URL: &str = "url";
const METADATA: &str = "metadata";

/// The record with one list of locations: those that were `listed`, then those of its own, then its direct URL. Each place
/// stands once, where it stood first, with its metadata where any of them had some. What is no location is left out, and of
/// a location everything but URL and metadata.
pub(crate) fn merge(mut image: Map<String, Value>, listed: Vec<Value>) -> Map<String, Value> {
    let own = match image.remove(LOCATIONS) {
        Some(Value::Array(own)) => own,
        _ => Vec::new(),
    };
    let direct = image.remove(DIRECT_URL).map(|url| Value::Object(Map::from_iter([(URL.to_owned(), url)])));
    let mut places = HashMap::new();
    let mut merged: Vec<Place> = Vec::new();
    for place in listed.into_iter().chain(own).chain(direct).filter_map(Place::of) {
        match places.get(&place.url).and_then(|&at: &usize| merged.get_mut(at)) {
            Some(known) if known.metadata.is_empty() => known.metadata = place.metadata,
            Some(_) => {}
            None => {
                places.insert(place.url.clone(), merged.len());
                merged.push(place);
            }
        }
    }
    image.insert(LOCATIONS.to_owned(), merged.into_iter().map(Place::into_location).collect());
    image
}

struct Place {
    url: String,
    metadata: Map<String, Value>,
}

impl Place {
    fn of(location: Value) -> Option<Self> {
        let Value::Object(mut location) = location else { return None };
        let Some(Value::String(url)) = location.remove(URL) else { return None };
        let metadata = match location.remove(METADATA) {
            Some(Value::Object(metadata)) => metadata,
            _ => Map::new(),
        };
        Some(Self { url, metadata })
    }

    fn into_location(self) -> Value {
        let members = [(URL, Value::String(self.url)), (METADATA, Value::Object(self.metadata))];
        members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn merged(image: Value, listed: Value) -> Value {
        let (Value::Object(image), Value::Array(listed)) = (image, listed) else { panic!("no object and list") };
        Value::Object(merge(image, listed))
    }

    #[test]
    fn each_place_stands_once_with_its_metadata() {
        let a = json!({"url": "file:///a", "metadata": {"store": "fs"}});
        let bare = json!({"url": "file:///a", "metadata": {}});
        let b = json!({"url": "swift+config://r/c/b", "metadata": {"store": "sw", "metrics": {"weight": "1"}}});
        for (listed, own, direct, expected) in [
            (json!([]), json!([a, b]), json!("file:///a"), json!([a, b])),
            (json!([]), json!([b]), json!("file:///a"), json!([b, bare])),
            (json!([]), json!([]), json!("file:///a"), json!([bare])),
            (json!([]), json!(null), json!(null), json!([])),
            (json!([]), json!([b, b, bare]), json!(null), json!([b, bare])),
            (json!([b, a]), json!(null), json!(null), json!([b, a])),
            (json!([b, a]), json!([a, b]), json!("file:///a"), json!([b, a])),
            (json!([bare, b]), json!([a]), json!("file:///a"), json!([a, b])),
            (json!([a]), json!([bare]), json!(null), json!([a])),
        ] {
            let image = json!({"id": "i", "locations": own, "direct_url": direct, "hw_x": {"kept": [1]}, "x": null});
            let expected = json!({"id": "i", "locations": expected, "hw_x": {"kept": [1]}, "x": null});
            assert_eq!(merged(image, listed), expected);
        }
    }

    #[test]
    fn what_is_no_location_is_left_out() {
        for locations in [json!(null), json!(7), json!("file:///a"), json!({"url": "file:///a"}), json!(true)] {
            let image = json!({"id": "i", "locations": locations, "direct_url": ["file:///a"]});
            assert_eq!(merged(image, json!([])), json!({"id": "i", "locations": []}));
        }
        let listed = json!([
            "x", 7, null, [], {}, {"url": 7}, {"url": null}, {"metadata": {"url": "x"}}, {"URL": "x"}, ["url", "x"],
            {"url": "good", "metadata": "none"}, {"url": "good", "metadata": [1]},
            {"url": "more", "metadata": {"store": "s"}, "validation_data": {"checksum": "x"}, "size": "no number"},
        ]);
        let expected = json!([{"url": "good", "metadata": {}}, {"url": "more", "metadata": {"store": "s"}}]);
        assert_eq!(merged(json!({}), listed), json!({"locations": expected}));
    }

    /// As many as fit into two answers: each is looked up once.
    #[test]
    fn many_places_are_merged_at_once() {
        let many: Vec<Value> = (0..100_000).map(|at| json!({"url": format!("file:///{at}")})).collect();
        let found = merged(json!({"locations": many}), json!(many));
        assert_eq!(found["locations"].as_array().map(Vec::len), Some(100_000));
    }
}
