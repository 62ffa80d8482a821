use serde::{Deserialize, Serialize};

/// What came of one attempt.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// When it ended, in seconds since 1970.
    pub at: f64,
    /// Stored bytes that it brought.
    pub bytes: u64,
    /// Seconds until the first of them, where that was seen.
    pub first_byte: Option<f64>,
    /// Seconds from its beginning to its end.
    pub seconds: f64,
    /// Whether it failed, for a reason that is the source's.
    pub failed: bool,
}
