use std::fmt;

use serde_json::{Map, Value};

/// One stored copy of an image, as selection sees it: views into the caller's record.
///
/// Null and absent mean the same in every member.
#[derive(Clone, Copy, Default)]
pub struct Location<'a> {
    /// Where the bytes are. Only its scheme is read; a text without `://` is a path, so scheme `file`.
    pub url: &'a str,
    /// A string: `active`, `pending`, `pending_delete` or `deleted`. Absent: `active`.
    pub status: Option<&'a Value>,
    /// The store's metadata as Glance shows it. May hold `metrics`, in the form of the next member.
    pub metadata: Option<&'a Map<String, Value>>,
    /// `{"weight": W, "node-weights": {NODE: W, ...}}`, every member optional; each `W` a number or a
    /// string that holds one, without unit. An object may also arrive as a string of JSON.
    pub metrics: Option<&'a Value>,
}

/// Leaves the URL out: it may hold a secret, and `{:?}` ends in logs.
impl fmt::Debug for Location<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Location")
            .field("status", &self.status)
            .field("metadata", &self.metadata)
            .field("metrics", &self.metrics)
            .finish_non_exhaustive()
    }
}
