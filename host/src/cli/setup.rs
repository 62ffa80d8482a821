//! What commands need before they can do anything; and the commands about the configuration.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use landfall_handler_api::{Error, ErrorKind, Result, Scope};

use super::{print_json, show};
use crate::complaint::{self, complain};
use crate::config::{self, Config};
use crate::ledger::Ledger;
use crate::loading::load_plugins;
use crate::plugin::{NoCache, PluginOutcome};
use crate::warnings::warnings;

/// Reads the configuration. What is wrong with it is shown to people here, with the lines that are meant.
pub(super) fn load_config(path: Option<&Path>) -> Result<Config> {
    Config::load(path).map_err(|error| {
        complaint::line(error.render(std::io::stderr().is_terminal()));
        error.into()
    })
}

/// Opens the ledger.
pub(super) fn open_ledger(config: &Config) -> Result<Ledger> {
    Ledger::open(&config.state_dir)
}

/// `landfall config check`. What can be wrong without being an error is told too.
pub(super) fn check(path: Option<&Path>, json: bool, binary: PathBuf) -> Result<()> {
    let config = load_config(path)?;
    refuse_bad_sections(&config, binary)?;
    let warnings = warnings(&config);
    if json {
        return print_json(&serde_json::json!({
            "schema": "landfall.config-check/0", "ok": true, "source": config.source, "warnings": warnings,
        }));
    }
    for warning in &warnings {
        complain(warning);
    }
    match &config.source {
        Some(source) => show::line(format_args!("{}: ok", source.display())),
        None => show::line("no configuration file; every setting has its default"),
    }
}

/// Refuses sections that their own handlers do not take: only they know their settings.
fn refuse_bad_sections(config: &Config, binary: PathBuf) -> Result<()> {
    let plugins = load_plugins(config, &NoCache, binary);
    let refused: Vec<String> = plugins
        .reports
        .iter()
        .filter_map(|report| match &report.outcome {
            PluginOutcome::Loaded { handlers, .. } => Some(handlers),
            PluginOutcome::Skipped(_) => None,
        })
        .flatten()
        .filter(|handler| config.handler_sections.contains_key(&handler.id))
        .filter_map(|handler| {
            let refusal = handler.skipped.as_ref().filter(|refusal| refusal.code != "duplicate-handler")?;
            let (refusal, section) = (refusal.to_string(), format!("[handler.{}]", handler.id));
            Some(if refusal.starts_with(&section) { refusal } else { format!("{section}: {refusal}") })
        })
        .collect();
    if refused.is_empty() {
        return Ok(());
    }
    refused.iter().for_each(complain);
    Err(Error::new(ErrorKind::Invalid, "config", refused.join("; ")).scoped(Scope::Request))
}

/// `landfall config show`.
pub(super) fn show(path: Option<&Path>, json: bool) -> Result<()> {
    let config = load_config(path)?;
    let text = config::render_effective(&config);
    if json {
        return print_json(&serde_json::json!({
            "schema": "landfall.config/0", "ok": true, "source": config.source, "toml": text,
        }));
    }
    show::line(text.trim_end())
}

/// `landfall config schema`.
pub(super) fn schema() -> Result<()> {
    print_json(&config::schema())
}
