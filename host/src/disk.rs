//! Every call that changes the disk, each through its fault point, each retried when a signal interrupts it.
//!
//! Names are always single components relative to an open directory, so that no path is resolved twice.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, FallocateFlags, Gid, Mode, OFlags, RenameFlags, Uid};
use rustix::io::Errno;

use crate::faults::{self, Point};

/// Permissions of a file that is not published yet.
const STAGE_MODE: Mode = Mode::from_raw_mode(0o600);

/// Runs a call again for as long as signals interrupt it.
pub(crate) fn retry<T>(mut action: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match action() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            done => return done,
        }
    }
}

/// Makes a nameless file on the directory's file system.
pub(crate) fn create_anonymous(directory: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    retry(|| {
        faults::call(Point::StageAnonymous, || {
            let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
            Ok(rustix::fs::openat(directory, ".", flags, STAGE_MODE)?)
        })
    })
}

/// Makes the file `name`, which must not exist.
pub(crate) fn create_named(directory: BorrowedFd<'_>, name: &OsStr) -> io::Result<OwnedFd> {
    retry(|| {
        faults::call(Point::StageNamed, || {
            let flags = OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::RDWR | OFlags::CLOEXEC;
            Ok(rustix::fs::openat(directory, name, flags, STAGE_MODE)?)
        })
    })
}

/// Makes `target` share all of `source`'s blocks (FICLONE).
pub(crate) fn clone(target: BorrowedFd<'_>, source: BorrowedFd<'_>) -> io::Result<()> {
    retry(|| faults::call(Point::StageClone, || Ok(rustix::fs::ioctl_ficlone(target, source)?)))
}

/// Copies up to `len` bytes inside the kernel; gives how many, 0 at the source's end.
pub(crate) fn copy_range(
    source: BorrowedFd<'_>,
    source_offset: u64,
    target: BorrowedFd<'_>,
    offset: u64,
    len: usize,
) -> io::Result<usize> {
    retry(|| {
        faults::call(Point::StageCopyRange, || {
            let (mut from, mut to) = (source_offset, offset);
            let now = faults::write_length(Point::StageCopyRange, len);
            Ok(rustix::fs::copy_file_range(source, Some(&mut from), target, Some(&mut to), now)?)
        })
    })
}

/// Writes all of `bytes` at `offset` of a stage.
pub(crate) fn write_all_at(target: BorrowedFd<'_>, bytes: &[u8], offset: u64) -> io::Result<()> {
    write_all(Point::StageWrite, target, bytes, offset)
}

fn write_all(point: Point, target: BorrowedFd<'_>, mut bytes: &[u8], mut offset: u64) -> io::Result<()> {
    while !bytes.is_empty() {
        let written = retry(|| {
            faults::call(point, || {
                let (now, _) = bytes.split_at(faults::write_length(point, bytes.len()));
                Ok(rustix::io::pwrite(target, now, offset)?)
            })
        })?;
        if written == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        bytes = bytes.get(written..).unwrap_or_default();
        offset = offset.saturating_add(written as u64);
    }
    Ok(())
}

/// Makes `len` bytes at `offset` a hole, without changing the file's size.
pub(crate) fn punch(target: BorrowedFd<'_>, offset: u64, len: u64) -> io::Result<()> {
    retry(|| {
        faults::effect(Point::StagePunch, || {
            let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
            Ok(rustix::fs::fallocate(target, flags, offset, len)?)
        })
    })
}

/// Sets the file's size; what is new reads as zeros.
pub(crate) fn set_size(target: BorrowedFd<'_>, size: u64) -> io::Result<()> {
    retry(|| faults::call(Point::StageSize, || Ok(rustix::fs::ftruncate(target, size)?)))
}

/// Sets the file's owner.
pub(crate) fn set_owner(target: BorrowedFd<'_>, uid: u32, gid: u32) -> io::Result<()> {
    retry(|| {
        faults::call(Point::StageOwner, || {
            Ok(rustix::fs::fchown(target, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))?)
        })
    })
}

/// Sets the file's permission bits.
pub(crate) fn set_mode(target: BorrowedFd<'_>, mode: u32) -> io::Result<()> {
    retry(|| faults::call(Point::StageMode, || Ok(rustix::fs::fchmod(target, Mode::from_raw_mode(mode))?)))
}

/// Waits until the file's bytes and size are on the disk. But for a signal, never tried again after a failure: the kernel
/// may have dropped what it could not write.
pub(crate) fn sync_file(file: BorrowedFd<'_>) -> io::Result<()> {
    retry(|| faults::effect(Point::PublishSyncFile, || Ok(rustix::fs::fsync(file)?)))
}

/// Waits until a stage's bytes are on the disk, so that its journal may say so.
pub(crate) fn sync_data(file: BorrowedFd<'_>) -> io::Result<()> {
    retry(|| faults::effect(Point::StageSyncData, || Ok(rustix::fs::fdatasync(file)?)))
}

/// Makes the journal `name` of a kept stage, which must not exist.
pub(crate) fn create_journal(directory: BorrowedFd<'_>, name: &OsStr) -> io::Result<OwnedFd> {
    retry(|| {
        faults::call(Point::JournalCreate, || {
            let flags = OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::RDWR | OFlags::CLOEXEC;
            Ok(rustix::fs::openat(directory, name, flags, STAGE_MODE)?)
        })
    })
}

/// Writes all of `bytes` at `offset` of a journal.
pub(crate) fn write_journal(file: BorrowedFd<'_>, bytes: &[u8], offset: u64) -> io::Result<()> {
    write_all(Point::JournalWrite, file, bytes, offset)
}

/// Makes the directory `name`, which must not exist, for its owner alone.
pub(crate) fn make_directory(parent: BorrowedFd<'_>, name: &OsStr) -> io::Result<()> {
    retry(|| faults::call(Point::DirectoryMake, || Ok(rustix::fs::mkdirat(parent, name, Mode::RWXU)?)))
}

/// Makes the document `name` in a directory of disks, which must not exist.
pub(crate) fn create_document(directory: BorrowedFd<'_>, name: &OsStr) -> io::Result<OwnedFd> {
    retry(|| {
        faults::call(Point::DirectoryFile, || {
            let flags = OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::RDWR | OFlags::CLOEXEC;
            Ok(rustix::fs::openat(directory, name, flags, STAGE_MODE)?)
        })
    })
}

/// Writes all of a document.
pub(crate) fn write_document(file: BorrowedFd<'_>, bytes: &[u8]) -> io::Result<()> {
    write_all(Point::DirectoryWrite, file, bytes, 0)
}

/// Removes the directory `name`, which must be empty.
pub(crate) fn remove_directory(parent: BorrowedFd<'_>, name: &OsStr) -> io::Result<()> {
    retry(|| faults::effect(Point::DirectoryRemove, || Ok(rustix::fs::unlinkat(parent, name, AtFlags::REMOVEDIR)?)))
}

/// Waits until a journal's bytes are on the disk.
pub(crate) fn sync_journal(file: BorrowedFd<'_>) -> io::Result<()> {
    retry(|| faults::effect(Point::JournalSync, || Ok(rustix::fs::fdatasync(file)?)))
}

/// Waits until the directory's names are on the disk.
pub(crate) fn sync_directory(point: Point, directory: BorrowedFd<'_>) -> io::Result<()> {
    retry(|| faults::effect(point, || Ok(rustix::fs::fsync(directory)?)))
}

/// Gives an open file, nameless or not, the name `name`, which must not exist.
pub(crate) fn link(point: Point, file: &File, directory: BorrowedFd<'_>, name: &OsStr) -> io::Result<()> {
    retry(|| {
        faults::call(point, || {
            // Needs no /proc, but a capability or (since Linux 6.10) the opener's own credentials.
            match rustix::fs::linkat(file, "", directory, name, AtFlags::EMPTY_PATH) {
                Err(Errno::NOENT | Errno::PERM | Errno::INVAL | Errno::ACCESS) => {}
                done => return Ok(done?),
            }
            let path = format!("/proc/self/fd/{}", file.as_fd().as_raw_fd());
            Ok(rustix::fs::linkat(rustix::fs::CWD, path, directory, name, AtFlags::SYMLINK_FOLLOW)?)
        })
    })
}

/// Renames `from` to `to`, which must not exist.
pub(crate) fn rename_new(
    point: Point,
    from_directory: BorrowedFd<'_>,
    from: &OsStr,
    to_directory: BorrowedFd<'_>,
    to: &OsStr,
) -> io::Result<()> {
    retry(|| {
        faults::call(point, || {
            Ok(rustix::fs::renameat_with(from_directory, from, to_directory, to, RenameFlags::NOREPLACE)?)
        })
    })
}

/// Renames `from` over `to` within one directory.
pub(crate) fn rename_over(point: Point, directory: BorrowedFd<'_>, from: &OsStr, to: &OsStr) -> io::Result<()> {
    retry(|| faults::call(point, || Ok(rustix::fs::renameat(directory, from, directory, to)?)))
}

/// Makes the file that is to become a catalog's record, which must not exist.
pub(crate) fn create_record(directory: BorrowedFd<'_>, name: &OsStr) -> io::Result<OwnedFd> {
    retry(|| {
        faults::call(Point::RecordCreate, || {
            let flags = OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::RDWR | OFlags::CLOEXEC;
            Ok(rustix::fs::openat(directory, name, flags, STAGE_MODE)?)
        })
    })
}

/// Writes all of a record.
pub(crate) fn write_record(file: BorrowedFd<'_>, bytes: &[u8]) -> io::Result<()> {
    write_all(Point::RecordWrite, file, bytes, 0)
}

/// Waits until a record is on the disk.
pub(crate) fn sync_record(file: BorrowedFd<'_>) -> io::Result<()> {
    retry(|| faults::effect(Point::RecordSync, || Ok(rustix::fs::fsync(file)?)))
}

/// Lets two names of one directory change places.
pub(crate) fn exchange(point: Point, directory: BorrowedFd<'_>, one: &OsStr, other: &OsStr) -> io::Result<()> {
    retry(|| {
        faults::call(point, || Ok(rustix::fs::renameat_with(directory, one, directory, other, RenameFlags::EXCHANGE)?))
    })
}

/// Removes the name `name`.
pub(crate) fn unlink(point: Point, directory: BorrowedFd<'_>, name: &OsStr) -> io::Result<()> {
    retry(|| faults::effect(point, || Ok(rustix::fs::unlinkat(directory, name, AtFlags::empty())?)))
}

/// Whether an error says that the file system or kernel lacks the call, rather than that the call failed.
pub(crate) fn is_missing(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ENOSYS | libc::EOPNOTSUPP | libc::EINVAL | libc::ENOTTY | libc::EXDEV))
}
