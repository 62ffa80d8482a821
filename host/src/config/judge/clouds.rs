//! Clouds: where their logins are written.

use std::collections::BTreeMap;

use super::Judge;
use super::stores::bad_name;
use crate::cloud;
use crate::config::error::Finding;
use crate::config::raw::RawCloud;
use crate::config::tree::{self, At};
use crate::config::{CloudOptions, CloudSource};

const INTERFACES: [&str; 3] = ["public", "internal", "admin"];

impl Judge<'_> {
    pub(super) fn store_cloud(
        &mut self,
        written: Option<String>,
        clouds: &BTreeMap<String, RawCloud>,
    ) -> Option<String> {
        if let Some(name) = &written {
            self.cloud_name(&At::top().key("store_cloud"), name, clouds);
        }
        written
    }

    /// A name that must be one of the clouds.
    pub(super) fn cloud_name(&mut self, at: &At, name: &str, clouds: &BTreeMap<String, RawCloud>) {
        if !clouds.contains_key(name) {
            self.bad(at, format!("there is no `[cloud.{}]`", name.escape_debug()), "not the name of a cloud");
        }
    }

    pub(super) fn clouds(&mut self, written: BTreeMap<String, RawCloud>) -> BTreeMap<String, CloudSource> {
        let at = At::top().key("cloud");
        let judged = written.into_iter().map(|(name, raw)| {
            let at = at.key(&name);
            if let Some(label) = bad_name(&name) {
                let span = tree::key_span(self.tree, &at);
                self.findings.push(Finding::new(span, "this cannot name a cloud", label));
            }
            (name.clone(), self.cloud(&at, raw))
        });
        judged.collect()
    }

    fn cloud(&mut self, at: &At, raw: RawCloud) -> CloudSource {
        let own = raw.auth_type.is_some() || !raw.auth.is_empty() || !raw.endpoints.is_empty();
        let in_file = raw.entry.is_some() || raw.clouds_file.is_some();
        let mixed =
            RawCloud { environment: false, clouds_file: None, entry: None, ..raw.clone() } != RawCloud::default();
        match (raw.environment, in_file) {
            (true, false) if !mixed => CloudSource::Environment,
            (false, true) if !mixed => {
                let path = raw.clouds_file.map(|path| self.path(&at.key("clouds_file"), "clouds_file", &path));
                let Some(entry) = raw.entry else {
                    self.bad(at, "`entry` is missing", "a `clouds.yaml` has several entries");
                    return CloudSource::Environment;
                };
                CloudSource::File { path, entry }
            }
            (false, false) if own => self.cloud_options(at, raw),
            (false, false) => {
                let label = "needs `environment = true`, `entry`, or `auth`";
                self.bad(at, "this cloud has no login", label);
                CloudSource::Environment
            }
            _ => {
                let label = "`environment`, `entry` and everything else exclude each other";
                self.bad(at, "this cloud has several logins", label);
                CloudSource::Environment
            }
        }
    }

    fn cloud_options(&mut self, at: &At, raw: RawCloud) -> CloudSource {
        for key in raw.auth.keys() {
            let name = key.strip_suffix("_file").unwrap_or(key);
            if !cloud::is_auth_option(name) {
                let span = tree::key_span(self.tree, &at.key("auth").key(key));
                let finding = Finding::new(span, format!("`auth` has an unknown `{}`", key.escape_debug()), "unknown");
                self.findings.push(finding.help(format!("it may have {}", cloud::auth_options().join(", "))));
            } else if name != key {
                let path = raw.auth.get(key).map(String::as_str).unwrap_or_default();
                self.path(&at.key("auth").key(key), key, path);
                if raw.auth.contains_key(name) {
                    self.bad(&at.key("auth").key(key), format!("both `{name}` and `{key}` are set"), "one too many");
                }
            }
        }
        if let Some(interface) = raw.interface.as_ref().filter(|name| !INTERFACES.contains(&name.as_str())) {
            let message = format!("there is no interface `{}`", interface.escape_debug());
            self.bad(&at.key("interface"), message, "not `public`, `internal` or `admin`");
        }
        let mut path = |key: &str, written: Option<String>| written.map(|path| self.path(&at.key(key), key, &path));
        CloudSource::Options(CloudOptions {
            ca_file: path("ca_file", raw.ca_file),
            client_certificate_file: path("client_certificate_file", raw.client_certificate_file),
            client_key_file: path("client_key_file", raw.client_key_file),
            auth_type: raw.auth_type,
            auth: raw.auth,
            region_name: raw.region_name,
            interface: raw.interface,
            endpoints: raw.endpoints,
        })
    }
}
