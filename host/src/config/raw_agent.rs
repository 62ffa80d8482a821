//! What an operator wrote about the agent.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use super::raw::duration_schema;
use super::{LogFormat, Placements};

/// How the agent, the service, serves its callers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawAgent {
    /// The Unix socket that it listens on, and that the other commands look for. Default: `/run/landfall/agent.sock` where
    /// `state_dir` is `/var/lib/landfall`, else `agent.sock` in `state_dir`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) socket: Option<String>,
    /// The socket's permission bits, in octal. Default: `0666` with an `[[agent.caller]]`, else `0600`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "mode_schema")]
    pub(super) socket_mode: Option<String>,
    /// Movements of bytes at once.
    #[schemars(range(min = 1, max = 4096))]
    pub(super) jobs: u32,
    /// Worker processes at once. A movement waits until those that it needs may be started.
    #[schemars(range(min = 1, max = 4294967295u64))]
    pub(super) workers: u32,
    /// Calls that wait or are worked on, of all callers together.
    #[schemars(range(min = 1, max = 4294967295u64))]
    pub(super) queue: u32,
    /// The same, of one user.
    #[schemars(range(min = 1, max = 4294967295u64))]
    pub(super) queue_per_caller: u32,
    /// Open connections, of all callers together.
    #[schemars(range(min = 1, max = 4294967295u64))]
    pub(super) connections: u32,
    /// The same, of one user.
    #[schemars(range(min = 1, max = 4294967295u64))]
    pub(super) connections_per_caller: u32,
    /// How long verified bytes are held for others who ask for the same image; `0s` holds none.
    #[schemars(schema_with = "duration_schema")]
    pub(super) linger: String,
    /// How long running jobs may go on after the agent was told to stop.
    #[schemars(schema_with = "duration_schema")]
    pub(super) stop: String,
    /// How often stored bytes of locations that are pending_delete are scrubbed; `0s` is never.
    #[schemars(schema_with = "duration_schema")]
    pub(super) scrub_every: String,
    /// How long a location must have been pending_delete.
    #[schemars(schema_with = "duration_schema")]
    pub(super) scrub_delay: String,
    /// What its log is written as.
    pub(super) log: LogFormat,
    /// What callers may do other than root and the agent's own user. The first table that fits a caller counts.
    #[serde(rename = "caller")]
    pub(super) callers: Vec<RawCaller>,
}

/// What some callers may do.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawCaller {
    /// Users that it is for: numbers, or ranges as `"1000-1999"`.
    #[schemars(schema_with = "ids_schema")]
    pub(super) uids: Vec<RawIds>,
    /// Groups that it is for, whether they are a caller's first or others.
    #[schemars(schema_with = "ids_schema")]
    pub(super) gids: Vec<RawIds>,
    /// Catalogs that they may ask, by name; `["*"]` is all.
    pub(super) catalogs: Vec<String>,
    /// Directories beneath which their targets lie.
    pub(super) targets: Vec<String>,
    /// Whose placements they see, remove and move.
    pub(super) placements: Placements,
    /// Whether they may bring records and URLs along, and use the node's own logins.
    pub(super) trusted: bool,
}

/// A number of a user or group, or a range of them as text.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub(super) enum RawIds {
    Number(i64),
    Text(String),
}

impl Default for RawAgent {
    fn default() -> Self {
        Self {
            socket: None,
            socket_mode: None,
            jobs: 8,
            workers: 32,
            queue: 1024,
            queue_per_caller: 512,
            connections: 1536,
            connections_per_caller: 768,
            linger: "60s".to_owned(),
            stop: "30s".to_owned(),
            scrub_every: "0s".to_owned(),
            scrub_delay: "24h".to_owned(),
            log: LogFormat::default(),
            callers: Vec::new(),
        }
    }
}

fn mode_schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "string", "pattern": "^0*[0-7]{1,3}$", "examples": ["0660"] })
}

fn ids_schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "items": {
            "type": ["integer", "string"],
            "minimum": 0,
            "maximum": 4_294_967_294_u64,
            "pattern": "^[0-9]+(-[0-9]+)?$",
            "examples": ["1000-1999"],
        },
    })
}
