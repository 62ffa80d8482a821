//! The configuration and what was loaded by it: what a job begins with, it ends with.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use landfall_handler_api::Result;

use crate::config::Config;
use crate::engine::NodeLimits;
use crate::ledger::Ledger;
use crate::loading::{Loaded, load_handlers, node_limits};
use crate::place::Node;
use crate::plugin::Handler;

/// A configuration in force.
pub(crate) struct Setup {
    /// The configuration.
    pub(crate) config: Config,
    /// All handlers that are loaded.
    pub(crate) all: Vec<Arc<dyn Handler>>,
    /// Those that move bytes, in the operator's order.
    pub(crate) ordered: Vec<Arc<dyn Handler>>,
    /// What all processes of the node may use at once.
    pub(crate) limits: Arc<NodeLimits>,
}

impl Setup {
    /// Loads what a configuration names.
    pub(crate) fn load(config: Config, ledger: &Ledger, binary: &Path) -> Result<Self> {
        let limits = node_limits(&config)?;
        let Loaded { all, ordered } = load_handlers(&config, ledger, PathBuf::from(binary));
        Ok(Self { config, all, ordered, limits })
    }

    /// The node, for a thread that has `ledger`.
    pub(crate) fn node<'a>(&'a self, ledger: &'a Ledger) -> Node<'a> {
        Node { config: &self.config, handlers: &self.ordered, ledger, limits: Some(Arc::clone(&self.limits)) }
    }
}
