//! `landfall locations`: the life of an image's locations, in a catalog that is a directory of records.

use std::path::Path;

use landfall_handler_api::{Error, ErrorKind, ImageRecord, Location, Result, Scope};
use landfall_select::{LocationStatus, Overlay};
use serde_json::{Map, Value, json};

use super::options::{LocationsCommand, OverlayArgument};
use super::setup::load_config;
use super::{print_json, show};
use crate::cancel::Cancel;
use crate::catalog::{Edit, LockedCatalogs, RecordDirectory, directory_of_id, edit, image_status, location_name};
use crate::redact::{self, printable};
use crate::signals;

/// Shows or changes the locations of one image, and shows what they are then.
pub(super) fn locations(command: &LocationsCommand, config: Option<&Path>, json: bool) -> Result<()> {
    let config = load_config(config)?;
    let cancel = Cancel::new()?;
    signals::cancel_on_signals(&cancel)?;
    let (id, wanted) = command.image();
    let (catalog, path) = directory_of_id(id, wanted, &config)?;
    let directory = RecordDirectory::open(path, &config)?;
    if let Some(change) = change(command)? {
        let change_it = |record: &mut ImageRecord| edit(record, &change, jiff::Timestamp::now());
        match being_used(&change, &directory.record(id)?) {
            None => directory.change(id, &cancel, change_it)?,
            Some(location) => {
                // Under the locks, so that no scrubber begins meanwhile to delete what this record is about to use.
                let catalogs = LockedCatalogs::lock(&config, &cancel)?;
                catalogs.refuse_being_deleted(&location)?;
                catalogs.change(catalog, id, &cancel, change_it)?;
            }
        }
    }
    let record = directory.record(id)?;
    let status = image_status(&record)?;
    let rows: Vec<Value> = record.locations.iter().map(row).collect();
    if json {
        return print_json(&json!({
            "schema": "landfall.locations/0",
            "ok": true,
            "catalog": catalog,
            "image": id,
            "status": status,
            "overlay": record.status_overlay,
            "locations": rows,
        }));
    }
    show::line(format_args!("{} in catalog {catalog}: {status}", printable(id)))?;
    for row in rows {
        let text = |key: &str| row[key].as_str().map(printable).unwrap_or_default();
        let since = if row["since"].is_null() { String::new() } else { format!(" since {}", text("since")) };
        let begun = if row["deletion_began"].is_null() { "" } else { ", its bytes are being deleted" };
        show::line(format_args!("  {}  {}{since}{begun}\n    {}", text("name"), text("status"), text("url")))?;
    }
    Ok(())
}

/// The location that a change makes one that is used, or will be.
fn being_used(change: &Edit, record: &ImageRecord) -> Option<Location> {
    match change {
        Edit::Add(location) => Some((**location).clone()),
        Edit::SetStatus(name, LocationStatus::Active | LocationStatus::Pending) => {
            record.locations.iter().find(|location| location_name(location) == *name).cloned()
        }
        Edit::SetStatus(..) | Edit::Remove { .. } | Edit::SetOverlay(_) => None,
    }
}

/// What the command does to the record.
fn change(command: &LocationsCommand) -> Result<Option<Edit>> {
    Ok(Some(match command {
        LocationsCommand::List { .. } => return Ok(None),
        LocationsCommand::Add(options) => {
            let mut location = Location::from_url(options.url.as_str());
            location.status = options.status.as_ref().map(|status| Value::from(status.name()));
            location.metadata = object(options.metadata.as_deref(), "--metadata")?.unwrap_or_default();
            if let Some(store) = &options.store {
                location.metadata.insert("store".to_owned(), Value::from(store.as_str()));
            }
            location.metrics = object(options.metrics.as_deref(), "--metrics")?.map(Value::Object);
            Edit::Add(Box::new(location))
        }
        LocationsCommand::SetStatus { location, status, .. } => Edit::SetStatus(location.clone(), (*status).into()),
        LocationsCommand::Remove { location, keep_bytes, .. } => {
            Edit::Remove { name: location.clone(), keep_bytes: *keep_bytes }
        }
        LocationsCommand::SetOverlay { overlay, .. } => Edit::SetOverlay(match overlay {
            OverlayArgument::Killed => Some(Overlay::Killed),
            OverlayArgument::Deactivated => Some(Overlay::Deactivated),
            OverlayArgument::None => None,
        }),
    }))
}

fn object(text: Option<&str>, option: &str) -> Result<Option<Map<String, Value>>> {
    let parsed = text.map(serde_json::from_str).transpose();
    parsed.map_err(|error| {
        let message = format!("{option} is no JSON object: see column {}", error.column());
        Error::new(ErrorKind::Invalid, "location-json", message).scoped(Scope::Request)
    })
}

/// A location as it is shown: without the secrets of its URL.
fn row(location: &Location) -> Value {
    let status = location.status.as_ref().filter(|status| !status.is_null());
    let shown = status.map_or_else(
        || "active".to_owned(),
        |status| status.as_str().map_or_else(|| "unreadable".to_owned(), printable),
    );
    json!({
        "name": location_name(location),
        "status": shown,
        "since": location.status_since,
        "deletion_began": location.deletion_began,
        "store": location.metadata.get("store").and_then(Value::as_str).map(printable),
        "url": redact::url(&location.url),
    })
}
