//! Why a plugin or one of its handlers is not used.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The reason, by name and for people. Never fatal to the agent: what is refused is skipped and reported.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Refusal {
    /// Kebab-case: `abi-minor`, `world-writable`, ...
    pub(crate) code: String,
    /// One line for people.
    pub(crate) reason: String,
}

impl Refusal {
    pub(super) fn new(code: &str, reason: impl fmt::Display) -> Self {
        Self { code: code.to_owned(), reason: reason.to_string() }
    }
}

impl From<landfall_handler_api::Error> for Refusal {
    fn from(error: landfall_handler_api::Error) -> Self {
        Self::new(error.code(), error.message())
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} [{}]", self.reason, self.code)
    }
}
