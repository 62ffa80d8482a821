//! What a handler is asked and what it answers: the JSON of the ABI.
//!
//! Requests have no target paths and no secrets. Readers ignore members they do not know; every type here may grow.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::record::{ImageRecord, Location};

/// What a handler offers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub enum HandlerKind {
    /// Writes the host's outputs itself.
    Transfer,
    /// Opens a location for reading; the host moves the bytes.
    Source,
    /// Turns one stream of bytes into another, for instance by decompressing it.
    Filter,
    /// Turns a disk format or container into raw disks.
    Unpack,
    /// Gives locations keys to be ordered by.
    Select,
}

/// A handler's identity and abilities: the JSON of `imgh_handler.info`. Made while scanning, without any I/O.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct HandlerInfo {
    /// Unique name: `[a-z0-9][a-z0-9-]*`, at most 48 bytes. The operator's order and `[handler.ID]` use it.
    pub id: String,
    /// One line for people.
    pub description: String,
    /// What it offers.
    pub kinds: Vec<HandlerKind>,
    /// URL schemes of the locations it takes, lower case. Empty for a source or transfer that needs no location.
    pub schemes: Vec<String>,
    /// What it takes: for an unpacker the disk formats, by the record's `disk_format`, of images in the container `bare`, and
    /// containers, by its `container_format`; for a filter compressions, by its `compression`. Any names will do, also ones
    /// that the host has no rules for; a compression's has up to 32 of `a-z0-9+-._`.
    pub formats: Vec<String>,
    /// Whether it speaks to the network; such a handler is run in a worker where isolation is `auto`.
    pub needs_network: bool,
    /// Whether it deletes stored bytes, by `delete_stored`, which it must have then. Others are not asked to, and their locations
    /// stay as they are.
    pub deletes: bool,
    /// Whether it unpacks or filters formats that cannot be read front to back: the host then spools the
    /// source to a scratch file first.
    pub ranged_input: bool,
    /// Settings that may be given as `NAME_file`, a path: the host reads that file and gives its text as `NAME`. A handler
    /// opens no file of its own.
    pub file_settings: Vec<String>,
    /// Logins that it can use, beside what a location brings along: `cloud`, the one for stores; `catalog.cloud` and
    /// `catalog.service`, those that the image's catalog was asked with. A request names those that it has.
    pub logins: Vec<String>,
}

impl HandlerInfo {
    /// An empty description of the handler `id`.
    pub fn new(id: &str) -> Self {
        Self { id: id.to_owned(), ..Self::default() }
    }

    /// Sets the line for people.
    #[must_use]
    pub fn description(mut self, text: &str) -> Self {
        self.description = text.to_owned();
        self
    }

    /// Adds what it offers.
    #[must_use]
    pub fn kinds(mut self, kinds: &[HandlerKind]) -> Self {
        self.kinds.extend_from_slice(kinds);
        self
    }

    /// Adds URL schemes.
    #[must_use]
    pub fn schemes(mut self, schemes: &[&str]) -> Self {
        self.schemes.extend(schemes.iter().map(|&scheme| scheme.to_owned()));
        self
    }

    /// Adds formats.
    #[must_use]
    pub fn formats(mut self, formats: &[&str]) -> Self {
        self.formats.extend(formats.iter().map(|&format| format.to_owned()));
        self
    }

    /// Says that it speaks to the network.
    #[must_use]
    pub fn needs_network(mut self) -> Self {
        self.needs_network = true;
        self
    }

    /// Says that it deletes stored bytes.
    #[must_use]
    pub fn deletes(mut self) -> Self {
        self.deletes = true;
        self
    }

    /// Adds settings that may be given as a file.
    #[must_use]
    pub fn file_settings(mut self, names: &[&str]) -> Self {
        self.file_settings.extend(names.iter().map(|&name| name.to_owned()));
        self
    }

    /// Adds logins that it can use.
    #[must_use]
    pub fn logins(mut self, names: &[&str]) -> Self {
        self.logins.extend(names.iter().map(|&name| name.to_owned()));
        self
    }

    /// Says that it unpacks or filters formats that cannot be read front to back.
    #[must_use]
    pub fn ranged_input(mut self) -> Self {
        self.ranged_input = true;
        self
    }
}

/// A store as the node's operator configured it, or the one that stands for a path that the calling person gave.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct StoreRef {
    /// The configured id; empty for a path that the caller gave.
    pub id: String,
    /// `file`, `swift`, ...
    #[serde(rename = "type")]
    pub store_type: String,
    /// Where the store's own host sees it: location paths begin with this.
    pub root: String,
    /// Where this node sees the same tree.
    pub mountpoint: String,
}

/// One operation on one image and, mostly, one location.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct Request {
    /// The whole record, without its `locations` and `direct_url`. Shared: a record is large, and asked about many times.
    pub image: Arc<ImageRecord>,
    /// The location to work on, its URL redacted and the URL's scheme in lower case, its metadata as they are. Absent for
    /// handlers that need none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub location: Option<Location>,
    /// Whether the calling person named this very location. Otherwise a record did, which somebody else may have written:
    /// it must not lead to this machine itself, or to what only this machine can reach.
    pub named_by_caller: bool,
    /// The store that the location belongs to on this node.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub store: Option<StoreRef>,
    /// Names of the secrets that `Call::secret` will give for this request: `location.url`, the location's whole URL, where
    /// something was taken out of the one that is shown; and the logins of [`HandlerInfo::logins`](HandlerInfo::logins()) that
    /// there are, each a [`Cloud`](crate::Cloud) in JSON. What this node trusts, `tls.roots` in PEM, is given without being
    /// named here.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub secrets: Vec<String>,
    /// Whether what the location names is to be deleted: set for `delete_stored`, and for the `probe` before it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub to_delete: bool,
    /// Bounds that hold for hostile input as well.
    pub limits: Limits,
}

/// Bounds on what a request may make.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct Limits {
    /// Bytes of one disk.
    pub disk_bytes: u64,
    /// Disks of one image.
    pub disks: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self { disk_bytes: 16 << 40, disks: 64 }
    }
}

/// What `probe` says: yes, or no with a reason. It never ranks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct Probe {
    /// Whether the handler will try.
    pub accepts: bool,
    /// Why not; one line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl Probe {
    /// It will try.
    pub fn yes() -> Self {
        Self { accepts: true, reason: None }
    }

    /// It will not, because of `reason`.
    pub fn no(reason: impl Into<String>) -> Self {
        Self { accepts: false, reason: Some(reason.into()) }
    }
}

/// What is known of an output when it is opened, for several disks of one image.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct OutputMeta {
    /// A name for people; never used as a path.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Anything else that the container says of the disk.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// What `select` is asked.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct SelectRequest {
    /// This node's name.
    pub node: String,
    /// The image, its usable locations in `locations` with redacted URLs.
    pub image: ImageRecord,
}

/// What `select` says of one location.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct Ranked {
    /// The location's index in the request.
    pub index: usize,
    /// Its sort key: lower first, null last.
    #[serde(default)]
    pub key: Option<f64>,
    /// False removes the location.
    pub keep: bool,
    /// Why; one line.
    pub reason: String,
}

impl Ranked {
    /// Keeps location `index` at `key`.
    pub fn keep(index: usize, key: Option<f64>, reason: impl Into<String>) -> Self {
        Self { index, key, keep: true, reason: reason.into() }
    }

    /// Removes location `index`.
    pub fn remove(index: usize, reason: impl Into<String>) -> Self {
        Self { index, key: None, keep: false, reason: reason.into() }
    }
}

/// Something that the host did to a placement after this handler made it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct PlacementEvent {
    /// The ledger's number of the placement.
    pub placement: i64,
    /// The image's id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
}

/// How a handler is: the answer of `status`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct HandlerStatus {
    /// Whether it could serve now.
    pub ready: bool,
    /// Why not, or anything worth showing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}
