//! A decision for people: one table of what is tried in which order and why, and of what is not, and why not.

use landfall_handler_api::Result;

use super::show::{bytes, line};
use crate::decision::{Decision, ExcludedLocation, PlannedAttempt};

/// Characters of a location that are shown; of a longer one its beginning and its end.
const LOCATION_MAX: usize = 60;
/// The criterion that orders attempts, not locations.
const FASTEST: &str = "fastest";
/// Between columns.
const GAP: &str = "  ";
const HEAD: [&str; 4] = ["try", "with", "location", "why, or why not"];

/// Shows a decision that is not carried out yet.
pub(super) fn show(decision: &Decision) -> Result<()> {
    let image = decision.image.as_deref().unwrap_or("without an id");
    line(format_args!("image {image}, on node {}", decision.node))?;
    let by_seconds = decision.strategy.iter().any(|criterion| criterion == FASTEST);
    let route = match decision.route.as_str() {
        _ if by_seconds => "attempts by the seconds that each may take, where the criteria before that leave it open",
        "location-first" => "for each location all handlers, in their order",
        _ => "for each handler, in their order, all locations",
    };
    line(format_args!("locations by {}; {route}\n", decision.strategy.join(", then ")))?;
    let rows = rows(decision);
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
    let widths: Vec<usize> = (0..HEAD.len().saturating_sub(1)).map(|column| width(column).unwrap_or(0)).collect();
    for row in &rows {
        let mut text = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            text += &format!("{cell:<width$}{GAP}");
        }
        text += row.last().map_or("", String::as_str);
        line(text.trim_end())?;
    }
    for note in &decision.notes {
        line(format_args!("note: {note}"))?;
    }
    Ok(())
}

fn rows(decision: &Decision) -> Vec<[String; 4]> {
    let mut rows = vec![HEAD.map(str::to_owned)];
    for (number, attempt) in (1..).zip(&decision.planned) {
        let first = decision.planned.iter().position(|other| other.index == attempt.index);
        let is_first = first.and_then(|at| at.checked_add(1)) == Some(number);
        let why = if is_first { why(decision, attempt) } else { "as above".to_owned() };
        let with = attempt.handlers.join(" -> ");
        rows.push([format!("{number}."), with, location(attempt.index, attempt.locations.first()), why]);
    }
    // Those that are not tried at all first, in the record's order; then what handlers have against others.
    let is_tried = |excluded: &&ExcludedLocation| decision.planned.iter().any(|other| other.index == excluded.index);
    let mut excluded: Vec<&ExcludedLocation> = decision.excluded.iter().collect();
    excluded.sort_by_key(|excluded| (is_tried(excluded), excluded.index.is_none(), excluded.index));
    for excluded in excluded {
        let with = excluded.handler.clone().unwrap_or_else(|| "-".to_owned());
        rows.push([
            "no".to_owned(),
            with,
            location(excluded.index, excluded.location.as_ref()),
            excluded.reason.clone(),
        ]);
    }
    rows
}

/// Why an attempt stands where it stands, and what is to be known of it.
fn why(decision: &Decision, attempt: &PlannedAttempt) -> String {
    let place = decision.order.iter().find(|place| Some(place.index) == attempt.index);
    let mut parts = match place {
        Some(place) => place.reasons.clone(),
        None => vec!["needs no location: the last resort".to_owned()],
    };
    parts.extend(attempt.store.as_ref().map(|store| format!("store {store}")));
    parts.push(match attempt.verify.as_str() {
        "no" => "not verified".to_owned(),
        algorithm => format!("verified by {algorithm}"),
    });
    parts.extend(attempt.scratch.map(|size| format!("scratch {}", bytes(size))));
    parts.join("; ")
}

/// The number that a location has in the record, from 1, and its URL, redacted.
fn location(index: Option<usize>, url: Option<&String>) -> String {
    let number = index.and_then(|index| index.checked_add(1)).map(|number| format!("{number:>2} "));
    let url: Vec<char> = url.map_or("-", String::as_str).chars().collect();
    let shown: String = if url.len() <= LOCATION_MAX {
        url.iter().collect()
    } else {
        let half = LOCATION_MAX / 2;
        let (start, end) = (url.iter().take(half), url.iter().skip(url.len().saturating_sub(half)));
        start.chain(['…'].iter()).chain(end).collect()
    };
    format!("{}{shown}", number.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decision::OrderedLocation;

    fn attempt(index: Option<usize>, handler: &str, url: &str) -> PlannedAttempt {
        PlannedAttempt {
            index,
            locations: vec![url.to_owned()],
            handlers: vec![handler.to_owned()],
            chain: "source".to_owned(),
            store: None,
            verify: "sha512".to_owned(),
            scratch: None,
            predicted: None,
        }
    }

    fn excluded(index: usize, handler: Option<&str>, reason: &str) -> ExcludedLocation {
        ExcludedLocation {
            index: Some(index),
            location: Some(format!("http://h/{index}")),
            handler: handler.map(str::to_owned),
            reason: reason.to_owned(),
        }
    }

    #[test]
    fn every_row_says_what_and_why() {
        let place = |index| OrderedLocation {
            index,
            location: format!("http://h/{index}"),
            reasons: vec!["weight 5".to_owned(), "number 2 in the record".to_owned()],
        };
        let decision = Decision {
            order: vec![place(1), place(2)],
            planned: vec![
                attempt(Some(1), "http", "http://h/1"),
                attempt(Some(1), "other", "http://h/1"),
                attempt(None, "glance", "-"),
            ],
            excluded: vec![excluded(1, Some("third"), "not for it"), excluded(0, None, "status deleted")],
            ..Decision::default()
        };
        let rows: Vec<String> = rows(&decision).iter().map(|row| row.join("|")).collect();
        assert_eq!(
            rows,
            [
                "try|with|location|why, or why not",
                "1.|http| 2 http://h/1|weight 5; number 2 in the record; verified by sha512",
                "2.|other| 2 http://h/1|as above",
                "3.|glance|-|needs no location: the last resort; verified by sha512",
                "no|-| 1 http://h/0|status deleted",
                "no|third| 2 http://h/1|not for it",
            ]
        );
    }

    #[test]
    fn long_locations_are_cut_in_the_middle() {
        let url = format!("http://host/{}/end", "x".repeat(200));
        let shown = location(Some(11), Some(&url));
        assert!(shown.starts_with("12 http://host/x") && shown.ends_with("x/end") && shown.contains('…'), "{shown}");
        assert_eq!(shown.chars().count(), LOCATION_MAX + 4);
    }
}
