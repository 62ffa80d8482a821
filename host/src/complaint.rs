//! Lines on standard error about what is worth knowing and stops nothing.

use std::fmt::Display;
use std::io::Write;

use crate::redact::printable;

/// Writes `landfall: TEXT`, made fit for a terminal. Nobody need be reading: not being able to write is no reason to end.
pub(crate) fn complain(text: impl Display) {
    line(format_args!("landfall: {}", printable(&text.to_string())));
}

/// Writes a line as it is.
pub(crate) fn line(text: impl Display) {
    // One write, so that lines of several processes do not mix.
    let _ = std::io::stderr().write_all(format!("{text}\n").as_bytes());
}
