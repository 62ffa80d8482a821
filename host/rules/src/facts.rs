//! What rules look at.

use std::collections::HashMap;
use std::sync::Arc;

use cel::Value;
use cel::objects::{Key, Map};
use serde_json::Value as Json;

/// What is known of the node, the image and the request: the same for all locations. Each an object with the attributes that are
/// known; what is absent or null is not there.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// `node`: `name`, `labels`, `free_bytes`.
    pub node: Json,
    /// `image`: the record's fields, and `properties` with the rest.
    pub image: Json,
    /// `request`: `format`, `access`, `caller`, `replace`.
    pub request: Json,
    /// `location`, for each in the record's order: `index`, `count`, `url`, `store`, `status`, `metrics`, `metadata`, and a form,
    /// size and digest where it has its own.
    pub locations: Vec<Json>,
    /// `measured`, for each in the same order: `seconds`, `rate`, `first_byte`, `failing`, `samples`, `age`; null where nothing was
    /// measured. May be empty where no rule speaks of it.
    pub measured: Vec<Json>,
}

/// The same for the expressions. Null members are left out, so that `has()` is false of them.
pub(crate) fn value(json: &Json) -> Value {
    match json {
        Json::Null => Value::Null,
        Json::Bool(truth) => Value::Bool(*truth),
        Json::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(whole), _) => Value::Int(whole),
            (None, Some(whole)) => Value::UInt(whole),
            (None, None) => Value::Float(number.as_f64().unwrap_or_default()),
        },
        Json::String(text) => Value::String(Arc::new(text.clone())),
        Json::Array(items) => Value::List(Arc::new(items.iter().map(value).collect())),
        Json::Object(members) => {
            let members = members.iter().filter(|(_, member)| !member.is_null());
            let map: HashMap<Key, Value> =
                members.map(|(name, member)| (Key::String(Arc::new(name.clone())), value(member))).collect();
            Value::Map(Map { map: Arc::new(map) })
        }
    }
}
