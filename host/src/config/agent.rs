//! The agent's own settings, as they are meant.

use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How the agent serves. No number is 0 but where it says so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Agent {
    /// The Unix socket that it listens on. Absolute.
    pub socket: PathBuf,
    /// The socket's permission bits.
    pub socket_mode: u32,
    /// Movements of bytes at once.
    pub jobs: u32,
    /// Worker processes of those at once.
    pub workers: u32,
    /// Calls that wait or are worked on, of all callers.
    pub queue: u32,
    /// The same, of one user.
    pub queue_per_caller: u32,
    /// Open connections.
    pub connections: u32,
    /// Open connections of one user.
    pub connections_per_caller: u32,
    /// How long verified bytes are held for others who ask for the same image. Zero: not at all.
    pub linger: Duration,
    /// How long running jobs may go on after the agent was told to stop. May be zero.
    pub stop: Duration,
    /// How often stored bytes that are pending_delete are scrubbed. Zero: never.
    pub scrub_every: Duration,
    /// How long they must have been that.
    pub scrub_delay: Duration,
    /// What its log is written as.
    pub log: LogFormat,
    /// What callers may do other than root and the agent's own user.
    pub callers: Vec<CallerRule>,
}

/// What some callers may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallerRule {
    /// The users that it is for.
    pub uids: Vec<RangeInclusive<u32>>,
    /// The groups that it is for.
    pub gids: Vec<RangeInclusive<u32>>,
    /// The catalogs that they may ask.
    pub catalogs: Catalogs,
    /// Directories beneath which their targets lie. Absolute.
    pub targets: Vec<PathBuf>,
    /// Whose placements they see, remove and move.
    pub placements: Placements,
    /// Whether they may bring records and URLs along, and use the node's own logins.
    pub trusted: bool,
}

/// Catalogs that a caller may ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Catalogs {
    /// All that are configured.
    All,
    /// Those of these names.
    Named(Vec<String>),
}

/// Whose placements a caller sees, removes and moves.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Placements {
    /// Its own.
    #[default]
    Own,
    /// Everybody's.
    Any,
}

/// What the agent's log is written as.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum LogFormat {
    /// Lines for people, on standard error.
    #[default]
    Text,
    /// A JSON document a line, on standard error.
    Json,
    /// Entries of systemd's journal, with fields.
    Journald,
}
