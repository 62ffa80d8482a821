//! An image's status, as it follows from those of its locations.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::StatusError;
use crate::reason;
use crate::status::LocationStatus;

/// The status of an image, by Glance's names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ImageStatus {
    /// It has no locations yet.
    Queued,
    /// No location has its bytes yet, and at least one is to get them.
    Saving,
    /// At least one location has its bytes.
    Active,
    /// It has bytes, and somebody has withdrawn it.
    Deactivated,
    /// It is no good, whatever its locations say.
    Killed,
    /// All that is left of its bytes is to be deleted.
    PendingDelete,
    /// Its bytes are gone.
    Deleted,
}

impl ImageStatus {
    /// Its name in records.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Saving => "saving",
            Self::Active => "active",
            Self::Deactivated => "deactivated",
            Self::Killed => "killed",
            Self::PendingDelete => "pending_delete",
            Self::Deleted => "deleted",
        }
    }

    /// What follows from the locations' statuses, and from what somebody has said of the image itself. Total: any statuses, in
    /// any number and order, give one.
    ///
    /// Of the locations' statuses the first of this list counts that at least one of them has:
    ///
    /// | at least one location is | none | overlay `deactivated` | overlay `killed` |
    /// | --- | --- | --- | --- |
    /// | `active` | `active` | `deactivated` | `killed` |
    /// | `pending` | `saving` | `saving` | `killed` |
    /// | `pending_delete` | `pending_delete` | `pending_delete` | `killed` |
    /// | `deleted` | `deleted` | `deleted` | `deleted` |
    /// | (there is none) | `queued` | `queued` | `killed` |
    #[must_use]
    pub fn of(locations: &[LocationStatus], overlay: Option<Overlay>) -> Self {
        let any = |status| locations.contains(&status);
        let computed = if any(LocationStatus::Active) {
            Self::Active
        } else if any(LocationStatus::Pending) {
            Self::Saving
        } else if any(LocationStatus::PendingDelete) {
            Self::PendingDelete
        } else if any(LocationStatus::Deleted) {
            Self::Deleted
        } else {
            Self::Queued
        };
        match (overlay, computed) {
            (Some(Overlay::Killed), Self::Deleted) => Self::Deleted,
            (Some(Overlay::Killed), _) => Self::Killed,
            (Some(Overlay::Deactivated), Self::Active) => Self::Deactivated,
            _ => computed,
        }
    }
}

impl fmt::Display for ImageStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What locations cannot say of their image. Written as its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "&'static str")]
pub enum Overlay {
    /// `killed`: making it failed, or its bytes are known to be wrong. For good.
    Killed,
    /// `deactivated`: somebody has withdrawn it for a time; its bytes stay where they are.
    Deactivated,
}

impl Overlay {
    /// All overlays.
    pub const ALL: [Self; 2] = [Self::Killed, Self::Deactivated];

    /// Its name in records.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Killed => "killed",
            Self::Deactivated => "deactivated",
        }
    }
}

impl fmt::Display for Overlay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Overlay {
    type Err = StatusError;

    fn from_str(name: &str) -> Result<Self, StatusError> {
        let known = Self::ALL.into_iter().find(|overlay| overlay.name() == name);
        known.ok_or_else(|| StatusError::Unknown(reason::quote(name)))
    }
}

impl TryFrom<String> for Overlay {
    type Error = StatusError;

    fn try_from(name: String) -> Result<Self, StatusError> {
        name.parse()
    }
}

impl From<Overlay> for &'static str {
    fn from(overlay: Overlay) -> Self {
        overlay.name()
    }
}
