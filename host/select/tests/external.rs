//! Criteria that were evaluated elsewhere, and criteria without effect.

use landfall_select::{Criterion, External, Location, Node, Ranking, Selection, Strategy, select, select_with};
use serde_json::json;

fn order(selection: &Selection) -> Vec<usize> {
    selection.order.iter().map(|place| place.location).collect()
}

fn notes(selection: &Selection) -> Vec<(&str, &str)> {
    let notes = selection.notes.iter();
    notes.map(|note| (note.criterion.as_str(), note.text.as_str())).collect()
}

fn external(name: &str) -> Criterion {
    Criterion::External { name: name.to_owned() }
}

fn ranking(index: usize, key: Option<f64>, keep: bool, reason: &str) -> Ranking {
    Ranking { index, key, keep, reason: reason.to_owned() }
}

#[test]
fn what_stands_after_location_order_is_noted() {
    let weight = json!({"weight": 2});
    let mut locations = [Location::default(); 2];
    locations[1].metrics = Some(&weight);
    let criteria = vec![Criterion::LocationOrder, Criterion::Weight, external("filter")];
    let strategy = Strategy::new(criteria).unwrap();
    let filter = External {
        name: "filter".to_owned(),
        rankings: Ok(vec![ranking(0, None, false, "too far"), ranking(1, None, true, "near")]),
    };
    let selection = select_with(&locations, &Node { name: "n" }, &strategy, &[filter]);
    assert_eq!(order(&selection), [1]);
    assert_eq!(selection.excluded[0].reason, "too far");
    let text = "no effect on the order: location-order before it leaves no ties";
    assert_eq!(notes(&selection), [("weight", text), ("filter", text)]);
}

#[test]
fn an_external_ranking_takes_part_like_any_other() {
    let locations = [Location::default(); 5];
    let strategy = Strategy::new(vec![external("near"), Criterion::LocationOrder]).unwrap();
    let near = External {
        name: "near".to_owned(),
        rankings: Ok(vec![
            ranking(4, Some(-0.0), true, "here"),
            ranking(3, Some(0.0), true, ""),
            ranking(2, None, true, "unmeasured,\n see https://u:p@h/x"),
            ranking(1, Some(9.0), false, "another site"),
            ranking(0, Some(2.5), true, "2.5 s"),
        ]),
    };
    let selection = select_with(&locations, &Node { name: "n" }, &strategy, &[near]);
    let places = selection.order.iter();
    let first: Vec<_> = places.map(|place| (place.location, place.keys[0].reason.as_str())).collect();
    assert_eq!(first, [(3, "no reason given"), (4, "here"), (0, "2.5 s"), (2, "unmeasured,\\n see [url]"),]);
    let excluded = &selection.excluded[0];
    assert_eq!((excluded.location, excluded.criterion.as_str()), (1, "near"));
}

#[test]
fn an_external_ranking_that_makes_no_sense_is_skipped_and_noted() {
    let locations = [Location::default(); 2];
    let node = Node { name: "n" };
    let strategy = Strategy::new(vec![external("x"), Criterion::LocationOrder]).unwrap();
    let drop_all = |index| ranking(index, None, false, "no");
    let nan = ranking(1, Some(f64::NAN), false, "no");
    let table = [
        (Ok(vec![]), "skipped: 0 rankings for 2 locations"),
        (Ok(vec![drop_all(0), drop_all(1), drop_all(2)]), "skipped: 3 rankings for 2 locations"),
        (Ok(vec![drop_all(0), drop_all(2)]), "skipped: a ranking for location 2 of 2"),
        (Ok(vec![drop_all(0), drop_all(0)]), "skipped: two rankings for location 0"),
        (Ok(vec![drop_all(0), nan]), "skipped: the key of location 1 is not a finite number"),
        (Err("it crashed\u{7}".to_owned()), "skipped: it crashed\\u{7}"),
    ];
    for (rankings, expected) in table {
        let name = "x".to_owned();
        let given = [External { name, rankings }];
        let selection = select_with(&locations, &node, &strategy, &given);
        assert_eq!(notes(&selection), [("x", expected)]);
        assert_eq!(order(&selection), [0, 1]);
        assert_eq!(selection.order[0].keys.len(), 1);
    }
    let selection = select(&locations, &node, &strategy);
    assert_eq!(notes(&selection), [("x", "skipped: no rankings were given")]);
}
