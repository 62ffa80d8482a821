//! A location's status: may it be used, and what may become of it?

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::StatusError;
use crate::reason;

/// Where a location is in its life. Written as its name: `"active"`, `"pending_delete"`, ...
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "&'static str")]
pub enum LocationStatus {
    /// `pending`: bytes are on their way to it, or will be.
    Pending,
    /// `active`: it has the image's bytes.
    Active,
    /// `pending_delete`: its bytes are to be deleted, and still may be there.
    PendingDelete,
    /// `deleted`: its bytes are gone.
    Deleted,
}

impl LocationStatus {
    /// All statuses, in the order of a life.
    pub const ALL: [Self; 4] = [Self::Pending, Self::Active, Self::PendingDelete, Self::Deleted];

    /// Its name in records.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Active => "active",
            Self::PendingDelete => "pending_delete",
            Self::Deleted => "deleted",
        }
    }

    /// What a record says: absent and null are `active`, because Glance strips the status from what it shows.
    ///
    /// # Errors
    ///
    /// A value that is no status, or no string.
    pub fn of(value: Option<&Value>) -> Result<Self, StatusError> {
        match value {
            None | Some(Value::Null) => Ok(Self::Active),
            Some(Value::String(name)) => name.parse(),
            Some(other) => Err(StatusError::Unreadable(reason::describe(other))),
        }
    }

    /// Whether a location of this status may become `next`; staying what it is is no move, and allowed.
    ///
    /// | from | to |
    /// | --- | --- |
    /// | `pending` | `active` (the bytes are there), `pending_delete` (given up; some may be there), `deleted` (nothing was stored) |
    /// | `active` | `pending_delete` |
    /// | `pending_delete` | `active` (restored), `deleted` (the bytes are gone) |
    /// | `deleted` | nothing |
    ///
    /// From `active` nothing leads straight to `deleted`: nobody would delete the bytes.
    #[must_use]
    pub const fn may_become(self, next: Self) -> bool {
        match self {
            Self::Pending => true,
            Self::Active => matches!(next, Self::Active | Self::PendingDelete),
            Self::PendingDelete => !matches!(next, Self::Pending),
            Self::Deleted => matches!(next, Self::Deleted),
        }
    }
}

impl fmt::Display for LocationStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for LocationStatus {
    type Err = StatusError;

    fn from_str(name: &str) -> Result<Self, StatusError> {
        let known = Self::ALL.into_iter().find(|status| status.name() == name);
        known.ok_or_else(|| StatusError::Unknown(reason::quote(name)))
    }
}

impl TryFrom<String> for LocationStatus {
    type Error = StatusError;

    fn try_from(name: String) -> Result<Self, StatusError> {
        name.parse()
    }
}

impl From<LocationStatus> for &'static str {
    fn from(status: LocationStatus) -> Self {
        status.name()
    }
}

/// Says nothing for a location that may be used, else why it may not.
pub(crate) fn refusal(status: Option<&Value>) -> Option<String> {
    match LocationStatus::of(status) {
        Ok(LocationStatus::Active) => None,
        Ok(known) => Some(format!("status {known}")),
        Err(error) => Some(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_active_is_used() {
        let long = "x".repeat(500);
        let table = [
            (json!(null), None),
            (json!("active"), None),
            (json!("pending"), Some("status pending")),
            (json!("pending_delete"), Some("status pending_delete")),
            (json!("deleted"), Some("status deleted")),
            (json!("Active"), Some("status unknown: \"Active\"")),
            (json!(""), Some("status unknown: \"\"")),
            (json!("a\nb"), Some("status unknown: \"a\\nb\"")),
            (json!("see http://u:p@h"), Some("status unknown: \"see [url]\"")),
            (json!(1), Some("status unreadable: a number")),
            (json!(true), Some("status unreadable: true")),
            (json!([]), Some("status unreadable: a list")),
            (json!({}), Some("status unreadable: an object")),
        ];
        for (status, expected) in table {
            assert_eq!(refusal(Some(&status)).as_deref(), expected, "{status}");
        }
        assert_eq!(refusal(None), None);
        let cut = refusal(Some(&json!(long))).unwrap();
        assert!(cut.chars().count() < 100 && cut.ends_with("…\""));
    }

    #[test]
    fn every_move_is_legal_or_not() {
        use LocationStatus::{Active, Deleted, Pending, PendingDelete};
        let legal = [
            (Pending, Active),
            (Pending, PendingDelete),
            (Pending, Deleted),
            (Active, PendingDelete),
            (PendingDelete, Active),
            (PendingDelete, Deleted),
        ];
        let mut seen = 0;
        for from in LocationStatus::ALL {
            for to in LocationStatus::ALL {
                assert_eq!(from.may_become(to), from == to || legal.contains(&(from, to)), "{from} to {to}");
                seen += usize::from(from != to && from.may_become(to));
            }
            assert_eq!(serde_json::from_value::<LocationStatus>(json!(from)).unwrap(), from);
        }
        assert_eq!(seen, legal.len());
        // Nothing comes back from the dead, and nothing alive is dead without having been marked.
        assert!(!Deleted.may_become(Active) && !Active.may_become(Deleted));
    }
}
