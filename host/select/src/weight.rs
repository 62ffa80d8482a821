//! The `weight` criterion; [`Criterion::Weight`](crate::Criterion::Weight) has the rules.

use std::borrow::Cow;
use std::fmt;

use serde_json::{Map, Value};

use crate::location::Location;
use crate::ranking::Ranking;
use crate::reason;

/// The longest string that is read as a JSON object of metrics, in bytes.
pub const MAX_ENCODED: usize = 64 * 1024;

const METRICS: &str = "metrics";
const METADATA_METRICS: &str = "metadata.metrics";
const NODE_WEIGHTS: &str = "node-weights";
const WEIGHT: &str = "weight";

/// Ranks by weight: the key is the weight below zero, since lower keys come first.
pub(crate) fn rank(locations: &[Location<'_>], node: &str) -> Vec<Ranking> {
    let weighed = locations.iter().map(|location| weigh(location, node));
    weighed.enumerate().map(|(index, (weight, reason))| Ranking::keep(index, Some(-weight), reason)).collect()
}

/// A location's weight, finite and not -0, and its reason.
fn weigh(location: &Location<'_>, node: &str) -> (f64, String) {
    let mut faults = Faults::default();
    let nested = location.metadata.and_then(|metadata| metadata.get(METRICS));
    let sources = [
        (METRICS, faults.object(METRICS, location.metrics)),
        (METADATA_METRICS, faults.object(METADATA_METRICS, nested)),
    ];
    for (path, metrics) in &sources {
        let path = format!("{path}.{NODE_WEIGHTS}");
        let weights = faults.object(&path, metrics.get(NODE_WEIGHTS));
        if let Some(value) = weights.get(node) {
            let path = format!("{path}.{}", reason::name(node));
            return read(value, &path, &faults);
        }
    }
    for (path, metrics) in &sources {
        if let Some(value) = metrics.get(WEIGHT) {
            return read(value, &format!("{path}.{WEIGHT}"), &faults);
        }
    }
    (0.0, format!("weight 0 (none given{faults})"))
}

/// The weight in a value that decides, wherever it was found.
fn read(value: &Value, path: &str, faults: &Faults) -> (f64, String) {
    let number = match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    };
    match number.filter(|number| number.is_finite()) {
        Some(weight) => {
            // Adding 0 turns -0 into 0, which reads better.
            let weight = weight + 0.0;
            let shown = format!("{weight:?}");
            let shown = shown.strip_suffix(".0").unwrap_or(&shown);
            (weight, format!("weight {shown} ({path}{faults})"))
        }
        None => {
            let value = reason::describe(value);
            let reason = format!("weight 0 ({path} unreadable: {value}{faults})");
            (0.0, reason)
        }
    }
}

/// The first thing on the way to a weight that should have been an object and is not.
///
/// One is enough to look into the record, and keeps the reason short.
#[derive(Default)]
struct Faults(Option<String>);

impl Faults {
    /// The object in a value, which may be a string of JSON: some stores of metadata take nothing but
    /// strings. What is not an object counts as empty.
    fn object<'a>(&mut self, path: &str, value: Option<&'a Value>) -> Cow<'a, Map<String, Value>> {
        let fault = match value {
            None | Some(Value::Null) => return Cow::Owned(Map::new()),
            Some(Value::Object(object)) => return Cow::Borrowed(object),
            Some(Value::String(text)) if text.len() > MAX_ENCODED => {
                format!("a string of {} bytes", text.len())
            }
            Some(Value::String(text)) => match serde_json::from_str(text) {
                Ok(object) => return Cow::Owned(object),
                Err(_) => "a string, not of a JSON object".to_owned(),
            },
            Some(other) => reason::describe(other),
        };
        self.0.get_or_insert_with(|| format!("{path} unreadable: {fault}"));
        Cow::Owned(Map::new())
    }
}

/// As the end of a longer reason.
impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some(fault) => write!(f, "; {fault}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const NODE: &str = "novahost1";

    fn weighed(metrics: &Value, metadata: &Value) -> (f64, String) {
        let location = Location { metrics: Some(metrics), metadata: metadata.as_object(), ..Location::default() };
        weigh(&location, NODE)
    }

    #[test]
    fn a_number_or_a_string_of_one_is_a_weight() {
        let table = [
            (json!(2), 2.0, "weight 2 (metrics.weight)"),
            (json!(-3), -3.0, "weight -3 (metrics.weight)"),
            (json!(1.5), 1.5, "weight 1.5 (metrics.weight)"),
            (json!("2"), 2.0, "weight 2 (metrics.weight)"),
            (json!(" 1.5\n"), 1.5, "weight 1.5 (metrics.weight)"),
            (json!("-1e3"), -1000.0, "weight -1000 (metrics.weight)"),
            (json!(-0.0), 0.0, "weight 0 (metrics.weight)"),
            (json!("-0"), 0.0, "weight 0 (metrics.weight)"),
            (json!(1e308), 1e308, "weight 1e308 (metrics.weight)"),
            (json!(5e-324), 5e-324, "weight 5e-324 (metrics.weight)"),
            (json!(u64::MAX), 18_446_744_073_709_551_615.0, "weight 1.8446744073709552e19 (metrics.weight)"),
        ];
        for (value, weight, reason) in table {
            let (found, why) = weighed(&json!({ "weight": value }), &Value::Null);
            assert_eq!((found, why.as_str()), (weight, reason));
            assert!(found != 0.0 || found.is_sign_positive(), "-0 from {value}");
        }
    }

    #[test]
    fn what_is_no_weight_counts_as_0_and_is_named() {
        let table = [
            (json!("abc"), "\"abc\""),
            (json!(""), "\"\""),
            (json!("NaN"), "\"NaN\""),
            (json!("-inf"), "\"-inf\""),
            (json!("1e999"), "\"1e999\""),
            (json!("0x10"), "\"0x10\""),
            (json!("http://u:p@h/"), "\"[url]\""),
            (json!(null), "null"),
            (json!(true), "true"),
            (json!({"weight": 1}), "an object"),
            (json!([1]), "a list"),
        ];
        for (value, shown) in table {
            let expected = (0.0, format!("weight 0 (metrics.weight unreadable: {shown})"));
            assert_eq!(weighed(&json!({ "weight": value }), &Value::Null), expected);
        }
        let none = (0.0, "weight 0 (none given)".to_owned());
        assert_eq!(weighed(&Value::Null, &Value::Null), none);
        assert_eq!(weighed(&json!({}), &json!({ "metrics": null })), none);
    }

    #[test]
    fn the_first_that_is_present_decides() {
        let all = json!({"weight": 3, "node-weights": {"novahost1": 1, "novahost2": 8}});
        let nested = json!({"metrics": {"weight": 4, "node-weights": {"novahost1": 2}}});
        let others = json!({"weight": 3, "node-weights": {"novahost2": 8}});
        let nested_weight = json!({"metrics": {"weight": 4}});
        let broken = json!({"weight": 3, "node-weights": {"novahost1": "x"}});
        let table = [
            (&all, &nested, 1.0, "weight 1 (metrics.node-weights.novahost1)"),
            (&others, &nested, 2.0, "weight 2 (metadata.metrics.node-weights.novahost1)"),
            (&others, &nested_weight, 3.0, "weight 3 (metrics.weight)"),
            (&Value::Null, &nested_weight, 4.0, "weight 4 (metadata.metrics.weight)"),
            (&broken, &nested, 0.0, "weight 0 (metrics.node-weights.novahost1 unreadable: \"x\")"),
        ];
        for (metrics, metadata, weight, reason) in table {
            assert_eq!(weighed(metrics, metadata), (weight, reason.to_owned()));
        }
    }

    #[test]
    fn objects_may_be_strings_of_json() {
        let encoded = json!({"metrics": "{\"node-weights\": {\"novahost1\": \"7\"}}"});
        let reason = "weight 7 (metadata.metrics.node-weights.novahost1)";
        assert_eq!(weighed(&Value::Null, &encoded), (7.0, reason.to_owned()));

        let inner = json!({"weight": 1, "node-weights": "{\"novahost1\": 6}"});
        let reason = "weight 6 (metrics.node-weights.novahost1)";
        assert_eq!(weighed(&inner, &Value::Null), (6.0, reason.to_owned()));

        let padding = " ".repeat(MAX_ENCODED);
        let long = json!({ "metrics": format!("{{\"weight\": 1}}{padding}") });
        let reason = "weight 0 (none given; metadata.metrics unreadable: a string of 65549 bytes)";
        assert_eq!(weighed(&Value::Null, &long), (0.0, reason.to_owned()));

        let deep = json!({ "metrics": "{\"a\":".repeat(10_000) });
        assert_eq!(weighed(&Value::Null, &deep).0, 0.0);
    }

    #[test]
    fn what_should_be_an_object_counts_as_absent_and_is_named() {
        let metrics = json!({"weight": 5, "node-weights": "abc"});
        let reason = "weight 5 (metrics.weight; metrics.node-weights unreadable: a string, not of a JSON object)";
        assert_eq!(weighed(&metrics, &Value::Null), (5.0, reason.to_owned()));

        let reason = "weight 0 (none given; metrics unreadable: a number)";
        assert_eq!(weighed(&json!(1), &Value::Null), (0.0, reason.to_owned()));

        let nested = json!({"metrics": []});
        let reason = "weight 2 (metrics.weight; metadata.metrics unreadable: a list)";
        assert_eq!(weighed(&json!({"weight": 2}), &nested), (2.0, reason.to_owned()));
    }

    #[test]
    fn a_reason_shows_the_node_name_printable_and_cut() {
        let node = "x\n".repeat(200);
        let metrics = json!({"node-weights": {node.clone(): 1}});
        let location = Location { metrics: Some(&metrics), ..Location::default() };
        let (weight, reason) = weigh(&location, &node);
        assert_eq!(weight, 1.0);
        assert!(reason.starts_with("weight 1 (metrics.node-weights.x\\nx"));
        assert!(reason.chars().count() < 120);
    }
}
