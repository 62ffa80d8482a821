//! What holds for every input.

mod inputs;

use inputs::{CANARY, NODE, input, value};
use landfall_select::{Criterion, Location, MAX_REASON, Node, Place, Selection, Strategy, select};
use proptest::prelude::*;
use serde_json::json;

/// Every text of the record that people read.
fn texts(selection: &Selection) -> Vec<&str> {
    let keys = selection.order.iter().flat_map(|place| &place.keys);
    let reasons = keys.map(|key| &key.reason);
    let excluded = selection.excluded.iter().map(|e| &e.reason);
    let notes = selection.notes.iter().map(|note| &note.text);
    reasons.chain(excluded).chain(notes).map(String::as_str).collect()
}

/// Whether the canary stands anywhere in the record.
fn leaks(selection: &Selection) -> bool {
    serde_json::to_string(selection).map_or(true, |record| record.contains(CANARY))
}

/// A place's keys with none as the largest, apart from how the crate compares them.
fn sort_keys(selection: &Selection) -> Vec<Vec<f64>> {
    let keys = |place: &Place| -> Vec<f64> {
        let keys = place.keys.iter();
        keys.map(|key| key.key.unwrap_or(f64::INFINITY)).collect()
    };
    selection.order.iter().map(keys).collect()
}

proptest! {
    #[test]
    fn every_location_stands_once(input in input()) {
        let selection = input.select();
        let placed = selection.order.iter().map(|place| place.location);
        let excluded: Vec<usize> = selection.excluded.iter().map(|e| e.location).collect();
        prop_assert!(excluded.is_sorted());
        let mut all: Vec<usize> = placed.chain(excluded).collect();
        all.sort_unstable();
        prop_assert!(all.into_iter().eq(0..input.stored.len()));
    }

    #[test]
    fn places_are_sorted_by_their_keys_and_ties_keep_record_order(input in input()) {
        let selection = input.select();
        let keys = sort_keys(&selection);
        let places = keys.iter().zip(&selection.order);
        for ((a, first), (b, second)) in places.clone().zip(places.skip(1)) {
            prop_assert!(a < b || (a == b && first.location < second.location));
        }
        let named = |place: &Place| {
            place.keys.iter().map(|key| key.criterion.clone()).collect::<Vec<_>>()
        };
        for place in &selection.order {
            prop_assert_eq!(named(place), named(&selection.order[0]));
        }
    }

    #[test]
    fn the_same_input_gives_the_same_selection(input in input()) {
        prop_assert_eq!(input.select(), input.clone().select());
    }

    #[test]
    fn the_order_of_the_record_decides_ties_only(input in input()) {
        // location-order ranks by the very thing that is changed here.
        let mut criteria = input.strategy.criteria().to_vec();
        criteria.retain(|criterion| *criterion != Criterion::LocationOrder);
        if criteria.is_empty() {
            criteria.push(Criterion::Weight);
        }
        let strategy = Strategy::new(criteria).unwrap();
        let input = inputs::Input { strategy, ..input };
        let (shuffled, from) = input.shuffled();
        let (before, after) = (input.select(), shuffled.select());
        prop_assert_eq!(sort_keys(&before), sort_keys(&after));
        for place in &after.order {
            let same = before.order.iter().find(|old| old.location == from[place.location]);
            prop_assert_eq!(same.map(|old| &old.keys), Some(&place.keys));
        }
        prop_assert_eq!(before.excluded.len(), after.excluded.len());
    }

    #[test]
    fn texts_are_bounded_printable_and_without_urls(input in input()) {
        let selection = input.select();
        for text in texts(&selection) {
            prop_assert!(!text.is_empty());
            prop_assert!(text.chars().count() <= MAX_REASON, "{}", text);
            prop_assert!(!text.contains(char::is_control), "{:?}", text);
            prop_assert!(!text.contains("://"), "{}", text);
        }
        prop_assert!(input.stored.iter().all(|stored| stored.url.contains(CANARY)));
        prop_assert!(!leaks(&selection));
    }

    #[test]
    fn a_record_reads_back_as_it_was_written(input in input()) {
        let selection = input.select();
        let record = serde_json::to_string(&selection).unwrap();
        prop_assert_eq!(serde_json::from_str::<Selection>(&record).unwrap(), selection);
    }

    #[test]
    fn any_configuration_is_a_strategy_or_an_error(value in value()) {
        if let Ok(strategy) = serde_json::from_value::<Strategy>(value) {
            prop_assert_eq!(Strategy::new(strategy.criteria().to_vec()), Ok(strategy));
        }
    }
}

/// The checks above are worth something only if they can fail: a canary outside URLs is shown, and found.
#[test]
fn a_planted_canary_is_found() {
    let status = json!(CANARY);
    let location = Location { status: Some(&status), ..Location::default() };
    let selection = select(&[location], &Node { name: NODE }, &Strategy::default());
    assert!(leaks(&selection));
    assert!(texts(&selection).iter().any(|text| text.contains(CANARY)));

    let metrics = json!({ "weight": CANARY });
    let location = Location { metrics: Some(&metrics), ..Location::default() };
    let selection = select(&[location], &Node { name: NODE }, &Strategy::default());
    assert!(leaks(&selection));
}
