//! The configuration and what was loaded by it: what a job begins with, it ends with.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use landfall_handler_api::Result;

use crate::config::Config;
use crate::engine::NodeLimits;
use crate::ledger::{Ledger, now};
use crate::loading::{Loaded, load_handlers, node_limits};
use crate::place::Node;
use crate::plugin::Handler;
use crate::redact::printable;
use crate::warnings::warnings;

/// A configuration in force.
pub(crate) struct Setup {
    /// The configuration.
    pub(crate) config: Config,
    /// All handlers that are loaded.
    pub(crate) all: Vec<Arc<dyn Handler>>,
    /// Those that move bytes and delete, in the operator's order.
    pub(crate) ordered: Vec<Arc<dyn Handler>>,
    /// What all processes of the node may use at once.
    pub(crate) limits: Arc<NodeLimits>,
    /// When it was put in force, in milliseconds since 1970.
    pub(crate) at: i64,
}

impl Setup {
    /// Loads what a configuration names.
    pub(crate) fn load(config: Config, ledger: &Ledger, binary: &Path) -> Result<Self> {
        let limits = node_limits(&config)?;
        let Loaded { all, ordered } = load_handlers(&config, ledger, PathBuf::from(binary));
        Ok(Self { config, all, ordered, limits, at: now() })
    }

    /// Tells what can be wrong with it without being an error.
    pub(crate) fn warn(&self) {
        for warning in warnings(&self.config) {
            tracing::warn!("{}", printable(&warning));
        }
        if self.ordered.is_empty() {
            tracing::warn!("no handler is loaded: nothing can be placed");
        }
    }

    /// The node, for a thread that has `ledger`.
    pub(crate) fn node<'a>(&'a self, ledger: &'a Ledger) -> Node<'a> {
        Node { config: &self.config, handlers: &self.ordered, ledger, limits: Some(Arc::clone(&self.limits)) }
    }
}
