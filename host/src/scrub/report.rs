//! What came of a scrub.

use landfall_handler_api::Error;
use serde::Serialize;

use crate::report::ErrorReport;

/// A location that is, or was, `pending_delete`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Scrubbed {
    /// The catalog's name.
    pub(crate) catalog: String,
    /// The image's id.
    pub(crate) image: String,
    /// The location's name.
    pub(crate) location: String,
    /// Its URL, redacted.
    pub(crate) url: String,
    /// What came of it.
    #[serde(flatten)]
    pub(crate) outcome: Outcome,
}

/// What came of a location.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "outcome", rename_all = "kebab-case")]
pub(crate) enum Outcome {
    /// It is to be deleted: in a dry run, it would be.
    Due,
    /// Its bytes are gone, and the record says so.
    Deleted,
    /// Not yet.
    Later {
        /// Why.
        reason: String,
    },
    /// Another record uses the same bytes, or may.
    Shared {
        /// That image's id.
        by: String,
    },
    /// The configuration does not allow it.
    NotAllowed {
        /// Why.
        reason: String,
    },
    /// It could not be done now; the next scrub goes on with it.
    Failed {
        /// Why.
        error: Box<ErrorReport>,
    },
}

impl Outcome {
    pub(super) fn failed(error: &Error) -> Self {
        Self::Failed { error: Box::new(error.into()) }
    }

    /// In words.
    pub(crate) fn words(&self) -> String {
        match self {
            Self::Due => "to be deleted".to_owned(),
            Self::Deleted => "deleted".to_owned(),
            Self::Later { reason } => format!("not yet: {reason}"),
            Self::Shared { by } => format!("kept: image {by} uses it, or may"),
            Self::NotAllowed { reason } => format!("not allowed: {reason}"),
            Self::Failed { error } => format!("failed: {} ({} {})", error.message, error.kind.name(), error.code),
        }
    }
}
