//! What rules may speak of: every attribute with its type.

use serde_json::{Map, Value, json};

/// What an attribute is.
pub(crate) enum Kind {
    /// Has these members and no other.
    Closed(&'static [(&'static str, Kind)]),
    /// Has whatever members the record, the store or the operator gave it.
    Open,
    /// The operator's labels: those of the configuration, all text.
    Labels,
    Text,
    Whole,
    Real,
    Truth,
    Texts,
}

use Kind::{Closed, Labels, Open, Real, Text, Texts, Truth, Whole};

/// The roots.
pub(crate) const ROOTS: &[(&str, Kind)] =
    &[("node", NODE), ("image", IMAGE), ("location", LOCATION), ("measured", MEASURED), ("request", REQUEST)];

const NODE: Kind = Closed(&[("name", Text), ("labels", Labels), ("free_bytes", Whole)]);

const IMAGE: Kind = Closed(&[
    ("id", Text),
    ("name", Text),
    ("status", Text),
    ("visibility", Text),
    ("protected", Truth),
    ("os_hidden", Truth),
    ("checksum", Text),
    ("os_hash_algo", Text),
    ("os_hash_value", Text),
    ("size", Whole),
    ("virtual_size", Whole),
    ("disk_format", Text),
    ("container_format", Text),
    ("compression", Text),
    ("min_ram", Whole),
    ("min_disk", Whole),
    ("owner", Text),
    ("created_at", Text),
    ("updated_at", Text),
    ("tags", Texts),
    ("stores", Text),
    ("properties", Open),
]);

const LOCATION: Kind = Closed(&[
    ("index", Whole),
    ("count", Whole),
    ("url", Closed(&[("scheme", Text), ("host", Text), ("port", Whole), ("path", Text)])),
    ("store", Text),
    ("status", Text),
    ("metrics", Open),
    ("metadata", Open),
    ("disk_format", Text),
    ("container_format", Text),
    ("compression", Text),
    ("size", Whole),
    ("os_hash_algo", Text),
    ("os_hash_value", Text),
]);

const MEASURED: Kind = Closed(&[
    ("seconds", Real),
    ("rate", Real),
    ("first_byte", Real),
    ("failing", Real),
    ("samples", Whole),
    ("age", Real),
]);

const REQUEST: Kind = Closed(&[("format", Text), ("access", Text), ("caller", Whole), ("replace", Truth)]);

/// Values of the right types for every attribute, to try an expression out on.
pub(crate) fn sample(labels: &[String]) -> Vec<(&'static str, Value)> {
    ROOTS.iter().map(|(name, kind)| (*name, example(kind, labels))).collect()
}

fn example(kind: &Kind, labels: &[String]) -> Value {
    match kind {
        Closed(members) => {
            let members = members.iter().map(|(name, kind)| ((*name).to_owned(), example(kind, labels)));
            Value::Object(members.collect())
        }
        Open => Value::Object(Map::new()),
        Labels => Value::Object(labels.iter().map(|label| (label.clone(), json!("a"))).collect()),
        Text => json!("a"),
        Whole => json!(7),
        Real => json!(7.5),
        Truth => json!(true),
        Texts => json!(["a"]),
    }
}

/// The names of these members, for people.
pub(crate) fn names(members: &[(&str, Kind)]) -> String {
    members.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ")
}
