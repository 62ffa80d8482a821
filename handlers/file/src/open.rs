//! Opens a path of a store without following anything that could lead out of it.
//!
//! The kernel is asked for it (`openat2`), never a check of our own beforehand: between a check and its use, whoever may
//! write to the store can swap any component. A file is first opened without touching it, so that neither a FIFO can hang
//! the agent nor a device can notice; only what proves to be a regular file is then opened for reading.

use std::fmt::Display;
use std::fs::File;
use std::ops::Range;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt;

use landfall_handler_api::{Call, Error, ErrorKind, HandlerStatus, Result, Scope, Sink, Source, StoreRef, async_trait};
use rustix::fs::{
    AtFlags, Dir, FileType, Mode, OFlags, ResolveFlags, Stat, fstat, fsync, open, openat, openat2, statat, unlinkat,
};
use rustix::io::Errno;

/// Bytes that are read at once, for readers that cannot use the descriptor.
const CHUNK: usize = 1 << 20;

const BENEATH: ResolveFlags = ResolveFlags::BENEATH
    .union(ResolveFlags::NO_SYMLINKS)
    .union(ResolveFlags::NO_MAGICLINKS)
    .union(ResolveFlags::NO_XDEV);

/// A regular file of a store.
#[derive(Debug)]
pub(crate) struct OpenFile {
    file: File,
    size: u64,
    validator: String,
}

/// Opens `path`, which lies beneath the store's root, beneath the store's mountpoint.
pub(crate) fn open_in(store: &StoreRef, path: &str) -> Result<OpenFile> {
    let Some(rest) = beneath(path, &store.root) else {
        let message = format!("{path} is not beneath {}, the root of store {:?}", store.root, store.id);
        return Err(Error::new(ErrorKind::Denied, "outside-store", message));
    };
    let mountpoint = open_mountpoint(store)?;
    open_regular(mountpoint, &rest, path)
}

/// Deletes the regular file `path`, which lies beneath the store's root, beneath the store's mountpoint; on the disk when this
/// returns.
pub(crate) fn delete_in(store: &StoreRef, path: &str) -> Result<()> {
    let Some(rest) = beneath(path, &store.root) else {
        let message = format!("{path} is not beneath {}, the root of store {:?}", store.root, store.id);
        return Err(Error::new(ErrorKind::Denied, "outside-store", message));
    };
    let mountpoint = open_mountpoint(store).map_err(unavailable)?;
    let (parent, name) = rest.rsplit_once('/').unwrap_or((".", &rest));
    if name.is_empty() {
        return Err(denied("not-a-regular-file", path, "is the root of its store"));
    }
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    // A store that is not mounted has no file either; but nothing of it is gone.
    let missing = |errno| match refused(errno, path) {
        error if error.kind() == ErrorKind::NotFound && is_empty(&mountpoint) => {
            let message = format!("{} is empty: whether the store is mounted there is not known", store.mountpoint);
            Error::new(ErrorKind::Unavailable, "store-empty", message)
        }
        error => error,
    };
    let directory = openat2(&mountpoint, parent, flags, Mode::empty(), BENEATH).map_err(missing)?;
    let found = statat(&directory, name, AtFlags::SYMLINK_NOFOLLOW).map_err(missing)?;
    let kind = FileType::from_raw_mode(found.st_mode);
    if kind != FileType::RegularFile {
        return Err(denied("not-a-regular-file", path, &format!("is no regular file but {}", name_of(kind))));
    }
    unlinkat(&directory, name, AtFlags::empty()).map_err(|errno| match errno {
        Errno::NOENT => refused(errno, path),
        errno => os(errno, format_args!("delete {path}")),
    })?;
    fsync(&directory).map_err(|errno| os(errno, format_args!("sync the directory of {path}")))
}

/// A mountpoint that is not there is no answer of the store.
fn unavailable(error: Error) -> Error {
    match error.kind() {
        ErrorKind::NotFound => Error::new(ErrorKind::Unavailable, "store-unavailable", error.message().to_owned()),
        _ => error,
    }
}

/// Whether nothing at all is in the directory; also when that cannot be told.
fn is_empty(directory: &OwnedFd) -> bool {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let entries = openat(directory, ".", flags, Mode::empty()).and_then(Dir::new);
    let is_something = |name: &[u8]| !matches!(name, b"." | b".." | b"lost+found");
    !entries.is_ok_and(|mut entries| {
        entries.any(|entry| entry.is_ok_and(|entry| is_something(entry.file_name().to_bytes())))
    })
}

/// What is left of `path` below `root`, compared component by component, or `None` when it is elsewhere.
fn beneath(path: &str, root: &str) -> Option<String> {
    if !root.starts_with('/') {
        return None;
    }
    let mut path = components(path);
    for component in components(root) {
        if path.next() != Some(component) {
            return None;
        }
    }
    Some(path.collect::<Vec<_>>().join("/"))
}

fn components(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter(|component| !component.is_empty())
}

/// The operator wrote this path, so it may lead through symbolic links; everything below it may not.
fn open_mountpoint(store: &StoreRef) -> Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let mountpoint = &store.mountpoint;
    if !mountpoint.starts_with('/') {
        let message = format!("the mountpoint {mountpoint:?} of store {:?} is no absolute path", store.id);
        return Err(Error::new(ErrorKind::Invalid, "bad-store", message).scoped(Scope::Handler));
    }
    open(mountpoint.as_str(), flags, Mode::empty()).map_err(|errno| {
        os(errno, format_args!("open {mountpoint}, the mountpoint of store {:?}", store.id)).coded("store-unavailable")
    })
}

fn open_regular(mountpoint: OwnedFd, rest: &str, path: &str) -> Result<OpenFile> {
    if rest.is_empty() {
        return Err(denied("not-a-regular-file", path, "is the root of its store"));
    }
    let untouched = openat2(mountpoint, rest, OFlags::PATH | OFlags::CLOEXEC, Mode::empty(), BENEATH)
        .map_err(|errno| refused(errno, path))?;
    let found = stat(&untouched, path)?;
    let kind = FileType::from_raw_mode(found.st_mode);
    if kind != FileType::RegularFile {
        return Err(denied("not-a-regular-file", path, &format!("is no regular file but {}", name_of(kind))));
    }
    let again = format!("/proc/self/fd/{}", untouched.as_raw_fd());
    let readable = match open(again, OFlags::RDONLY | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty()) {
        Err(Errno::NOENT) => {
            let message = "this node has no /proc, through which files are opened";
            return Err(Error::new(ErrorKind::Unsupported, "no-proc", message));
        }
        opened => opened.map_err(|errno| os(errno, format_args!("open {path}")))?,
    };
    let opened = stat(&readable, path)?;
    if (opened.st_dev, opened.st_ino) != (found.st_dev, found.st_ino) {
        return Err(denied("not-the-same-file", path, "became another file while it was opened"));
    }
    let size = u64::try_from(opened.st_size).unwrap_or_default();
    Ok(OpenFile { file: File::from(readable), size, validator: validator(&opened) })
}

/// Identity and version of the file. Whoever replaces or changes it changes this.
fn validator(stat: &Stat) -> String {
    format!(
        "{}-{}-{}-{}.{:09}-{}.{:09}",
        stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime, stat.st_mtime_nsec, stat.st_ctime, stat.st_ctime_nsec
    )
}

fn stat(file: impl AsFd, path: &str) -> Result<Stat> {
    fstat(file).map_err(|errno| os(errno, format_args!("stat {path}")))
}

/// What `openat2` says when it will not.
fn refused(errno: Errno, path: &str) -> Error {
    match errno {
        Errno::LOOP => denied("symlink", path, "leads through a symbolic link"),
        // The path has neither `..` nor links, so that nothing but a mount can lead out.
        Errno::XDEV => denied("other-mount", path, "leads into another file system than its store's"),
        Errno::NOENT | Errno::NOTDIR => {
            let message = format!("{path} is not in its store");
            Error::new(ErrorKind::NotFound, "no-such-file", message).with_errno(errno.raw_os_error())
        }
        Errno::NAMETOOLONG => Error::new(ErrorKind::Invalid, "path-too-long", format!("{path:.64}... is too long")),
        Errno::NOSYS => no_openat2(),
        errno => os(errno, format_args!("open {path}")),
    }
}

/// There is no weaker way to fall back on.
fn no_openat2() -> Error {
    let message = "this kernel has no openat2 (Linux 5.6), without which no path is opened safely";
    Error::new(ErrorKind::Unsupported, "no-openat2", message)
}

fn denied(code: &'static str, path: &str, what: &str) -> Error {
    Error::new(ErrorKind::Denied, code, format!("{path} {what}"))
}

fn os(errno: Errno, what: impl Display) -> Error {
    Error::os(&errno.into(), what)
}

fn name_of(kind: FileType) -> &'static str {
    match kind {
        FileType::Directory => "a directory",
        FileType::Fifo => "a FIFO",
        FileType::Socket => "a socket",
        FileType::BlockDevice | FileType::CharacterDevice => "a device",
        _ => "something else",
    }
}

/// Whether this node has what the handler cannot do without.
pub(crate) fn status() -> Result<HandlerStatus> {
    let mut status = HandlerStatus::default();
    let root = open("/", OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
        .map_err(|errno| os(errno, "open /"))?;
    match openat2(root, ".", OFlags::PATH | OFlags::CLOEXEC, Mode::empty(), BENEATH) {
        Ok(_) => status.ready = true,
        Err(Errno::NOSYS) => status.detail = Some(no_openat2().message().to_owned()),
        Err(errno) => status.detail = Some(os(errno, "openat2").message().to_owned()),
    }
    Ok(status)
}

#[async_trait]
impl Source for OpenFile {
    fn size(&self) -> Option<u64> {
        Some(self.size)
    }

    fn ranged(&self) -> bool {
        true
    }

    fn validator(&self) -> Option<String> {
        Some(self.validator.clone())
    }

    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        Some(self.file.as_fd())
    }

    async fn read(&self, call: &Call, range: Range<u64>, sink: &mut Sink) -> Result<()> {
        let mut offset = range.start;
        while offset < range.end {
            call.check()?;
            let want = usize::try_from(range.end - offset).unwrap_or(CHUNK).min(CHUNK);
            let room = sink.reserve(want)?;
            let filled = loop {
                match self.file.read_at(room, offset) {
                    Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                    read => break read.map_err(|error| Error::os(&error, "read the store's file"))?,
                }
            };
            if filled == 0 {
                break;
            }
            sink.commit(filled)?;
            offset += filled as u64;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
