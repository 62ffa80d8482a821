//! The handlers of this node: loaded from the plugin directories, in the operator's order.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use landfall_handler_api::Result;

use crate::complaint::complain;
use crate::config::Config;
use crate::engine::{LimitSettings, NodeLimits};
use crate::ledger::Ledger;
use crate::plugin::{Handler, LoadOptions, PluginOutcome, Plugins, ScanCache};
use crate::worker::WorkerSettings;

/// Where packages put plugins.
const SYSTEM_PLUGINS: &str = "/usr/lib/landfall/handlers";

/// What all processes of the node may use at once.
pub(crate) fn node_limits(config: &Config) -> Result<Arc<NodeLimits>> {
    let settings = LimitSettings {
        connections: config.limits.connections,
        connections_per_origin: config.limits.connections_per_origin,
        bandwidth: config.limits.bandwidth,
    };
    NodeLimits::open(&config.state_dir, settings).map(Arc::new)
}

/// The handlers that are loaded.
pub(crate) struct Loaded {
    /// All of them.
    pub(crate) all: Vec<Arc<dyn Handler>>,
    /// Those that the operator's order has, in that order: only they move bytes, and delete.
    pub(crate) ordered: Vec<Arc<dyn Handler>>,
}

/// Loads the plugins, and tells about those that cannot be used.
pub(crate) fn load_handlers(config: &Config, ledger: &Ledger, binary: PathBuf) -> Loaded {
    let plugins = load_plugins(config, ledger, binary);
    for report in &plugins.reports {
        let path = report.path.to_string_lossy();
        match &report.outcome {
            PluginOutcome::Skipped(refusal) => {
                complain(format_args!("{path} is skipped: {refusal}"));
            }
            PluginOutcome::Loaded { handlers, .. } => {
                for (id, refusal) in
                    handlers.iter().filter_map(|handler| Some((&handler.id, handler.skipped.as_ref()?)))
                {
                    complain(format_args!("handler {id} of {path} is not used: {refusal}"));
                }
            }
        }
    }
    let offered = |id: &String| {
        plugins.reports.iter().any(|report| match &report.outcome {
            PluginOutcome::Loaded { handlers, .. } => handlers.iter().any(|handler| handler.id == *id),
            PluginOutcome::Skipped(_) => false,
        })
    };
    for id in config.handler_sections.keys() {
        if !offered(id) {
            complain(format_args!("[handler.{id}] is configured, but no plugin offers that handler"));
        }
    }
    Loaded { ordered: in_order(&plugins.handlers, &config.handlers), all: plugins.handlers }
}

/// The handlers that the operator listed, in that order; all of them, as they were found, when nobody listed any.
pub(crate) fn in_order(handlers: &[Arc<dyn Handler>], order: &[String]) -> Vec<Arc<dyn Handler>> {
    if order.is_empty() {
        return handlers.to_vec();
    }
    let find = |id: &String| {
        let found = handlers.iter().find(|handler| handler.info().id == *id);
        if found.is_none() {
            complain(format_args!("handler {id} is in the order, and cannot be used"));
        }
        found.cloned()
    };
    order.iter().filter_map(find).collect()
}

/// Loads the plugins of the configured and the usual directories.
pub(crate) fn load_plugins(config: &Config, cache: &dyn ScanCache, binary: PathBuf) -> Plugins {
    let mut directories = config.plugin_dirs.clone();
    directories.extend(binary.parent().map(Path::to_owned));
    directories.push(PathBuf::from(SYSTEM_PLUGINS));
    let options = LoadOptions {
        directories,
        allowed: config.plugin_sha256.as_ref().map(|digests| digests.iter().cloned().collect()),
        workers: WorkerSettings {
            agent: binary.clone(),
            memory: config.limits.worker_memory,
            cpu: config.limits.worker_cpu,
            grace: config.limits.grace,
        },
        agent: binary,
        sections: config.handler_sections.clone(),
        isolation: config.isolation,
    };
    Plugins::load(&options, cache)
}

impl ScanCache for Ledger {
    fn get(&self, path: &Path, version: &str) -> Option<String> {
        self.scan(path, version)
    }

    fn put(&self, path: &Path, version: &str, outcome: &str) {
        self.remember_scan(path, version, outcome);
    }
}
