//! Whether the staged bytes are the image: its digest, its size, and the format that the record claims.

use std::os::fd::BorrowedFd;

use landfall_handler_api::{Error, ErrorKind, Result, Scope};
use landfall_inspect::{
    Compression, ContainerFormat, Disagreement, HEAD_BYTES, RULES_VERSION, Window, agree, agree_compressed,
    agree_foreign, agree_unpacked, inspect_at, is_tar,
};
use serde::{Deserialize, Serialize};

use crate::digest::{Algorithm, Digest};
use crate::engine::Moved;
use crate::ledger::Ledger;
use crate::stage::{Stage, stage_error};
use crate::stored_form::StoredForm;

/// How the digest of what was placed is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
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
    /// How little it says: the larger, the less.
    pub(crate) fn weakness(self) -> u8 {
        match self {
            Self::Computed => 0,
            Self::Remembered => 1,
            Self::LegacyMd5 => 2,
            Self::No => 3,
        }
    }

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
    /// Bytes of the disk, however it is stored, where the record gives them.
    pub(crate) virtual_size: Option<u64>,
    /// The most that a disk may have.
    pub(crate) disk_bytes: u64,
}

impl Expected {
    /// What is remembered of bytes that were found to be of this form and size, by the rules of this version.
    pub(crate) fn verdict(&self) -> String {
        let StoredForm { disk, container, compression } = &self.form;
        let compression = compression.as_deref().unwrap_or("none");
        let (size, most) = (self.virtual_size.unwrap_or_default(), self.disk_bytes);
        format!("{RULES_VERSION} {compression} {container} {disk} {size} {most}")
    }

    /// Whether the bytes are of a version of their source that was looked at before, and found to be of this form.
    fn was_inspected(&self, moved: &Moved, ledger: &Ledger) -> bool {
        match (&moved.source, &moved.digest) {
            (Some((_, version)), Some(digest)) if moved.from_memory => {
                ledger.has_verdict(version, digest.algorithm, &self.verdict())
            }
            _ => false,
        }
    }
}

/// Checks what was moved. The digest was computed by the agent, while it moved; or it is remembered, and so is what the
/// bytes are.
pub(crate) fn verify(moved: &Moved, stage: &Stage, expected: &Expected, ledger: &Ledger) -> Result<Verified> {
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
        Some(stored) => agree_apart(stored, &expected.form, moved.unpacked).and_then(|()| {
            if !moved.unpacked {
                return refuse_other_size(moved.bytes, expected.virtual_size, "the inflated one");
            }
            // What came of them is a raw disk and nothing else.
            for disk in &moved.more {
                is_unpacked(disk.stage.descriptor(), disk.bytes)?;
            }
            // What the record says of the size is of one disk.
            refuse_other_size(
                moved.bytes,
                expected.virtual_size.filter(|_| moved.more.is_empty()),
                "the unpacked one",
            )?;
            is_unpacked(stage.descriptor(), moved.bytes)
        }),
        None if expected.was_inspected(moved, ledger) => Ok(()),
        None => window(stage.descriptor(), moved.bytes).and_then(|window| {
            agree_stored(&window, &expected.form)?;
            check_virtual_size(&window, expected)
        }),
    };
    agreed.map_err(|error| {
        // With the right digest, every other copy is as wrong as this one.
        if verified == Verified::No || error.scope_is_explicit() { error } else { error.scoped(Scope::Image) }
    })?;
    Ok(verified)
}

/// What is worth knowing of a raw disk that begins as packed bytes do: no rule tells the two apart, but people will want to.
pub(crate) fn remark(moved: &Moved, stage: &Stage, form: &StoredForm) -> Option<String> {
    if moved.stored.is_some() || form.compression.is_some() || form.container != "bare" || !form.is_raw_inside() {
        return None;
    }
    let mut head = vec![0; HEAD_BYTES];
    let read = rustix::io::pread(stage.descriptor(), &mut head, 0).unwrap_or_default();
    let head = head.get(..read).unwrap_or_default();
    let (packed, way) = match Compression::of(head) {
        Some(compression) => (compression.name(), format!("compression \"{}\"", compression.name())),
        None if is_tar(head) => ("tar", "container_format \"ova\", if they are one,".to_owned()),
        None => return None,
    };
    Some(format!(
        "the bytes begin as {packed} does, and are placed as the raw disk that they are said to be; {way} takes them apart"
    ))
}

/// A disk is not the one that the record speaks of.
fn refuse_other_size(bytes: u64, virtual_size: Option<u64>, which: &str) -> Result<()> {
    match virtual_size {
        Some(size) if size != bytes => {
            let message = format!("the record says that the disk has {size} bytes, {which} has {bytes}");
            Err(Error::new(ErrorKind::Corrupt, "virtual-size-mismatch", message))
        }
        _ => Ok(()),
    }
}

/// Holds the disk that an image as it is stored says it has against the record and the limits: whoever opens it makes the
/// file as large.
fn check_virtual_size(window: &Window, expected: &Expected) -> Result<()> {
    let StoredForm { disk, container, compression } = &expected.form;
    if compression.is_some() || container != "bare" {
        return Ok(());
    }
    let Some(bytes) = window.virtual_size() else { return Ok(()) };
    if bytes > expected.disk_bytes {
        let most = expected.disk_bytes;
        let message = format!("the image is of a disk of {bytes} bytes, more than the {most} that one may have");
        return Err(Error::new(ErrorKind::Limit, "disk-bytes", message));
    }
    // Of the others, readers differ in what they take for the size.
    let is_said = matches!(disk.as_str(), "raw" | "qcow2" | "vmdk" | "vdi" | "vhdx");
    refuse_other_size(bytes, expected.virtual_size.filter(|_| is_said), "the one in the image")
}

/// Holds each form that the bytes had on their way against the record.
fn agree_apart(stored: &[Window], form: &StoredForm, unpacked: bool) -> Result<()> {
    let packed = |window: &Window, container: &str| {
        // One without rules was known to the unpacker that took it.
        if unpacked && ContainerFormat::from_name(container).is_none() {
            agree_foreign(window, container)
        } else {
            agree(window, &form.disk, container)
        }
    };
    for (step, window) in stored.iter().enumerate() {
        match &form.compression {
            Some(compression) if step == 0 => agree_compressed(window, compression),
            _ => packed(window, form.inner_container()),
        }
        .map_err(corrupt)?;
    }
    Ok(())
}

/// Holds stored bytes against their form.
fn agree_stored(window: &Window, form: &StoredForm) -> Result<()> {
    match &form.compression {
        None => agree(window, &form.disk, &form.container),
        Some(compression) => agree_compressed(window, compression),
    }
    .map_err(corrupt)
}

/// Refuses what an unpacker made that is not a raw disk and nothing else.
fn is_unpacked(file: BorrowedFd<'_>, size: u64) -> Result<()> {
    agree_unpacked(&window(file, size)?).map_err(|disagreement| {
        let what = match &disagreement {
            Disagreement::FormatMismatch { found, .. } | Disagreement::FormatAmbiguous { found, .. } => {
                format!("may be taken for {found}")
            }
            other => other.to_string(),
        };
        let message = format!("an unpacked disk is a raw one and nothing else, this one {what}");
        Error::new(ErrorKind::Corrupt, disagreement.code(), message)
    })
}

fn corrupt(disagreement: Disagreement) -> Error {
    Error::new(ErrorKind::Corrupt, disagreement.code(), disagreement.to_string())
}

/// What the inspector looks at of a file of `size` bytes.
fn window(file: BorrowedFd<'_>, size: u64) -> Result<Window> {
    inspect_at(size, |offset, into| {
        loop {
            match rustix::io::pread(file, &mut *into, offset) {
                Err(rustix::io::Errno::INTR) => {}
                Err(errno) => return Err(stage_error(&errno.into(), "read the stage")),
                Ok(count) => return Ok(count),
            }
        }
    })
}
