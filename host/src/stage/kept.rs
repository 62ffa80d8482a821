//! A stage that outlives its process: a hidden file and its journal beside the target, both locked while they are in use.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::os::fd::BorrowedFd;
use std::os::unix::fs::MetadataExt;

use landfall_handler_api::Result;
use rustix::fs::{AtFlags, FlockOperation, Mode, OFlags};

use super::{HIDDEN_PREFIX, stage_error};
use crate::disk;
use crate::faults::Point;
use crate::target::Target;

/// The names of a kept stage.
#[derive(Debug)]
pub(super) struct Kept {
    name: OsString,
    journal_name: OsString,
    /// Whether a later run could go on from it.
    pub(super) is_worth_it: bool,
}

impl Kept {
    /// Opens, or makes, the kept stage of `key` beside `target`: names, data and journal. `None`: another process has it, or
    /// what is there is not ours.
    pub(super) fn open(target: &Target, key: &str) -> Result<Option<(Self, File, File)>> {
        let name = OsString::from(format!("{HIDDEN_PREFIX}stage-{key}"));
        let journal_name = OsString::from(format!("{HIDDEN_PREFIX}stage-{key}.journal"));
        let failed = |error: std::io::Error| stage_error(&error, "make a file in the target's directory");
        // Each with whether it is new.
        let made = |name: &OsStr, make: &dyn Fn(&OsStr) -> std::io::Result<std::os::fd::OwnedFd>| match make(name) {
            // Somebody may have opened it already.
            Ok(file) => Ok(lock(target, name, File::from(file))?.map(|file| (file, true))),
            // Another process was faster, or something else stands there.
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
                Ok(open_ours(target, name)?.map(|file| (file, false)))
            }
            Err(error) => Err(failed(error)),
        };
        let directory = target.directory();
        let Some((file, is_new)) = made(&name, &|name| disk::create_named(directory, name))? else { return Ok(None) };
        let journal = made(&journal_name, &|name| disk::create_journal(directory, name));
        if is_new && !matches!(journal, Ok(Some(_))) {
            super::remove(Point::StageUnlink, target, &name);
        }
        let kept = Self { name, journal_name, is_worth_it: false };
        Ok(journal?.map(|(journal, _)| (kept, file, journal)))
    }

    /// The data's name.
    pub(super) fn name(&self) -> &OsStr {
        &self.name
    }

    /// The journal's name.
    pub(super) fn journal_name(&self) -> &OsStr {
        &self.journal_name
    }
}

/// Opens and locks a hidden file that this user made and nobody else can reach. `None` for anything else.
fn open_ours(target: &Target, name: &OsStr) -> Result<Option<File>> {
    let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let Ok(file) = rustix::fs::openat(target.directory(), name, flags, Mode::empty()).map(File::from) else {
        return Ok(None);
    };
    lock(target, name, file)
}

fn lock(target: &Target, name: &OsStr, file: File) -> Result<Option<File>> {
    if rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
        return Ok(None);
    }
    let metadata = file.metadata().map_err(|error| stage_error(&error, "stat a kept stage"))?;
    let is_ours = metadata.is_file()
        && metadata.uid() == rustix::process::geteuid().as_raw()
        && metadata.mode() & 0o077 == 0
        && metadata.nlink() == 1;
    // Between opening and locking, its owner may have published or removed it.
    let is_named = is_named(target.directory(), name, &metadata);
    Ok(Some(file).filter(|_| is_ours && is_named))
}

/// Whether the file of this metadata is what stands under the name now.
pub(super) fn is_named(directory: BorrowedFd<'_>, name: &OsStr, metadata: &std::fs::Metadata) -> bool {
    let named = rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW);
    named.is_ok_and(|named| (named.st_dev, named.st_ino) == (metadata.dev(), metadata.ino()))
}
