//! Takes the content of a descriptor: linked, cloned or copied.

use std::fs::File;
use std::os::fd::AsFd;

use landfall_handler_api::{Error, ErrorKind, Result};

use super::again::can_clone;
use super::extents::{Extent, Extents, data_bytes};
use super::lease;
use super::pump::{pump, source_changed};
use super::{Memory, Method, Moved, Want, check_size};
use crate::digest::{Algorithm, Digest};
use crate::disk;
use crate::identity::FileVersion;
use crate::plugin::CallContext;
use crate::publish::Dress;
use crate::stage::{Stage, stage_error};
use crate::store;

/// Bytes that one `copy_file_range` is asked for, so that cancellation and progress are not far apart.
const COPY_STEP: u64 = 64 << 20;

/// Moves the content of `source` into `stage`.
pub(super) fn adopt(source: File, stage: &mut Stage, want: &Want<'_>, call: &CallContext) -> Result<Moved> {
    refuse_other_kinds(&source)?;
    let version = FileVersion::of(&source)?;
    check_size(Some(version.size), want)?;
    // A version that changed a moment ago may change again without a trace, and so may one that somebody can write to. The
    // second look makes sure that it is this version that nobody can.
    let trusted = version.is_settled()
        && match want.memory {
            Memory::Off => false,
            Memory::Local => kind_of_file_system(&source).is_some_and(store::is_local_file_system),
            Memory::Any => true,
        };
    let may_remember = trusted && lease::has_no_writer(&source) && FileVersion::of(&source)?.same_content(&version);
    let known =
        want.algorithm().filter(|_| may_remember).and_then(|algorithm| want.remembered.digest(&version, algorithm));
    let from_memory = known.is_some();
    let to_compute = if from_memory { None } else { want.algorithm() };

    let (method, computed) = if want.share && suits(&version, want.dress) && is_same_device(&version, stage)? {
        stage.share(source.try_clone().map_err(|error| Error::os(&error, "duplicate a descriptor"))?);
        (Method::Hardlink, digest_of(&source, &version, to_compute, call)?)
    } else if can_clone(&source, stage)? {
        // A source that grew since it was looked at was cloned as it is now.
        if FileVersion::of(stage.file())?.size != version.size {
            return Err(source_changed("the source's size changed while it was cloned"));
        }
        let settled = version.is_settled();
        // The source's pages are in the cache more often than the clone's, which are new ones. What is hashed there is
        // what was cloned only if nothing changed meanwhile.
        let hashed = if settled { digest_of(&source, &version, to_compute, call)? } else { None };
        let unchanged = settled && FileVersion::of(&source)?.same_content(&version);
        let digest = match (hashed, to_compute) {
            (Some(digest), _) if unchanged => Some(digest),
            (_, Some(algorithm)) => pump(stage.descriptor(), version.size, None, Some(algorithm.hasher()), call)?,
            (_, None) => None,
        };
        (Method::Reflink, digest)
    } else {
        stage.check_space(data_bytes(source.as_fd(), version.size)?)?;
        stage.set_size(version.size)?;
        if to_compute.is_none() && copies_at_server(&source, stage) && copy_range(&source, stage, &version, call)? {
            (Method::CopyRange, None)
        } else {
            let hasher = to_compute.map(Algorithm::hasher);
            let digest = pump(source.as_fd(), version.size, Some(stage.descriptor()), hasher, call)?;
            (Method::Copy, digest)
        }
    };
    // A copy was hashed as it was written, and a clone either so or with proof; everything else rests on the source, and
    // what nobody hashes must at least be of one version.
    let bytes = version.size;
    let moved = Moved {
        from_memory,
        source: Some((source, version)),
        source_must_stay: from_memory || method == Method::Hardlink || want.algorithm().is_none(),
        links: want.links,
        may_remember: may_remember && !from_memory,
        ..Moved::new(method, bytes, known.or(computed))
    };
    moved.refuse_changed_source()?;
    Ok(moved)
}

/// Handlers hand out regular files only; a plugin that does otherwise must not make the agent read a device.
fn refuse_other_kinds(source: &File) -> Result<()> {
    let metadata = source.metadata().map_err(|error| Error::os(&error, "stat the source"))?;
    if metadata.is_file() {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Denied, "not-a-regular-file", "the source is not a regular file"))
}

/// Whether the store's file is already as the target is to be: it must not be changed.
fn suits(version: &FileVersion, dress: &Dress) -> bool {
    dress.owner.is_none_or(|owner| owner == version.owner)
        && dress.mode.is_none_or(|mode| mode == version.mode)
        && dress.size.is_none_or(|size| size == version.size)
}

fn is_same_device(version: &FileVersion, stage: &Stage) -> Result<bool> {
    Ok(FileVersion::of(stage.file())?.device == version.device)
}

/// The digest of the source itself; the caller proves that nothing changed.
fn digest_of(
    source: &File,
    version: &FileVersion,
    algorithm: Option<Algorithm>,
    call: &CallContext,
) -> Result<Option<Digest>> {
    match algorithm {
        None => Ok(None),
        Some(algorithm) => pump(source.as_fd(), version.size, None, Some(algorithm.hasher()), call),
    }
}

/// Whether both files are on one file system whose server can copy: then the bytes need not come here and go back.
/// On a local file system, reading and writing costs the same and finds zeros.
fn copies_at_server(source: &File, stage: &Stage) -> bool {
    let kinds = (kind_of_file_system(source), kind_of_file_system(stage.file()));
    matches!(kinds, (Some(one), Some(two)) if one == two && !store::is_local_file_system(one))
}

/// The file system's magic number, as `statfs` gives it.
fn kind_of_file_system(file: &File) -> Option<i64> {
    rustix::fs::fstatfs(file).ok().map(|stat| stat.f_type)
}

/// Copies the source's data inside the kernel; false where that cannot be done here, with nothing copied.
fn copy_range(source: &File, stage: &Stage, version: &FileVersion, call: &CallContext) -> Result<bool> {
    let mut offset = 0_u64;
    let mut copied_any = false;
    for extent in Extents::new(source.as_fd(), version.size) {
        match extent? {
            Extent::Hole(len) => offset = offset.saturating_add(len),
            Extent::Data(len) => {
                let end = offset.saturating_add(len);
                while offset < end {
                    call.cancel.check()?;
                    let step = usize::try_from(end.saturating_sub(offset).min(COPY_STEP)).unwrap_or(usize::MAX);
                    match disk::copy_range(source.as_fd(), offset, stage.descriptor(), offset, step) {
                        Ok(0) => return Err(source_changed("the source became shorter while it was copied")),
                        Ok(copied) => offset = offset.saturating_add(copied as u64),
                        Err(error) if disk::is_missing(&error) && !copied_any => return Ok(false),
                        Err(error) => return Err(stage_error(&error, "copy the source into the stage")),
                    }
                    copied_any = true;
                    (call.progress)(offset, Some(version.size));
                }
            }
        }
    }
    Ok(true)
}
