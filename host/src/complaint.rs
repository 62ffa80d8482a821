//! Lines on standard error about what is worth knowing and stops nothing.

use std::fmt::Display;
use std::io::Write;
use std::sync::OnceLock;

use crate::redact::printable;

static DIVERSION: OnceLock<fn(&str)> = OnceLock::new();

/// Has complaints go to `log` from now on, made fit for a terminal, instead of to standard error. Only the first call counts.
pub(crate) fn divert(log: fn(&str)) {
    DIVERSION.get_or_init(|| log);
}

/// Writes `landfall: TEXT`, made fit for a terminal. Nobody need be reading: not being able to write is no reason to end.
pub(crate) fn complain(text: impl Display) {
    if let Some(log) = DIVERSION.get() {
        return log(&printable(&text.to_string()));
    }
    line(format_args!("landfall: {}", printable(&text.to_string())));
}

/// Writes a line as it is.
pub(crate) fn line(text: impl Display) {
    // One write, so that lines of several processes do not mix.
    let _ = std::io::stderr().write_all(format!("{text}\n").as_bytes());
}
