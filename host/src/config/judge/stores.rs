//! Stores and catalogs: what they are called and where they are.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use landfall_select::StoreType;

use super::Judge;
use crate::config::error::Finding;
use crate::config::raw::{RawCatalog, RawCloud, RawStore};
use crate::config::tree::{self, At};
use crate::config::{Catalog, CatalogType, Store};

const NAME_MAX: usize = 64;

impl Judge<'_> {
    pub(super) fn stores(&mut self, written: Vec<RawStore>) -> Vec<Store> {
        let at = At::top().key("store");
        let mut seen = BTreeMap::new();
        let mut stores = Vec::new();
        for (index, raw) in written.into_iter().enumerate() {
            let id = at.index(index).key("id");
            let first = *seen.entry(raw.id.clone()).or_insert(index);
            if first != index {
                let first = self.span(&at.index(first).key("id"));
                let finding = Finding::new(self.span(&id), "two stores have one id", "again here");
                self.findings.push(finding.related(first, "first here"));
            } else if let Some(label) = bad_name(&raw.id) {
                self.bad(&id, "`id` is not a name", label);
            }
            stores.push(self.store(&at.index(index), raw));
        }
        stores
    }

    fn store(&mut self, at: &At, raw: RawStore) -> Store {
        let store_type: StoreType = raw.store_type.parse().unwrap_or_else(|_| {
            self.bad(&at.key("type"), "unknown `type`", "not a type of store");
            StoreType::File
        });
        let is_file = store_type == StoreType::File;
        if raw.hardlink && !is_file {
            let label = "only a store of type `file` has files to link to";
            self.bad(&at.key("hardlink"), "this store cannot have `hardlink = true`", label);
        }
        for (key, value) in [("root", &raw.root), ("mountpoint", &raw.mountpoint)] {
            if value.is_some() && !is_file {
                let message = format!("this store cannot have a `{key}`");
                self.bad(&at.key(key), message, "only a store of type `file` has directories");
            }
        }
        if raw.root.is_none() && is_file {
            self.bad(at, "`root` is missing", "a store of type `file` needs `root`");
        }
        let root = raw.root.map(|root| self.path(&at.key("root"), "root", &root)).unwrap_or_default();
        let (mountpoint, key) = match raw.mountpoint {
            Some(path) => (self.path(&at.key("mountpoint"), "mountpoint", &path), "mountpoint"),
            None => (root.clone(), "root"),
        };
        if mountpoint == Path::new("/") {
            let message = format!("`{key}` opens the whole node");
            let label = "any image record could then name any file of this node";
            self.bad_with_help(&at.key(key), message, label, "give the directory that holds the images");
        }
        self.schemes(at, store_type, &raw.schemes);
        let RawStore { schemes, hardlink, verify, combine, delete, .. } = raw;
        Store { id: raw.id, store_type, schemes, root, mountpoint, hardlink, verify, combine, delete }
    }

    fn schemes(&mut self, at: &At, store_type: StoreType, schemes: &[String]) {
        let key = at.key("schemes");
        if store_type != StoreType::Other {
            if !schemes.is_empty() {
                self.bad(&key, "this store cannot have `schemes`", "only a store of type `other` has them");
            }
            return;
        }
        if schemes.is_empty() {
            self.bad(at, "`schemes` are missing", "a store of type `other` needs the URL schemes of its locations");
        }
        for (index, scheme) in schemes.iter().enumerate() {
            let is_lower = !scheme.bytes().any(|byte| byte.is_ascii_uppercase());
            match StoreType::of_url(&format!("{scheme}://")) {
                Some(StoreType::Other) if is_lower => {}
                Some(StoreType::Other) | None => {
                    self.bad(
                        &key.index(index),
                        "this is no URL scheme",
                        "a letter, then letters, digits and +-., all small",
                    );
                }
                Some(known) => {
                    self.bad(
                        &key.index(index),
                        "this scheme has a type",
                        format!("it is that of stores of type `{known}`"),
                    );
                }
            }
        }
    }

    pub(super) fn catalogs(
        &mut self,
        written: BTreeMap<String, RawCatalog>,
        clouds: &BTreeMap<String, RawCloud>,
    ) -> BTreeMap<String, Catalog> {
        let at = At::top().key("catalog");
        let judged = written.into_iter().map(|(name, raw)| {
            let at = at.key(&name);
            if let Some(label) = bad_name(&name) {
                let span = tree::key_span(self.tree, &at);
                self.findings.push(Finding::new(span, "this cannot name a catalog", label));
            }
            let catalog = match raw.catalog_type {
                CatalogType::Directory => self.directory(&at, raw),
                CatalogType::Glance => self.glance(&at, raw, clouds),
            };
            (name, catalog)
        });
        judged.collect()
    }

    fn directory(&mut self, at: &At, raw: RawCatalog) -> Catalog {
        for (key, value) in [("cloud", &raw.cloud), ("service_cloud", &raw.service_cloud)] {
            if value.is_some() {
                let message = format!("this catalog cannot have a `{key}`");
                self.bad(&at.key(key), message, "only a catalog of type `glance` is in a cloud");
            }
        }
        let path = match raw.path {
            Some(path) => self.path(&at.key("path"), "path", &path),
            None => {
                self.bad(at, "`path` is missing", "a catalog of type `directory` needs `path`");
                PathBuf::new()
            }
        };
        Catalog::Directory { path }
    }

    fn glance(&mut self, at: &At, raw: RawCatalog, clouds: &BTreeMap<String, RawCloud>) -> Catalog {
        if raw.path.is_some() {
            let label = "only a catalog of type `directory` has one";
            self.bad(&at.key("path"), "this catalog cannot have a `path`", label);
        }
        let mut names = clouds.keys();
        let cloud = match (raw.cloud, names.next(), names.next()) {
            (Some(cloud), ..) => {
                self.cloud_name(&at.key("cloud"), &cloud, clouds);
                cloud
            }
            (None, Some(only), None) => only.clone(),
            (None, first, _) => {
                let label = if first.is_some() { "there are several clouds" } else { "there is no `[cloud.NAME]`" };
                self.bad(at, "`cloud` is missing", label);
                String::new()
            }
        };
        if let Some(service) = &raw.service_cloud {
            self.cloud_name(&at.key("service_cloud"), service, clouds);
        }
        Catalog::Glance { cloud, service_cloud: raw.service_cloud }
    }
}

/// What is wrong with the name of a store, catalog or cloud. Glance's store ids are section names of its configuration.
pub(super) fn bad_name(name: &str) -> Option<&'static str> {
    match () {
        () if name.is_empty() => Some("empty"),
        () if name.len() > NAME_MAX => Some("longer than 64 bytes"),
        () if !name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c)) => {
            Some("only A-Z, a-z, 0-9, -, _ and . can be in it")
        }
        () if !name.starts_with(|c: char| c.is_ascii_alphanumeric()) => Some("does not begin with a letter or digit"),
        () => None,
    }
}
