//! `landfall replay`.

use std::path::{Path, PathBuf};

use landfall_handler_api::{Error, ErrorKind, Result, Scope};
use serde_json::json;

use super::setup::{load_config, open_ledger};
use super::{plan_table, print_json, show};
use crate::cancel::Cancel;
use crate::decision::{Decision, PlannedAttempt};
use crate::inputs::Inputs;
use crate::loading::load_handlers;
use crate::measured::forecast_of;
use crate::place::Node;
use crate::report::ErrorReport;
use crate::selection::wants_forecast;
use crate::signals;

/// Decides again what an entry of the history decided: with its record and what was measured then, but with the handlers and the
/// configuration of now. Shows both.
pub(super) fn replay(entry: i64, config: Option<&Path>, json: bool, binary: PathBuf) -> Result<()> {
    let config = load_config(config)?;
    let ledger = open_ledger(&config)?;
    let refused = |code: &'static str, message: String| Error::new(ErrorKind::NotFound, code, message);
    let found = ledger.history_entry(entry)?.ok_or_else(|| {
        refused("history-entry", format!("the history has no entry {entry}; see `landfall history`"))
            .scoped(Scope::Request)
    })?;
    let inputs = Inputs::of_entry(&found.record).ok_or_else(|| {
        let message = format!(
            "entry {entry} does not say what it was asked for: it is no placement, of a group, or its record is long"
        );
        refused("history-entry", message).scoped(Scope::Request)
    })?;
    let was: Decision =
        serde_json::from_value(found.record.get("decision").cloned().unwrap_or_default()).unwrap_or_default();
    let cancel = Cancel::new()?;
    signals::cancel_on_signals(&cancel)?;
    let handlers = load_handlers(&config, &ledger, binary).ordered;
    let node = Node { config: &config, handlers: &handlers, ledger: &ledger, limits: None };
    let image = inputs.image(&config);
    // What nobody looked at then is looked at now.
    let forecast = match &inputs.forecast {
        Some(forecast) => Some(forecast.clone()),
        None => wants_forecast(&config).then(|| forecast_of(&image, &config, &ledger)),
    };
    let mut now = Decision::about(&image.record, &config, was.caller.unwrap_or_default());
    let planned = inputs
        .ordered(&image, &found.path, |order| node.plan_by(order, forecast.as_ref(), &mut now, &cancel).map(drop));
    let is_same = was.planned.iter().map(way).eq(now.planned.iter().map(way));
    if json {
        let error = planned.as_ref().err().map(ErrorReport::from);
        return print_json(&json!({
            "schema": "landfall.replay/0", "ok": true, "entry": entry, "same": is_same, "was": was, "now": now, "error": error,
        }));
    }
    plan_table::show(&now)?;
    if let Err(error) = &planned {
        show::line(format_args!("note: {}", crate::redact::printable(error.message())))?;
    }
    if is_same {
        return show::line("\nthe attempts are those of entry ".to_owned() + &entry.to_string());
    }
    show::line(format_args!("\nwhat entry {entry} would have tried instead"))?;
    for (number, attempt) in (1..).zip(&was.planned) {
        let (handlers, location) = way(attempt);
        show::line(format_args!("{number}.  {}  {}", handlers.join(" -> "), location.map_or("-", String::as_str)))?;
    }
    Ok(())
}

/// What tells attempts apart.
fn way(attempt: &PlannedAttempt) -> (&[String], Option<&String>) {
    (&attempt.handlers, attempt.locations.first())
}
