//! What an operator wrote: the file's shape, before anything is judged.
//!
//! These types are also the published schema, and the schema drives the check of keys and types (`shape.rs`); so a key that
//! is added here is known everywhere. Paths, sizes and times stay as written: `judge.rs` points at each bad one and goes on.

use std::collections::BTreeMap;

use landfall_handler_api as api;
use landfall_select::{StoreType, Strategy};
use schemars::generate::SchemaSettings;
use schemars::transform::RecursiveTransform;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::raw_agent::RawAgent;
use super::units::{self, Size};
use super::{CatalogType, Isolation, RouteMode, VerifyPolicy};

/// Configuration of the Landfall agent: `/etc/landfall/landfall.toml`, or the file given with `--config`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(title = "Landfall configuration")]
pub(super) struct RawConfig {
    /// This node's name, as the `node-weights` of locations spell it. Default: the host name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) node: Option<String>,
    /// Handlers in the order in which they are tried; no other handler is used. Empty: every loaded handler, in the order
    /// in which it was found.
    pub(super) handlers: Vec<String>,
    /// Directories that are searched for plugins, before the agent's own and `/usr/lib/landfall/handlers`.
    pub(super) plugin_dirs: Vec<String>,
    /// SHA-256 digests of the only plugin files that may be loaded. Default: any file with a trusted owner and mode.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) plugin_sha256: Option<Vec<String>>,
    /// Where handlers run whose own section does not say.
    pub(super) isolation: Isolation,
    /// Whether the order of handlers or the order of locations comes first when attempts are planned.
    pub(super) route: RouteMode,
    /// The criteria that order an image's locations, the most significant first.
    #[schemars(schema_with = "selection_schema")]
    pub(super) selection: Vec<toml::Value>,
    /// Rules of selection, one table each.
    #[serde(rename = "rule")]
    pub(super) rules: Vec<RawRule>,
    /// Use an image's locations only: not Glance's own download, nor any other handler that needs no location.
    pub(super) never_fallback: bool,
    /// Where the agent keeps its ledger. Default: `/var/lib/landfall` for root, else `$XDG_STATE_HOME/landfall`, else
    /// `$HOME/.local/state/landfall`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) state_dir: Option<String>,
    /// How long an unfinished download stays beside its target, to be resumed; `0s` keeps none.
    #[schemars(schema_with = "duration_schema")]
    pub(super) stage_keep: String,
    /// Accept the MD5 `checksum` of an image that has no `os_hash_value`.
    pub(super) legacy_md5: bool,
    /// Place images that have no digest at all, without verifying them.
    pub(super) allow_unhashed: bool,
    /// Any facts about this node, such as its rack or zone.
    pub(super) labels: BTreeMap<String, String>,
    /// Bounds on what requests, workers and the node may take.
    pub(super) limits: RawLimits,
    /// The image stores that this node can reach, one table each.
    #[serde(rename = "store")]
    pub(super) stores: Vec<RawStore>,
    /// The cloud whose login handlers use for stores that want one, where a location brings none along. Default: that of the
    /// image's catalog; for other images the only cloud, and with several none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) store_cloud: Option<String>,
    /// OpenStack clouds and how to log in to them, by a name of the operator's choice.
    #[serde(rename = "cloud")]
    pub(super) clouds: BTreeMap<String, RawCloud>,
    /// Where image records come from, by a name of the operator's choice.
    #[serde(rename = "catalog")]
    pub(super) catalogs: BTreeMap<String, RawCatalog>,
    /// How the agent, the service, serves its callers.
    pub(super) agent: RawAgent,
    /// Settings of single handlers, by the handler's name.
    #[serde(rename = "handler")]
    #[schemars(schema_with = "handlers_schema")]
    pub(super) handler_sections: BTreeMap<String, toml::Table>,
}

/// A rule of selection: one of `deny`, `prefer` and `score`, an expression in CEL.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawRule {
    /// What it is called in reasons. Default: `rule N`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) name: Option<String>,
    /// Where this is true, the location is not used, whatever else there is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) deny: Option<String>,
    /// Where this is true, the location comes before others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) prefer: Option<String>,
    /// The larger this number, the sooner the location comes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) score: Option<String>,
}

/// Bounds on what requests, workers and the node may take. They hold for hostile images as well.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawLimits {
    /// Bytes of one disk.
    #[schemars(schema_with = "size_schema")]
    pub(super) disk_bytes: RawSize,
    /// Disks of one image.
    #[schemars(range(min = 1, max = 4294967295u64))]
    pub(super) disks: u32,
    /// Whether the disks of a placement may have more bytes than their file system has free: those that are zero need none.
    pub(super) overcommit: bool,
    /// Bytes of one image record.
    #[schemars(schema_with = "size_schema")]
    pub(super) record_bytes: RawSize,
    /// Locations of one image.
    #[schemars(range(min = 1, max = 4294967295u64))]
    pub(super) locations: u32,
    /// How long a handler that was told to stop may take before it is given up.
    #[schemars(schema_with = "duration_schema")]
    pub(super) grace: String,
    /// How long a source or handler may give no sign of life before it is given up. At least 100ms.
    #[schemars(schema_with = "duration_schema")]
    pub(super) stall: String,
    /// Bytes a second that a read must bring, over `stall`, not to count as stalled.
    #[schemars(schema_with = "size_schema")]
    pub(super) least_rate: RawSize,
    /// Connections to all origins together, of all processes of this node.
    #[schemars(range(min = 1, max = 4294967295u64))]
    pub(super) connections: u32,
    /// Connections to one origin, of all processes of this node.
    #[schemars(range(min = 1, max = 4294967295u64))]
    pub(super) connections_per_origin: u32,
    /// Bytes per second, for all processes of this node together. Default: no bound.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "size_schema")]
    pub(super) bandwidth: Option<RawSize>,
    /// Address space of one worker. At least 64MiB.
    #[schemars(schema_with = "size_schema")]
    pub(super) worker_memory: RawSize,
    /// CPU time of one worker. At least 1s.
    #[schemars(schema_with = "duration_schema")]
    pub(super) worker_cpu: String,
    /// The smallest download that is kept beside its target when it is interrupted, and resumed.
    #[schemars(schema_with = "size_schema")]
    pub(super) resume_bytes: RawSize,
    /// How long a handler is not used again for an image on which it crashed; `0s` uses it again at once.
    #[schemars(schema_with = "duration_schema")]
    pub(super) bench: String,
}

/// An image store, as this node reaches it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawStore {
    /// The store's id, as `metadata.store` or `metadata.id` of locations spell it.
    pub(super) id: String,
    /// The kind of store, by Glance's names, or `other`.
    #[serde(rename = "type")]
    #[schemars(schema_with = "store_type_schema")]
    pub(super) store_type: String,
    /// For `other`: the URL schemes of its locations, in small letters.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) schemes: Vec<String>,
    /// For `file`: the directory that `file://` locations of the store begin with, as the image service sees it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) root: Option<String>,
    /// For `file`: the same directory as this node sees it. Default: `root`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) mountpoint: Option<String>,
    /// For `file`: let read-only placements share the store's own inode.
    #[serde(default)]
    pub(super) hardlink: bool,
    /// When the digest of a stored file is computed. Default: `once` on local file systems, `always` on others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) verify: Option<VerifyPolicy>,
    /// Read parts of one image from this store and others at the same time.
    #[serde(default)]
    pub(super) combine: bool,
    /// Whether `landfall scrub` may delete stored bytes here.
    #[serde(default)]
    pub(super) delete: bool,
}

/// An OpenStack cloud: an entry of a `clouds.yaml`, the `OS_*` of the environment, or what such an entry has, written here.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawCloud {
    /// Log in as the environment of the calling process says: `OS_*`, or Swift's `ST_*`.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(super) environment: bool,
    /// A `clouds.yaml`. Default: the usual places.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) clouds_file: Option<String>,
    /// The entry of a `clouds.yaml`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) entry: Option<String>,
    /// How to log in, as OpenStack's clients name it. Default: as `auth` suggests.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) auth_type: Option<String>,
    /// Who logs in and where, with the names that a `clouds.yaml` has. Any of them may be given as `NAME_file`, a path.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) auth: BTreeMap<String, String>,
    /// The region whose endpoints are used. Default: any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) region_name: Option<String>,
    /// Which endpoints are used: `public`, `internal` or `admin`. Default: `public`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) interface: Option<String>,
    /// Certificates in PEM that are trusted for this cloud instead of the handlers' own or the system's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) ca_file: Option<String>,
    /// The certificate in PEM that is shown to this cloud's servers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) client_certificate_file: Option<String>,
    /// Its private key, in PEM.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) client_key_file: Option<String>,
    /// URLs of services by their type, whatever the cloud's own catalog says.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) endpoints: BTreeMap<String, String>,
}

/// A source of image records.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawCatalog {
    /// The kind of catalog.
    #[serde(rename = "type")]
    pub(super) catalog_type: CatalogType,
    /// For `directory`: the directory that holds `ID.json` for each image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) path: Option<String>,
    /// For `glance`: the cloud whose login asks for images, and so decides which may be placed. Default: the only cloud.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) cloud: Option<String>,
    /// For `glance`: the cloud whose login, with the role `service`, asks for an image's locations. Default: `cloud`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) service_cloud: Option<String>,
}

/// Bytes as a number, or as text with a unit. Serde's `untagged` costs no positions here: they come from the parsed tree.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub(super) enum RawSize {
    Bytes(i64),
    Text(String),
}

impl Default for RawConfig {
    fn default() -> Self {
        Self {
            node: None,
            handlers: Vec::new(),
            plugin_dirs: Vec::new(),
            plugin_sha256: None,
            isolation: Isolation::Auto,
            route: RouteMode::HandlerFirst,
            selection: written_strategy(&Strategy::default()),
            rules: Vec::new(),
            never_fallback: false,
            state_dir: None,
            stage_keep: "24h".to_owned(),
            legacy_md5: false,
            allow_unhashed: false,
            labels: BTreeMap::new(),
            limits: RawLimits::default(),
            stores: Vec::new(),
            store_cloud: None,
            clouds: BTreeMap::new(),
            catalogs: BTreeMap::new(),
            handler_sections: BTreeMap::new(),
            agent: RawAgent::default(),
        }
    }
}

impl Default for RawLimits {
    fn default() -> Self {
        let request = api::Limits::default();
        Self {
            disk_bytes: RawSize::Text(Size(request.disk_bytes).to_string()),
            disks: request.disks,
            overcommit: false,
            record_bytes: RawSize::Text("1MiB".to_owned()),
            locations: 1000,
            grace: "5s".to_owned(),
            stall: "60s".to_owned(),
            least_rate: RawSize::Text("1KiB".to_owned()),
            connections: 64,
            connections_per_origin: 16,
            bandwidth: None,
            worker_memory: RawSize::Text("1GiB".to_owned()),
            worker_cpu: "4h".to_owned(),
            resume_bytes: RawSize::Text("64MiB".to_owned()),
            bench: "10m".to_owned(),
        }
    }
}

/// A strategy in the form of the file. A criterion that has none (it was put together by a program) is left out.
pub(super) fn written_strategy(strategy: &Strategy) -> Vec<toml::Value> {
    strategy.criteria().iter().filter_map(|criterion| toml::Value::try_from(criterion).ok()).collect()
}

/// The JSON schema of the file.
pub fn schema() -> Value {
    // Subschemas stand where they are used: the check of shapes and the test of the reference follow no references.
    let settings = SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
    let settings = settings.with_transform(RecursiveTransform(without_null));
    settings.into_generator().into_root_schema_for::<RawConfig>().to_value()
}

/// TOML has no null: an optional key is one that may be absent.
fn without_null(schema: &mut Schema) {
    let Some(object) = schema.as_object_mut() else { return };
    if let Some(Value::Array(types)) = object.get_mut("type") {
        types.retain(|name| name != "null");
        if let [only] = types.as_slice() {
            let only = only.clone();
            object.insert("type".to_owned(), only);
        }
    }
    if let Some(Value::Array(forms)) = object.get_mut("anyOf") {
        forms.retain(|form| form.get("type").is_none_or(|name| name != "null"));
        if let [Value::Object(only)] = forms.as_slice() {
            let only = only.clone();
            object.remove("anyOf");
            for (key, value) in only {
                object.entry(key).or_insert(value);
            }
        }
    }
    if object.get("default").is_some_and(Value::is_null) {
        object.remove("default");
    }
}

fn size_schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": ["integer", "string"], "minimum": 1, "pattern": units::SIZE_PATTERN, "examples": ["4GiB"] })
}

pub(super) fn duration_schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "string", "pattern": units::DURATION_PATTERN, "examples": ["1h 30m"] })
}

fn store_type_schema(_: &mut SchemaGenerator) -> Schema {
    let names: Vec<&str> = StoreType::ALL.iter().map(|store_type| store_type.name()).collect();
    json_schema!({ "type": "string", "enum": names })
}

fn selection_schema(generator: &mut SchemaGenerator) -> Schema {
    let store_type = store_type_schema(generator);
    json_schema!({
        "type": "array",
        "minItems": 1,
        "items": {
            "anyOf": [
                { "type": "string", "enum": ["weight", "location-order"] },
                {
                    "type": "object",
                    "properties": {
                        "store-type": {
                            "description": "Kinds of store, the preferred first.",
                            "type": "array",
                            "minItems": 1,
                            "items": store_type,
                        },
                    },
                    "required": ["store-type"],
                    "additionalProperties": false,
                },
                {
                    "type": "object",
                    "properties": {
                        "store": {
                            "description": "Ids of stores, as locations' `metadata.store` spells them, the preferred first.",
                            "type": "array",
                            "minItems": 1,
                            "items": { "type": "string" },
                        },
                    },
                    "required": ["store"],
                    "additionalProperties": false,
                },
            ],
        },
    })
}

fn handlers_schema(generator: &mut SchemaGenerator) -> Schema {
    let mut isolation = generator.subschema_for::<Isolation>();
    isolation
        .insert("description".to_owned(), "Where the handler runs. Default: as the file's `isolation` says.".into());
    json_schema!({
        "type": "object",
        "additionalProperties": {
            "description": "Settings of one handler. Keys that are not named here are the handler's own.",
            "type": "object",
            "properties": { "isolation": isolation },
            "additionalProperties": true,
        },
    })
}
