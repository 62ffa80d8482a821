//! A record and its locations, put together.
//!
//! `GET /v2/images/{id}/locations` is for services (Glance's API 2.17); `locations` and `direct_url` stand in the record where
//! `show_multiple_locations` and `show_image_direct_url` say so, and may name the same place twice.

use serde_json::{Map, Value};

const LOCATIONS: &str = "locations";
const DIRECT_URL: &str = "direct_url";

/// The record with one list of locations: those that were `listed`, else its own, else its direct URL. Each place stands once, where
/// it stood first, with its metadata where any of them had some.
pub(crate) fn merge(mut image: Map<String, Value>, listed: Option<Vec<Value>>) -> Map<String, Value> {
    let own = match image.remove(LOCATIONS) {
        Some(Value::Array(own)) => own,
        _ => Vec::new(),
    };
    let direct = match image.remove(DIRECT_URL) {
        Some(Value::String(url)) => vec![Value::Object(Map::from_iter([("url".to_owned(), Value::String(url))]))],
        _ => Vec::new(),
    };
    let all = listed.unwrap_or_default().into_iter().chain(own).chain(direct);
    let mut merged: Vec<Map<String, Value>> = Vec::new();
    let mut places = std::collections::HashMap::new();
    for location in all {
        let Value::Object(location) = location else { continue };
        let Some(Value::String(url)) = location.get("url") else { continue };
        match places.get(url).and_then(|&at: &usize| merged.get_mut(at)) {
            Some(known) if has_metadata(known) || !has_metadata(&location) => {}
            Some(known) => *known = location,
            None => {
                places.insert(url.clone(), merged.len());
                merged.push(location);
            }
        }
    }
    image.insert(LOCATIONS.to_owned(), merged.into_iter().map(Value::Object).collect());
    image
}

fn has_metadata(location: &Map<String, Value>) -> bool {
    matches!(location.get("metadata"), Some(Value::Object(metadata)) if !metadata.is_empty())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn merged(image: Value, listed: Option<Value>) -> Value {
        let Value::Object(image) = image else { panic!("no object") };
        let listed = listed.map(|listed| listed.as_array().cloned().unwrap());
        Value::Object(merge(image, listed))
    }

    #[test]
    fn each_place_stands_once_with_its_metadata() {
        let a = json!({"url": "file:///a", "metadata": {"store": "fs"}});
        let bare = json!({"url": "file:///a", "metadata": {}});
        let b = json!({"url": "swift+config://r/c/b", "metadata": {"store": "sw"}});
        for (own, direct, listed, expected) in [
            (json!([a, b]), json!("file:///a"), None, json!([a, b])),
            (json!([b]), json!("file:///a"), None, json!([b, {"url": "file:///a"}])),
            (json!([]), json!("file:///a"), None, json!([{"url": "file:///a"}])),
            (json!(null), json!(null), None, json!([])),
            (json!(null), json!(null), Some(json!([b, a])), json!([b, a])),
            (json!([a]), json!("file:///a"), Some(json!([bare, b])), json!([a, b])),
            (json!([bare]), json!(null), Some(json!([a])), json!([a])),
            (json!([b, b, bare]), json!(null), Some(json!([])), json!([b, bare])),
        ] {
            let image = json!({"id": "i", "locations": own, "direct_url": direct, "hw_x": {"kept": [1]}});
            let expected = json!({"id": "i", "locations": expected, "hw_x": {"kept": [1]}});
            assert_eq!(merged(image, listed), expected);
        }
    }

    #[test]
    fn what_is_no_location_is_left_out() {
        let image = json!({"locations": {"url": "x"}, "direct_url": ["x"]});
        let listed = json!(["x", 7, null, {}, {"url": 7}, {"url": "good", "metadata": "none"}, {"url": "good"}]);
        let expected = json!({"locations": [{"url": "good", "metadata": "none"}]});
        assert_eq!(merged(image, Some(listed)), expected);
        let many: Vec<Value> = (0..100_000).map(|at| json!({"url": format!("file:///{at}")})).collect();
        let found = merged(json!({"locations": many}), None);
        assert_eq!(found["locations"].as_array().map(Vec::len), Some(100_000));
    }
}
