//! Reads the configuration anew while the agent runs.

use std::collections::BTreeMap;

use landfall_handler_api::{Error, ErrorKind, Result, Scope};

use super::core::Core;
use super::service::needs_restart;
use super::setup::Setup;
use crate::config::{Config, render_effective};
use crate::ledger::Ledger;
use crate::redact::printable;

/// Settings that count from the agent's start on.
const FIXED: [&str; 4] = ["agent.socket", "agent.socket_mode", "agent.jobs", "agent.log"];

/// Puts the configuration file in force as it is now, for calls that come from now on. A bad one is told, and changes nothing.
pub(super) fn reload(core: &Core) {
    match try_reload(core) {
        Ok(changes) if changes.is_empty() => tracing::info!("reloaded: nothing changed"),
        Ok(changes) => changes.iter().for_each(|change| tracing::info!("reloaded: {change}")),
        Err(error) => {
            let (code, message) = (error.code(), printable(error.message()));
            tracing::error!(code, "not reloaded, the configuration stays as it was: {message}");
        }
    }
}

fn try_reload(core: &Core) -> Result<Vec<String>> {
    let config = Config::load(core.config.as_deref()).map_err(|error| {
        for line in error.render(false).lines() {
            tracing::error!("{}", printable(line));
        }
        landfall_handler_api::Error::from(error)
    })?;
    let before = core.setup();
    if config.state_dir != before.config.state_dir {
        return Err(needs_restart("state_dir"));
    }
    let (old, new) = (&before.config.agent, &config.agent);
    let fixed = [
        (FIXED[0], old.socket != new.socket),
        (FIXED[1], old.socket_mode != new.socket_mode),
        (FIXED[2], old.jobs != new.jobs),
        (FIXED[3], old.log != new.log),
    ];
    for (key, _) in fixed.into_iter().filter(|(_, changed)| *changed) {
        tracing::warn!("{}", needs_restart(key).message());
    }
    let changes = changes(&before.config, &config);
    let ledger = Ledger::open_settled(&config.state_dir)?;
    let setup = Setup::load(config, &ledger, &core.binary)?;
    if setup.ordered.is_empty() && !before.ordered.is_empty() {
        let message = "no handler would be left: see what is said of the plugins";
        return Err(Error::new(ErrorKind::Invalid, "no-handlers", message).scoped(Scope::Request));
    }
    setup.warn();
    core.set_up(setup);
    Ok(changes)
}

/// What is different, a line for each key; what is secret is not shown.
fn changes(before: &Config, after: &Config) -> Vec<String> {
    let (mut before, mut after) = (keys(before), keys(after));
    for fixed in FIXED {
        // What is not in force is told otherwise.
        before.remove(fixed);
        after.remove(fixed);
    }
    let mut changes = Vec::new();
    for (key, value) in &before {
        match after.get(key) {
            None => changes.push(format!("{key} = {value} is gone")),
            Some(new) if new != value => changes.push(format!("{key} = {new}, was {value}")),
            Some(_) => {}
        }
    }
    changes.extend(
        after
            .iter()
            .filter(|(key, _)| !before.contains_key(*key))
            .map(|(key, value)| format!("{key} = {value} is new")),
    );
    changes
}

fn keys(config: &Config) -> BTreeMap<String, String> {
    let table: toml::Table = render_effective(config).parse().unwrap_or_default();
    let mut found = BTreeMap::new();
    table.into_iter().for_each(|(key, value)| flatten(&key, value, &mut found));
    found
}

fn flatten(before: &str, value: toml::Value, found: &mut BTreeMap<String, String>) {
    match value {
        toml::Value::Table(table) => {
            table.into_iter().for_each(|(key, value)| flatten(&format!("{before}.{key}"), value, found));
        }
        toml::Value::Array(items) if items.iter().any(toml::Value::is_table) => {
            for (number, item) in (1..).zip(items) {
                flatten(&format!("{before}[{number}]"), item, found);
            }
        }
        value => {
            found.insert(printable(before), printable(&value.to_string()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn what_changed_is_told_and_no_secret() {
        let config = |text: &str| Config::from_toml(text, Path::new("test.toml")).unwrap();
        let before = config(
            "state_dir = '/s'\nnode = 'a'\n[handler.x]\npassword = 'CANARY1'\n[[store]]\nid = 'a'\ntype = 'swift'",
        );
        let after = config("state_dir = '/s'\nnode = 'b'\nlabels = { rack = 'r' }\n[handler.x]\npassword = 'CANARY2'");
        let told = changes(&before, &after);
        assert!(told.contains(&"node = \"b\", was \"a\"".to_owned()), "{told:?}");
        assert!(told.contains(&"labels.rack = \"r\" is new".to_owned()), "{told:?}");
        assert!(told.contains(&"store[1].id = \"a\" is gone".to_owned()), "{told:?}");
        assert!(!told.iter().any(|line| line.contains("CANARY")), "{told:?}");
        assert!(changes(&before, &before).is_empty());
    }
}
