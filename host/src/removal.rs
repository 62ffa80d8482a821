//! Removes and moves placements: only what the ledger knows, and only while it is still the inode that was placed.

use std::os::fd::OwnedFd;
use std::path::Path;

use landfall_handler_api::{Error, ErrorKind, Result, Scope};
use rustix::fs::{Mode, OFlags};

use crate::complaint::complain;
use crate::disk;
use crate::engine::Method;
use crate::faults::Point;
use crate::identity::FileVersion;
use crate::ledger::{Ledger, Placement};
use crate::stage::{hidden_name, refuse_foreign, remove_with_disks};
use crate::target::{Target, exists};

/// Removes the placement at `target`; gives what it was. `allowed` may refuse it.
pub(crate) fn remove(
    ledger: &Ledger,
    target: &Target,
    allowed: &dyn Fn(&Placement) -> Result<()>,
) -> Result<Placement> {
    let _turn = ledger.lock_path(target.path())?;
    let placement = ours(ledger, target, allowed)?;
    let store_file = shared_file(target, &placement);
    let job = ledger.begin_job()?;
    let hidden = if placement.facts.disks.is_empty() {
        None
    } else {
        refuse_foreign(target.directory(), target.name())?;
        Some(hidden_name("removed")?)
    };
    ledger.intend_remove(&job, &placement, hidden.as_deref())?;
    // All disks of a directory go at once.
    let gone = match &hidden {
        None => disk::unlink(Point::RemoveUnlink, target.directory(), target.name()),
        Some(hidden) => {
            let parent = target.directory();
            disk::rename_new(Point::RemoveRename, parent, target.name(), parent, hidden)
        }
    };
    if let Err(error) = gone {
        ledger.restore(&placement)?;
        let what = format_args!("remove {}", target.path().display());
        return Err(Error::os(&error, what).scoped(Scope::Request));
    }
    // From here on the placement is gone; when the next call fails, a power cut may bring it back, and the ledger then says
    // so at its next start, or goes on with the directory.
    if let Some(hidden) = &hidden {
        remove_with_disks(target.directory(), hidden)
            .map_err(|error| Error::os(&error, "remove the disks of a directory").scoped(Scope::Node))?;
    }
    disk::sync_directory(Point::RemoveSyncDirectory, target.directory())
        .map_err(|error| Error::os(&error, "sync the directory of what was removed").scoped(Scope::Node))?;
    ledger.forget(&placement, &record(&placement, None))?;
    if let Some((file, before)) = store_file {
        // Best effort: at worst the store's file is hashed once more.
        if let Err(error) = FileVersion::of(&file).and_then(|now| ledger.carry(&before, &now)) {
            complain(format_args!("the digest of the store's file is not remembered: {error}"));
        }
    }
    Ok(placement)
}

/// The store's file behind a hard link, whose inode loses a name.
fn shared_file(target: &Target, placement: &Placement) -> Option<(OwnedFd, FileVersion)> {
    if placement.facts.method != Method::Hardlink {
        return None;
    }
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = rustix::fs::openat(target.directory(), target.name(), flags, Mode::empty()).ok()?;
    let version = FileVersion::of(&file).ok()?;
    version.identity.is(&placement.identity).then_some((file, version))
}

/// Moves the placement at `source` to `target` within one file system; gives what it was. `allowed` may refuse it.
pub(crate) fn rename(
    ledger: &Ledger,
    source: &Target,
    target: &Target,
    allowed: &dyn Fn(&Placement) -> Result<()>,
) -> Result<Placement> {
    // In one order for all, so that two moves do not wait for each other.
    let mut paths = [source.path(), target.path()];
    paths.sort_unstable();
    let _first = ledger.lock_path(paths[0])?;
    let _second = if paths[0] == paths[1] { None } else { Some(ledger.lock_path(paths[1])?) };
    let placement = ours(ledger, source, allowed)?;
    target.refuse_occupied(false)?;
    let job = ledger.begin_job()?;
    ledger.intend_move(&job, &placement, target.path())?;
    if let Err(error) = rename_new(source, target) {
        ledger.restore(&placement)?;
        return Err(error);
    }
    let sync = |point, directory| {
        disk::sync_directory(point, directory)
            .map_err(|error| Error::os(&error, "sync a directory of the move").scoped(Scope::Node))
    };
    sync(Point::MoveSyncTarget, target.directory())?;
    sync(Point::MoveSyncSource, source.directory())?;
    ledger.confirm_move(&placement, target.path(), &record(&placement, Some(target.path())))?;
    Ok(placement)
}

/// The rename itself. A file system without a rename that replaces nothing gets a second name and loses the first.
fn rename_new(source: &Target, target: &Target) -> Result<()> {
    let shown = target.path().display();
    let renamed =
        disk::rename_new(Point::MoveRename, source.directory(), source.name(), target.directory(), target.name());
    match renamed {
        Ok(()) => Ok(()),
        Err(error) if error.raw_os_error() == Some(libc::EEXIST) => {
            Err(exists("exists", format!("{shown} appeared in the meantime")))
        }
        Err(error) if error.raw_os_error() == Some(libc::EXDEV) => {
            let message = format!("{shown} is on another file system; place the image there instead");
            Err(Error::new(ErrorKind::Unsupported, "other-file-system", message).scoped(Scope::Request))
        }
        Err(error) => Err(Error::os(&error, format_args!("move to {shown}")).scoped(Scope::Request)),
    }
}

/// The placement that stands at `target`, if whoever asks may have it changed.
fn ours(ledger: &Ledger, target: &Target, allowed: &dyn Fn(&Placement) -> Result<()>) -> Result<Placement> {
    let path = target.path().display();
    let refuse =
        |kind, code: &'static str, message: String| Err(Error::new(kind, code, message).scoped(Scope::Request));
    let placement = ledger.placement_at(target.path())?;
    placement.iter().try_for_each(allowed)?;
    match (target.occupant()?, placement) {
        (None, None) => refuse(ErrorKind::NotFound, "no-placement", format!("there is nothing at {path}")),
        (None, Some(placement)) => {
            ledger.forget_gone(&placement, &record(&placement, None))?;
            let message = format!("the placement at {path} is gone already; the ledger has forgotten it");
            refuse(ErrorKind::NotFound, "placement-gone", message)
        }
        (Some(occupant), Some(placement)) if occupant.is(&placement.identity) => Ok(placement),
        (Some(_), Some(_)) => {
            let message = format!("what stands at {path} is not the file that was placed there");
            refuse(ErrorKind::Denied, "not-the-placement", message)
        }
        (Some(_), None) => refuse(ErrorKind::Denied, "not-a-placement", format!("{path} was not placed by Landfall")),
    }
}

fn record(placement: &Placement, to: Option<&Path>) -> serde_json::Value {
    let from = to.map(|_| placement.path.to_string_lossy());
    serde_json::json!({
        "placement": placement.id, "placed": placement.facts, "from": from, "to": to.map(Path::to_string_lossy),
    })
}
