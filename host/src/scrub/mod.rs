//! The scrubber: deletes the stored bytes of locations that are `pending_delete`, and marks them `deleted`.
//!
//! Under the locks of all directories of records it is decided by all records which locations are due, and `deletion_began` is
//! written into theirs: from then on nobody restores them, and nobody takes the same bytes for another record. Then, without the
//! locks, their handlers delete; what is gone is marked. A scrubber that dies in between leaves a mark, which the next one goes on from; two
//! at once do the same things twice, and nothing else.

mod delete;
mod due;
mod report;

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use landfall_handler_api::{Error, ErrorKind, ImageRecord, Location, Result, Scope};
use landfall_select::LocationStatus;

use crate::cancel::Cancel;
use crate::catalog::{Edit, LockedCatalogs, edit, location_name, location_status};
use crate::cloud::Logins;
use crate::config::Config;
use crate::plugin::Handler;
use crate::redact;

pub(crate) use report::{Outcome, Scrubbed};

use due::{Candidate, candidates, keep, keep_failed};

/// How a scrub is done.
pub(crate) struct Scrub<'a> {
    /// The configuration.
    pub(crate) config: &'a Config,
    /// The handlers that are used, in the operator's order.
    pub(crate) handlers: &'a [Arc<dyn Handler>],
    /// Stops it between two locations, and a deletion as its handler allows.
    pub(crate) cancel: &'a Cancel,
    /// How long a location must have been `pending_delete`.
    pub(crate) delay: Duration,
    /// Locations that are deleted at most.
    pub(crate) most: usize,
    /// Between two of them.
    pub(crate) pause: Duration,
    /// Say what would be done, and do nothing.
    pub(crate) dry_run: bool,
}

impl Scrub<'_> {
    /// Scrubs once. What could not be done is in what is given; an error is why nothing was begun.
    pub(crate) fn run(&self) -> Result<Vec<Scrubbed>> {
        let now = Timestamp::now();
        let logins = Logins::for_stores(self.config);
        let mut all = {
            let catalogs = LockedCatalogs::lock(self.config, self.cancel)?;
            let (mut all, users) = candidates(&catalogs.records()?, self.config, now, self.delay);
            // What nobody deletes is left as it is, and can still be restored.
            delete::assign(self, &logins, &mut all)?;
            keep(&mut all, users, self.most);
            let due = all.iter_mut().filter(|candidate| candidate.scrubbed.outcome == Outcome::Due);
            for candidate in due.filter(|_| !self.dry_run) {
                // Whatever else may happen, it cannot be restored any more.
                if let Err(error) = self.begin(&catalogs, candidate, now) {
                    candidate.scrubbed.outcome = Outcome::failed(&error);
                }
            }
            keep_failed(&mut all);
            all
        };
        if !self.dry_run {
            let due = all.iter_mut().filter(|candidate| candidate.scrubbed.outcome == Outcome::Due);
            for (number, candidate) in due.enumerate() {
                if number > 0 {
                    self.cancel.sleep(self.pause);
                }
                candidate.scrubbed.outcome = match self.cancel.check().and_then(|()| self.finish(candidate, &logins)) {
                    Ok(()) => Outcome::Deleted,
                    Err(error) => Outcome::failed(&error),
                };
            }
        }
        Ok(all.into_iter().map(|candidate| candidate.scrubbed).collect())
    }

    fn begin(&self, catalogs: &LockedCatalogs<'_>, candidate: &mut Candidate, now: Timestamp) -> Result<()> {
        let (catalog, image) = (&candidate.scrubbed.catalog, &candidate.scrubbed.image);
        let is_first = catalogs.change(catalog, image, self.cancel, |record| {
            // Who goes on with what another one began says so: that one cannot take it back any more.
            let before = pending(record, &candidate.scrubbed.location)?.deletion_began.replace(now.to_string());
            Ok(before.is_none())
        })?;
        candidate.began = is_first.then(|| now.to_string());
        Ok(())
    }

    /// Nothing was touched, and nobody else has begun: it can be restored again.
    fn take_back(&self, candidate: &Candidate, began: &str) -> Result<()> {
        let catalogs = LockedCatalogs::lock(self.config, self.cancel)?;
        let (catalog, image) = (&candidate.scrubbed.catalog, &candidate.scrubbed.image);
        catalogs.change(catalog, image, self.cancel, |record| {
            let location = pending(record, &candidate.scrubbed.location)?;
            if location.deletion_began.as_deref() == Some(began) {
                location.deletion_began = None;
            }
            Ok(())
        })
    }

    fn finish(&self, candidate: &Candidate, logins: &Logins) -> Result<()> {
        match delete::delete(self, logins, candidate) {
            Err(error) if error.kind() == ErrorKind::Denied => {
                candidate.began.as_ref().map_or(Ok(()), |began| self.take_back(candidate, began))?;
                return Err(error);
            }
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let catalogs = LockedCatalogs::lock(self.config, self.cancel)?;
        let name = &candidate.scrubbed.location;
        catalogs.change(&candidate.scrubbed.catalog, &candidate.scrubbed.image, self.cancel, |record| {
            let is_it = |location: &&Location| location_name(location) == *name;
            let found = record.locations.iter().find(is_it).map(location_status).transpose()?;
            // Another scrubber may have been faster, and whoever is done with it have removed it.
            if !matches!(found, Some(LocationStatus::PendingDelete)) {
                return Ok(());
            }
            pending(record, name)?.deletion_began = None;
            edit(record, &Edit::SetStatus(name.clone(), LocationStatus::Deleted), Timestamp::now())
        })
    }
}

/// The location of this name, which is `pending_delete`.
fn pending<'r>(record: &'r mut ImageRecord, name: &str) -> Result<&'r mut Location> {
    let found = record.locations.iter_mut().find(|location| location_name(location) == name);
    let changed = || {
        let message = format!("the location {} was changed meanwhile", redact::printable(name));
        Error::new(ErrorKind::Cancelled, "location-changed", message).scoped(Scope::Location)
    };
    let found = found.ok_or_else(changed)?;
    if location_status(found)? != LocationStatus::PendingDelete {
        return Err(changed());
    }
    Ok(found)
}
