//! The criterion `fastest`: locations and attempts in the order of the seconds that they may take.

use landfall_measure::{Way as Choosable, choose};
use landfall_select::{Criterion, Ranking, Selection};

use super::forecast::{Forecast, Forecasted, bytes_of, cost};
use super::way::Way;
use crate::catalog::Image;
use crate::config::Config;
use crate::route::{Attempt, Chain, Plan};

/// What `fastest` says of each location, by itself.
pub(crate) fn ranking(forecast: &Forecast, image: &Image, config: &Config) -> Vec<Ranking> {
    let rank = |index| {
        let prediction = forecast.of_location(image, config, index);
        Ranking {
            index,
            key: prediction.as_ref().map(cost).filter(|cost| cost.is_finite()),
            keep: true,
            reason: prediction.map_or_else(String::new, |prediction| Forecasted::from(prediction).words()),
        }
    };
    (0..image.record.locations.len()).map(rank).collect()
}

/// Gives each attempt its estimate. Where the strategy has `fastest`, those that the criteria before it do not tell apart are put
/// into the order of what they may cost, whatever the order of handlers; and one that may be better than the best goes first now and
/// then. What needs no location stays behind.
pub(crate) fn arrange(plan: &mut Plan, selection: &Selection, forecast: &Forecast, image: &Image, config: &Config) {
    for attempt in &mut plan.attempts {
        let url = attempt.location.and_then(|index| image.record.locations.get(index));
        let url = url.map(|location| location.url.as_str());
        attempt.estimate = Some(forecast.estimate(&Way::of(attempt, url), url));
    }
    let Some(before) = config.selection.criteria().iter().position(|criterion| *criterion == Criterion::Fastest) else {
        return;
    };
    let before: Vec<&str> = config.selection.criteria().iter().take(before).map(Criterion::name).collect();
    let mut rest = std::mem::take(&mut plan.attempts);
    let mut is_first = true;
    while !rest.is_empty() {
        let class = rest.iter().filter_map(|attempt| rank(attempt, selection, &before)).min();
        let (group, others): (Vec<Attempt>, Vec<Attempt>) =
            rest.into_iter().partition(|attempt| rank(attempt, selection, &before) == class);
        rest = others;
        let ways: Vec<Choosable> = group.iter().filter_map(|attempt| choosable(attempt, forecast, image)).collect();
        let mut credit = forecast.credit;
        if !is_first {
            credit.seconds = 0.0;
        }
        let choice = choose(&ways, credit);
        if is_first && let Some(instead_of) = choice.instead_of {
            plan.instead_of = Some(instead_of);
        }
        is_first = false;
        let mut group: Vec<Option<Attempt>> = group.into_iter().map(Some).collect();
        let in_order = choice.order.into_iter().filter_map(|at| group.get_mut(at)?.take());
        plan.attempts.extend(in_order.collect::<Vec<_>>());
        // Each has an estimate, so none is left; were there one, it would not be lost.
        plan.attempts.extend(group.into_iter().flatten());
    }
}

/// The place that the criteria before `fastest` give an attempt: the same for those that they do not tell apart. None for what needs
/// no location.
fn rank(attempt: &Attempt, selection: &Selection, before: &[&str]) -> Option<usize> {
    let keys = |index: usize| -> Option<Vec<Option<u64>>> {
        let place = selection.order.iter().find(|place| place.location == index)?;
        let keys = place.keys.iter().filter(|key| before.contains(&key.criterion.as_str()));
        Some(keys.map(|key| key.key.map(f64::to_bits)).collect())
    };
    let own = keys(attempt.location?)?;
    selection.order.iter().position(|place| keys(place.location).as_ref() == Some(&own))
}

fn choosable(attempt: &Attempt, forecast: &Forecast, image: &Image) -> Option<Choosable> {
    let prediction = attempt.estimate?.predict(bytes_of(&image.record, attempt.location), forecast.now);
    let can_be_left = attempt.chain == Chain::Source && attempt.shaping.is_none() && attempt.expected.digest.is_some();
    Some(Choosable { prediction, can_be_left })
}
