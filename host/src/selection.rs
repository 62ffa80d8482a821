//! Step 1: the record's locations in this node's order.

use std::path::Path;

use landfall_handler_api::ImageRecord;
use landfall_rules::{Facts, Rule};
use landfall_select::{Criterion, External, Location, Node, Selection, Strategy};
use serde_json::{Map, Value, json};

use crate::config::Config;
use crate::measured::{Forecast, ranking};
use crate::place::{Access, Order};
use crate::route::Form;

/// Whether anything here looks at what the node has measured.
pub(crate) fn wants_forecast(config: &Config) -> bool {
    config.selection.criteria().contains(&Criterion::Fastest) || config.rules.iter().any(Rule::may_read_measured)
}

/// Orders the record's locations, as the configuration says. `forecast` is what was measured of them, where that is wanted.
pub(crate) fn select(order: &Order<'_>, config: &Config, forecast: Option<&Forecast>) -> Selection {
    let record = &order.image.record;
    let views: Vec<Location<'_>> = record
        .locations
        .iter()
        .map(|location| Location {
            url: &location.url,
            status: location.status.as_ref(),
            metadata: Some(&location.metadata),
            metrics: location.metrics.as_ref(),
        })
        .collect();
    let node = Node { name: &config.node };
    let (mut criteria, mut external) = (config.selection.criteria().to_vec(), Vec::new());
    if !config.rules.is_empty() && !criteria.contains(&Criterion::Rules) {
        // All of them deny, which counts in any case and orders nothing.
        criteria.insert(0, Criterion::Rules);
    }
    if criteria.contains(&Criterion::Rules) {
        let rankings = landfall_rules::rank(&config.rules, &facts(order, config, forecast));
        external.push(External { name: Criterion::Rules.name().to_owned(), rankings: Ok(rankings) });
    }
    if let Some(forecast) = forecast.filter(|_| criteria.contains(&Criterion::Fastest)) {
        let rankings = ranking(forecast, order.image, config);
        external.push(External { name: Criterion::Fastest.name().to_owned(), rankings: Ok(rankings) });
    }
    let strategy = Strategy::new(criteria).expect("one more criterion of its own kind is still a strategy");
    landfall_select::select_with(&views, &node, &strategy, &external)
}

/// What rules may look at.
fn facts(order: &Order<'_>, config: &Config, forecast: Option<&Forecast>) -> Facts {
    let record = &order.image.record;
    Facts {
        node: json!({ "name": config.node, "labels": config.labels, "free_bytes": free_bytes(order.target) }),
        image: image(record),
        request: json!({
            "format": if order.form == Form::AsIs { "as-is" } else { "raw" },
            "access": if order.access == Access::ReadOnly { "read-only" } else { "read-write" },
            "caller": order.caller,
            "replace": order.dress.replace,
        }),
        locations: record.locations.iter().enumerate().map(|(index, at)| location(record, index, at)).collect(),
        measured: (0..record.locations.len()).map(|index| measured(order, config, forecast, index)).collect(),
    }
}

/// What was measured of a location's place; null where nothing was.
fn measured(order: &Order<'_>, config: &Config, forecast: Option<&Forecast>, index: usize) -> Value {
    let prediction = forecast.and_then(|forecast| forecast.of_location(order.image, config, index));
    let Some(seen) = prediction.filter(|prediction| prediction.samples > 0) else { return Value::Null };
    json!({
        "seconds": seen.seconds, "rate": seen.rate, "first_byte": seen.first_byte, "failing": seen.failing,
        "samples": seen.samples, "age": seen.age,
    })
}

/// Bytes that are free where the target is to be, if that can be told.
fn free_bytes(target: &Path) -> Option<u64> {
    let directory = target.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let stat = rustix::fs::statvfs(directory).ok()?;
    Some(stat.f_bavail.saturating_mul(stat.f_frsize))
}

/// The record's fields, and its other members as properties.
fn image(record: &ImageRecord) -> Value {
    json!({
        "id": record.id,
        "name": record.name,
        "status": record.status,
        "visibility": record.visibility,
        "protected": record.protected,
        "os_hidden": record.os_hidden,
        "checksum": record.checksum,
        "os_hash_algo": record.os_hash_algo,
        "os_hash_value": record.os_hash_value,
        "size": record.size,
        "virtual_size": record.virtual_size,
        "disk_format": record.disk_format,
        "container_format": record.container_format,
        "compression": record.compression,
        "min_ram": record.min_ram,
        "min_disk": record.min_disk,
        "owner": record.owner,
        "created_at": record.created_at,
        "updated_at": record.updated_at,
        "tags": record.tags,
        "stores": record.stores,
        "properties": record.properties,
    })
}

fn location(record: &ImageRecord, index: usize, location: &landfall_handler_api::Location) -> Value {
    let name = |key: &str| location.metadata.get(key).and_then(Value::as_str);
    json!({
        "index": index,
        "count": record.locations.len(),
        "url": url(&location.url),
        "store": name("store").or_else(|| name("id")),
        "status": location.status.as_ref().and_then(Value::as_str).unwrap_or("active"),
        "metrics": metrics(location),
        "metadata": location.metadata,
        "disk_format": location.disk_format.as_ref().or(record.disk_format.as_ref()),
        "container_format": location.container_format.as_ref().or(record.container_format.as_ref()),
        "compression": location.compression,
        "size": location.size.or(record.size),
        "os_hash_algo": location.os_hash_algo,
        "os_hash_value": location.os_hash_value,
    })
}

/// The location's own metrics, else those that its store's metadata has, where they are an object.
fn metrics(location: &landfall_handler_api::Location) -> Value {
    let own = location.metrics.as_ref().or_else(|| location.metadata.get("metrics"));
    own.filter(|metrics| metrics.is_object()).cloned().unwrap_or_else(|| Value::Object(Map::new()))
}

/// The parts of a URL that are no secrets: without user and query.
fn url(text: &str) -> Value {
    let Some((scheme, rest)) = text.split_once("://") else {
        return json!({ "scheme": "file", "path": text });
    };
    let rest = rest.split(['?', '#']).next().unwrap_or_default();
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let host = authority.rsplit('@').next().unwrap_or_default();
    let (host, port) = match host.rsplit_once(':') {
        Some((host, port)) if !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()) => {
            (host, port.parse::<u16>().ok())
        }
        _ => (host, None),
    };
    json!({ "scheme": scheme.to_ascii_lowercase(), "host": host.to_ascii_lowercase(), "port": port, "path": path })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_taken_apart_without_its_secrets() {
        for (text, expected) in [
            (
                "https://Near.Edge:8080/a/b?sig=SECRET",
                json!({ "scheme": "https", "host": "near.edge", "port": 8080, "path": "/a/b" }),
            ),
            (
                "swift+https://user:SECRET@auth/c/o",
                json!({ "scheme": "swift+https", "host": "auth", "port": null, "path": "/c/o" }),
            ),
            (
                "swift+https://u:p@ss:w@auth:5000",
                json!({ "scheme": "swift+https", "host": "auth", "port": 5000, "path": "" }),
            ),
            ("file:///srv/a", json!({ "scheme": "file", "host": "", "port": null, "path": "/srv/a" })),
            ("/srv/a", json!({ "scheme": "file", "path": "/srv/a" })),
            ("http://[::1]:80/x#f", json!({ "scheme": "http", "host": "[::1]", "port": 80, "path": "/x" })),
            ("http://[::1]/x", json!({ "scheme": "http", "host": "[::1]", "port": null, "path": "/x" })),
        ] {
            assert_eq!(url(text), expected, "{text}");
        }
    }
}
