//! `landfall scrub`.

use std::path::{Path, PathBuf};

use landfall_handler_api::{Error, Result};
use serde_json::json;

use super::options::ScrubOptions;
use super::setup::{load_config, open_ledger};
use super::through::error_of;
use super::{print_json, show};
use crate::cancel::Cancel;
use crate::loading::load_handlers;
use crate::scrub::{Outcome, Scrub};
use crate::signals;

/// Scrubs once, and shows what came of it. Gives the first failure, where there was one.
pub(super) fn scrub(
    options: &ScrubOptions,
    config: Option<&Path>,
    json: bool,
    binary: PathBuf,
) -> Result<Option<Error>> {
    let config = load_config(config)?;
    let cancel = Cancel::new()?;
    signals::cancel_on_signals(&cancel)?;
    let ledger = open_ledger(&config)?;
    let handlers = load_handlers(&config, &ledger, binary).ordered;
    let scrub = Scrub {
        config: &config,
        handlers: &handlers,
        cancel: &cancel,
        delay: options.delay,
        most: options.most,
        pause: options.pause,
        dry_run: options.dry_run,
    };
    let scrubbed = scrub.run()?;
    let failed = scrubbed.iter().find_map(|scrubbed| match &scrubbed.outcome {
        Outcome::Failed { error } => Some(error_of(error)),
        _ => None,
    });
    if json {
        print_json(&json!({
            "schema": "landfall.scrub/0", "ok": failed.is_none(), "dry_run": options.dry_run, "locations": scrubbed,
        }))?;
    } else {
        for scrubbed in &scrubbed {
            let outcome = scrubbed.outcome.words();
            show::line(format_args!("{} {}  {}\n  {outcome}", scrubbed.image, scrubbed.location, scrubbed.url))?;
        }
        if scrubbed.is_empty() {
            show::line("nothing is pending_delete")?;
        }
    }
    Ok(failed)
}
