//! The agent's configuration: one TOML file.
//!
//! ```text
//! text -> tree (tree.rs) -> keys and types fit (shape.rs) -> RawConfig (raw.rs) -> judge.rs -> Config
//! ```
//!
//! `raw.rs` is what was written, this file what is meant: defaults filled in, units typed, everything checked. Whatever is
//! wrong is shown with its line (`error.rs`), several findings at once, and never with a secret (`secrets.rs`).

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use landfall_rules::Rule;
use landfall_select::{StoreType, Strategy};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use toml::de::DeTable;

mod agent;
mod error;
mod file;
mod judge;
mod nearest;
mod raw;
mod raw_agent;
mod secrets;
mod shape;
mod show;
mod surroundings;
#[cfg(test)]
mod tests;
mod tree;
mod units;

pub use agent::{Agent, CallerRule, Catalogs, LogFormat, Placements};
pub use error::ConfigError;
pub use raw::schema;
pub(crate) use secrets::is_secret_key;
pub use show::render_effective;

use error::Finding;
use raw::RawConfig;
use surroundings::Surroundings;

/// Where the agent of a node listens that is configured as usual.
pub const SYSTEM_SOCKET: &str = "/run/landfall/agent.sock";

/// How this node places images.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// The file it came from; none when there is no file and everything is a default.
    pub source: Option<PathBuf>,
    /// The node's name, as the `node-weights` of locations spell it.
    pub node: String,
    /// Facts about the node.
    pub labels: BTreeMap<String, String>,
    /// The handlers to use, in the operator's order. Empty: every loaded handler, in search order.
    pub handlers: Vec<String>,
    /// Absolute directories to search for plugins before the usual ones.
    pub plugin_dirs: Vec<PathBuf>,
    /// SHA-256 digests, lower-case hex, of the only plugin files that may be loaded. `None`: any trusted file.
    pub plugin_sha256: Option<Vec<String>>,
    /// Where handlers run that have no section, or whose section does not say.
    pub isolation: Isolation,
    /// What comes first when attempts are planned.
    pub route: RouteMode,
    /// How locations are ordered.
    pub selection: Strategy,
    /// The operator's rules, which the criterion `rules` evaluates. Those that deny count in any case.
    pub rules: Vec<Rule>,
    /// Whether only locations are used, and nothing that needs none.
    pub never_fallback: bool,
    /// Where the ledger is kept. Absolute.
    pub state_dir: PathBuf,
    /// How long an unfinished download stays beside its target. Zero: none does.
    pub stage_keep: Duration,
    /// Whether MD5 counts where there is no better digest.
    pub legacy_md5: bool,
    /// Whether images without any digest are placed.
    pub allow_unhashed: bool,
    /// Bounds on requests, workers and the node.
    pub limits: Limits,
    /// The image stores that this node can reach. Ids are unique.
    pub stores: Vec<Store>,
    /// The cloud whose login handlers use for stores: one of `clouds`.
    pub store_cloud: Option<String>,
    /// OpenStack clouds, by name.
    pub clouds: BTreeMap<String, CloudSource>,
    /// Where image records come from, by name.
    pub catalogs: BTreeMap<String, Catalog>,
    /// Settings of single handlers, by name.
    pub handler_sections: BTreeMap<String, HandlerSection>,
    /// How the agent serves.
    pub agent: Agent,
}

/// What comes first when attempts are planned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RouteMode {
    /// Each handler takes all locations before the next handler is tried.
    HandlerFirst,
    /// Each location is tried with all handlers before the next location.
    LocationFirst,
}

/// Bounds on what a request, a worker and the node may take; none but `bench` is 0.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of one disk.
    pub disk_bytes: u64,
    /// Disks of one image.
    pub disks: u32,
    /// Whether unpacked disks may have more bytes than their file system has free.
    pub overcommit: bool,
    /// Bytes of one image record.
    pub record_bytes: u64,
    /// Locations of one image.
    pub locations: u32,
    /// How long a handler may take to stop.
    pub grace: Duration,
    /// How long a source or handler may give no sign of life. At least 100 ms.
    pub stall: Duration,
    /// Bytes a second that a read of a network location must bring, over `stall`.
    pub least_rate: u64,
    /// Connections to all origins together, over all processes of the node.
    pub connections: u32,
    /// Connections to one origin, over all processes of the node.
    pub connections_per_origin: u32,
    /// Bytes per second that all processes of the node fetch together. `None`: no bound.
    pub bandwidth: Option<u64>,
    /// Bytes of one worker's address space. At least 64 MiB.
    pub worker_memory: u64,
    /// CPU time of one worker. At least 1 s.
    pub worker_cpu: Duration,
    /// Bytes of the smallest download that is kept beside its target when it is interrupted.
    pub resume_bytes: u64,
    /// How long a handler is not used for an image on which it crashed. Zero: it is used again at once.
    pub bench: Duration,
}

/// An image store, as this node reaches it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Store {
    /// As `metadata.store` or `metadata.id` of locations spell it.
    pub id: String,
    /// The kind of store.
    pub store_type: StoreType,
    /// URL schemes of its locations, in lower case; empty unless the type is `other`.
    pub schemes: Vec<String>,
    /// The directory that paths of the store's locations begin with: absolute, without `..`. Empty unless the type is
    /// `file`.
    pub root: PathBuf,
    /// The same directory as this node sees it: absolute, without `..`, never `/`. Empty unless the type is `file`.
    pub mountpoint: PathBuf,
    /// Whether read-only placements may share the store's inode. Only where the type is `file`.
    pub hardlink: bool,
    /// When the digest of a stored file is computed. `None`: as the file system suggests.
    pub verify: Option<VerifyPolicy>,
    /// Whether parts of one image are read from this store and others at the same time.
    pub combine: bool,
    /// Whether `landfall scrub` may delete stored bytes here.
    pub delete: bool,
}

/// When the digest of a stored file is computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum VerifyPolicy {
    /// For each version of the file once; the result is remembered.
    Once,
    /// For each placement.
    Always,
    /// Never: the store is trusted.
    Never,
}

/// A source of image records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Catalog {
    /// A directory with `ID.json` for each image.
    Directory {
        /// The directory. Absolute.
        path: PathBuf,
    },
    /// Glance, of one of the clouds.
    Glance {
        /// Whose login asks for images.
        cloud: String,
        /// Whose login asks for locations, if that is another one.
        service_cloud: Option<String>,
    },
}

/// Where the login to a cloud is written.
#[derive(Clone, PartialEq, Eq)]
pub enum CloudSource {
    /// In the environment of the calling process.
    Environment,
    /// In a `clouds.yaml`.
    File {
        /// The file, absolute; none: the usual places.
        path: Option<PathBuf>,
        /// The entry in it.
        entry: String,
    },
    /// In the configuration: options with the names that a `clouds.yaml` has. May hold secrets.
    Options(CloudOptions),
}

/// A login as the configuration has it.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct CloudOptions {
    /// How to log in.
    pub auth_type: Option<String>,
    /// Who and where: `auth_url`, `username`, ..., or `NAME_file` for any of them.
    pub auth: BTreeMap<String, String>,
    /// The region.
    pub region_name: Option<String>,
    /// `public`, `internal` or `admin`.
    pub interface: Option<String>,
    /// Files with certificates and a key; absolute.
    pub ca_file: Option<PathBuf>,
    /// The certificate that is shown.
    pub client_certificate_file: Option<PathBuf>,
    /// Its key.
    pub client_key_file: Option<PathBuf>,
    /// URLs by type of service.
    pub endpoints: BTreeMap<String, String>,
}

/// The kinds of [`Catalog`], as a file names them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum CatalogType {
    /// A directory with `ID.json` for each image.
    Directory,
    /// Glance, OpenStack's image service.
    Glance,
}

/// Settings of one handler.
#[derive(Clone, PartialEq)]
pub struct HandlerSection {
    /// Where the handler runs; as [`Config::isolation`] says where the section does not.
    pub isolation: Isolation,
    /// The handler's own settings, an object. May hold secrets.
    pub config: Value,
}

/// Where a handler runs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Isolation {
    /// What speaks to the network or parses untrusted bytes in a worker, everything else in the agent.
    #[default]
    Auto,
    /// In a process of its own for each job.
    Worker,
    /// In the agent.
    Inline,
}

impl Config {
    /// Reads the file at `path`; without a path `/etc/landfall/landfall.toml`, or the defaults when that does not exist.
    pub fn load(path: Option<&Path>) -> Result<Self, ConfigError> {
        let surroundings = Surroundings::of_process();
        let default = Path::new(file::DEFAULT_PATH);
        let (text, path) = match path {
            Some(path) => (Some(file::read(path, surroundings.user)?), path),
            None => (file::read_default(default, surroundings.user)?, default),
        };
        match text {
            Some(text) => interpret(&text, Some(path), &surroundings),
            None => interpret("", None, &surroundings),
        }
    }

    /// Whether it is the node's: of the usual file, or of none.
    pub fn is_of_the_node(&self) -> bool {
        self.source.as_deref().is_none_or(|source| source == Path::new(file::DEFAULT_PATH))
    }

    /// Reads `text`; `name` is the file's name in messages and becomes [`Config::source`].
    pub fn from_toml(text: &str, name: &Path) -> Result<Self, ConfigError> {
        interpret(text, Some(name), &Surroundings::of_process())
    }
}

fn interpret(text: &str, source: Option<&Path>, surroundings: &Surroundings) -> Result<Config, ConfigError> {
    let (tree, errors) = DeTable::parse_recoverable(text);
    let wrong = |findings| {
        let name = source.unwrap_or(Path::new("(defaults)")).display().to_string();
        let shown = secrets::blotted(text, tree.get_ref(), !errors.is_empty());
        ConfigError::wrong(name, shown, findings)
    };
    // Each step needs what the one before it assures, so a later one says nothing while an earlier one complains.
    // After a syntax error the parser guesses, and most of what it reports then is not there.
    if let Some(error) = errors.first() {
        return Err(wrong(vec![Finding::from_toml("this is not TOML", error)]));
    }
    let misfits = shape::misfits(&tree, &schema());
    if !misfits.is_empty() {
        return Err(wrong(misfits));
    }
    let raw = RawConfig::deserialize(toml::Deserializer::from(tree.clone()));
    let raw = raw.map_err(|error| wrong(vec![Finding::from_toml("this is not a configuration", &error)]))?;
    let config = judge::judge(raw, &tree, surroundings).map_err(wrong)?;
    Ok(Config { source: source.map(Path::to_owned), ..config })
}

/// Reads a number of bytes as the file has them: `16TiB`, `4096`. At least 1.
pub fn parse_size(text: &str) -> Result<u64, String> {
    units::Size::parse(text).map(|size| size.0).map_err(|error| format!("{}; {}", error.label, error.help))
}

/// Reads a time as the file has them: `24h`, `1h 30m`.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    units::duration(text).map_err(|error| format!("{}; {}", error.label, error.help))
}

/// Without what may be a secret.
impl fmt::Debug for CloudSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Environment => "Environment",
            Self::File { .. } => "File(..)",
            Self::Options(_) => "Options(..)",
        })
    }
}

/// Without the values of secrets.
impl fmt::Debug for HandlerSection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { isolation, config } = self;
        let config = secrets::hidden(config);
        f.debug_struct("HandlerSection").field("isolation", isolation).field("config", &config).finish()
    }
}
