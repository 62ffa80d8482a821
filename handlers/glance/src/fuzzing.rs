//! What fuzz targets call: a record and its list of locations, put together.

use serde_json::{Map, Value};

/// The record with one list of locations.
pub fn merge(image: Map<String, Value>, listed: Vec<Value>) -> Map<String, Value> {
    crate::record::merge(image, listed)
}
