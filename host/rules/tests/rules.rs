//! What rules say of locations, and which texts are none.

use landfall_rules::{EXPRESSION_MAX, Effect, Facts, Rule, RuleError, rank};
use serde_json::{Value, json};

fn rule(effect: Effect, text: &str) -> Result<Rule, RuleError> {
    Rule::new("it", effect, text, &["site".to_owned(), "rack".to_owned()])
}

fn facts(locations: Vec<Value>) -> Facts {
    Facts {
        node: json!({ "name": "n1", "labels": { "site": "edge" }, "free_bytes": 1_u64 << 40 }),
        image: json!({ "id": "i", "size": 1_u64 << 30, "disk_format": "raw", "tags": ["big"], "properties": { "os": "linux" } }),
        request: json!({ "format": "raw", "access": "read-write", "caller": 0, "replace": false }),
        locations,
        measured: vec![
            json!({ "seconds": 4.5, "samples": 3, "failing": 0.25, "rate": 1e8, "first_byte": 0.2, "age": 60.0 }),
        ],
    }
}

fn location(host: &str, more: &Value) -> Value {
    let mut location = json!({
        "index": 0, "count": 1, "status": "active",
        "url": { "scheme": "https", "host": host, "path": "/a" },
        "metrics": {}, "metadata": {},
    });
    let more = more.as_object().expect("more members").clone();
    location.as_object_mut().expect("it is an object").extend(more);
    location
}

/// What one rule says of one location: whether it is kept, what it adds, and why.
fn said(effect: Effect, text: &str, of: &Value) -> (bool, Option<f64>, String) {
    let rules = [rule(effect, text).unwrap_or_else(|error| panic!("{text}: {error}"))];
    let ranking = rank(&rules, &facts(vec![of.clone()])).remove(0);
    (ranking.keep, ranking.key.map(|key| -key + 0.0), ranking.reason)
}

#[test]
fn expressions_speak_of_everything() {
    let near =
        location("near.edge", &json!({ "store": "near", "metrics": { "weight": 3 }, "metadata": { "zone": "a" } }));
    for text in [
        "location.url.host == 'near.edge'",
        "location.url.host.endsWith('.' + node.labels.site)",
        "location.store in ['near', 'far']",
        "location.metrics.weight > 2 && location.metadata['zone'] == 'a'",
        "!has(location.metrics.absent)",
        "!has(image.virtual_size) || image.virtual_size > 5",
        "has(image.size) && image.size > 1000",
        "image.properties.os == 'linux' && 'big' in image.tags",
        "size(image.tags) == 1",
        "node.name.startsWith('n') && node.free_bytes > image.size",
        "request.access == 'read-write' && !request.replace",
        "has(node.labels.nothing) ? false : node.labels['site'] == 'edge'",
        "string(location.metrics.weight) == '3'",
    ] {
        assert_eq!(said(Effect::Prefer, text, &near), (true, Some(1.0), "preferred by it".to_owned()), "{text}");
        assert_eq!(said(Effect::Deny, text, &near), (false, None, "denied by it".to_owned()), "{text}");
    }
    for (text, expected) in [
        ("location.metrics.weight * 2", 6.0),
        ("1.5", 1.5),
        ("double(image.size) / 1024.0", 1_048_576.0),
        ("has(location.metrics.fast) ? 10 : -10", -10.0),
    ] {
        assert_eq!(said(Effect::Score, text, &near).1, Some(expected), "{text}");
    }
}

/// What is not known denies, and adds nothing.
#[test]
fn what_cannot_be_evaluated_is_on_the_safe_side() {
    let bare = location("h", &json!({}));
    for text in
        ["location.metrics.weight > 2", "image.virtual_size > 5", "1 / (node.free_bytes - node.free_bytes) == 1"]
    {
        let (keep, _, reason) = said(Effect::Deny, text, &bare);
        assert!(!keep && reason.starts_with("denied, since it cannot be evaluated: "), "{text}: {reason}");
        let (keep, key, reason) = said(Effect::Prefer, text, &bare);
        assert!(keep && key == Some(0.0) && reason.starts_with("it cannot be evaluated: "), "{text}: {reason}");
    }
    let text = "location.metrics.weight";
    for weight in [json!("many"), json!([1]), json!(null)] {
        let odd = location("h", &json!({ "metrics": { "weight": weight } }));
        let (keep, key, reason) = said(Effect::Score, text, &odd);
        assert!(keep && key == Some(0.0) && reason.contains("cannot be evaluated"), "{weight}: {reason}");
    }
    let huge = location("h", &json!({ "metrics": { "weight": 1e308 } }));
    assert_eq!(said(Effect::Score, "location.metrics.weight * 10.0", &huge).1, Some(0.0));
}

#[test]
fn a_sum_orders_and_the_first_denial_counts() {
    let rules = [
        rule(Effect::Prefer, "location.url.host == 'a'").unwrap(),
        rule(Effect::Score, "location.metrics.weight").unwrap(),
        rule(Effect::Deny, "location.url.host == 'c'").unwrap(),
    ];
    let weighed = |host: &str, weight: u32| location(host, &json!({ "metrics": { "weight": weight } }));
    let rankings = rank(&rules, &facts(vec![weighed("a", 2), weighed("b", 4), weighed("c", 9)]));
    assert_eq!(rankings.iter().map(|ranking| ranking.key).collect::<Vec<_>>(), [Some(-3.0), Some(-4.0), None]);
    assert_eq!(rankings[0].reason, "preferred by it; it 2");
    assert_eq!(rank(&[], &facts(vec![weighed("a", 2)]))[0].key, Some(0.0));
}

/// Each is refused, and the place is where it is wrong.
#[test]
fn mistakes_have_a_place() {
    for (effect, text, at, message) in [
        (Effect::Deny, "location.urls.host == 'a'", "urls", "there is no urls there, but: index, count, url,"),
        (
            Effect::Deny,
            "locations.url.host == 'a'",
            "locations",
            "there is no locations here, but: node, image, location, measured, request",
        ),
        (Effect::Deny, "node.labels.sites == 'a'", "sites", "this node has no label sites"),
        (Effect::Deny, "node.labels['sites'] == 'a'", "", "this node has no label sites"),
        (Effect::Deny, "location.url == 'a'", "url", "this has members, and is none itself: scheme, host, port, path"),
        (Effect::Deny, "location['store'] == 'a'", "", "write its members with a dot"),
        (Effect::Deny, "image.tags.exists(t, t == 'a')", "", "exists"),
        (Effect::Deny, "image.name.matches('a+')", "", "there is no matches() in rules"),
        (Effect::Deny, "image.name.size.x", "size", "this has no members"),
        (Effect::Deny, "b'a' == b'a'", "", "there are no attributes of bytes"),
        (Effect::Deny, "{'a': 1} == {}", "", "rules make no maps"),
        (Effect::Deny, "location.store == 'a' &&", "", ""),
        (Effect::Deny, "", "", ""),
        (Effect::Deny, "true true", "true", ""),
        (Effect::Deny, "image.size + 'a' == 'b'", "", "nsupported"),
        (Effect::Deny, "image.size", "", "deny needs true or false, not int"),
        (Effect::Prefer, "'yes'", "", "prefer needs true or false, not string"),
        (Effect::Score, "image.name", "", "a score is a number, not string"),
        (Effect::Score, "true", "", "a score is a number, not bool"),
    ] {
        let error = rule(effect, text).map(|_| ()).expect_err(text);
        assert!(error.message.contains(message), "{text}: {error}");
        if !at.is_empty() {
            let shown: String = text.chars().skip(error.span.start).take(error.span.len()).collect();
            assert!(shown == at || at.starts_with(&shown), "{text}: {:?} is {shown:?}", error.span);
        }
        assert!(error.span.end <= text.chars().count() + 1, "{text}: {:?}", error.span);
    }
}

/// Texts that are made to take long or much: each is an error, at once.
#[test]
fn absurd_texts_are_refused() {
    let deep = |open: &str, close: &str, times: usize| format!("{}true{}", open.repeat(times), close.repeat(times));
    let texts = [
        "x".repeat(EXPRESSION_MAX + 1),
        deep("(", ")", 65),
        deep("(", ")", 2000),
        deep("!", "", 4000),
        deep("[", "]", 500),
        deep("size([", "])", 300),
        "-".repeat(4000),
        "(".repeat(4000),
        "[".repeat(4000),
        "true ? ".repeat(500),
        "a.".repeat(2000),
        "1+".repeat(2000) + "1",
        "\u{0}".repeat(100),
        "'".repeat(999),
        "\"\\".repeat(999),
        "😀".repeat(500),
        "[[[[,,,,((((".repeat(10),
        "image.name + ".repeat(300) + "image.name == ''",
        "9".repeat(4000),
        "image.tags[99999999999999999999]".to_owned(),
    ];
    for text in texts {
        for effect in Effect::ALL {
            let refused = rule(effect, &text).is_err();
            assert!(refused, "{}", text.chars().take(60).collect::<String>());
        }
    }
    // As deep as may be.
    assert!(rule(Effect::Deny, &deep("(", ")", 40)).is_ok());
}
