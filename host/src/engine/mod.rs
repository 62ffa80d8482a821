//! Moves an image's stored bytes into the stage, by the cheapest way that the source and the file system have.
//!
//! Descriptors first: a hard link where the store allows one, a clone, a copy inside the kernel where only a file server
//! would otherwise be asked for every byte, a sparse copy. Sources without a descriptor are streamed.

mod adopt;
mod again;
mod board;
mod crew;
mod extents;
mod feed;
mod fetch;
mod frontier;
mod journal;
mod lane;
mod lease;
mod least_rate;
mod lent;
mod limits;
mod opening;
mod origins;
mod output;
mod pace;
mod pieces;
mod pump;
mod queue;
mod resume;
mod shape;
mod span;
mod speed;
mod stage_writer;
mod supply;
mod team;
#[cfg(test)]
mod tests;
mod writeback;
pub(crate) mod written;

use std::fs::File;
use std::sync::Arc;
use std::time::Duration;

use landfall_handler_api::{Error, ErrorKind, OutputMeta, Request, Result, Scope};
use landfall_inspect::Window;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::digest::{Algorithm, Digest};
use crate::identity::FileVersion;
use crate::plugin::{CallContext, Handler};
use crate::publish::Dress;
use crate::stage::Stage;

use fetch::{Fetch, Ran};
use least_rate::LeastRate;
use output::StageOutputs;

pub(crate) use again::{again, can_clone};
#[cfg(feature = "fuzzing")]
pub(crate) use journal::Journal;
pub(crate) use limits::{LimitSettings, NodeLimits};
pub(crate) use output::{Allowed, Disk};
pub(crate) use shape::{Shaper, shaped};
pub(crate) use stage_writer::StageWriter;
pub(crate) use supply::{Origin, Supply};

/// How the bytes came to the target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Method {
    /// The store's own inode got a second name.
    Hardlink,
    /// The target shares the store's blocks, copied on write.
    Reflink,
    /// Copied by the file server or kernel (`copy_file_range`).
    CopyRange,
    /// Read and written, zeros left out.
    Copy,
    /// Streamed by a source handler.
    Stream,
    /// Written by a transfer handler.
    Transfer,
    /// Unpacked from a container or disk format.
    Unpack,
}

impl Method {
    /// The kebab-case name, as in JSON.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Hardlink => "hardlink",
            Self::Reflink => "reflink",
            Self::CopyRange => "copy-range",
            Self::Copy => "copy",
            Self::Stream => "stream",
            Self::Transfer => "transfer",
            Self::Unpack => "unpack",
        }
    }
}

/// Where the digest of a descriptor's content is known without reading it.
pub(crate) trait Remembered {
    /// The digest by `algorithm` of exactly this version, if it is known.
    fn digest(&self, version: &FileVersion, algorithm: Algorithm) -> Option<Digest>;
}

/// For which sources a digest may be remembered and used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Memory {
    /// For none.
    Off,
    /// For files on local file systems: others may not tell every change.
    Local,
    /// For all files, as the operator says.
    Any,
}

/// What is wanted of a move.
pub(crate) struct Want<'a> {
    /// The digest that the stored bytes must have; `None` computes none.
    pub(crate) digest: Option<&'a Digest>,
    /// The number of bytes that the record gives.
    pub(crate) size: Option<u64>,
    /// The number of bytes of the disk that the record gives, where a filter alone makes it.
    pub(crate) virtual_size: Option<u64>,
    /// The most bytes to take, whatever the record gives.
    pub(crate) limit: u64,
    /// The most disks to make.
    pub(crate) disks: u32,
    /// Whether disks may have more bytes than the file system has free.
    pub(crate) overcommit: bool,
    /// Whether the target may be the store's own inode, if that is as the target is to be.
    pub(crate) share: bool,
    /// Whether the source's inode gets and loses names all the time, which changes nothing but its time.
    pub(crate) links: bool,
    /// How the target is to be.
    pub(crate) dress: &'a Dress,
    /// Where digests are remembered.
    pub(crate) remembered: &'a dyn Remembered,
    /// For which sources a remembered digest counts.
    pub(crate) memory: Memory,
    /// The node's limits on connections and bandwidth.
    pub(crate) limits: Option<Arc<NodeLimits>>,
    /// Downloads of at least so many bytes are kept when they are interrupted.
    pub(crate) resume_bytes: u64,
    /// For how long; those that are older are removed.
    pub(crate) stage_keep: Duration,
    /// Bytes a second that a read must bring, over `stall`.
    pub(crate) least_rate: u64,
    /// How long a source may be silent.
    pub(crate) stall: Duration,
    /// Whether what is kept of an interrupted download is for any target of the directory.
    pub(crate) shared: bool,
}

impl Want<'_> {
    /// The digest to compute; `None` computes none.
    fn algorithm(&self) -> Option<Algorithm> {
        self.digest.map(|digest| digest.algorithm)
    }

    fn least_rate(&self) -> LeastRate {
        LeastRate { bytes: self.least_rate, window: self.stall }
    }

    fn sizes(&self) -> Sizes {
        Sizes { wanted: self.size, limit: self.limit }
    }
}

/// How many stored bytes there must, and may, be.
#[derive(Debug, Clone, Copy)]
struct Sizes {
    wanted: Option<u64>,
    limit: u64,
}

impl Sizes {
    /// Refuses a size beyond the limit, the record's as well as the location's, and one that is not the record's, as soon as
    /// it is known.
    fn check(self, found: Option<u64>) -> Result<()> {
        if self.wanted.max(found).is_some_and(|size| size > self.limit) {
            return Err(too_large(self.limit));
        }
        match (self.wanted, found) {
            (Some(size), Some(found)) if size != found => Err(size_mismatch(size, found)),
            _ => Ok(()),
        }
    }
}

/// What a move did.
#[derive(Debug)]
pub(crate) struct Moved {
    /// How.
    pub(crate) method: Method,
    /// Stored bytes.
    pub(crate) bytes: u64,
    /// The digest of the stored bytes, when one was wanted.
    pub(crate) digest: Option<Digest>,
    /// Whether that digest was remembered rather than computed now.
    pub(crate) from_memory: bool,
    /// The source's file and the version that was moved, when it had a descriptor. Publishing needs it unchanged.
    pub(crate) source: Option<(File, FileVersion)>,
    /// Whether the source must still be that version when the stage is published.
    pub(crate) source_must_stay: bool,
    /// Whether a change of the inode's time alone is no change: names come and go.
    pub(crate) links: bool,
    /// Whether the digest may be remembered for that version.
    pub(crate) may_remember: bool,
    /// The locations that gave bytes, where several may have.
    pub(crate) locations: Vec<String>,
    /// What the inspector looks at of the bytes as they were stored, and then inflated, where the stage holds what became of
    /// them.
    pub(crate) stored: Option<Vec<Window>>,
    /// Whether an unpacker made the stage's raw disk.
    pub(crate) unpacked: bool,
    /// What the unpacker says of the disk.
    pub(crate) meta: OutputMeta,
    /// Other disks of the same image, which follow the stage's.
    pub(crate) more: Vec<Disk>,
    /// What the unpacker says of the machine that the disks are for.
    pub(crate) machine: Option<Map<String, Value>>,
}

impl Moved {
    /// Refuses when the target rests on the source, and that is not what it was.
    pub(crate) fn refuse_changed_source(&self) -> Result<()> {
        let Some((source, version)) = self.source.as_ref().filter(|_| self.source_must_stay) else { return Ok(()) };
        let now = FileVersion::of(source)?;
        if now.same_content(version) || (self.links && now.same_after_link(version)) {
            return Ok(());
        }
        Err(Error::new(ErrorKind::Corrupt, "source-changed", "the source changed while it was placed"))
    }

    /// Bytes that were stored, where [`Moved::bytes`] may be those of the disk that was made of them.
    pub(crate) fn stored_bytes(&self) -> u64 {
        self.stored.as_ref().and_then(|windows| windows.first()).map_or(self.bytes, Window::size)
    }

    /// Bytes that have no file to come from.
    pub(crate) fn new(method: Method, bytes: u64, digest: Option<Digest>) -> Self {
        Self {
            method,
            bytes,
            digest,
            from_memory: false,
            source: None,
            source_must_stay: false,
            links: false,
            may_remember: false,
            locations: Vec::new(),
            stored: None,
            unpacked: false,
            meta: OutputMeta::default(),
            more: Vec::new(),
            machine: None,
        }
    }
}

/// Opens `origin` and moves its bytes into `stage`; goes on from others of `supply` where it fails in the middle. `bytes`
/// becomes how many arrived, also when this fails.
pub(crate) fn from_source(
    mut origin: Origin,
    supply: &mut dyn Supply,
    stage: &mut Stage,
    want: &Want<'_>,
    bytes: &mut u64,
) -> Result<Moved> {
    let mut fetch: Option<Fetch> = None;
    loop {
        let before = fetch.as_ref().map_or(0, Fetch::total);
        let ran = from_one(&origin, &mut fetch, supply, stage, want);
        // What came from those that were left meanwhile is told of them.
        let left = fetch.as_mut().map_or(0, Fetch::take_left);
        *bytes = fetch.as_ref().map_or(0, Fetch::total).saturating_sub(before).saturating_sub(left);
        let (error, later) = match ran {
            Ok(Ran::Complete(moved)) => {
                *bytes = moved.bytes;
                return Ok(*moved);
            }
            Ok(Ran::Failed { error, later }) => (error, later),
            Err(error) => (error, false),
        };
        // Bytes without a digest or a known end are not mixed, and before the first byte the next attempt is as good as
        // another origin.
        let worth =
            fetch.as_ref().is_some_and(|fetch| fetch.total() > 0 && fetch.knows_size()) && want.digest.is_some();
        if !worth || !matches!(error.scope(), Scope::Location | Scope::Handler) {
            return Err(error);
        }
        origin = supply.next(error, *bytes, later)?;
    }
}

fn from_one(
    origin: &Origin,
    fetch: &mut Option<Fetch>,
    supply: &mut dyn Supply,
    stage: &mut Stage,
    want: &Want<'_>,
) -> Result<Ran> {
    let (call, source) = opening::open(origin, supply.has_other(), || origin.call.begin())?;
    check_size(source.info().size, want)?;
    if let Some(descriptor) = source.descriptor() {
        let file = descriptor.try_clone_to_owned().map_err(|error| Error::os(&error, "duplicate a descriptor"))?;
        if fetch.take().is_some() {
            // What other origins gave is not needed any more.
            stage.forget_progress();
            stage.set_size(0)?;
        }
        return adopt::adopt(File::from(file), stage, want, &call).map(|moved| Ran::Complete(Box::new(moved)));
    }
    let fetch = match fetch {
        Some(fetch) => fetch,
        None => fetch.insert(Fetch::begin(stage, source.as_ref(), want, &call)?),
    };
    fetch.run(origin, source.as_ref(), stage, want, supply)
}

/// Lets `handler` write the stage itself, then reads it back for its digest.
pub(crate) fn from_transfer(
    handler: &dyn Handler,
    request: &Request,
    stage: &mut Stage,
    want: &Want<'_>,
    call: &CallContext,
) -> Result<Moved> {
    check_size(None, want)?;
    let allowed = Allowed { disks: 1, bytes: want.limit, expected: want.size, space: None };
    let outputs = Arc::new(StageOutputs::new(stage, allowed, want.stage_keep, call.cancel.clone())?);
    let done = handler.transfer(call, request, outputs.clone());
    let written = outputs.close();
    done?;
    let bytes = written?.bytes;
    check_size(Some(bytes), want)?;
    let digest = pump::pump(stage.descriptor(), bytes, None, want.algorithm().map(Algorithm::hasher), call)?;
    Ok(Moved::new(Method::Transfer, bytes, digest))
}

fn check_size(found: Option<u64>, want: &Want<'_>) -> Result<()> {
    want.sizes().check(found)
}

/// The stored bytes are not as many as the record says.
fn size_mismatch(size: u64, found: u64) -> Error {
    let message = format!("the record says {size} bytes, the location has {found}");
    Error::new(ErrorKind::Corrupt, "size-mismatch", message)
}

/// The stored bytes are more than the configured limit.
fn too_large(limit: u64) -> Error {
    Error::new(ErrorKind::Limit, "disk-bytes", format!("the stored bytes exceed the limit of {limit}"))
}
