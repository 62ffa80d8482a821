//! What every compression has in common: a decoder that takes and gives bytes, and the errors.

use landfall_handler_api::{Error, ErrorKind, Result};

/// Inflates one compression.
pub(crate) trait Decoder: Send {
    /// Takes bytes from the front of `input`, and fills the front of `room`, which is not empty. `input` is empty when, and
    /// only when, nothing is left to take. Takes or gives at least one byte, unless `input` is empty: then giving none says
    /// that there are none.
    fn step(&mut self, input: &[u8], room: &mut [u8]) -> Result<Step>;

    /// Whether the input may end where it was taken to; `unexpected-end` if not. Called once, after the last step.
    fn finish(&self) -> Result<()>;
}

/// What a step did.
#[derive(Debug, Default)]
pub(crate) struct Step {
    /// Bytes of the input that are done with.
    pub(crate) taken: usize,
    /// Bytes of the room that were filled.
    pub(crate) given: usize,
    /// What is wrong behind the bytes that were given.
    pub(crate) fault: Option<Error>,
}

impl Step {
    pub(crate) fn taking(taken: usize) -> Self {
        Self { taken, ..Self::default() }
    }
}

/// How far a count of the library went in one step.
pub(crate) fn passed(before: u64, after: u64) -> usize {
    usize::try_from(after.wrapping_sub(before)).unwrap_or(usize::MAX)
}

/// Where something is to begin, and other bytes are: `first` for the beginning of the input.
pub(crate) fn no_beginning(format: &str, first: bool) -> Error {
    if first {
        return corrupt("bad-magic", format!("the image does not begin as {format} does"));
    }
    trailing_data(format)
}

pub(crate) fn trailing_data(format: &str) -> Error {
    corrupt("trailing-data", format!("something follows the end of the {format} data"))
}

pub(crate) fn unexpected_end(format: &str) -> Error {
    corrupt("unexpected-end", format!("the image ends inside the {format} data"))
}

/// `what` names the part that is wrong, and quotes nothing of it.
pub(crate) fn bad_stream(format: &str, what: &str) -> Error {
    corrupt("bad-stream", format!("the {format} data are damaged: {what}"))
}

pub(crate) fn checksum_mismatch(format: &str, what: &str) -> Error {
    corrupt("checksum-mismatch", format!("the {format} data are damaged: {what}"))
}

pub(crate) fn window_too_large(format: &str, most: u64) -> Error {
    let message = format!("the {format} data need a larger window than window_bytes, {most}, allows");
    Error::new(ErrorKind::Limit, "window-too-large", message)
}

pub(crate) fn no_memory(format: &str) -> Error {
    Error::new(ErrorKind::Limit, "no-memory", format!("no memory to inflate {format}"))
}

/// A library did not keep its contract.
pub(crate) fn broken(format: &str) -> Error {
    Error::new(ErrorKind::Internal, "no-progress", format!("the {format} library neither takes nor gives bytes"))
}

fn corrupt(code: &'static str, message: String) -> Error {
    Error::new(ErrorKind::Corrupt, code, message)
}
