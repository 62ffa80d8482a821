//! Whether the staged bytes are the image: its digest, its size, and the format that the record claims.

use std::os::fd::BorrowedFd;

use landfall_handler_api::{Error, ErrorKind, Result, Scope};
use landfall_inspect::{Compression, Window};
use serde::{Deserialize, Serialize};

use crate::digest::{Algorithm, Digest};
use crate::engine::{Moved, StoredWindow};
use crate::stage::{Stage, stage_error};
use crate::stored_form::StoredForm;

/// How the digest of what was placed is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Verified {
    /// It was computed now, over the bytes that were placed.
    Computed,
    /// It was computed before, over the same version of the source.
    Remembered,
    /// It is only an MD5, which does not withstand an attacker.
    LegacyMd5,
    /// It is not known: the operator or the caller wanted none.
    No,
}

impl Verified {
    /// The kebab-case name, as in JSON.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Computed => "computed",
            Self::Remembered => "remembered",
            Self::LegacyMd5 => "legacy-md5",
            Self::No => "no",
        }
    }
}

/// What the stage must hold.
#[derive(Debug, Clone)]
pub(crate) struct Expected {
    /// The digest of the stored bytes; `None` where nobody wants it checked.
    pub(crate) digest: Option<Digest>,
    /// The form of the stored bytes.
    pub(crate) form: StoredForm,
    /// Bytes of the disk that is unpacked, where the record gives them.
    pub(crate) virtual_size: Option<u64>,
}

/// Checks what was moved. The digest was computed by the agent, while it moved.
pub(crate) fn verify(moved: &Moved, stage: &Stage, expected: &Expected) -> Result<Verified> {
    let verified = match (&expected.digest, &moved.digest) {
        (None, _) => Verified::No,
        (Some(expected), Some(found)) if expected == found => match (expected.algorithm, moved.from_memory) {
            (Algorithm::Md5, _) => Verified::LegacyMd5,
            (_, true) => Verified::Remembered,
            (_, false) => Verified::Computed,
        },
        (Some(expected), found) => {
            let found = found.as_ref().map_or_else(|| "nothing".to_owned(), Digest::to_string);
            let message = format!("the record says {expected}, the stored bytes are {found}");
            return Err(Error::new(ErrorKind::Corrupt, "digest-mismatch", message));
        }
    };
    let agreed = match &moved.stored {
        // The bytes that were taken apart are what the record says, at every step.
        Some(stored) => agree_apart(stored, &expected.form).and_then(|()| {
            if !moved.unpacked {
                return Ok(());
            }
            // What came of them is a raw disk and nothing else.
            let is_raw = |window: &Window<'_>| agree(window, "raw", "bare");
            for disk in &moved.more {
                inspect(disk.stage.descriptor(), disk.bytes, is_raw)?;
            }
            // What the record says of the size is of one disk.
            refuse_other_size(moved.bytes, expected.virtual_size.filter(|_| moved.more.is_empty()))?;
            inspect(stage.descriptor(), moved.bytes, is_raw)
        }),
        None => inspect(stage.descriptor(), moved.bytes, |window| agree_stored(window, &expected.form)),
    };
    agreed.map_err(|error| {
        // With the right digest, every other copy is as wrong as this one.
        if verified == Verified::No || error.scope_is_explicit() { error } else { error.scoped(Scope::Image) }
    })?;
    Ok(verified)
}

/// The disk that came of unpacking is not the one that the record speaks of.
fn refuse_other_size(bytes: u64, virtual_size: Option<u64>) -> Result<()> {
    match virtual_size {
        Some(size) if size != bytes => {
            let message = format!("the record says that the disk has {size} bytes, the unpacked one has {bytes}");
            Err(Error::new(ErrorKind::Corrupt, "virtual-size-mismatch", message))
        }
        _ => Ok(()),
    }
}

/// Holds each form that the bytes had on their way against the record.
fn agree_apart(stored: &[StoredWindow], form: &StoredForm) -> Result<()> {
    let Some((first, rest)) = stored.split_first() else { return Ok(()) };
    agree_stored(&first.window(), form)?;
    rest.iter().try_for_each(|inflated| agree(&inflated.window(), &form.disk, form.inner_container()))
}

/// Holds stored bytes against their form.
fn agree_stored(window: &Window<'_>, form: &StoredForm) -> Result<()> {
    match form.compression {
        None => agree(window, &form.disk, &form.container),
        Some(compression) if Compression::of(window.head) == Some(compression) => Ok(()),
        Some(compression) => {
            let message = format!("the record says {compression}, and the bytes do not begin as that");
            Err(Error::new(ErrorKind::Corrupt, "compression-mismatch", message))
        }
    }
}

fn agree(window: &Window<'_>, disk_format: &str, container_format: &str) -> Result<()> {
    landfall_inspect::agree(window, disk_format, container_format)
        .map_err(|disagreement| Error::new(ErrorKind::Corrupt, disagreement.code(), disagreement.to_string()))
}

/// Shows the first and last bytes of a file to `judge`.
fn inspect(file: BorrowedFd<'_>, size: u64, judge: impl FnOnce(&Window<'_>) -> Result<()>) -> Result<()> {
    let head = read(file, 0, size.min(landfall_inspect::HEAD_BYTES as u64))?;
    let tail_len = size.min(landfall_inspect::TAIL_BYTES as u64);
    let tail = read(file, size.saturating_sub(tail_len), tail_len)?;
    judge(&Window { head: &head, tail: &tail, size })
}

fn read(file: BorrowedFd<'_>, offset: u64, len: u64) -> Result<Vec<u8>> {
    let mut bytes = vec![0; usize::try_from(len).unwrap_or(0)];
    let mut filled = 0_usize;
    while filled < bytes.len() {
        let rest = bytes.get_mut(filled..).unwrap_or_default();
        match rustix::io::pread(file, rest, offset.saturating_add(filled as u64)) {
            Err(rustix::io::Errno::INTR) => {}
            Err(errno) => return Err(stage_error(&errno.into(), "read the stage")),
            Ok(0) => break,
            Ok(now) => filled = filled.saturating_add(now),
        }
    }
    bytes.truncate(filled);
    Ok(bytes)
}
