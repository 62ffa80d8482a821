//! The two kinds of refusal that bytes alone give cause for.

use landfall_handler_api::{Error, ErrorKind};

/// The bytes contradict themselves.
pub(crate) fn corrupt(code: &'static str, message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Corrupt, code, message)
}

/// The bytes may be right, and are not unpacked.
pub(crate) fn unsupported(code: &'static str, message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Unsupported, code, message)
}
