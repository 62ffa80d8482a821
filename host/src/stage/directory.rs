//! The hidden directory in which the disks of one placement get their names, before it becomes the target by one rename.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;

use landfall_handler_api::{Error, ErrorKind, Result, Scope};
use rustix::fs::{Dir, FlockOperation, Mode, OFlags};

use super::{HIDDEN_PREFIX, hidden_name, kept, stage_error};
use crate::complaint::complain;
use crate::disk;
use crate::disks;
use crate::faults::Point;
use crate::target::Target;

/// What hidden directories are called.
const WHAT: &str = "disks";

/// A hidden directory beside a target, locked by its owner. Dropped without having become the target, it is removed.
#[derive(Debug)]
pub(crate) struct HiddenDirectory {
    target: Arc<Target>,
    name: OsString,
    file: File,
    is_target: bool,
}

impl HiddenDirectory {
    /// Makes one; those of dead owners are collected first.
    pub(crate) fn make(target: &Arc<Target>) -> Result<Self> {
        collect(target.directory())?;
        let name = hidden_name(WHAT)?;
        disk::make_directory(target.directory(), &name)
            .map_err(|error| stage_error(&error, "make a directory beside the target"))?;
        let opened = open(target.directory(), &name).and_then(|file| {
            rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive)?;
            Ok(file)
        });
        match opened {
            Ok(file) => Ok(Self { target: Arc::clone(target), name, file, is_target: false }),
            Err(error) => {
                remove(target.directory(), &name);
                Err(stage_error(&error, "open the directory beside the target"))
            }
        }
    }

    /// Its name.
    pub(crate) fn name(&self) -> &OsStr {
        &self.name
    }

    /// The open directory.
    pub(crate) fn file(&self) -> &File {
        &self.file
    }

    /// It has the target's name now.
    pub(crate) fn became_target(&mut self) {
        self.is_target = true;
    }
}

impl Drop for HiddenDirectory {
    fn drop(&mut self) {
        if !self.is_target {
            remove(self.target.directory(), &self.name);
        }
    }
}

fn open(parent: BorrowedFd<'_>, name: &OsStr) -> std::io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(rustix::fs::openat(parent, name, flags, Mode::empty()).map(File::from)?)
}

/// The names in an open directory.
fn entries(directory: &File) -> std::io::Result<Vec<OsString>> {
    let mut names = Vec::new();
    for entry in Dir::read_from(directory)? {
        let entry = entry?;
        let name = OsStr::from_bytes(entry.file_name().to_bytes());
        if name != "." && name != ".." {
            names.push(name.to_owned());
        }
    }
    Ok(names)
}

/// Refuses a directory that holds what no placement put there.
pub(crate) fn refuse_foreign(parent: BorrowedFd<'_>, name: &OsStr) -> Result<()> {
    let failed = |error: std::io::Error| Error::os(&error, "list the placed directory").scoped(Scope::Request);
    let names = open(parent, name).and_then(|file| entries(&file)).map_err(failed)?;
    match names.iter().find(|name| !name.to_str().is_some_and(disks::is_own)) {
        None => Ok(()),
        Some(foreign) => {
            let shown = crate::redact::printable(&foreign.to_string_lossy());
            let message = format!("the directory also holds {shown}, which was not placed there");
            Err(Error::new(ErrorKind::Denied, "directory-not-ours", message).scoped(Scope::Request))
        }
    }
}

/// Removes a directory and what a placement put there. What somebody else put there keeps it.
pub(crate) fn remove_with_disks(parent: BorrowedFd<'_>, name: &OsStr) -> std::io::Result<()> {
    let file = match open(parent, name) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        opened => opened?,
    };
    for entry in entries(&file)? {
        if entry.to_str().is_some_and(disks::is_own) {
            match disk::unlink(Point::DirectoryUnlink, file.as_fd(), &entry) {
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                done => done?,
            }
        }
    }
    match disk::remove_directory(parent, name) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}

/// As [`remove_with_disks`]. What cannot be removed now is collected later: its lock goes with this process.
fn remove(parent: BorrowedFd<'_>, name: &OsStr) {
    if let Err(error) = remove_with_disks(parent, name) {
        complain(format_args!("could not remove the directory {}: {error}", name.display()));
    }
}

/// Removes the hidden directories whose owner is gone: nobody goes on with one.
fn collect(parent: BorrowedFd<'_>) -> Result<()> {
    let failed = |error: std::io::Error| stage_error(&error, "list the target's directory");
    let listed = Dir::read_from(parent).map_err(|errno| failed(errno.into()))?;
    let prefix = format!("{HIDDEN_PREFIX}{WHAT}-");
    for entry in listed {
        let entry = entry.map_err(|errno| failed(errno.into()))?;
        let name = OsStr::from_bytes(entry.file_name().to_bytes());
        if !name.as_bytes().starts_with(prefix.as_bytes()) {
            continue;
        }
        let Ok(file) = open(parent, name) else { continue };
        let Ok(metadata) = file.metadata() else { continue };
        let is_free = rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok();
        if is_free && kept::is_named(parent, name, &metadata) {
            remove(parent, name);
        }
    }
    Ok(())
}
