//! `landfall remove`, `move`, `placements` and `history`.

use std::path::{Path, PathBuf};
use std::time::Instant;

use landfall_handler_api::{PlacementEvent, Result};
use serde_json::json;

use super::setup::{load_config, load_handlers, open_ledger};
use super::{print_json, show};
use crate::cancel::Cancel;
use crate::complaint::complain;
use crate::config::Config;
use crate::ledger::{Ledger, Placement};
use crate::plugin::{CallContext, Handler};
use crate::redact::printable;
use crate::removal;

/// Removes a placement.
pub(super) fn remove(path: &Path, config: Option<&Path>, json: bool, binary: PathBuf) -> Result<()> {
    let config = load_config(config)?;
    let ledger = open_ledger(&config)?;
    let placement = removal::remove(&ledger, path)?;
    tell_handler(&config, &ledger, binary, &placement, Handler::placement_removed);
    if json {
        return print_json(&json!({ "schema": "landfall.remove/0", "ok": true, "removed": document(&placement) }));
    }
    show::line(format_args!("removed {}", printable(&placement.path.to_string_lossy())))
}

/// Moves a placement.
pub(super) fn rename(from: &Path, to: &Path, config: Option<&Path>, json: bool, binary: PathBuf) -> Result<()> {
    let config = load_config(config)?;
    let ledger = open_ledger(&config)?;
    let (placement, path) = removal::rename(&ledger, from, to)?;
    tell_handler(&config, &ledger, binary, &placement, Handler::placement_moved);
    let (old, new) = (placement.path.to_string_lossy(), path.to_string_lossy());
    if json {
        return print_json(&json!({ "schema": "landfall.move/0", "ok": true, "from": old, "to": new }));
    }
    show::line(format_args!("moved {} to {}", printable(&old), printable(&new)))
}

/// Tells the handler that made a placement what became of it. The deed is done: not being able to tell is only logged.
fn tell_handler(
    config: &Config,
    ledger: &Ledger,
    binary: PathBuf,
    placement: &Placement,
    tell: fn(&(dyn Handler + 'static), &CallContext, &PlacementEvent) -> Result<()>,
) {
    let told = || -> Result<()> {
        let handlers = load_handlers(config, ledger, binary).ordered;
        let Some(handler) = handlers.iter().find(|handler| handler.info().id == placement.facts.handler) else {
            return Ok(());
        };
        let mut event = PlacementEvent::default();
        event.placement = placement.id;
        event.image.clone_from(&placement.facts.image);
        // The deed is done; nobody waits long for a handler to hear of it.
        let deadline = Instant::now().checked_add(config.limits.grace);
        let call = CallContext::quiet(Cancel::new()?.with_deadline(deadline), config.limits.stall);
        tell(handler.as_ref(), &call, &event)
    };
    if let Err(error) = told() {
        complain(format_args!("handler {} was not told: {}", placement.facts.handler, printable(error.message())));
    }
}

fn document(placement: &Placement) -> serde_json::Value {
    json!({
        "id": placement.id,
        "path": placement.path.to_string_lossy(),
        "state": placement.state,
        "inode": placement.identity.inode,
        "at": show::moment(placement.at),
        "placed": placement.facts,
    })
}

/// Lists what is placed.
pub(super) fn list(config: Option<&Path>, json: bool) -> Result<()> {
    let config = load_config(config)?;
    let ledger = open_ledger(&config)?;
    let placements = ledger.placements()?;
    let standing: Vec<(&Placement, bool)> =
        placements.iter().map(|placement| (placement, ledger.stands(placement))).collect();
    if json {
        let documents: Vec<_> = standing
            .iter()
            .map(|(placement, stands)| {
                let mut document = document(placement);
                if let Some(object) = document.as_object_mut() {
                    object.insert("stands".to_owned(), json!(stands));
                }
                document
            })
            .collect();
        return print_json(&json!({ "schema": "landfall.placements/0", "ok": true, "placements": documents }));
    }
    for (placement, stands) in standing {
        show::facts(&placement.path, &placement.facts)?;
        show::line(format_args!("  placed    {}", show::moment(placement.at)))?;
        if !stands {
            show::line("  note      this file is not there any more")?;
        }
    }
    Ok(())
}

/// Shows the history.
pub(super) fn history(most: u32, config: Option<&Path>, json: bool) -> Result<()> {
    let config = load_config(config)?;
    let entries = open_ledger(&config)?.history(most)?;
    if json {
        let documents: Vec<_> = entries
            .iter()
            .map(|entry| {
                json!({
                    "id": entry.id, "at": show::moment(entry.at), "deed": entry.deed, "ok": entry.ok,
                    "path": entry.path.to_string_lossy(), "record": entry.record,
                })
            })
            .collect();
        return print_json(&json!({ "schema": "landfall.history/0", "ok": true, "entries": documents }));
    }
    for entry in entries {
        let outcome = if entry.ok { "done" } else { "failed" };
        let path = entry.path.to_string_lossy();
        show::line(format_args!("{} {} {} {outcome}", show::moment(entry.at), entry.deed, printable(&path)))?;
        let decision = entry.record.get("decision").cloned().and_then(|value| serde_json::from_value(value).ok());
        let decision: crate::decision::Decision = decision.unwrap_or_default();
        for attempt in &decision.attempts {
            let (kind, code) = (attempt.kind.map_or("done", |kind| kind.name()), attempt.code.as_deref().unwrap_or(""));
            let message = attempt.message.as_deref().unwrap_or("");
            let from = from_where(&attempt.locations);
            show::line(format_args!("  {} from {from}: {kind} {code} {message}", attempt.handlers.join(" -> ")))?;
        }
        if let Some(error) = entry.record.get("error") {
            let part = |name| error.get(name).and_then(serde_json::Value::as_str).unwrap_or_default();
            show::line(format_args!("  {} ({} {})", part("message"), part("kind"), part("code")))?;
        }
        if let Ok(facts) = serde_json::from_value::<crate::ledger::Facts>(entry.record["placed"].clone()) {
            let from = from_where(&facts.locations);
            show::line(format_args!(
                "  {} from {from}: {}, verified {}",
                facts.handler,
                facts.method.name(),
                facts.verified.name()
            ))?;
        }
    }
    Ok(())
}

fn from_where(locations: &[String]) -> String {
    if locations.is_empty() { "no location".to_owned() } else { locations.join(", ") }
}
