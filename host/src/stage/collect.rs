//! Removes hidden stages whose owner is gone.

use std::os::fd::BorrowedFd;
use std::os::unix::ffi::OsStrExt;
use std::time::{Duration, SystemTime};

use landfall_handler_api::Result;
use rustix::fs::{Dir, FlockOperation, Mode, OFlags};

use super::{HIDDEN_PREFIX, kept, stage_error};
use crate::complaint::complain;
use crate::disk;
use crate::faults::Point;

/// Removes every hidden stage of `directory` that nobody locks and whose content is older than `keep`.
pub(super) fn collect(directory: BorrowedFd<'_>, keep: Duration) -> Result<()> {
    let entries =
        Dir::read_from(directory).map_err(|errno| stage_error(&errno.into(), "list the target's directory"))?;
    let prefix = format!("{HIDDEN_PREFIX}stage-");
    for entry in entries {
        let entry = entry.map_err(|errno| stage_error(&errno.into(), "list the target's directory"))?;
        let name = std::ffi::OsStr::from_bytes(entry.file_name().to_bytes());
        if !name.as_bytes().starts_with(prefix.as_bytes()) {
            continue;
        }
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        // One that went in the meantime, or that is no file of ours, is nobody's concern here.
        let Ok(file) = rustix::fs::openat(directory, name, flags, Mode::empty()).map(std::fs::File::from) else {
            continue;
        };
        let Ok(metadata) = file.metadata() else { continue };
        let age = metadata.modified().ok().and_then(|time| SystemTime::now().duration_since(time).ok());
        let old = metadata.is_file() && age.is_some_and(|age| age >= keep);
        let is_free = || rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok();
        // Between opening and locking, another file may have come to stand under its name.
        if old && is_free() && kept::is_named(directory, name, &metadata) {
            match disk::unlink(Point::StageCollect, directory, name) {
                // Another process was faster.
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                // Whoever comes next tries again.
                Err(error) => complain(format_args!("could not remove the dead stage {}: {error}", name.display())),
                Ok(()) => {}
            }
        }
    }
    Ok(())
}
