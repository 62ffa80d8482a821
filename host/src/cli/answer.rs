//! Standard output, which carries the answer and nothing else.
//!
//! Plugins run in this process, and some print. What they print is for people: it goes to standard error.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::sync::OnceLock;

use landfall_handler_api::{Error, Result, Scope};

static ANSWER: OnceLock<File> = OnceLock::new();

/// Keeps standard output for [`write`]; whoever else writes to it from now on writes to standard error.
pub(super) fn keep() -> Result<()> {
    let failed = |error: io::Error| Error::os(&error, "keep standard output for the answer").scoped(Scope::Node);
    let answer = io::stdout().as_fd().try_clone_to_owned().map_err(failed)?;
    nix::unistd::dup2_stdout(io::stderr()).map_err(|errno| failed(errno.into()))?;
    ANSWER.get_or_init(|| File::from(answer));
    Ok(())
}

/// Writes a part of the answer.
pub(super) fn write(text: &str) -> Result<()> {
    let written = match ANSWER.get() {
        Some(mut answer) => answer.write_all(text.as_bytes()),
        None => io::stdout().write_all(text.as_bytes()),
    };
    written.map_err(|error| Error::os(&error, "write to standard output"))
}
