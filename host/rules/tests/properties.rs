//! Properties over any rules and locations.

use landfall_rules::{Effect, Facts, Rule, rank};
use landfall_select::{Criterion, External, Location, Node, Strategy as Order, select_with};
use proptest::prelude::*;
use serde_json::{Value, json};

const TEXTS: [(Effect, &str); 8] = [
    (Effect::Deny, "location.store == 's0'"),
    (Effect::Deny, "location.metrics.weight > 5"),
    (Effect::Deny, "has(location.metrics.weight) && location.metrics.weight > 5"),
    (Effect::Prefer, "location.url.host == 'h1'"),
    (Effect::Prefer, "location.metrics.weight > 2"),
    (Effect::Score, "location.metrics.weight"),
    (Effect::Score, "has(location.metrics.weight) ? location.metrics.weight * location.metrics.weight : 0"),
    (Effect::Score, "-1.5"),
];

fn locations() -> impl Strategy<Value = Vec<Value>> {
    let weight = prop_oneof![Just(json!({})), (-10_i64..10).prop_map(|weight| json!({ "weight": weight }))];
    let one = (0..3_u32, 0..3_u32, weight).prop_map(|(store, host, metrics)| {
        json!({ "store": format!("s{store}"), "url": { "host": format!("h{host}") }, "metrics": metrics })
    });
    proptest::collection::vec(one, 0..12)
}

proptest! {
    /// A denied location is never in the order, every other one is there once; equals keep the record's order; and the same
    /// input gives the same.
    #[test]
    fn the_order_is_total_and_stable(chosen in proptest::sample::subsequence(TEXTS.to_vec(), 1..8), locations in locations()) {
        let rules: Vec<Rule> =
            chosen.iter().map(|(effect, text)| Rule::new("r", *effect, text, &[]).unwrap()).collect();
        let facts = Facts { locations: locations.clone(), ..Facts::default() };
        let rankings = rank(&rules, &facts);
        prop_assert_eq!(&rankings, &rank(&rules, &facts));
        prop_assert_eq!(rankings.len(), locations.len());
        let views: Vec<Location<'_>> = locations.iter().map(|_| Location { url: "file:///a", ..Location::default() }).collect();
        let strategy = Order::new(vec![Criterion::External { name: "ruled".to_owned() }]).unwrap();
        let external = External { name: "ruled".to_owned(), rankings: Ok(rankings.clone()) };
        let selection = select_with(&views, &Node { name: "n" }, &strategy, &[external]);
        prop_assert!(selection.notes.is_empty());
        let mut all: Vec<usize> = selection.order.iter().map(|place| place.location).collect();
        for place in selection.order.windows(2) {
            let key = |place: &landfall_select::Place| place.keys[0].key.unwrap();
            prop_assert!(key(&place[0]) < key(&place[1]) || (key(&place[0]) == key(&place[1]) && place[0].location < place[1].location));
        }
        for index in &all {
            prop_assert!(rankings[*index].keep);
        }
        all.extend(selection.excluded.iter().map(|excluded| excluded.location));
        all.sort_unstable();
        prop_assert_eq!(all, (0..locations.len()).collect::<Vec<_>>());
    }

    /// Any text at all is a rule or an error with a place in it.
    #[test]
    fn any_text_is_answered(text in "[ -~]{0,60}|([a-z.()\\[\\]!&|=<>?:'\" 0-9+*/-]|location\\.|image\\.|node\\.){0,40}") {
        if let Err(error) = Rule::new("r", Effect::Deny, &text, &[]) {
            prop_assert!(error.span.end <= text.chars().count() + 1, "{:?}", error);
            prop_assert!(!error.message.is_empty());
        }
    }
}
