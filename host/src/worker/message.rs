//! What agent and worker say to each other. Both are this program, of one version: nothing here is a public format.

use std::borrow::Cow;
use std::time::Duration;

use landfall_handler_api::crossing::{clean_text, retry_number};
use landfall_handler_api::{
    Error, ErrorKind, HandlerStatus, OutputMeta, PlacementEvent, Probe, Request, Result, Scope,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::plugin::SourceInfo;

/// What a worker may take. Set before the plugin is loaded.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Bounds {
    /// Bytes of address space.
    pub(super) memory: u64,
    /// Seconds of CPU time.
    pub(super) cpu_seconds: u64,
    /// Bytes of the largest file that it writes.
    pub(super) file_bytes: u64,
}

/// From the agent to the worker.
#[expect(clippy::large_enum_variant, reason = "made one at a time, and sent at once")]
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Order<'a> {
    /// The first: what to load, and the agent's process. With the plugin's file.
    Start { version: Cow<'a, str>, handler: Cow<'a, str>, config: Cow<'a, Value>, bounds: Bounds, agent: u32 },
    /// Begin an operation. With the descriptors that the operation names.
    Call { id: u64, secrets: Vec<Secret>, operation: Operation<'a> },
    /// Stop an operation.
    Cancel { id: u64 },
    /// The answer to a question. With the output's descriptor, for one that was opened.
    Answer { id: u64, question: u64, outcome: Result<u64, Failure> },
    /// No more bytes will come for an operation's input: it has so many, or failed.
    InputEnd { id: u64, outcome: Result<u64, Failure> },
}

/// A secret that a request names.
#[derive(Serialize, Deserialize)]
pub(super) struct Secret {
    pub(super) name: String,
    pub(super) value: Vec<u8>,
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Secret").field("name", &self.name).finish_non_exhaustive()
    }
}

/// What to do.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Operation<'a> {
    Probe {
        requests: Vec<Cow<'a, Request>>,
    },
    Open {
        request: Cow<'a, Request>,
    },
    /// Read a range of the opened source into a lane. With the lane's descriptors, when it is a new one.
    Read {
        lane: u32,
        start: u64,
        end: u64,
    },
    Transfer {
        request: Cow<'a, Request>,
    },
    /// Read an input through one lane, and give what it is turned into through another; answered as a read. With the
    /// descriptors of both.
    Filter {
        request: Cow<'a, Request>,
        size: Option<u64>,
    },
    /// With the input's descriptor or the descriptors of its lane.
    Unpack {
        request: Cow<'a, Request>,
        size: Option<u64>,
        ranged: bool,
    },
    Status,
    DeleteStored {
        request: Cow<'a, Request>,
    },
    PlacementRemoved {
        event: Cow<'a, PlacementEvent>,
    },
    PlacementMoved {
        event: Cow<'a, PlacementEvent>,
    },
}

/// From the worker to the agent.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Report {
    /// The answer to `Start`.
    Started(Result<(), Failure>),
    /// An operation is alive; `done` and `total` where the handler counts.
    Beat { id: u64, done: Option<u64>, total: Option<u64> },
    /// A line of the handler's log.
    Log { level: u32, target: String, text: String },
    /// Something that only the agent decides.
    Question { id: u64, question: u64, ask: Ask },
    /// An operation is over. With the descriptor of a source that has one.
    Done { id: u64, outcome: Result<Outcome, Failure> },
}

/// What a worker asks the agent.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Ask {
    /// A secret that was not sent along. Answered with its length and a memory file that holds it.
    Secret {
        name: String,
    },
    Open {
        number: u32,
        size: u64,
        meta: OutputMeta,
    },
    SetSize {
        number: u32,
        size: u64,
    },
    Finish {
        number: u32,
    },
}

/// What came of an operation that did not fail.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Outcome {
    Nothing,
    /// What an unpacker says at its end, JSON.
    Answer(Option<String>),
    Probes(Vec<Result<Probe, Failure>>),
    Source(SourceInfo),
    /// So many bytes were put into the lane; then it ended well, or failed.
    Read {
        bytes: u64,
        failure: Option<Failure>,
    },
    Status(HandlerStatus),
}

/// An [`Error`] on its way.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Failure {
    kind: u32,
    scope: u32,
    errno: i32,
    retry_after_ms: u32,
    code: String,
    message: String,
}

impl From<&Error> for Failure {
    fn from(error: &Error) -> Self {
        Self {
            kind: error.kind().number(),
            scope: if error.scope_is_explicit() { error.scope().number() } else { 0 },
            errno: error.os_errno().unwrap_or(0),
            retry_after_ms: retry_number(error.retry_after()),
            code: error.code().to_owned(),
            message: error.message().to_owned(),
        }
    }
}

impl From<Failure> for Error {
    /// Nothing of it is believed more than of an error that crosses the ABI, and so it is made fit in the same way.
    fn from(failure: Failure) -> Self {
        let kind = ErrorKind::from_number(failure.kind).unwrap_or(ErrorKind::Internal);
        let kebab = |byte: u8| match byte.to_ascii_lowercase() {
            byte @ (b'a'..=b'z' | b'0'..=b'9') => char::from(byte),
            _ => '-',
        };
        let code: String = failure.code.bytes().take(Self::CODE_MAX).map(kebab).collect();
        let code = match code.trim_matches('-') {
            "" => "unexplained".to_owned(),
            code => code.to_owned(),
        };
        let mut error = Self::new(kind, code, clean_text(failure.message.as_bytes(), Self::MESSAGE_MAX));
        if let Some(scope) = Scope::from_number(failure.scope) {
            error = error.scoped(scope);
        }
        // Linux keeps 4095 numbers for errors.
        if (1..4096).contains(&failure.errno) {
            error = error.with_errno(failure.errno);
        }
        if failure.retry_after_ms > 0 {
            error = error.retried_after(Duration::from_millis(failure.retry_after_ms.into()));
        }
        error
    }
}

/// An outcome on its way.
pub(super) fn pack<T>(outcome: Result<T>) -> Result<T, Failure> {
    outcome.map_err(|error| Failure::from(&error))
}

/// An outcome that arrived.
pub(super) fn unpack<T>(outcome: Result<T, Failure>) -> Result<T> {
    outcome.map_err(Error::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_survives_the_way_and_is_made_fit() {
        let error = Error::new(ErrorKind::NotFound, "no-such-object", "gone").scoped(Scope::Image).with_errno(2);
        let error = error.retried_after(Duration::from_millis(2));
        assert_eq!(Error::from(Failure::from(&error)), error);
        let failure = Failure {
            kind: 999,
            scope: 77,
            errno: -4,
            retry_after_ms: 0,
            code: "A B\u{7}".into(),
            message: "\u{202e}x\n".into(),
        };
        let error = Error::from(failure);
        assert_eq!((error.kind(), error.code(), error.os_errno()), (ErrorKind::Internal, "a-b", None));
        assert_eq!(error.message(), "\\u{202e}x\\n");
    }
}
