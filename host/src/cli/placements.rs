//! `landfall remove`, `move`, `placements` and `history`.

use std::path::{Path, PathBuf};

use landfall_handler_api::Result;
use serde_json::json;

use super::setup::{load_config, open_ledger};
use super::through::{Ask, absolute, read};
use super::{print_json, show};
use crate::agent::{MoveRequest, RemoveRequest};
use crate::hooks::tell_handler;
use crate::loading::load_handlers;
use crate::plugin::Handler;
use crate::redact::printable;
use crate::removal;
use crate::report::{HistoryReport, PlacementReport};
use crate::target::Target;

/// Removes a placement.
pub(super) fn remove(path: &Path, config: Option<&Path>, ask: Ask, json: bool, binary: PathBuf) -> Result<()> {
    let config = load_config(config)?;
    let removed = match ask.find(&config)? {
        Some(mut agent) => {
            let mut answer = agent.post("/remove", &RemoveRequest { path: absolute(path)? })?;
            read(answer["removed"].take())?
        }
        None => {
            let ledger = open_ledger(&config)?;
            let placement = removal::remove(&ledger, &Target::open(path)?, &|_| Ok(()))?;
            let handlers = load_handlers(&config, &ledger, binary).ordered;
            tell_handler(&handlers, &config, &placement, Handler::placement_removed);
            PlacementReport::from(&placement)
        }
    };
    if json {
        return print_json(&json!({ "schema": "landfall.remove/0", "ok": true, "removed": removed }));
    }
    show::line(format_args!("removed {}", printable(&removed.path)))
}

/// Moves a placement.
pub(super) fn rename(
    from: &Path,
    to: &Path,
    config: Option<&Path>,
    ask: Ask,
    json: bool,
    binary: PathBuf,
) -> Result<()> {
    let config = load_config(config)?;
    let (old, new) = match ask.find(&config)? {
        Some(mut agent) => {
            let moved = agent.post("/move", &MoveRequest { from: absolute(from)?, to: absolute(to)? })?;
            let path = |key: &str| moved[key].as_str().unwrap_or_default().to_owned();
            (path("from"), path("to"))
        }
        None => {
            let ledger = open_ledger(&config)?;
            let (source, target) = (Target::open(from)?, Target::open(to)?);
            let placement = removal::rename(&ledger, &source, &target, &|_| Ok(()))?;
            let handlers = load_handlers(&config, &ledger, binary).ordered;
            tell_handler(&handlers, &config, &placement, Handler::placement_moved);
            let text = |path: &Path| path.to_string_lossy().into_owned();
            (text(&placement.path), text(target.path()))
        }
    };
    if json {
        return print_json(&json!({ "schema": "landfall.move/0", "ok": true, "from": old, "to": new }));
    }
    show::line(format_args!("moved {} to {}", printable(&old), printable(&new)))
}

/// Lists what is placed.
pub(super) fn list(config: Option<&Path>, ask: Ask, json: bool) -> Result<()> {
    let config = load_config(config)?;
    let placements: Vec<PlacementReport> = match ask.find(&config)? {
        Some(mut agent) => read(agent.get("/placements")?["placements"].take())?,
        None => {
            let ledger = open_ledger(&config)?;
            let placements = ledger.placements()?;
            placements.iter().map(|placement| PlacementReport::as_it_is(placement, &ledger)).collect()
        }
    };
    if json {
        return print_json(&json!({ "schema": "landfall.placements/0", "ok": true, "placements": placements }));
    }
    for placement in placements {
        show::facts(Path::new(&placement.path), &placement.placed)?;
        show::line(format_args!("  placed    {}", placement.at))?;
        if let Some(damage) = &placement.damage {
            show::line(format_args!("  note      {}", printable(damage)))?;
        }
    }
    Ok(())
}

/// Shows the history.
pub(super) fn history(most: u32, config: Option<&Path>, ask: Ask, json: bool) -> Result<()> {
    let config = load_config(config)?;
    let entries: Vec<HistoryReport> = match ask.find(&config)? {
        Some(mut agent) => read(agent.get(&format!("/history?most={most}"))?["entries"].take())?,
        None => open_ledger(&config)?.history(most, None)?.iter().map(HistoryReport::from).collect(),
    };
    if json {
        return print_json(&json!({ "schema": "landfall.history/0", "ok": true, "entries": entries }));
    }
    for entry in entries {
        let outcome = if entry.ok { "done" } else { "failed" };
        show::line(format_args!("{} {} {} {} {outcome}", entry.id, entry.at, entry.deed, printable(&entry.path)))?;
        let decision = entry.record.get("decision").cloned().and_then(|value| serde_json::from_value(value).ok());
        let decision: crate::decision::Decision = decision.unwrap_or_default();
        for attempt in &decision.attempts {
            let outcome = match (attempt.kind, &attempt.code) {
                (Some(kind), code) => {
                    let message = attempt.message.as_deref().unwrap_or_default();
                    format!("{} {} {message}", kind.name(), code.as_deref().unwrap_or_default())
                }
                (None, _) => "done".to_owned(),
            };
            let expected = attempt.predicted.map(|predicted| format!(", {:.2} s expected", predicted.seconds));
            let (by, from) = (attempt.handlers.join(" -> "), from_where(&attempt.locations));
            show::line(format_args!(
                "  {by} from {from}: {outcome} ({:.2} s{})",
                attempt.seconds,
                expected.unwrap_or_default()
            ))?;
        }
        if let Some(error) = entry.record.get("error") {
            let part = |name| error.get(name).and_then(serde_json::Value::as_str).unwrap_or_default();
            show::line(format_args!("  {} ({} {})", part("message"), part("kind"), part("code")))?;
        }
        if let Ok(facts) = serde_json::from_value::<crate::ledger::Facts>(entry.record["placed"].clone()) {
            let by = show::chain(&facts.handler, &facts.handlers);
            show::line(format_args!("  {by}: {}, verified {}", facts.method.name(), facts.verified.name()))?;
        }
    }
    Ok(())
}

fn from_where(locations: &[String]) -> String {
    if locations.is_empty() { "no location".to_owned() } else { locations.join(", ") }
}
