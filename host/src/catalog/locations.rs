//! The life of an image's locations: what may be done to them, and the image's status that follows.

use jiff::Timestamp;
use landfall_handler_api::{Error, ErrorKind, ImageRecord, Location, Result, Scope};
use landfall_select::{ImageStatus, LocationStatus, Overlay};
use serde_json::Value;

use crate::digest::Algorithm;
use crate::redact;

/// Hex digits of a location's name.
const NAME_DIGITS: usize = 12;

/// What is done to a record.
#[derive(Debug, Clone)]
pub(crate) enum Edit {
    /// Adds a location.
    Add(Box<Location>),
    /// Gives the location of this name another status.
    SetStatus(String, LocationStatus),
    /// Forgets the location of this name: one that is deleted, or any where its bytes are nobody's here.
    Remove {
        /// Its name.
        name: String,
        /// Whether its bytes may be left where they are.
        keep_bytes: bool,
    },
    /// Says what the locations cannot say, or takes that back.
    SetOverlay(Option<Overlay>),
}

/// The name of a location, as people and scripts write it: the beginning of its URL's SHA-256. The same as long as the URL is,
/// whatever others do to the record.
pub(crate) fn name(location: &Location) -> String {
    let mut hasher = Algorithm::Sha256.hasher();
    hasher.update(location.url.as_bytes());
    let mut digest = hasher.finish().value;
    digest.truncate(NAME_DIGITS);
    digest
}

/// The status of a location; absent is active.
pub(crate) fn status(location: &Location) -> Result<LocationStatus> {
    LocationStatus::of(location.status.as_ref())
        .map_err(|error| Error::new(ErrorKind::Invalid, "location-status", error.to_string()).scoped(Scope::Request))
}

/// What was said of the image beside its locations.
pub(crate) fn overlay(record: &ImageRecord) -> Result<Option<Overlay>> {
    let parsed = match &record.status_overlay {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::String(name)) => name.parse().map_err(|error: landfall_select::StatusError| error.to_string()),
        Some(_) => Err("it is no string".to_owned()),
    };
    parsed.map(Some).map_err(|what| {
        Error::new(ErrorKind::Invalid, "status-overlay", format!("the record's status_overlay: {what}"))
            .scoped(Scope::Image)
    })
}

/// The image's status that follows. A location without a known status is none that anybody could use.
pub(crate) fn image_status(record: &ImageRecord) -> Result<ImageStatus> {
    let statuses: Vec<LocationStatus> = record.locations.iter().filter_map(|location| status(location).ok()).collect();
    Ok(ImageStatus::of(&statuses, overlay(record)?))
}

/// Does one thing to the record, if it is legal, at this time; the record's status follows. Doing what is done already changes
/// nothing.
pub(crate) fn edit(record: &mut ImageRecord, edit: &Edit, now: Timestamp) -> Result<()> {
    match edit {
        Edit::Add(location) => add(record, location, now)?,
        Edit::SetStatus(name, next) => set_status(find(record, name)?, *next, now)?,
        Edit::Remove { name: wanted, keep_bytes } => remove(record, wanted, *keep_bytes)?,
        Edit::SetOverlay(next) => {
            if overlay(record)? == Some(Overlay::Killed) && *next != Some(Overlay::Killed) {
                return Err(refused("status-move", "a killed image stays killed".to_owned()));
            }
            record.status_overlay = next.map(|overlay| Value::from(overlay.name()));
        }
    }
    record.status = Some(image_status(record)?.name().to_owned());
    Ok(())
}

fn add(record: &mut ImageRecord, location: &Location, now: Timestamp) -> Result<()> {
    let (name, next) = (name(location), status(location)?);
    if !matches!(next, LocationStatus::Active | LocationStatus::Pending) {
        return Err(refused("status-move", format!("a location is added as active or pending, not as {next}")));
    }
    if let Some(place) = record.locations.iter().position(|other| other.url == location.url) {
        let same = record.locations.get(place).map(status).transpose()?;
        if same != Some(LocationStatus::Deleted) {
            let message = format!("the image has this location already: {name}");
            return Err(Error::new(ErrorKind::Exists, "location-exists", message).scoped(Scope::Request));
        }
        record.locations.remove(place);
    }
    let mut location = location.clone();
    location.status_since = Some(now.to_string());
    record.locations.push(location);
    Ok(())
}

fn set_status(location: &mut Location, next: LocationStatus, now: Timestamp) -> Result<()> {
    // What is no status at all may become any.
    if let Ok(current) = status(location) {
        if current == next {
            return Ok(());
        }
        if !current.may_become(next) {
            return Err(refused("status-move", format!("a location that is {current} cannot become {next}")));
        }
        if next == LocationStatus::Active && location.deletion_began.is_some() {
            let message = "its bytes are being deleted: it cannot be restored any more".to_owned();
            return Err(refused("deletion-began", message));
        }
    }
    location.status = Some(Value::from(next.name()));
    location.status_since = Some(now.to_string());
    Ok(())
}

fn remove(record: &mut ImageRecord, wanted: &str, keep_bytes: bool) -> Result<()> {
    let current = status(find(record, wanted)?);
    if !keep_bytes && current.as_ref().is_ok_and(|current| *current != LocationStatus::Deleted) {
        let message = format!(
            "it is {}, and nobody would know of its bytes any more; set it to pending_delete, or say --keep-bytes",
            current.map_or_else(|_| String::new(), |current| current.to_string())
        );
        return Err(refused("bytes-left", message));
    }
    record.locations.retain(|location| name(location) != wanted);
    Ok(())
}

fn find<'a>(record: &'a mut ImageRecord, wanted: &str) -> Result<&'a mut Location> {
    record.locations.iter_mut().find(|location| name(location) == wanted).ok_or_else(|| {
        let message = format!("the image has no location {}; see `landfall locations list`", redact::printable(wanted));
        Error::new(ErrorKind::NotFound, "location", message).scoped(Scope::Request)
    })
}

fn refused(code: &'static str, message: String) -> Error {
    Error::new(ErrorKind::Invalid, code, message).scoped(Scope::Request)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(statuses: &[&str]) -> ImageRecord {
        let mut record = ImageRecord::default();
        for (number, status) in statuses.iter().enumerate() {
            let mut location = Location::from_url(format!("file:///{number}"));
            location.status = Some(Value::from(*status));
            record.locations.push(location);
        }
        record
    }

    fn now() -> Timestamp {
        Timestamp::from_second(1_700_000_000).unwrap()
    }

    fn code(outcome: Result<()>) -> String {
        outcome.map_or_else(|error| error.code().to_owned(), |()| "ok".to_owned())
    }

    #[test]
    fn every_move_is_made_or_refused() {
        let mut made = 0;
        for from in LocationStatus::ALL {
            for to in LocationStatus::ALL {
                let mut changed = record(&[from.name()]);
                let before = changed.clone();
                let name = name(&changed.locations[0]);
                let outcome = code(edit(&mut changed, &Edit::SetStatus(name, to), now()));
                let location = &changed.locations[0];
                if from == to {
                    assert_eq!((outcome.as_str(), location), ("ok", &before.locations[0]));
                } else if from.may_become(to) {
                    assert_eq!((outcome.as_str(), status(location).unwrap()), ("ok", to));
                    assert_eq!(location.status_since.as_deref(), Some("2023-11-14T22:13:20Z"));
                    assert_eq!(changed.status.as_deref(), Some(ImageStatus::of(&[to], None).name()));
                    made += 1;
                } else {
                    assert_eq!((outcome.as_str(), &changed), ("status-move", &before), "{from} to {to}");
                }
            }
        }
        assert_eq!(made, 6);
    }

    #[test]
    fn what_is_no_status_may_become_one() {
        let mut record = record(&["ready"]);
        let name = name(&record.locations[0]);
        edit(&mut record, &Edit::SetStatus(name, LocationStatus::Active), now()).unwrap();
        assert_eq!(
            (record.status.as_deref(), status(&record.locations[0])),
            (Some("active"), Ok(LocationStatus::Active))
        );
    }

    #[test]
    fn a_location_comes_back_until_its_bytes_are_being_deleted() {
        let mut record = record(&["pending_delete"]);
        let restore = Edit::SetStatus(name(&record.locations[0]), LocationStatus::Active);
        record.locations[0].deletion_began = Some("2023-11-14T22:13:20Z".to_owned());
        assert_eq!(code(edit(&mut record, &restore, now())), "deletion-began");
        record.locations[0].deletion_began = None;
        assert_eq!(code(edit(&mut record, &restore, now())), "ok");
        assert_eq!(record.status.as_deref(), Some("active"));
    }

    #[test]
    fn locations_are_added_once_and_forgotten_when_their_bytes_are_gone() {
        let mut record = record(&["active", "deleted"]);
        let add = |number: u32, status: Option<&str>| {
            let mut location = Location::from_url(format!("file:///{number}"));
            location.status = status.map(Value::from);
            Edit::Add(Box::new(location))
        };
        assert_eq!(code(edit(&mut record, &add(0, None), now())), "location-exists");
        assert_eq!(code(edit(&mut record, &add(2, Some("deleted")), now())), "status-move");
        // The one that is gone comes back as a new one.
        assert_eq!(code(edit(&mut record, &add(1, Some("pending")), now())), "ok");
        assert_eq!(record.locations.len(), 2);
        assert_eq!(status(&record.locations[1]), Ok(LocationStatus::Pending));
        let remove = |number: usize, keep_bytes| {
            let name = name(&Location::from_url(format!("file:///{number}")));
            Edit::Remove { name, keep_bytes }
        };
        assert_eq!(code(edit(&mut record, &remove(7, true), now())), "location");
        assert_eq!(code(edit(&mut record, &remove(0, false), now())), "bytes-left");
        assert_eq!(code(edit(&mut record, &remove(0, true), now())), "ok");
        assert_eq!(record.status.as_deref(), Some("saving"));
    }

    #[test]
    fn an_overlay_stands_beside_the_locations() {
        let mut record = record(&["active"]);
        for (overlay, code_, status) in [
            (Some(Overlay::Deactivated), "ok", "deactivated"),
            (None, "ok", "active"),
            (Some(Overlay::Killed), "ok", "killed"),
            (None, "status-move", "killed"),
            (Some(Overlay::Deactivated), "status-move", "killed"),
        ] {
            assert_eq!(code(edit(&mut record, &Edit::SetOverlay(overlay), now())), code_, "{overlay:?}");
            assert_eq!(record.status.as_deref(), Some(status));
        }
    }
}
