//! Which locations are due, by all records of the node.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use landfall_handler_api::{ImageRecord, Location};
use landfall_select::LocationStatus;

use super::report::{Outcome, Scrubbed};
use crate::catalog::{Found, Origin, location_name, location_status};
use crate::config::Config;
use crate::plugin::Handler;
use crate::redact;
use crate::store::{Belonging, belonging};
use crate::stored::{Key, Stored};

/// A location that is `pending_delete`.
pub(super) struct Candidate {
    /// What is told of it.
    pub(super) scrubbed: Scrubbed,
    /// Itself.
    pub(super) location: Location,
    /// Its store.
    pub(super) belonging: Belonging,
    /// Its record, without locations.
    pub(super) record: Arc<ImageRecord>,
    /// Who deletes what it names, once that is asked.
    pub(super) deleter: Option<Arc<dyn Handler>>,
    /// What this scrub wrote into `deletion_began`, where nobody had begun before.
    pub(super) began: Option<String>,
    stored: Stored,
}

impl Candidate {
    fn is_due(&self) -> bool {
        self.scrubbed.outcome == Outcome::Due
    }

    /// Whether somebody may use it again.
    fn can_be_restored(&self) -> bool {
        self.location.deletion_began.is_none()
    }
}

/// What somebody uses, or may use again: what it is, and the image's id.
#[derive(Default)]
pub(super) struct Users {
    by_key: HashMap<Key, Vec<(Stored, String)>>,
}

impl Users {
    fn add(&mut self, stored: &Stored, image: &str) {
        for key in stored.keys() {
            self.by_key.entry(key).or_default().push((stored.clone(), image.to_owned()));
        }
    }

    /// An image that may use the same.
    fn of(&self, stored: &Stored) -> Option<&str> {
        let keys = stored.keys();
        let mut known = keys.iter().filter_map(|key| self.by_key.get(key)).flatten();
        known.find(|(used, _)| used.may_be(stored)).map(|(_, image)| image.as_str())
    }
}

/// All locations that are `pending_delete`, with what is to become of each by itself; and what others use.
pub(super) fn candidates(found: &[Found], config: &Config, now: Timestamp, delay: Duration) -> (Vec<Candidate>, Users) {
    let mut candidates = Vec::new();
    let mut users = Users::default();
    for Found { catalog, id, record, changed_at } in found {
        let mut bare = record.clone();
        bare.locations.clear();
        bare.direct_url = None;
        let bare = Arc::new(bare);
        // As whoever places it takes it.
        if let (true, Some(url)) = (record.locations.is_empty(), &record.direct_url) {
            users.add(&Stored::of(&Location::from_url(url.as_str()), config), id);
        }
        for location in &record.locations {
            let stored = Stored::of(location, config);
            match location_status(location) {
                Ok(LocationStatus::Deleted) => {}
                Ok(LocationStatus::PendingDelete) => {
                    let belonging = belonging(&config.stores, location, &Origin::Catalog);
                    let outcome = due(location, &belonging, config, *changed_at, now, delay);
                    let scrubbed = Scrubbed {
                        catalog: catalog.clone(),
                        image: id.clone(),
                        location: location_name(location),
                        url: redact::url(&location.url),
                        outcome,
                    };
                    candidates.push(Candidate {
                        scrubbed,
                        location: location.clone(),
                        belonging,
                        record: bare.clone(),
                        deleter: None,
                        began: None,
                        stored,
                    });
                }
                // What is no status may be any.
                Ok(LocationStatus::Active | LocationStatus::Pending) | Err(_) => users.add(&stored, id),
            }
        }
    }
    (candidates, users)
}

/// Keeps what somebody uses, and of the rest all but so many for another time. What is kept and can be restored keeps all that
/// may be the same.
pub(super) fn keep(candidates: &mut [Candidate], mut users: Users, most: usize) {
    for candidate in candidates.iter().filter(|candidate| !candidate.is_due() && candidate.can_be_restored()) {
        users.add(&candidate.stored, &candidate.scrubbed.image);
    }
    share(candidates, &mut users);
    let mut taken = Users::default();
    let mut count = 0_usize;
    let mut left = Vec::new();
    for (index, candidate) in candidates.iter().enumerate().filter(|(_, candidate)| candidate.is_due()) {
        if count < most {
            count = count.saturating_add(1);
            taken.add(&candidate.stored, &candidate.scrubbed.image);
        } else {
            left.push(index);
        }
    }
    // The bytes of these go now too.
    loop {
        let before = left.len();
        left.retain(|&index| {
            let Some(candidate) = candidates.get(index) else { return false };
            let goes = taken.of(&candidate.stored).is_some();
            if goes {
                taken.add(&candidate.stored, &candidate.scrubbed.image);
            }
            !goes
        });
        if left.len() == before {
            break;
        }
    }
    for index in left {
        if let Some(candidate) = candidates.get_mut(index) {
            candidate.scrubbed.outcome = Outcome::Later { reason: format!("{most} are enough for once") };
        }
    }
}

/// After the deletions were written into the records: where that failed, what may be the same stays.
pub(super) fn keep_failed(candidates: &mut [Candidate]) {
    let mut users = Users::default();
    let has_failed = |candidate: &&Candidate| matches!(candidate.scrubbed.outcome, Outcome::Failed { .. });
    for candidate in candidates.iter().filter(has_failed).filter(|candidate| candidate.can_be_restored()) {
        users.add(&candidate.stored, &candidate.scrubbed.image);
    }
    share(candidates, &mut users);
}

fn share(candidates: &mut [Candidate], users: &mut Users) {
    loop {
        let mut has_changed = false;
        for candidate in candidates.iter_mut().filter(|candidate| candidate.is_due()) {
            let Some(image) = users.of(&candidate.stored) else { continue };
            candidate.scrubbed.outcome = Outcome::Shared { by: redact::printable(image) };
            if candidate.can_be_restored() {
                users.add(&candidate.stored, &candidate.scrubbed.image);
                has_changed = true;
            }
        }
        if !has_changed {
            return;
        }
    }
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
