//! Plugins: which files are loaded, how they are called, and what is said of those that are not.
//!
//! `trust` says which files may be loaded, `scan` looks at them in a process of their own, `load` shakes hands, `inline`
//! makes a [`Handler`] of each of their handlers. Nothing that is wrong with a plugin is fatal: it is skipped and reported.

mod backend;
mod check;
mod host_table;
mod inline;
mod lent;
mod load;
mod refusal;
mod scan;
#[cfg(test)]
mod tests;
mod trust;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use landfall_handler_api::abi::{IMGH_PLUGIN_PANIC_ABORTS, IMGH_PLUGIN_WORKER_ONLY, imgh_handler};
use serde::Serialize;

pub(crate) use backend::{ByteSink, CallContext, Handler, OpenedSource, Output, Outputs, PluginIdentity, Progress};
pub(crate) use check::{CheckJob, Finding, Target, Verdict, check, check_main};
pub(crate) use load::{HandlerShape, PluginShape};
pub(crate) use refusal::Refusal;
pub(crate) use scan::{NoCache, ScanCache, scan_main};

use inline::InlineHandler;
use load::{Loaded, load};

const SCAN_LIMIT: Duration = Duration::from_secs(10);
const SETUP_LIMIT: Duration = Duration::from_secs(10);

/// Where plugins come from and how they are set up.
pub(crate) struct LoadOptions {
    /// Searched in this order; one that does not exist is passed over.
    pub(crate) directories: Vec<PathBuf>,
    /// Lower-case hex sha256 of the only files that may be loaded; `None` leaves it at owner and mode.
    pub(crate) allowed: Option<BTreeSet<String>>,
    /// The binary that serves [`SCAN_COMMAND`].
    pub(crate) agent: PathBuf,
    /// Each handler's own section of the configuration, by id.
    pub(crate) configs: BTreeMap<String, serde_json::Value>,
    /// How long a handler may take to stop once it was told to.
    pub(crate) grace: Duration,
}

/// What was found in the search directories.
pub(crate) struct Plugins {
    /// In the order in which they were found; ids are unique.
    pub(crate) handlers: Vec<Arc<dyn Handler>>,
    /// One for each plugin file and for each directory that could not be used.
    pub(crate) reports: Vec<PluginReport>,
}

/// What became of one plugin file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct PluginReport {
    pub(crate) path: PathBuf,
    #[serde(flatten)]
    pub(crate) outcome: PluginOutcome,
}

/// Loaded or skipped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "outcome", rename_all = "kebab-case")]
pub(crate) enum PluginOutcome {
    /// The plugin is in use, with those of its handlers that are not skipped.
    Loaded { name: String, version: String, handlers: Vec<HandlerReport> },
    /// Nothing of it is used.
    Skipped(Refusal),
}

/// What became of one handler of a loaded plugin.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct HandlerReport {
    pub(crate) id: String,
    /// Why it is not used, when it is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) skipped: Option<Refusal>,
}

impl Plugins {
    /// Loads every plugin that is trusted, survives a scan and fits this agent, and makes its handlers.
    pub(crate) fn load(options: &LoadOptions, cache: &dyn ScanCache) -> Self {
        let mut plugins = Self { handlers: Vec::new(), reports: Vec::new() };
        for directory in &options.directories {
            if let Err(refusal) = plugins.search(directory, options, cache) {
                let outcome = PluginOutcome::Skipped(refusal);
                plugins.reports.push(PluginReport { path: directory.clone(), outcome });
            }
        }
        plugins
    }

    fn search(&mut self, directory: &Path, options: &LoadOptions, cache: &dyn ScanCache) -> Result<(), Refusal> {
        let Some(opened) = trust::open_directory(directory)? else { return Ok(()) };
        for name in names(directory)? {
            let path = directory.join(&name);
            let outcome = trust::open_plugin(&opened, &name, &path, options.allowed.as_ref())
                .and_then(|file| self.add(file, &path, options, cache))
                .unwrap_or_else(PluginOutcome::Skipped);
            self.reports.push(PluginReport { path, outcome });
        }
        Ok(())
    }

    fn add(
        &mut self,
        file: File,
        path: &Path,
        options: &LoadOptions,
        cache: &dyn ScanCache,
    ) -> Result<PluginOutcome, Refusal> {
        let shape = scan::scan(&file, path, &options.agent, SCAN_LIMIT, cache)?;
        fits_this_process(&shape)?;
        let loaded = load(file)?;
        let plugin = loaded.identity(path);
        let Loaded { shape, tables } = loaded;
        let mut handlers = Vec::new();
        for (handler, table) in shape.handlers.into_iter().zip(tables) {
            let id = handler.info.id.clone();
            let skipped = self.add_handler(handler, table, &plugin, options).err();
            handlers.push(HandlerReport { id, skipped });
        }
        Ok(PluginOutcome::Loaded { name: shape.name, version: shape.version, handlers })
    }

    fn add_handler(
        &mut self,
        handler: HandlerShape,
        table: imgh_handler,
        identity: &PluginIdentity,
        options: &LoadOptions,
    ) -> Result<(), Refusal> {
        let id = &handler.info.id;
        if let Some(first) = self.handlers.iter().find(|first| first.info().id == *id) {
            let reason = format!("{} offers a handler {id} already", first.plugin().path.display());
            return Err(Refusal::new("duplicate-handler", reason));
        }
        let none = serde_json::Value::Object(serde_json::Map::new());
        let config = options.configs.get(id).unwrap_or(&none);
        let made = InlineHandler::create(handler.info, identity.clone(), table, config, SETUP_LIMIT, options.grace)?;
        self.handlers.push(Arc::new(made));
        Ok(())
    }
}

/// A plugin that may only run in a worker cannot run here.
fn fits_this_process(shape: &PluginShape) -> Result<(), Refusal> {
    if shape.flags & IMGH_PLUGIN_PANIC_ABORTS != 0 {
        let reason = "it was built so that a panic ends the process, and would take the agent with it";
        return Err(Refusal::new("panic-aborts-inline", reason));
    }
    if shape.flags & IMGH_PLUGIN_WORKER_ONLY != 0 {
        return Err(Refusal::new("worker-only", "it wants to run in a process of its own"));
    }
    Ok(())
}

/// The names of a directory's `*.so` files, in order.
fn names(directory: &Path) -> Result<BTreeSet<OsString>, Refusal> {
    let unreadable = |error| Refusal::new("unreadable", format!("list {}: {error}", directory.display()));
    let mut names = BTreeSet::new();
    for entry in std::fs::read_dir(directory).map_err(unreadable)? {
        let name = entry.map_err(unreadable)?.file_name();
        if Path::new(&name).extension() == Some(OsStr::new("so")) {
            names.insert(name);
        }
    }
    Ok(names)
}

/// Opens a plugin file that a person named, with the same checks as for any other.
fn open_alone(file: &Path, allowed: Option<&BTreeSet<String>>) -> Result<File, Refusal> {
    let absolute = std::path::absolute(file).map_err(|error| Refusal::new("unreadable", error))?;
    let (Some(directory), Some(name)) = (absolute.parent(), absolute.file_name()) else {
        return Err(Refusal::new("unreadable", format!("{} names no file", file.display())));
    };
    let Some(opened) = trust::open_directory(directory)? else {
        return Err(Refusal::new("unreadable", format!("there is no directory {}", directory.display())));
    };
    trust::open_plugin(opened, name, &absolute, allowed)
}

/// What `landfall handlers inspect FILE.so` shows: the plugin's tables, read in a process of their own.
pub(crate) fn inspect(file: &Path, agent: &Path) -> Result<PluginShape, Refusal> {
    let opened = open_alone(file, None)?;
    scan::scan(&opened, file, agent, SCAN_LIMIT, &NoCache)
}
