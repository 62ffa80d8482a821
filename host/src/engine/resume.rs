//! What is kept of an interrupted download, and how the next run goes on from it.
//!
//! The stage is then a hidden file beside the target, with a journal that tells which of its bytes are on the disk. It is
//! the agent's own, and still nothing of it is believed that the whole digest does not bear out in the end.

use std::time::{Duration, Instant};

use landfall_handler_api::Result;

use super::Want;
use super::board::Board;
use super::fetch::due;
use super::journal::{Checkpoint, Journal, Piece};
use super::pieces::Pieces;
use super::written;
use crate::complaint::complain;
use crate::digest::{Algorithm, Hasher};
use crate::disk;
use crate::identity::FileVersion;
use crate::stage::{Stage, stage_error};

/// Bytes after which a checkpoint is due, and the time after which it is for fewer.
const EVERY_BYTES: u64 = 32 << 20;
const EVERY: Duration = Duration::from_secs(5);
/// A download that was interrupted more often than this begins anew.
const ORIGINS_MAX: usize = 64;

/// The journal of a kept stage.
pub(super) struct Resume {
    journal: Journal,
    digest: crate::digest::Digest,
    size: u64,
    bytes: u64,
    at: Instant,
}

/// What an earlier run left.
#[derive(Default)]
pub(super) struct Resumed {
    pub(super) pieces: Pieces,
    pub(super) origins: Vec<String>,
    pub(super) hashed: u64,
    pub(super) hasher: Option<Hasher>,
}

impl Resume {
    /// Makes `stage` one that is kept, and takes over what an earlier run left. `None` where that is not wanted, or not
    /// possible now.
    pub(super) fn begin(stage: &mut Stage, size: u64, want: &Want<'_>) -> Result<Option<(Self, Resumed)>> {
        let Some(digest) = want.digest.filter(|_| size >= want.resume_bytes) else { return Ok(None) };
        let Some(file) = stage.keep(&key(stage, digest, want.shared), want.stage_keep)? else { return Ok(None) };
        let (mut journal, checkpoint, damaged) = Journal::open(file)?;
        if damaged {
            complain(format_args!(
                "a checkpoint of the interrupted download for {} is damaged and not used",
                stage.target().path().display()
            ));
        }
        let version = FileVersion::of(stage.file())?;
        let fits = |checkpoint: &Checkpoint| {
            checkpoint.origins.len() < ORIGINS_MAX
                && checkpoint.digest == *digest
                && checkpoint.size == size
                && checkpoint.file.is(&version.identity)
                && version.size == size
        };
        let resumed = checkpoint.filter(fits).and_then(|checkpoint| restore(checkpoint, &version, digest.algorithm));
        let resumed = match resumed {
            Some(resumed) => {
                // Whatever comes of this run: what is there is still worth as much.
                stage.made_progress();
                resumed
            }
            None => {
                // Whatever is in there is of no known origin. The journal goes first: it must not speak of what is gone.
                journal.clear()?;
                stage.set_size(0)?;
                Resumed::default()
            }
        };
        let there = FileVersion::of(stage.file())?.size;
        for hole in resumed.pieces.missing(size).iter().filter(|_| there > 0) {
            // What was written after the last checkpoint; zeros that are left out must find zeros there.
            written::zero(stage.file(), hole.start, hole.end.saturating_sub(hole.start))?;
        }
        let bytes = resumed.pieces.bytes();
        Ok(Some((Self { journal, digest: digest.clone(), size, bytes, at: Instant::now() }, resumed)))
    }

    /// Nothing that the journal says counts any more.
    pub(super) fn clear(&mut self) -> Result<()> {
        self.journal.clear()
    }

    /// Writes a checkpoint if enough has come since the last one.
    pub(super) fn checkpoint_if_due(&mut self, board: &Board, stage: &mut Stage, origins: &[String]) -> Result<()> {
        let there = board.pieces().bytes();
        let new = there.saturating_sub(self.bytes);
        if new >= EVERY_BYTES || new > 0 && due(self.at, EVERY) {
            return self.checkpoint(board, stage, origins);
        }
        Ok(())
    }

    /// Writes a checkpoint: first the bytes to the disk, then the word of it. Fails when the bytes did not get there: the
    /// kernel tells that once, and the stage must not be published then.
    pub(super) fn checkpoint(&mut self, board: &Board, stage: &mut Stage, origins: &[String]) -> Result<()> {
        let (pieces, digest) = board.snapshot();
        if pieces.bytes() == 0 {
            return Ok(());
        }
        let state = digest.and_then(|(hashed, state)| Some((hashed, state.recv().ok()?)));
        // Without its state, the digest begins anew next time, over bytes that need not be fetched again.
        let (hashed, state) = state.unwrap_or_default();
        disk::sync_data(stage.descriptor()).map_err(|error| stage_error(&error, "sync the stage"))?;
        let version = FileVersion::of(stage.file())?;
        let checkpoint = Checkpoint {
            digest: self.digest.clone(),
            size: self.size,
            file: version.identity,
            modified: version.modified,
            changed: version.changed,
            pieces: pieces.iter().map(|(range, origin)| Piece { start: range.start, end: range.end, origin }).collect(),
            origins: origins.to_vec(),
            hashed,
            state,
        };
        match self.journal.write(&checkpoint) {
            // Too many small pieces to be written down: the last checkpoint is as true as before.
            Err(error) if error.code() == "journal-full" => return Ok(()),
            // So it is then: no reason to end a download that is well otherwise.
            Err(error) => complain(format_args!("the download cannot be resumed from here: {error}")),
            Ok(()) => stage.made_progress(),
        }
        (self.bytes, self.at) = (pieces.bytes(), Instant::now());
        Ok(())
    }
}

/// Names the stage of this target and digest, or of this digest in the target's directory.
fn key(stage: &Stage, digest: &crate::digest::Digest, shared: bool) -> String {
    use std::os::unix::ffi::OsStrExt;
    let mut hasher = Algorithm::Sha256.hasher();
    // No target has an empty name.
    if !shared {
        hasher.update(stage.target().name().as_bytes());
    }
    // What is to become the disk, and what is only unpacked, are never the same file.
    hasher.update(if stage.is_scratch() { b"\0scratch\0" } else { b"\0" });
    hasher.update(digest.to_string().as_bytes());
    hasher.finish().value.chars().take(16).collect()
}

/// A checkpoint in the engine's terms; none if it does not hold together.
fn restore(checkpoint: Checkpoint, version: &FileVersion, algorithm: Algorithm) -> Option<Resumed> {
    checkpoint.check().ok()?;
    // Of a file that was written to since, what is there is hashed again; so it is after a crash.
    let untouched = (checkpoint.modified, checkpoint.changed) == (version.modified, version.changed);
    let (hashed, hasher) = match checkpoint.hashed {
        hashed if hashed > 0 && untouched => (hashed, Hasher::resume(algorithm, &checkpoint.state)?),
        _ => (0, algorithm.hasher()),
    };
    let mut pieces = Pieces::default();
    for piece in &checkpoint.pieces {
        pieces.put(piece.start..piece.end, piece.origin);
    }
    Some(Resumed { pieces, origins: checkpoint.origins, hashed, hasher: Some(hasher) })
}
