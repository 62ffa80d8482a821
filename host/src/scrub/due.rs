//! Which locations are due, by all records of the node.

use std::time::Duration;

use jiff::Timestamp;
use landfall_handler_api::Location;
use landfall_select::LocationStatus;

use super::report::{Outcome, Scrubbed};
use crate::catalog::{Found, Origin, location_name, location_status};
use crate::config::Config;
use crate::redact;
use crate::store::{Belonging, belonging};
use crate::stored::Stored;

/// A location that is `pending_delete`.
pub(super) struct Candidate {
    /// What is told of it.
    pub(super) scrubbed: Scrubbed,
    /// Itself.
    pub(super) location: Location,
    /// Its store.
    pub(super) belonging: Belonging,
    stored: Stored,
}

/// All locations that are `pending_delete`, with what is to become of them.
pub(super) fn candidates(found: &[Found], config: &Config, now: Timestamp, delay: Duration) -> Vec<Candidate> {
    let mut candidates = Vec::new();
    // What somebody uses, or may use again.
    let mut used: Vec<(Stored, &str)> = Vec::new();
    for Found { catalog, id, record, changed_at } in found {
        for location in &record.locations {
            let stored = Stored::of(location, config);
            match location_status(location) {
                Ok(LocationStatus::Deleted) => {}
                Ok(LocationStatus::PendingDelete) => {
                    let belonging = belonging(&config.stores, location, &Origin::Catalog);
                    let outcome = due(location, &belonging, config, *changed_at, now, delay);
                    if location.deletion_began.is_none() && matches!(outcome, Outcome::Later { .. }) {
                        used.push((stored.clone(), id));
                    }
                    let scrubbed = Scrubbed {
                        catalog: catalog.clone(),
                        image: id.clone(),
                        location: location_name(location),
                        url: redact::url(&location.url),
                        outcome,
                    };
                    candidates.push(Candidate { scrubbed, location: location.clone(), belonging, stored });
                }
                // What is no status may be any.
                Ok(LocationStatus::Active | LocationStatus::Pending) | Err(_) => used.push((stored, id)),
            }
        }
    }
    for candidate in &mut candidates {
        let user = used.iter().find(|(stored, _)| stored.may_be(&candidate.stored));
        if let (Some((_, image)), Outcome::Due) = (user, &candidate.scrubbed.outcome) {
            candidate.scrubbed.outcome = Outcome::Shared { by: redact::printable(image) };
        }
    }
    candidates
}

/// Whether a location is due, by itself.
fn due(
    location: &Location,
    belonging: &Belonging,
    config: &Config,
    changed_at: i64,
    now: Timestamp,
    delay: Duration,
) -> Outcome {
    let store = belonging.store.as_ref().and_then(|own| config.stores.iter().find(|store| store.id == own.id));
    match store {
        None => return Outcome::NotAllowed { reason: "it belongs to no store of the configuration".to_owned() },
        Some(store) if !store.delete => {
            return Outcome::NotAllowed { reason: format!("store {} does not say `delete = true`", store.id) };
        }
        Some(_) => {}
    }
    if location.deletion_began.is_some() {
        return Outcome::Due;
    }
    // Where nobody wrote down since when, it cannot be longer than the file is as it is.
    let since = match location.status_since.as_deref().map(str::parse::<Timestamp>) {
        Some(Ok(since)) => since,
        Some(Err(_)) => return Outcome::Later { reason: "its status_since is no moment".to_owned() },
        None => Timestamp::from_second(changed_at).unwrap_or(now),
    };
    let passed = now.duration_since(since).as_secs();
    let wanted = i64::try_from(delay.as_secs()).unwrap_or(i64::MAX);
    if passed < wanted {
        let left = wanted.saturating_sub(passed);
        return Outcome::Later { reason: format!("due in {left} s") };
    }
    Outcome::Due
}
