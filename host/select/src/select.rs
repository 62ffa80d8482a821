use std::cmp::Ordering;

use crate::criterion::{Criterion, STATUS};
use crate::location::Location;
use crate::node::Node;
use crate::ranking::{self, External, Ranking};
use crate::reason;
use crate::selection::{Excluded, Key, Note, Place, Selection};
use crate::status;
use crate::store;
use crate::store_type;
use crate::strategy::Strategy;
use crate::weight;

/// Orders an image's locations for a node.
///
/// Same input, same output; any input is good. Costs O(criteria * n log n) for n locations.
#[must_use]
pub fn select(locations: &[Location<'_>], node: &Node<'_>, strategy: &Strategy) -> Selection {
    select_with(locations, node, strategy, &[])
}

/// As [`select`], with criteria that were evaluated elsewhere.
///
/// Of several of one name the first counts; those that the strategy does not name are ignored.
///
/// ```
/// use landfall_select::{Criterion, External, Location, Node, Ranking, Strategy, select_with};
///
/// let urls = ["https://slow/a", "https://fast/a"];
/// let locations = urls.map(|url| Location { url, ..Location::default() });
/// let seconds = [30.0, 4.5];
/// let rankings = seconds.iter().enumerate().map(|(index, seconds)| Ranking {
///     index,
///     key: Some(*seconds),
///     keep: true,
///     reason: format!("{seconds} s expected"),
/// });
/// let external = External { name: "measured".to_owned(), rankings: Ok(rankings.collect()) };
/// let strategy = Strategy::new(vec![Criterion::External { name: "measured".to_owned() }])?;
///
/// let selection = select_with(&locations, &Node { name: "n" }, &strategy, &[external]);
/// assert_eq!(selection.order[0].location, 1);
/// assert_eq!(selection.order[0].keys[0].reason, "4.5 s expected");
/// # Ok::<(), landfall_select::StrategyError>(())
/// ```
#[must_use]
pub fn select_with(
    locations: &[Location<'_>],
    node: &Node<'_>,
    strategy: &Strategy,
    external: &[External],
) -> Selection {
    let mut candidates = by_status(locations);
    let mut notes = Vec::new();
    let mut settled = false;
    for criterion in strategy.criteria() {
        let name = criterion.name();
        let mut note = |text: &str| {
            notes.push(Note { criterion: name.to_owned(), text: reason::line(text) });
        };
        if settled {
            note("no effect on the order: location-order before it leaves no ties");
        }
        match evaluate(criterion, locations, node, external) {
            Ok(rankings) => apply(&mut candidates, name, rankings),
            Err(fault) => note(&format!("skipped: {fault}")),
        }
        settled |= *criterion == Criterion::LocationOrder;
    }

    let mut order = Vec::new();
    let mut excluded = Vec::new();
    for candidate in candidates {
        match candidate {
            Ok(place) => order.push(place),
            Err(exclusion) => excluded.push(exclusion),
        }
    }
    order.sort_by(by_keys);
    Selection {
        node: node.name.to_owned(),
        strategy: strategy.criteria().iter().map(ToString::to_string).collect(),
        order,
        excluded,
        notes,
    }
}

/// A location on its way, in record order until the sort.
type Candidate = Result<Place, Excluded>;

fn by_status(locations: &[Location<'_>]) -> Vec<Candidate> {
    let candidate = |(location, seen): (usize, &Location<'_>)| match status::refusal(seen.status) {
        None => Ok(Place { location, keys: Vec::new() }),
        Some(text) => Err(Excluded { location, criterion: STATUS.to_owned(), reason: reason::line(&text) }),
    };
    locations.iter().enumerate().map(candidate).collect()
}

/// One ranking for each location, in record order.
fn evaluate(
    criterion: &Criterion,
    locations: &[Location<'_>],
    node: &Node<'_>,
    external: &[External],
) -> Result<Vec<Ranking>, String> {
    match criterion {
        Criterion::Weight => Ok(weight::rank(locations, node.name)),
        Criterion::StoreType { prefer } => Ok(store_type::rank(locations, prefer)),
        Criterion::Store { prefer } => Ok(store::rank(locations, prefer)),
        Criterion::LocationOrder => {
            let rank = |index: usize| {
                Ranking::keep(index, Some(index as f64), format!("number {} in the record", index.saturating_add(1)))
            };
            Ok((0..locations.len()).map(rank).collect())
        }
        Criterion::External { .. } | Criterion::Rules | Criterion::Fastest => {
            match external.iter().find(|given| given.name == criterion.name()) {
                None => Err("no rankings were given".to_owned()),
                Some(External { rankings: Err(fault), .. }) => Err(fault.clone()),
                Some(External { rankings: Ok(rankings), .. }) => ranking::arrange(rankings, locations.len()),
            }
        }
    }
}

fn apply(candidates: &mut [Candidate], criterion: &str, rankings: Vec<Ranking>) {
    for (candidate, ranking) in candidates.iter_mut().zip(rankings) {
        let Ok(place) = candidate else { continue };
        let criterion = criterion.to_owned();
        let reason = reason::line(&ranking.reason);
        if ranking.keep {
            // Adding 0 turns -0 into 0, which would sort apart from it.
            let key = ranking.key.map(|key| key + 0.0);
            place.keys.push(Key { criterion, key, reason });
        } else {
            let location = place.location;
            *candidate = Err(Excluded { location, criterion, reason });
        }
    }
}

/// Every place has a key from the same criteria, in the same order.
fn by_keys(a: &Place, b: &Place) -> Ordering {
    let pairs = a.keys.iter().zip(&b.keys);
    let mut orders = pairs.map(|(a, b)| lower_first(a.key, b.key));
    orders.find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
}

fn lower_first(a: Option<f64>, b: Option<f64>) -> Ordering {
    match (a, b) {
        (Some(a), Some(b)) => a.total_cmp(&b),
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        (None, None) => Ordering::Equal,
    }
}
