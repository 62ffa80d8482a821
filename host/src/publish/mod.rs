//! Makes a verified stage visible: all of it under its name, or nothing.

mod directory;

use std::ffi::OsString;

use landfall_handler_api::{Error, ErrorKind, Result, Scope};

use crate::complaint::complain;
use crate::disk;
use crate::engine::Moved;
use crate::faults::Point;
use crate::identity::{FileIdentity, FileVersion};
use crate::ledger::{Facts, Job, Ledger, PathLock};
use crate::stage::{Stage, hidden_name, stage_error};
use crate::target::{Occupant, Target, exists, occupant};

pub(crate) use directory::{Part, publish_directory};

/// How the target is to be, apart from its bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Dress {
    /// Owner and group, where they are not to be the caller's.
    pub(crate) owner: Option<(u32, u32)>,
    /// Permission bits; `None` is 0600, or a shared file's own.
    pub(crate) mode: Option<u32>,
    /// Grow to this many bytes.
    pub(crate) size: Option<u64>,
    /// Take the place of a regular file.
    pub(crate) replace: bool,
}

/// The code of a hard link that cannot be made; the same attempt is made again without one.
pub(crate) const LINK_REFUSED: &str = "link-refused";

/// Permission bits of a target that nobody chose any for.
pub(crate) const DEFAULT_MODE: u32 = 0o600;

/// A stage that has its name. The ledger still has to confirm it.
#[derive(Debug)]
pub(crate) struct Published {
    /// The ledger's number of the announced placement.
    pub(crate) id: i64,
    /// Bytes of the target.
    pub(crate) bytes: u64,
    /// The inode that was given the target's name.
    identity: FileIdentity,
    /// The hidden name that it had, where it is a directory of disks.
    directory: Option<OsString>,
    /// Keeps others from changing the target until the ledger knows.
    _turn: PathLock,
}

/// Publishes `stage`. When this fails, the target is as it was, except after a replacement whose directory could not be
/// synced: the new disk then stands there, complete, and is in the ledger.
pub(crate) fn publish(
    stage: &mut Stage,
    moved: &Moved,
    dress: &Dress,
    ledger: &Ledger,
    job: &Job,
    mut facts: Facts,
) -> Result<Published> {
    let target = stage.target();
    if !stage.is_shared() {
        put_on(stage, moved.bytes, dress)?;
    }
    disk::sync_file(stage.descriptor()).map_err(|error| stage_error(&error, "sync the stage"))?;
    let version = FileVersion::of(stage.file())?;
    facts.bytes = version.size;
    // A name that cannot be given in one step needs one on the way.
    let spare = if dress.replace && stage.hidden_name().is_none() {
        Some(hidden_name("spare")?)
    } else {
        stage.hidden_name().map(ToOwned::to_owned)
    };
    let turn = ledger.lock_path(target.path())?;
    let id = ledger.intend(job, target.path(), spare.as_deref(), &version.identity, &facts)?;
    let published = Published { id, bytes: version.size, identity: version.identity, directory: None, _turn: turn };
    if let Err(error) = moved.refuse_changed_source().and_then(|()| name(stage, spare, dress.replace)) {
        // What stands at the target then is not of this stage's giving, even where it is the inode of a shared one.
        if stage.is_shared() && !dress.replace {
            drop_intent(&published, ledger);
        } else {
            settle(&target, &published, ledger);
        }
        // Its data went with the announcement, or will.
        stage.forget_progress();
        return Err(error);
    }
    if let Err(error) = disk::sync_directory(Point::PublishSyncDirectory, target.directory()) {
        withdraw(stage, &published, dress.replace, ledger);
        return Err(stage_error(&error, "sync the target's directory"));
    }
    Ok(published)
}

/// Takes back an announcement of what did not happen, whatever stands at the target.
fn drop_intent(published: &Published, ledger: &Ledger) {
    if let Err(error) = ledger.drop_intent(published.id) {
        complain(format_args!("placement {} is not settled yet: {error}", published.id));
    }
}

/// Takes back a name that this placement was given, when the rest cannot be completed. A disk that took another's place
/// stays: the other is gone, and this one is exact.
pub(crate) fn withdraw(stage: &Stage, published: &Published, replaced: bool, ledger: &Ledger) {
    let target = stage.target();
    if published.directory.is_some() {
        return directory::withdraw(&target, published, ledger);
    }
    let take_back = || -> Result<()> {
        let identity = &published.identity;
        let is_ours = matches!(target.occupant()?, Some(Occupant::File(version)) if version.identity.is(identity));
        if is_ours && !replaced {
            disk::unlink(Point::PublishUnlink, target.directory(), target.name())
                .map_err(|error| stage_error(&error, "take the target back"))?;
        }
        Ok(())
    };
    if let Err(error) = take_back() {
        complain(format_args!("{} is left there: {error}", target.path().display()));
    }
    settle(&target, published, ledger);
}

/// Lets the ledger say what the disk shows. What cannot be settled now stays announced, and the next start settles it.
fn settle(target: &Target, published: &Published, ledger: &Ledger) {
    if let Err(error) = ledger.settle_intent(published.id) {
        complain(format_args!("{} is not settled yet: {error}", target.path().display()));
    }
}

/// Size and mode. The owner was set when the stage was opened: a change of owner may clear bits of the mode.
fn put_on(stage: &Stage, bytes: u64, dress: &Dress) -> Result<()> {
    if let Some(size) = dress.size {
        if size < bytes {
            return Err(size_too_small(bytes, size));
        }
        stage.set_size(size)?;
    }
    stage.hand_over()?;
    disk::set_mode(stage.descriptor(), dress.mode.unwrap_or(DEFAULT_MODE))
        .map_err(|error| stage_error(&error, "set the target's mode"))
}

/// A disk is grown, never cut.
pub(crate) fn size_too_small(bytes: u64, size: u64) -> Error {
    let message = format!("the disk has {bytes} bytes and is not cut to {size}");
    Error::new(ErrorKind::Invalid, "size-too-small", message).scoped(Scope::Request)
}

fn name(stage: &mut Stage, spare: Option<OsString>, replace: bool) -> Result<()> {
    match spare {
        None => link(stage),
        Some(spare) if stage.hidden_name().is_some() => {
            if replace { rename_over(stage, &spare) } else { rename_new(stage, &spare) }?;
            stage.forget_hidden_name();
            Ok(())
        }
        Some(spare) => {
            let target = stage.target();
            let directory = target.directory();
            disk::link(Point::PublishLink, stage.file(), directory, &spare)
                .map_err(|error| link_error(stage, &error))?;
            let renamed = rename_over(stage, &spare);
            // Still there after a failure, and after a rename between two names of one inode, which does nothing.
            if renamed.is_err() || stage.is_shared() {
                match disk::unlink(Point::PublishUnlink, directory, &spare) {
                    Err(error) if error.raw_os_error() != Some(libc::ENOENT) => {
                        return Err(stage_error(&error, "remove a spare name"));
                    }
                    _ => {}
                }
            }
            renamed
        }
    }
}

fn link(stage: &Stage) -> Result<()> {
    let target = stage.target();
    match disk::link(Point::PublishLink, stage.file(), target.directory(), target.name()) {
        Err(error) if error.raw_os_error() == Some(libc::EEXIST) => Err(appeared(stage)),
        done => done.map_err(|error| link_error(stage, &error)),
    }
}

/// A name could not be given. For the store's own file that is no reason to fail: too many links, another file system
/// behind the same device number, or a kernel that does not let this user link it.
fn link_error(stage: &Stage, error: &std::io::Error) -> Error {
    match error.raw_os_error() {
        Some(libc::EMLINK | libc::EXDEV | libc::EPERM | libc::EACCES) if stage.is_shared() => {
            Error::os(error, "link the store's file").coded(LINK_REFUSED).scoped(Scope::Location)
        }
        _ => stage_error(error, "name the target"),
    }
}

/// Gives a hidden stage the target's name: by a rename that replaces nothing, else by a second name and the removal of the
/// first.
fn rename_new(stage: &Stage, hidden: &std::ffi::OsStr) -> Result<()> {
    let target = stage.target();
    let directory = target.directory();
    match disk::rename_new(Point::PublishRename, directory, hidden, directory, target.name()) {
        Err(error) if error.raw_os_error() == Some(libc::EEXIST) => Err(appeared(stage)),
        Err(error) if disk::is_missing(&error) => {
            link(stage)?;
            disk::unlink(Point::PublishUnlink, directory, hidden).map_err(|error| {
                // The name just given goes again. Where that fails too, the ledger finds both.
                let _ = disk::unlink(Point::PublishUnlink, directory, target.name());
                stage_error(&error, "remove the stage's own name")
            })
        }
        done => done.map_err(|error| stage_error(&error, "name the target")),
    }
}

fn rename_over(stage: &Stage, from: &std::ffi::OsStr) -> Result<()> {
    let target = stage.target();
    // Between the check and the rename only another regular file can take the name unseen by this: a rename over a
    // directory fails, and a link or FIFO is looked for here.
    match occupant(target.directory(), target.name())? {
        None | Some(Occupant::File(_)) => {}
        Some(other) => {
            return Err(exists("exists-not-a-file", format!("{} is a {}", target.path().display(), other.word())));
        }
    }
    disk::rename_over(Point::PublishReplace, target.directory(), from, target.name())
        .map_err(|error| stage_error(&error, "replace the target"))
}

fn appeared(stage: &Stage) -> Error {
    exists("exists", format!("{} appeared in the meantime", stage.target().path().display()))
}
