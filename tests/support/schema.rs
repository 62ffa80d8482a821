//! Holds a document against a committed JSON schema: as much of the language as those schemas use, and strict about keys.

use std::path::Path;
use std::sync::OnceLock;

use serde_json::Value;

/// What is wrong with an answer of `place --json` by its committed schema.
pub(crate) fn faults_of_place(document: &Value) -> Vec<String> {
    static SCHEMA: OnceLock<Value> = OnceLock::new();
    let schema = SCHEMA.get_or_init(|| {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/schemas/place.schema.json");
        let text = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        serde_json::from_slice(&text).expect("the schema is JSON")
    });
    faults(schema, document)
}

/// What is wrong with `document` by `schema`.
pub(crate) fn faults(schema: &Value, document: &Value) -> Vec<String> {
    let mut found = Vec::new();
    check(schema, schema, document, "", &mut found);
    found
}

fn check(root: &Value, schema: &Value, value: &Value, at: &str, found: &mut Vec<String>) {
    if let Some(reference) = schema["$ref"].as_str() {
        let target = root.pointer(reference.trim_start_matches('#')).expect("a reference into this schema");
        check(root, target, value, at, found);
    }
    for word in ["anyOf", "oneOf"] {
        let Some(forms) = schema[word].as_array() else { continue };
        let fits = |form: &Value| {
            let mut inner = Vec::new();
            check(root, form, value, at, &mut inner);
            inner.is_empty()
        };
        let fitting = forms.iter().filter(|form| fits(form)).count();
        if fitting == 0 || (word == "oneOf" && fitting != 1) {
            found.push(format!("{at}: {value} fits {fitting} of {word}"));
        }
    }
    if let Some(wanted) = schema.get("const")
        && wanted != value
    {
        found.push(format!("{at}: {value} is not {wanted}"));
    }
    let types: Vec<&str> = match &schema["type"] {
        Value::String(one) => vec![one],
        Value::Array(several) => several.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    if !types.is_empty() && !types.iter().any(|name| is_type(value, name)) {
        found.push(format!("{at}: {value} is none of {types:?}"));
    }
    if let (Some(properties), Some(members)) = (schema["properties"].as_object(), value.as_object()) {
        for (key, member) in members {
            match properties.get(key) {
                Some(property) => check(root, property, member, &format!("{at}/{key}"), found),
                None => found.push(format!("{at}: the key {key} is not in the schema")),
            }
        }
        let required = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
        found.extend(required.filter(|key| !members.contains_key(*key)).map(|key| format!("{at}: no key {key}")));
    }
    if let (Some(_), Some(items)) = (schema.get("items"), value.as_array()) {
        for (index, item) in items.iter().enumerate() {
            check(root, &schema["items"], item, &format!("{at}/{index}"), found);
        }
    }
}

fn is_type(value: &Value, name: &str) -> bool {
    match name {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_u64() || value.is_i64(),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        other => panic!("the schema has a type {other}"),
    }
}
