//! Handlers and plugins: their order, where they may come from, and their own settings.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::PathBuf;

use serde::Deserialize;
use serde_json::Value;

use super::Judge;
use crate::config::error::Finding;
use crate::config::tree::{self, At};
use crate::config::{HandlerSection, Isolation};

/// As long as the ABI allows the id of a handler to be.
const NAME_MAX: usize = 48;

impl Judge<'_> {
    pub(super) fn handlers(&mut self, handlers: Vec<String>) -> Vec<String> {
        let at = At::top().key("handlers");
        let mut seen = BTreeMap::new();
        for (index, name) in handlers.iter().enumerate() {
            let span = self.span(&at.index(index));
            let first = *seen.entry(name).or_insert(index);
            if let Some(finding) = bad_name(name, span.clone()) {
                self.findings.push(finding);
            } else if first != index {
                let finding = Finding::new(span, format!("handler `{name}` is in the order twice"), "again here");
                self.findings.push(finding.related(self.span(&at.index(first)), "first here"));
            }
        }
        handlers
    }

    pub(super) fn plugin_dirs(&mut self, written: &[String]) -> Vec<PathBuf> {
        let at = At::top().key("plugin_dirs");
        let each = written.iter().enumerate();
        each.map(|(index, path)| self.path(&at.index(index), "plugin_dirs", path)).collect()
    }

    pub(super) fn plugin_sha256(&mut self, digests: Vec<String>) -> Vec<String> {
        for (index, digest) in digests.iter().enumerate() {
            let label = match () {
                () if !digest.chars().all(|c| c.is_ascii_hexdigit()) => {
                    "has other characters than 0-9 and a-f".to_owned()
                }
                () if digest.len() != 64 => format!("{} digits instead of 64", digest.len()),
                () => continue,
            };
            let at = At::top().key("plugin_sha256").index(index);
            self.bad_with_help(&at, "not a SHA-256 digest", label, "`sha256sum FILE.so` prints it");
        }
        digests.into_iter().map(|digest| digest.to_ascii_lowercase()).collect()
    }

    /// `isolation` holds for sections that do not say.
    pub(super) fn handler_sections(
        &mut self,
        written: BTreeMap<String, toml::Table>,
        isolation: Isolation,
    ) -> BTreeMap<String, HandlerSection> {
        let at = At::top().key("handler");
        let judged = written.into_iter().map(|(name, table)| {
            let at = at.key(&name);
            let span = tree::key_span(self.tree, &at);
            self.findings.extend(bad_name(&name, span));
            (name, self.handler_section(&at, table, isolation))
        });
        judged.collect()
    }

    fn handler_section(&mut self, at: &At, mut table: toml::Table, default: Isolation) -> HandlerSection {
        let isolation = table.remove("isolation").and_then(|written| Isolation::deserialize(written).ok());
        let own = table.into_iter().map(|(key, value)| {
            let value = self.json(&at.key(&key), value);
            (key, value)
        });
        HandlerSection { isolation: isolation.unwrap_or(default), config: Value::Object(own.collect()) }
    }

    /// Handlers get their settings as JSON: dates become strings, and what JSON cannot say is refused.
    fn json(&mut self, at: &At, value: toml::Value) -> Value {
        match value {
            toml::Value::String(text) => Value::String(text),
            toml::Value::Integer(number) => Value::from(number),
            toml::Value::Boolean(truth) => Value::Bool(truth),
            toml::Value::Datetime(date) => Value::String(date.to_string()),
            toml::Value::Float(number) if number.is_finite() => Value::from(number),
            toml::Value::Float(_) => {
                self.bad(at, "handlers get their settings as JSON", "JSON has no such number");
                Value::Null
            }
            toml::Value::Array(items) => {
                let items = items.into_iter().enumerate();
                Value::Array(items.map(|(index, item)| self.json(&at.index(index), item)).collect())
            }
            toml::Value::Table(members) => {
                let members = members.into_iter().map(|(key, value)| {
                    let value = self.json(&at.key(&key), value);
                    (key, value)
                });
                Value::Object(members.collect())
            }
        }
    }
}

fn bad_name(name: &str, span: Range<usize>) -> Option<Finding> {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let label = match () {
        () if name.is_empty() => "empty",
        () if name.len() > NAME_MAX => "longer than 48 bytes",
        () if !name.chars().all(plain) => "only a-z, 0-9 and - can be in it",
        () if name.starts_with('-') => "begins with -",
        () => return None,
    };
    Some(Finding::new(span, "this cannot name a handler", label))
}
