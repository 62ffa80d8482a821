//! Predictions for the locations of one image.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use landfall_handler_api::ImageRecord;
use landfall_measure::{Credit, Estimate, Prediction, Prior, Sample};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::way::{Way, is_file, place};
use crate::catalog::Image;
use crate::config::Config;
use crate::ledger::Ledger;
use crate::store::belonging;

/// What is thought of a file of this node, and of everything else, before it was ever used.
const FILE: Prior = Prior { first_byte: 0.01, rate: 5e8 };
const REMOTE: Prior = Prior { first_byte: 0.2, rate: 1e8 };
/// What an image is taken to have where its record does not say.
const USUAL_BYTES: u64 = 1 << 30;

/// What was measured of the places of an image's locations, at one moment.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Forecast {
    /// The moment, in seconds since 1970.
    pub(crate) now: f64,
    /// What may be spent on finding out.
    pub(crate) credit: Credit,
    ways: Vec<(Way, Vec<Sample>)>,
}

/// A prediction as it is shown.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Forecasted {
    /// Seconds to the disk, if it goes well.
    pub(crate) seconds: f64,
    /// How likely it is to fail, from 0 to 1.
    pub(crate) failing: f64,
    /// Attempts that this was learned from.
    pub(crate) samples: usize,
    /// Seconds since the last of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) age: Option<f64>,
}

impl From<Prediction> for Forecasted {
    fn from(prediction: Prediction) -> Self {
        // Thousandths are more than anybody knows.
        let round = |value: f64| (value * 1000.0).round() / 1000.0;
        Self {
            seconds: round(prediction.seconds),
            failing: round(prediction.failing),
            samples: prediction.samples,
            age: prediction.age.map(round),
        }
    }
}

impl Forecasted {
    /// In words.
    pub(crate) fn words(&self) -> String {
        let seconds = short(self.seconds);
        let fails = match self.failing {
            share if share >= 0.05 => format!(", fails {:.0} % of the time", share * 100.0),
            _ => String::new(),
        };
        match self.age {
            None => format!("{seconds} s expected, never used"),
            Some(age) => {
                let times = if self.samples == 1 { "once".to_owned() } else { format!("{} times", self.samples) };
                format!("{seconds} s expected{fails}, used {times}, last {} ago", span(age))
            }
        }
    }
}

fn short(seconds: f64) -> String {
    if seconds < 10.0 { format!("{seconds:.2}") } else { format!("{seconds:.0}") }
}

fn span(seconds: f64) -> String {
    match seconds {
        seconds if seconds < 90.0 => format!("{seconds:.0} s"),
        seconds if seconds < 5400.0 => format!("{:.0} min", seconds / 60.0),
        seconds if seconds < 172_800.0 => format!("{:.0} h", seconds / 3600.0),
        seconds => format!("{:.0} days", seconds / 86_400.0),
    }
}

/// What this node knows of the places of an image's locations, and of whatever is read without one.
pub(crate) fn forecast_of(image: &Image, config: &Config, ledger: &Ledger) -> Forecast {
    let mut places: Vec<String> = vec![place(None, None)];
    for index in 0..image.record.locations.len() {
        if let Some(place) = place_of(image, config, index)
            && !places.contains(&place)
        {
            places.push(place);
        }
    }
    let (ways, credit) = ledger.measured().of(&places);
    Forecast { now: seconds_since_1970(SystemTime::now()), credit, ways: ways.into_iter().collect() }
}

/// Seconds since 1970.
pub(crate) fn seconds_since_1970(moment: SystemTime) -> f64 {
    moment.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs_f64()
}

/// Where a location's bytes are.
pub(super) fn place_of(image: &Image, config: &Config, index: usize) -> Option<String> {
    let location = image.record.locations.get(index)?;
    let belonging = belonging(&config.stores, location, &image.origin);
    let store = belonging.store.as_ref().map(|store| store.id.as_str());
    Some(place(store, Some(&location.url)))
}

/// Stored bytes of a location, or as many as images usually have.
pub(crate) fn bytes_of(record: &ImageRecord, index: Option<usize>) -> u64 {
    let own = index.and_then(|index| record.locations.get(index)).and_then(|location| location.size);
    own.or(record.size).or(record.virtual_size).unwrap_or(USUAL_BYTES)
}

impl Forecast {
    /// What is known of a way; of one that was never used, what others from the same place say.
    pub(crate) fn estimate(&self, way: &Way, url: Option<&str>) -> Estimate {
        let prior = if is_file(url) { FILE } else { REMOTE };
        if let Some((_, samples)) = self.ways.iter().find(|(known, _)| known == way) {
            return Estimate::of(samples, prior);
        }
        let kin = self.ways.iter().filter(|(known, _)| known.place == way.place);
        let prior = kin
            .max_by_key(|(_, samples)| samples.len())
            .map_or(prior, |(_, samples)| Estimate::of(samples, prior).as_prior());
        Estimate::of(&[], prior)
    }

    /// What the best of the known ways from a location's place may take.
    pub(crate) fn of_location(&self, image: &Image, config: &Config, index: usize) -> Option<Prediction> {
        let place = place_of(image, config, index)?;
        let url = image.record.locations.get(index).map(|location| location.url.as_str());
        let bytes = bytes_of(&image.record, Some(index));
        let chains: BTreeMap<&str, Prediction> = self
            .ways
            .iter()
            .filter(|(way, _)| way.place == place)
            .map(|(way, _)| (way.chain.as_str(), self.estimate(way, url).predict(bytes, self.now)))
            .collect();
        let best = chains.into_values().min_by(|a, b| cost(a).total_cmp(&cost(b)));
        let never = || self.estimate(&Way { place: place.clone(), chain: String::new() }, url).predict(bytes, self.now);
        Some(best.unwrap_or_else(never))
    }
}

/// Seconds, with those that failures add.
pub(super) fn cost(prediction: &Prediction) -> f64 {
    prediction.seconds + prediction.failing * (prediction.lost + prediction.seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_short() {
        let shown = |seconds, failing, samples, age| Forecasted { seconds, failing, samples, age }.words();
        assert_eq!(shown(4.219, 0.0, 12, Some(180.0)), "4.22 s expected, used 12 times, last 3 min ago");
        assert_eq!(shown(42.19, 0.5, 1, Some(5.0)), "42 s expected, fails 50 % of the time, used once, last 5 s ago");
        assert_eq!(shown(10.2, 0.0, 0, None), "10 s expected, never used");
        assert!(shown(1.0, 0.0, 2, Some(1e6)).ends_with("last 12 days ago"));
    }

    #[test]
    fn a_way_that_was_never_used_is_like_others_from_its_place() {
        let sample = Sample { at: 1.0, bytes: 1 << 30, first_byte: Some(1.0), seconds: 101.0, failed: false };
        let way = |chain: &str| Way { place: "near http://h".to_owned(), chain: chain.to_owned() };
        let forecast = Forecast { now: 2.0, credit: Credit::default(), ways: vec![(way("http"), vec![sample; 8])] };
        let known = forecast.estimate(&way("http"), None).predict(1 << 30, 2.0);
        let kin = forecast.estimate(&way("http -> gunzip"), None).predict(1 << 30, 2.0);
        assert!((kin.seconds - known.seconds).abs() < 1e-6);
        assert_eq!((known.samples, kin.samples), (8, 0));
        let stranger = Way { place: "- http://other".to_owned(), chain: "http".to_owned() };
        let stranger = forecast.estimate(&stranger, None).predict(1 << 30, 2.0);
        assert!(stranger.seconds < 12.0, "{}", stranger.seconds);
    }
}
