//! Publishes several disks as one directory: all of them under its name, or nothing.

use std::ffi::OsStr;
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use landfall_handler_api::{Error, ErrorKind, Result, Scope};

use super::{DEFAULT_MODE, Dress, Published, put_on, settle};
use crate::complaint::complain;
use crate::disk;
use crate::disks::{self, Described, DescribedImage};
use crate::engine::Moved;
use crate::faults::Point;
use crate::identity::FileVersion;
use crate::ledger::{Facts, Job, Ledger, PlacedDisk};
use crate::stage::{HiddenDirectory, Stage, remove_with_disks, stage_error};
use crate::target::{Occupant, Target, exists};

/// The disks of one image, for a directory.
pub(crate) struct Part<'a> {
    /// Its name in a group of images.
    pub(crate) name: Option<&'a str>,
    /// The image's id.
    pub(crate) image: Option<&'a str>,
    /// The first disk.
    pub(crate) stage: &'a mut Stage,
    /// How it came, and those that follow it.
    pub(crate) moved: &'a mut Moved,
}

/// Publishes the disks of all `parts` as the directory `target`. When this fails, nothing stands there.
pub(crate) fn publish_directory(
    target: &Arc<Target>,
    parts: &mut [Part<'_>],
    dress: &Dress,
    ledger: &Ledger,
    job: &Job,
    facts: &mut Facts,
) -> Result<Published> {
    let directory = HiddenDirectory::make(target)?;
    let images: Vec<DescribedImage<'_>> = parts.iter().map(described).collect();
    let document = disks::document(&images)?;
    let sizes: Vec<u64> = images.iter().flat_map(|image| &image.disks).map(|disk| disk.bytes).collect();
    let names = images.iter().flat_map(|image| image.disks.iter().map(|_| image.name.map(str::to_owned)));
    facts.disks = (0..)
        .zip(sizes.iter().zip(names))
        .map(|(number, (bytes, image_name))| PlacedDisk { file: disks::file_name(number), bytes: *bytes, image_name })
        .collect();
    facts.bytes = sizes.iter().fold(0, |all, bytes| u64::saturating_add(all, *bytes));
    let mut files = Vec::new();
    let stages = parts.iter_mut().flat_map(|Part { stage, moved, .. }| {
        std::iter::once(&mut **stage).chain(moved.more.iter_mut().map(|disk| &mut disk.stage))
    });
    for ((number, stage), bytes) in (0..).zip(stages).zip(sizes) {
        put_on(stage, bytes, dress)?;
        bring_in(stage, directory.file(), disks::file_name(number).as_ref())?;
        let file = stage.file().try_clone();
        files.push(file.map_err(|error| stage_error(&error, "duplicate the stage's descriptor"))?);
    }
    files.push(write_document(directory.file(), &document, dress)?);
    put_on_directory(directory.file(), dress)?;
    for file in &files {
        disk::sync_file(file.as_fd()).map_err(|error| stage_error(&error, "sync a disk"))?;
    }
    disk::sync_directory(Point::DirectorySync, directory.file().as_fd())
        .map_err(|error| stage_error(&error, "sync the directory of the disks"))?;
    let unchanged = || parts.iter().try_for_each(|part| part.moved.refuse_changed_source());
    announce_and_name(directory, target, &unchanged, ledger, job, facts)
}

fn described<'a>(part: &'a Part<'_>) -> DescribedImage<'a> {
    let moved = &*part.moved;
    let mut disks = vec![Described { bytes: moved.bytes, meta: &moved.meta }];
    disks.extend(moved.more.iter().map(|disk| Described { bytes: disk.bytes, meta: &disk.meta }));
    DescribedImage { name: part.name, image: part.image, disks, machine: moved.machine.as_ref() }
}

/// Gives a staged disk its name in the directory.
fn bring_in(stage: &mut Stage, directory: &File, name: &OsStr) -> Result<()> {
    let failed = |error: std::io::Error| stage_error(&error, "name a disk");
    let target = stage.target();
    match stage.hidden_name() {
        None => disk::link(Point::DirectoryLink, stage.file(), directory.as_fd(), name).map_err(failed),
        Some(hidden) => {
            disk::rename_new(Point::DirectoryLink, target.directory(), hidden, directory.as_fd(), name)
                .or_else(|error| {
                    if !disk::is_missing(&error) {
                        return Err(error);
                    }
                    // Nobody else has a name in this directory.
                    disk::link(Point::DirectoryLink, stage.file(), directory.as_fd(), name)?;
                    disk::unlink(Point::PublishUnlink, target.directory(), hidden)
                })
                .map_err(failed)?;
            stage.forget_hidden_name();
            Ok(())
        }
    }
}

fn write_document(directory: &File, document: &[u8], dress: &Dress) -> Result<File> {
    let failed = |error: std::io::Error| stage_error(&error, "write the document of the disks");
    let write = || -> std::io::Result<File> {
        let file = disk::create_document(directory.as_fd(), OsStr::new(disks::DOCUMENT))?;
        disk::write_document(file.as_fd(), document)?;
        if let Some((uid, gid)) = dress.owner {
            disk::set_owner(file.as_fd(), uid, gid)?;
        }
        disk::set_mode(file.as_fd(), dress.mode.unwrap_or(DEFAULT_MODE))?;
        Ok(File::from(file))
    };
    write().map_err(failed)
}

/// Owner and mode: whoever may read the disks may also enter.
fn put_on_directory(directory: &File, dress: &Dress) -> Result<()> {
    let failed = |error: std::io::Error| stage_error(&error, "set owner and mode of the directory of the disks");
    if let Some((uid, gid)) = dress.owner {
        disk::set_owner(directory.as_fd(), uid, gid).map_err(failed)?;
    }
    let mode = dress.mode.unwrap_or(DEFAULT_MODE) & 0o777;
    let enter = (mode & 0o444) >> 2;
    disk::set_mode(directory.as_fd(), mode | enter).map_err(failed)
}

fn announce_and_name(
    mut directory: HiddenDirectory,
    target: &Target,
    unchanged: &dyn Fn() -> Result<()>,
    ledger: &Ledger,
    job: &Job,
    facts: &Facts,
) -> Result<Published> {
    let identity = FileVersion::of(directory.file())?.identity;
    let turn = ledger.lock_path(target.path())?;
    let id = ledger.intend(job, target.path(), Some(directory.name()), &identity, facts)?;
    let hidden = Some(directory.name().to_owned());
    let published = Published { id, bytes: facts.bytes, identity, directory: hidden, _turn: turn };
    if let Err(error) = unchanged().and_then(|()| name(&directory, target)) {
        settle(target, &published, ledger);
        return Err(error);
    }
    directory.became_target();
    if let Err(error) = disk::sync_directory(Point::PublishSyncDirectory, target.directory()) {
        withdraw(target, &published, ledger);
        return Err(stage_error(&error, "sync the target's directory"));
    }
    Ok(published)
}

/// Gives the hidden directory the target's name, which must not exist.
fn name(directory: &HiddenDirectory, target: &Target) -> Result<()> {
    let parent = target.directory();
    match disk::rename_new(Point::PublishRename, parent, directory.name(), parent, target.name()) {
        Err(error) if error.raw_os_error() == Some(libc::EEXIST) => {
            Err(exists("exists", format!("{} appeared in the meantime", target.path().display())))
        }
        Err(error) if disk::is_missing(&error) => Err(Error::new(
            ErrorKind::Unsupported,
            "no-exclusive-rename",
            "the target's file system cannot give a directory a name without replacing what has it",
        )
        .scoped(Scope::Node)),
        done => done.map_err(|error| stage_error(&error, "name the target")),
    }
}

/// Takes back the name that the directory was given, and the directory, when the rest cannot be completed.
pub(super) fn withdraw(target: &Target, published: &Published, ledger: &Ledger) {
    if let Err(error) = take_back(target, published) {
        complain(format_args!("{} is left there: {error}", target.path().display()));
    }
    settle(target, published, ledger);
}

fn take_back(target: &Target, published: &Published) -> Result<()> {
    let Some(hidden) = &published.directory else { return Ok(()) };
    let is_ours =
        matches!(target.occupant()?, Some(Occupant::Directory(found)) if found.identity.is(&published.identity));
    if !is_ours {
        return Ok(());
    }
    let parent: BorrowedFd<'_> = target.directory();
    disk::rename_new(Point::PublishRename, parent, target.name(), parent, hidden)
        .and_then(|()| remove_with_disks(parent, hidden))
        .map_err(|error| stage_error(&error, "take the target back"))
}
