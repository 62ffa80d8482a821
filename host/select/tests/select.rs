//! Selections by example.

use landfall_select::{Criterion, Location, Node, Selection, StoreType, Strategy, select};
use serde_json::{Value, json};

fn order(selection: &Selection) -> Vec<usize> {
    selection.order.iter().map(|place| place.location).collect()
}

/// Each place's location and its reasons, first choice first.
fn why(selection: &Selection) -> Vec<(usize, Vec<&str>)> {
    let places = selection.order.iter();
    places
        .map(|place| {
            let reasons = place.keys.iter().map(|key| key.reason.as_str());
            (place.location, reasons.collect())
        })
        .collect()
}

fn with_metrics<'a>(metrics: &'a [Value]) -> Vec<Location<'a>> {
    let location =
        |metrics: &'a Value| Location { url: "file:///images/a", metrics: Some(metrics), ..Location::default() };
    metrics.iter().map(location).collect()
}

#[test]
fn each_node_has_its_own_order_of_two_weighted_locations() {
    let metrics = [
        json!({"weight": 1, "node-weights": {"novahost1": 1, "novahost2": 6}}),
        json!({"weight": 2, "node-weights": {"novahost1": 5, "novahost2": "3"}}),
    ];
    let locations = with_metrics(&metrics);
    let table = [
        (
            "novahost1",
            [(1, "weight 5 (metrics.node-weights.novahost1)"), (0, "weight 1 (metrics.node-weights.novahost1)")],
        ),
        (
            "novahost2",
            [(0, "weight 6 (metrics.node-weights.novahost2)"), (1, "weight 3 (metrics.node-weights.novahost2)")],
        ),
        ("novahost3", [(1, "weight 2 (metrics.weight)"), (0, "weight 1 (metrics.weight)")]),
    ];
    for (name, [(first, first_why), (second, second_why)]) in table {
        let selection = select(&locations, &Node { name }, &Strategy::default());
        let in_record = |index: usize| format!("number {} in the record", index + 1);
        assert_eq!(
            why(&selection),
            [
                (first, vec![first_why, in_record(first).as_str()]),
                (second, vec![second_why, in_record(second).as_str()]),
            ]
        );
        assert_eq!(selection.node, name);
        assert_eq!(selection.strategy, ["weight", "location-order"]);
        assert!(selection.excluded.is_empty());
        assert!(selection.notes.is_empty());
    }
}

#[test]
fn nothing_to_select_from_is_an_empty_selection() {
    let selection = select(&[], &Node { name: "n" }, &Strategy::default());
    assert!(selection.order.is_empty());
    assert!(selection.excluded.is_empty());
}

#[test]
fn only_active_locations_have_a_place() {
    let statuses = [json!("pending_delete"), json!(null), json!("active"), json!("resting"), json!(0)];
    let mut locations: Vec<Location<'_>> = Vec::new();
    for status in &statuses {
        locations.push(Location { status: Some(status), ..Location::default() });
    }
    locations.push(Location::default());
    let selection = select(&locations, &Node { name: "n" }, &Strategy::default());
    assert_eq!(order(&selection), [1, 2, 5]);
    let excluded: Vec<_> =
        selection.excluded.iter().map(|e| (e.location, e.criterion.as_str(), e.reason.as_str())).collect();
    assert_eq!(
        excluded,
        [
            (0, "status", "status pending_delete"),
            (3, "status", "status unknown: \"resting\""),
            (4, "status", "status unreadable: a number"),
        ]
    );
}

#[test]
fn weights_sort_totally() {
    let metrics = [
        json!({"weight": 0}),
        json!({"weight": u64::MAX}),
        json!({"weight": -1e308}),
        json!({"weight": "-0.0"}),
        json!({"weight": 1e308}),
        json!({"weight": "NaN"}),
        json!({"weight": i64::MIN}),
        json!({}),
    ];
    let selection = select(&with_metrics(&metrics), &Node { name: "n" }, &Strategy::default());
    assert_eq!(order(&selection), [4, 1, 0, 3, 5, 7, 6, 2]);
}

#[test]
fn the_first_criterion_matters_most_and_the_next_decides_its_ties() {
    let urls = ["swift://a", "rbd://b", "file:///c", "SWIFT+HTTPS://d", "/e"];
    let weights = [json!({"weight": 1}), json!({"weight": 2})];
    let mut locations = urls.map(|url| Location { url, ..Location::default() });
    locations[3].metrics = Some(&weights[0]);
    locations[1].metrics = Some(&weights[1]);

    let prefer = || Criterion::StoreType { prefer: vec![StoreType::File, StoreType::Swift] };
    let node = Node { name: "n" };
    let strategy = Strategy::new(vec![prefer(), Criterion::Weight]).unwrap();
    let selection = select(&locations, &node, &strategy);
    assert_eq!(order(&selection), [2, 4, 3, 0, 1]);
    assert_eq!(selection.strategy, ["store-type [file, swift]", "weight"]);

    let strategy = Strategy::new(vec![Criterion::Weight, prefer()]).unwrap();
    let selection = select(&locations, &node, &strategy);
    assert_eq!(order(&selection), [1, 3, 2, 4, 0]);
}

#[test]
fn the_record_has_one_written_form() {
    let metrics = [json!({"weight": 2}), json!({})];
    let gone = json!("deleted");
    let mut locations = with_metrics(&metrics);
    locations[1].status = Some(&gone);
    let selection = select(&locations, &Node { name: "n" }, &Strategy::default());
    let expected = json!({
        "node": "n",
        "strategy": ["weight", "location-order"],
        "order": [{
            "location": 0,
            "keys": [
                {"criterion": "weight", "key": -2.0, "reason": "weight 2 (metrics.weight)"},
                {"criterion": "location-order", "key": 0.0, "reason": "number 1 in the record"},
            ],
        }],
        "excluded": [{"location": 1, "criterion": "status", "reason": "status deleted"}],
    });
    assert_eq!(serde_json::to_value(&selection).unwrap(), expected);
    assert_eq!(serde_json::from_value::<Selection>(expected).unwrap(), selection);
}
