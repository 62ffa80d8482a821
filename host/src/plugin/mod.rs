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
mod pulse;
mod refusal;
mod scan;
mod settings;
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
use landfall_handler_api::{HandlerInfo, HandlerKind};
use serde::Serialize;

use crate::cancel::Cancel;
use crate::config::{HandlerSection, Isolation};
use crate::worker::{WorkerHandler, WorkerSettings};

pub(crate) use backend::{
    ByteSink, CallContext, Handler, Input, OpenedSource, Output, Outputs, PluginIdentity, Progress, SourceInfo,
};
pub(crate) use check::{CheckJob, Finding, SampleFile, Target, Verdict, check, check_main};
pub(crate) use host_table::send_log;
pub(crate) use inline::{InlineHandler, WORKER_KILLED, honest};
pub(crate) use load::{HandlerShape, PluginShape, load};
pub(crate) use pulse::{Pulse, STALLED};
pub(crate) use refusal::Refusal;
pub(crate) use scan::{NoCache, ScanCache, scan_main};

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
    pub(crate) sections: BTreeMap<String, HandlerSection>,
    /// Where handlers without a section run.
    pub(crate) isolation: Isolation,
    /// How workers are run.
    pub(crate) workers: WorkerSettings,
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
        let isolated: Vec<Result<bool, Refusal>> = shape
            .handlers
            .iter()
            .map(|handler| runs_in_worker(options.isolation_of(&handler.info.id), &shape, handler))
            .collect();
        // What runs in workers only is never loaded into this process.
        let tables = match isolated.contains(&Ok(false)) {
            true => load(file.try_clone().map_err(|error| Refusal::new("unreadable", error))?)?.tables,
            false => Vec::new(),
        };
        let plugin = shape.identity(path);
        let mut handlers = Vec::new();
        for (number, (handler, isolated)) in shape.handlers.into_iter().zip(isolated).enumerate() {
            let id = handler.info.id.clone();
            let made = isolated.and_then(|isolated| {
                self.refuse_duplicate(&id)?;
                match tables.get(number).filter(|_| !isolated) {
                    Some(table) => options.make_inline(handler.info, &plugin, *table),
                    None => options.make_isolated(handler, &plugin, &file, cache),
                }
            });
            let skipped = made.map(|made| self.handlers.push(made)).err();
            handlers.push(HandlerReport { id, skipped });
        }
        Ok(PluginOutcome::Loaded { name: shape.name, version: shape.version, handlers })
    }

    fn refuse_duplicate(&self, id: &str) -> Result<(), Refusal> {
        let Some(first) = self.handlers.iter().find(|first| first.info().id == *id) else { return Ok(()) };
        let reason = format!("{} offers a handler {id} already", first.plugin().path.display());
        Err(Refusal::new("duplicate-handler", reason))
    }
}

impl LoadOptions {
    fn isolation_of(&self, id: &str) -> Isolation {
        self.sections.get(id).map_or(self.isolation, |section| section.isolation)
    }

    /// A handler's own settings, at least `{}`, with the files that they name.
    fn config_of(&self, info: &HandlerInfo) -> Result<serde_json::Value, Refusal> {
        let none = || serde_json::Value::Object(serde_json::Map::new());
        let config = self.sections.get(&info.id).map_or_else(none, |section| section.config.clone());
        settings::with_files(config, &info.file_settings)
    }

    fn make_inline(
        &self,
        info: HandlerInfo,
        identity: &PluginIdentity,
        table: imgh_handler,
    ) -> Result<Arc<dyn Handler>, Refusal> {
        let config = self.config_of(&info)?;
        let made = InlineHandler::create(info, identity.clone(), table, &config, SETUP_LIMIT, self.workers.grace)?;
        Ok(Arc::new(made))
    }

    /// A handler in workers is made anew for each job; whether it takes its settings is tried once, and remembered.
    fn make_isolated(
        &self,
        handler: HandlerShape,
        identity: &PluginIdentity,
        file: &File,
        cache: &dyn ScanCache,
    ) -> Result<Arc<dyn Handler>, Refusal> {
        let id = handler.info.id.clone();
        let config = self.config_of(&handler.info)?;
        let has_probe = handler.functions.iter().any(|name| name == "probe");
        let copy = file.try_clone().map_err(|error| Refusal::new("unreadable", error))?;
        let key = identity.path.join(format!("#{id}"));
        let version = format!("{} settings {}", scan::version(file)?, scan::fingerprint(&config));
        let made = WorkerHandler::new(handler.info, identity.clone(), copy, config, has_probe, self.workers.clone());
        scan::remembered(cache, &key, &version, || {
            let call = CallContext::quiet(Cancel::new()?, SETUP_LIMIT);
            made.try_out(&call)
        })?;
        Ok(Arc::new(made))
    }
}

/// Where a handler of the plugin runs: a process of its own is for what speaks to the network, reads untrusted formats, or
/// could not be survived.
fn runs_in_worker(isolation: Isolation, plugin: &PluginShape, handler: &HandlerShape) -> Result<bool, Refusal> {
    let unfit = fits_this_process(plugin);
    match isolation {
        Isolation::Worker => Ok(true),
        Isolation::Inline => unfit.map(|()| false),
        Isolation::Auto => {
            let reads_formats =
                handler.info.kinds.iter().any(|kind| matches!(kind, HandlerKind::Filter | HandlerKind::Unpack));
            Ok(unfit.is_err() || handler.info.needs_network || reads_formats)
        }
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
