//! What the straight way sees of a plugin, wherever it runs.
//!
//! A handler in the agent's own process and one in a worker are both a [`Handler`]; nothing above this file knows which.

use std::ops::Range;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use landfall_handler_api::{
    Error, ErrorKind, HandlerInfo, HandlerStatus, OutputMeta, PlacementEvent, Probe, Request, Result,
};
use serde::{Deserialize, Serialize};

use super::pulse::Pulse;
use crate::cancel::Cancel;

/// The plugin that a handler came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PluginIdentity {
    /// The plugin's own name.
    pub(crate) name: String,
    /// The plugin's own version.
    pub(crate) version: String,
    /// The file it was loaded from.
    pub(crate) path: PathBuf,
}

/// Takes a count of bytes: done, and the total when it is known. Called from any thread, often.
pub(crate) type Progress = Arc<dyn Fn(u64, Option<u64>) + Send + Sync>;

/// Gives the secret of a name.
pub(crate) type Secrets = Arc<dyn Fn(&str) -> Option<Vec<u8>> + Send + Sync>;

/// What the host lends to one operation of a handler. Cheap to clone.
#[derive(Clone)]
pub(crate) struct CallContext {
    /// Tells the handler to stop; the host waits for a grace period and then gives the call up.
    pub(crate) cancel: Cancel,
    /// Gets the handler's own count of bytes: done, and the total when it is known. For display only.
    pub(crate) progress: Progress,
    /// Gives the secrets that the request names.
    pub(crate) secrets: Secrets,
    /// Gives a handler up that shows no sign of life for too long; one that hangs is then told to stop, as if it were
    /// cancelled, and the call fails with `stalled`.
    pub(crate) pulse: Pulse,
}

impl CallContext {
    /// A context that shows no progress and has no secrets, for an operation that may be silent for `stall`.
    pub(crate) fn quiet(cancel: Cancel, stall: Duration) -> Self {
        Self { cancel, progress: Arc::new(|_, _| {}), secrets: Arc::new(|_| None), pulse: Pulse::new(stall) }
    }

    /// The same, for an operation that can be stopped alone.
    pub(crate) fn stoppable(&self) -> Result<Self> {
        Ok(Self { cancel: self.cancel.child()?, ..self.clone() })
    }

    /// The same, for an operation of its own that begins now.
    pub(crate) fn begin(&self) -> Result<Self> {
        Ok(Self { cancel: self.cancel.child()?, pulse: self.pulse.anew(), ..self.clone() })
    }
}

/// A handler, ready to be called.
///
/// Called by the straight way, from the thread of the placement. Every method blocks until the handler answered, or until
/// `cancel` fired and the grace period is over; then it gives `cancelled` and the handler is called no more. Several
/// placements may call at once. Errors carry the handler's own scope, or the kind's.
pub(crate) trait Handler: Send + Sync {
    /// Identity and abilities.
    fn info(&self) -> &HandlerInfo;

    /// The plugin that it came from.
    fn plugin(&self) -> &PluginIdentity;

    /// Whether it runs in a process of its own.
    fn is_isolated(&self) -> bool;

    /// Whether the handler will try each of these requests, in their order. Once a placement, before anything else; no I/O.
    fn probe(&self, call: &CallContext, requests: &[&Request]) -> Vec<Result<Probe>>;

    /// As [`Handler::probe`], for one request.
    fn probe_one(&self, call: &CallContext, request: &Request) -> Result<Probe> {
        let answer = self.probe(call, &[request]).pop();
        answer.unwrap_or_else(|| Err(Error::new(ErrorKind::Internal, "no-answer", "probe gave no answer")))
    }

    /// Opens the request's location. Once an attempt.
    fn open(&self, call: &CallContext, request: &Request) -> Result<Box<dyn OpenedSource>>;

    /// Lets the handler write the outputs itself. Once an attempt. When this returns, whatever it says, the handler can no
    /// longer reach an output.
    fn transfer(&self, call: &CallContext, request: &Request, outputs: Arc<dyn Outputs>) -> Result<()>;

    /// Lets the handler turn `input` into other bytes, all of which go into `into`, in order. Once an attempt.
    fn filter(
        &self,
        call: &CallContext,
        request: &Request,
        input: Arc<dyn Input>,
        into: Arc<Mutex<dyn ByteSink>>,
    ) -> Result<()>;

    /// Lets the handler read `input` and write the outputs. Once an attempt. When this returns, whatever it says, the
    /// handler can no longer reach an output. Gives its answer, JSON, if it has one.
    fn unpack(
        &self,
        call: &CallContext,
        request: &Request,
        input: Arc<dyn Input>,
        outputs: Arc<dyn Outputs>,
    ) -> Result<Option<String>>;

    /// Whether the handler could serve now. For people.
    fn status(&self, call: &CallContext) -> Result<HandlerStatus>;

    /// Deletes the stored bytes that the request's location names. `unsupported` from handlers that do not.
    fn delete_stored(&self, call: &CallContext, request: &Request) -> Result<()>;

    /// A placement that this handler made was removed. Best effort: an error is logged.
    fn placement_removed(&self, call: &CallContext, event: &PlacementEvent) -> Result<()>;

    /// A placement that this handler made was moved. Best effort: an error is logged.
    fn placement_moved(&self, call: &CallContext, event: &PlacementEvent) -> Result<()>;
}

/// What is known of an opened location, fixed while it is open.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SourceInfo {
    /// Stored bytes, when the store says so.
    pub(crate) size: Option<u64>,
    /// Whether any range can be read; otherwise only the whole, from the start.
    pub(crate) ranged: bool,
    /// What tells this version of the bytes from another (an ETag).
    pub(crate) validator: Option<String>,
}

/// An opened location. Closed when dropped.
///
/// Used by the engine, from any number of threads at once when it is ranged.
pub(crate) trait OpenedSource: Send + Sync {
    /// Size, abilities and validator.
    fn info(&self) -> &SourceInfo;

    /// A descriptor with the same bytes at the same offsets, where the source has one: the host then clones, links or
    /// copies in the kernel and never calls `read`.
    fn descriptor(&self) -> Option<BorrowedFd<'_>>;

    /// Streams the bytes of `range` into `into`, in order. Fewer bytes than asked for, without an error, mean that the
    /// source ends there.
    fn read(&self, call: &CallContext, range: Range<u64>, into: Arc<Mutex<dyn ByteSink>>) -> Result<()>;
}

/// The bytes that a filter or an unpacker reads. Used by one operation, from any of the handler's threads.
pub(crate) trait Input: Send + Sync {
    /// Bytes, when that is known.
    fn size(&self) -> Option<u64>;

    /// A descriptor with the same bytes at the same offsets, where there is one: then any offset can be read. Otherwise
    /// offsets only go forward.
    fn descriptor(&self) -> Option<BorrowedFd<'_>>;

    /// Reads into `buffer` from `offset`; fewer bytes than its length only at the end. Blocks until they are there, and
    /// fails soon once the operation's `cancel` has fired.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<usize>;

    /// Shows `take` the next bytes, from the start on, without a copy; false at the end. For an input without a descriptor,
    /// instead of `read_at`. Blocks as that does.
    fn show_next(&self, take: &mut dyn FnMut(&[u8]) -> Result<()>) -> Result<bool> {
        let _ = take;
        Err(Error::unsupported("an input that is shown"))
    }
}

/// Where streamed bytes go: the reader asks for room, fills it and says how much it filled.
///
/// Called on the thread that serves the read, one reservation at a time. What `reserve` gives belongs to this sink alone
/// until the sink is dropped, since a handler that hangs may still fill it after it was given up; the backend then sees to
/// it that the sink is never dropped. `reserve` does not block for long once the read's `cancel` has fired.
pub(crate) trait ByteSink: Send {
    /// Room for at most `want` bytes, at least one. Blocks while the consumer is behind.
    fn reserve(&mut self, want: usize) -> Result<&mut [u8]>;

    /// The first `filled` bytes of the last reservation are there.
    fn commit(&mut self, filled: usize) -> Result<()>;
}

/// The outputs of a transfer: the host's staged files, known to the handler by number.
pub(crate) trait Outputs: Send + Sync {
    /// Opens output `number` (0, 1, ...) for `size` bytes, once each.
    fn open(&self, number: u32, size: u64, meta: OutputMeta) -> Result<Arc<dyn Output>>;
}

/// One staged disk. Writes come in any order and from any thread; what is not written reads as zeros.
pub(crate) trait Output: Send + Sync {
    /// Writes all of `bytes` at `offset`; never beyond the output's size.
    fn write_at(&self, bytes: &[u8], offset: u64) -> Result<()>;

    /// Makes `len` bytes at `offset` read as zeros, as a hole where that is possible.
    fn zero(&self, offset: u64, len: u64) -> Result<()>;

    /// Takes `len` bytes at `source_offset` of `descriptor` to `offset`: cloned where possible, else copied in the kernel,
    /// else copied.
    fn adopt(&self, descriptor: OwnedFd, source_offset: u64, offset: u64, len: u64) -> Result<()>;

    /// Changes the output's size, within the request's limits.
    fn set_size(&self, size: u64) -> Result<()>;

    /// Says that the output is complete. Nothing may be written after it.
    fn finish(&self) -> Result<()>;

    /// A descriptor to write it through, for a handler in a process of its own. Size and end remain the host's: such a
    /// handler calls [`Output::set_size`] and [`Output::finish`] as any other.
    fn descriptor(&self) -> Result<OwnedFd> {
        Err(Error::unsupported("an output in another process"))
    }
}
