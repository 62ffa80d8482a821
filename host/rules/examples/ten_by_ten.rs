//! How long ten rules take over ten locations: prints the nanoseconds of each of 200 evaluations, one a line, slowest run of
//! warming up left out. For `make bench`.

use std::hint::black_box;
use std::io::Write;
use std::time::Instant;

use landfall_rules::{Effect, Facts, Rule, rank};
use serde_json::json;

const RULES: [(Effect, &str); 10] = [
    (Effect::Deny, "node.labels.site.startsWith('edge') && location.store == 'central'"),
    (Effect::Deny, "location.url.scheme == 'http' && !(location.url.host in ['a.example', 'b.example'])"),
    (Effect::Deny, "has(image.size) && image.size > node.free_bytes"),
    (
        Effect::Deny,
        "has(location.metadata.zone) && location.metadata.zone != node.labels.zone && image.size > 100000000000",
    ),
    (Effect::Prefer, "location.url.host.endsWith('.' + node.labels.site)"),
    (Effect::Prefer, "location.disk_format == image.disk_format && location.container_format == 'bare'"),
    (Effect::Prefer, "'golden' in image.tags && location.url.scheme == 'file'"),
    (Effect::Score, "has(location.metrics.weight) ? location.metrics.weight * 2 : 0"),
    (Effect::Score, "double(image.size) / 1073741824.0 > 4.0 ? 5 : 1"),
    (Effect::Score, "request.access == 'read-only' && location.store == 'near' ? 10 : 0"),
];

fn main() {
    let labels = ["site".to_owned(), "zone".to_owned()];
    let rules: Vec<Rule> = RULES
        .iter()
        .map(|(effect, text)| Rule::new("rule", *effect, text, &labels).expect("the texts are rules"))
        .collect();
    let location = |index: usize| {
        json!({
            "index": index, "count": 10, "status": "active", "store": if index.is_multiple_of(3) { "near" } else { "far" },
            "url": { "scheme": "https", "host": format!("swift{index}.edge-1"), "port": 8080, "path": "/v1/AUTH_a/images/b" },
            "metrics": { "weight": index }, "metadata": { "zone": "z1", "store": "near" },
            "disk_format": "raw", "container_format": "bare", "size": 2_147_483_648_u64,
        })
    };
    let facts = Facts {
        node: json!({ "name": "n1", "labels": { "site": "edge-1", "zone": "z1" }, "free_bytes": 1_u64 << 40 }),
        image: json!({
            "id": "8bcd4b5a", "name": "an image", "size": 2_147_483_648_u64, "disk_format": "raw", "container_format": "bare",
            "tags": ["golden", "linux"], "properties": { "hw_disk_bus": "virtio", "os_distro": "debian" },
        }),
        request: json!({ "format": "raw", "access": "read-write", "caller": 0, "replace": false }),
        locations: (0..10).map(location).collect(),
        ..Facts::default()
    };
    let run = || {
        let began = Instant::now();
        black_box(rank(black_box(&rules), black_box(&facts)));
        began.elapsed().as_nanos()
    };
    (0..200).for_each(|_| {
        run();
    });
    let mut out = std::io::stdout().lock();
    // Whoever reads may have seen enough.
    let _ = (0..200).try_for_each(|_| writeln!(out, "{}", run()));
}
