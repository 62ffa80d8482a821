//! Placements with handlers that are linked in, not loaded.

#![allow(unsafe_code)]

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use landfall_handler_api::abi::imgh_handler;
use landfall_handler_api::crossing::copy_least;
use landfall_handler_api::{Error, HandlerInfo, ImageHandler, ImageRecord, Result, export};

use crate::cancel::Cancel;
use crate::catalog::{Image, Origin};
use crate::cloud::Logins;
use crate::config::Config;
use crate::decision::Decision;
use crate::ledger::Ledger;
use crate::place::{Access, Node, Order};
use crate::plugin::{Handler, InlineHandler, PluginIdentity, Progress};
use crate::progress::Watch;
use crate::publish::Dress;
use crate::route::{Attempt, Form};

const SETUP_LIMIT: Duration = Duration::from_secs(10);

/// A handler of this program's own, by the table that a plugin would export.
pub struct Linked {
    info: HandlerInfo,
    table: imgh_handler,
}

impl Linked {
    /// The handler `H`. Its table is never freed.
    pub fn of<H: ImageHandler>() -> Result<Self> {
        // SAFETY: the table was made by this very version, and lives for ever.
        let table = unsafe { copy_least(export::handler::<H>(), "imgh_handler")? };
        Ok(Self { info: H::info(), table })
    }

    fn configured(self, config: &Config) -> Result<Arc<dyn Handler>> {
        let none = || serde_json::Value::Object(serde_json::Map::new());
        let settings = config.handler_sections.get(&self.info.id).map_or_else(none, |section| section.config.clone());
        let identity = PluginIdentity { name: "linked".into(), version: String::new(), path: "linked".into() };
        let grace = config.limits.grace;
        let made = InlineHandler::create(self.info, identity, self.table, &settings, SETUP_LIMIT, grace)?;
        Ok(Arc::new(made))
    }
}

/// A node that places images.
pub struct Importer {
    config: Config,
    handlers: Vec<Arc<dyn Handler>>,
    ledger: Ledger,
}

impl Importer {
    /// A node of this configuration, with these handlers in this order.
    pub fn new(config: &str, handlers: Vec<Linked>) -> Result<Self> {
        let config = Config::from_toml(config, Path::new("fuzzing.toml")).map_err(Error::from)?;
        let handlers = handlers.into_iter().map(|handler| handler.configured(&config)).collect::<Result<_>>()?;
        let ledger = Ledger::open(&config.state_dir)?;
        Ok(Self { config, handlers, ledger })
    }

    /// Places the image of `record` at `target`: a disk, or a directory of disks.
    pub fn place(&self, record: &ImageRecord, target: &Path, directory: bool) -> Result<()> {
        let logins = Logins::for_stores(&self.config);
        let image = Image { record: record.clone(), origin: Origin::Catalog, logins };
        let node = Node { config: &self.config, handlers: &self.handlers, ledger: &self.ledger, limits: None };
        let order = Order {
            image: &image,
            target,
            directory,
            form: Form::Raw,
            access: Access::ReadWrite,
            dress: Dress::default(),
            allow_unhashed: true,
            shared: false,
            caller: 0,
        };
        let mut decision = Decision::about(record, &self.config, 0);
        node.place(&order, &mut decision, &Cancel::new()?, &Nobody).map(|_| ())
    }
}

/// Does not look.
struct Nobody;

impl Watch for Nobody {
    fn attempt(&self, _: usize, _: usize, _: &Attempt) {}

    fn failed(&self, _: &Attempt, _: &Error) {}

    fn bytes(&self) -> Progress {
        Arc::new(|_, _| {})
    }
}
