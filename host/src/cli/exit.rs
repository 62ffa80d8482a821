//! Exit statuses: one for each kind of error.

use landfall_handler_api::{Error, ErrorKind, Scope};

/// All is well.
pub(super) const OK: u8 = 0;
/// The command line or the configuration is wrong.
pub(super) const USAGE: u8 = 2;
/// It was given up.
pub(super) const CANCELLED: u8 = 19;

/// The status for an error. What is wrong with the command line or the configuration is a matter of usage.
pub(super) fn status(error: &Error) -> u8 {
    if is_config(error) {
        return USAGE;
    }
    match error.kind() {
        ErrorKind::Unsupported => 10,
        ErrorKind::Invalid => 11,
        ErrorKind::NotFound => 12,
        ErrorKind::Denied => 13,
        ErrorKind::Unavailable => 14,
        ErrorKind::Corrupt => 15,
        ErrorKind::Limit => 16,
        ErrorKind::NoSpace => 17,
        ErrorKind::Io => 18,
        ErrorKind::Cancelled => CANCELLED,
        ErrorKind::Exists => 20,
        ErrorKind::Unhashed => 21,
        ErrorKind::Crashed => 22,
        ErrorKind::Internal => 23,
    }
}

/// Whether an error is about the configuration.
pub(super) fn is_config(error: &Error) -> bool {
    matches!(error.code(), "config" | "config-untrusted") && error.scope() == Scope::Request
}
