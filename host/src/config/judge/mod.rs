//! From what was written to what is meant: values are read, defaults filled in, and everything that cannot be right is found.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use landfall_select::{Criterion, Strategy};
use serde::Deserialize;
use toml::Spanned;
use toml::de::DeTable;

use super::error::Finding;
use super::raw::{RawCatalog, RawCloud, RawConfig};
use super::surroundings::Surroundings;
use super::tree::{self, At};
use super::units::{self, UnitError};
use super::{CatalogType, Config};

pub(super) mod agent;
mod clouds;
mod handlers;
mod limits;
mod rules;
mod stores;

const NODE_NAME_MAX: usize = 255;

/// The configuration that `raw` means, or all that is wrong with it. Its source is left open.
pub(super) fn judge(
    raw: RawConfig,
    tree: &Spanned<DeTable<'_>>,
    surroundings: &Surroundings,
) -> Result<Config, Vec<Finding>> {
    let mut judge = Judge { tree, findings: Vec::new() };
    let raw = with_environment(raw, surroundings);
    let config = judge.config(raw, surroundings);
    if judge.findings.is_empty() { Ok(config) } else { Err(judge.findings) }
}

/// Where no cloud is configured, a login in the environment is one; and its Glance the catalog, where there is no other.
fn with_environment(mut raw: RawConfig, surroundings: &Surroundings) -> RawConfig {
    if !surroundings.has_cloud || !raw.clouds.is_empty() {
        return raw;
    }
    let name = "environment".to_owned();
    raw.clouds.insert(name.clone(), RawCloud { environment: true, ..RawCloud::default() });
    if raw.catalogs.is_empty() {
        let catalog = RawCatalog {
            catalog_type: CatalogType::Glance,
            path: None,
            cloud: Some(name.clone()),
            service_cloud: None,
        };
        raw.catalogs.insert(name, catalog);
    }
    raw
}

/// A bad value leaves a finding and is replaced by anything of its type: the rest is judged all the same.
struct Judge<'a> {
    tree: &'a Spanned<DeTable<'a>>,
    findings: Vec<Finding>,
}

impl Judge<'_> {
    fn config(&mut self, raw: RawConfig, surroundings: &Surroundings) -> Config {
        let top = At::top();
        let state_dir = self.state_dir(raw.state_dir, surroundings);
        let selection = self.selection(raw.selection);
        Config {
            source: None,
            node: self.node(raw.node, surroundings),
            rules: self.rules(raw.rules, &raw.labels, &selection),
            never_fallback: raw.never_fallback,
            labels: self.labels(raw.labels),
            handlers: self.handlers(raw.handlers),
            plugin_dirs: self.plugin_dirs(&raw.plugin_dirs),
            plugin_sha256: raw.plugin_sha256.map(|digests| self.plugin_sha256(digests)),
            isolation: raw.isolation,
            route: raw.route,
            selection,
            agent: self.agent(raw.agent, &state_dir, &raw.catalogs),
            state_dir,
            stage_keep: self.duration(&top.key("stage_keep"), "stage_keep", &raw.stage_keep),
            legacy_md5: raw.legacy_md5,
            allow_unhashed: raw.allow_unhashed,
            limits: self.limits(&raw.limits),
            stores: self.stores(raw.stores),
            store_cloud: self.store_cloud(raw.store_cloud, &raw.clouds),
            catalogs: self.catalogs(raw.catalogs, &raw.clouds),
            clouds: self.clouds(raw.clouds),
            handler_sections: self.handler_sections(raw.handler_sections, raw.isolation),
        }
    }

    fn node(&mut self, written: Option<String>, surroundings: &Surroundings) -> String {
        let Some(node) = written else { return surroundings.node() };
        let label = match () {
            () if node.is_empty() => "empty",
            () if node.len() > NODE_NAME_MAX => "longer than 255 bytes",
            () if node.contains(|c: char| c.is_whitespace() || c.is_control()) => "has blanks or control characters",
            () => return node,
        };
        self.bad(&At::top().key("node"), "`node` is not a name", label);
        node
    }

    fn labels(&mut self, labels: BTreeMap<String, String>) -> BTreeMap<String, String> {
        if labels.contains_key("") {
            let span = tree::key_span(self.tree, &At::top().key("labels").key(""));
            self.findings.push(Finding::new(span, "a label needs a name", "empty"));
        }
        labels
    }

    fn selection(&mut self, written: Vec<toml::Value>) -> Strategy {
        let at = At::top().key("selection");
        let (mut criteria, mut unread) = (Vec::new(), false);
        for (index, criterion) in written.into_iter().enumerate() {
            match Criterion::deserialize(criterion) {
                Ok(criterion) => criteria.push(criterion),
                Err(error) => {
                    unread = true;
                    self.bad(&at.index(index), "`selection` has a bad criterion", error.message());
                }
            }
        }
        if unread {
            return Strategy::default();
        }
        // The strategy's own error would not tell which one.
        let again =
            |index: &usize| criteria.iter().take(*index).any(|earlier| earlier.name() == criteria[*index].name());
        let again = (0..criteria.len()).find(again);
        Strategy::new(criteria).unwrap_or_else(|error| {
            let at = again.map_or(at.clone(), |index| at.index(index));
            self.bad(&at, "`selection` is not a strategy", error.to_string());
            Strategy::default()
        })
    }

    fn state_dir(&mut self, written: Option<String>, surroundings: &Surroundings) -> PathBuf {
        if let Some(path) = written {
            return self.path(&At::top().key("state_dir"), "state_dir", &path);
        }
        surroundings.state_dir().unwrap_or_else(|| {
            let finding = Finding::without_place("there is no directory to keep state in: HOME is not set");
            self.findings.push(finding.help("set `state_dir`, or HOME, or XDG_STATE_HOME"));
            PathBuf::new()
        })
    }

    /// An absolute path without `..`, its superfluous slashes and dots removed.
    fn path(&mut self, at: &At, key: &str, written: &str) -> PathBuf {
        let path = Path::new(written);
        let problem = match () {
            () if written.is_empty() => Some(("empty", None)),
            () if written.contains(char::is_control) => Some(("has control characters", None)),
            () if written.starts_with('~') => {
                Some(("not absolute", Some("`~` means nothing here: write the path in full")))
            }
            () if !path.is_absolute() => Some(("not absolute", Some("write the path in full, from `/` on"))),
            () if path.components().any(|part| part == Component::ParentDir) => Some(("has `..`", None)),
            () => None,
        };
        if let Some((label, help)) = problem {
            let finding = Finding::new(self.span(at), format!("`{key}` must be an absolute path without `..`"), label);
            self.findings.push(finding.maybe_help(help.map(str::to_owned)));
        }
        path.components().collect()
    }

    fn duration(&mut self, at: &At, key: &str, written: &str) -> Duration {
        units::duration(written).unwrap_or_else(|error| {
            self.bad_unit(at, format!("`{key}` is not a time"), error);
            Duration::ZERO
        })
    }

    fn bad_unit(&mut self, at: &At, message: String, error: UnitError) {
        self.bad_with_help(at, message, error.label, error.help);
    }

    fn bad(&mut self, at: &At, message: impl Into<String>, label: impl Into<String>) {
        self.findings.push(Finding::new(self.span(at), message, label));
    }

    fn bad_with_help(&mut self, at: &At, message: impl Into<String>, label: impl Into<String>, help: &str) {
        self.findings.push(Finding::new(self.span(at), message, label).help(help));
    }

    fn span(&self, at: &At) -> Range<usize> {
        tree::value_span(self.tree, at)
    }
}
