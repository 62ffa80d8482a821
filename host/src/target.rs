//! Where a disk goes: an open directory and one name in it.

use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use landfall_handler_api::{Error, ErrorKind, Result, Scope};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, StatxFlags};
use rustix::io::Errno;

use crate::identity::{FileIdentity, FileVersion};

/// The longest file name that Linux file systems take, in bytes.
const NAME_MAX: usize = 255;

/// A target: its directory, held open, and its name there. The path is resolved once, here.
#[derive(Debug)]
pub(crate) struct Target {
    path: PathBuf,
    directory: OwnedFd,
    name: OsString,
}

/// What stands at a target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Occupant {
    /// A regular file.
    File(FileVersion),
    /// A directory.
    Directory(FileVersion),
    /// Anything else; the word for it.
    Other(&'static str),
}

impl Occupant {
    /// The word for it.
    pub(crate) fn word(&self) -> &'static str {
        match self {
            Self::File(_) => "regular file",
            Self::Directory(_) => "directory",
            Self::Other(what) => what,
        }
    }

    /// Whether it is the file or directory of this identity.
    pub(crate) fn is(&self, identity: &FileIdentity) -> bool {
        match self {
            Self::File(version) | Self::Directory(version) => version.identity.is(identity),
            Self::Other(_) => false,
        }
    }
}

impl Target {
    /// Opens the directory of `path`. The directory must be there; the target need not.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let invalid = |code: &'static str, why: &str| {
            let message = format!("target {}: {why}", path.display());
            Err(Error::new(ErrorKind::Invalid, code, message).scoped(Scope::Request))
        };
        let bytes = path.as_os_str().as_bytes();
        if bytes.is_empty() || bytes.contains(&0) {
            return invalid("target-name", "a path must not be empty or hold a NUL byte");
        }
        if bytes.ends_with(b"/") || bytes.ends_with(b"/.") {
            return invalid("target-name", "names a directory, not a file in one");
        }
        let Some(Component::Normal(name)) = path.components().next_back() else {
            return invalid("target-name", "its last component is not a name");
        };
        if name.len() > NAME_MAX {
            return invalid("target-name", "its name is longer than 255 bytes");
        }
        let parent = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        let shown = parent.display();
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let directory = rustix::fs::open(parent, flags, Mode::empty()).map_err(|errno| {
            Error::os(&errno.into(), format_args!("open the target's directory {shown}")).scoped(Scope::Request)
        })?;
        // Of the descriptor, not of the path once more: that may lead elsewhere by now.
        let real = std::fs::read_link(format!("/proc/self/fd/{}", directory.as_raw_fd())).map_err(|error| {
            Error::os(&error, format_args!("resolve the target's directory {shown}")).scoped(Scope::Request)
        })?;
        Ok(Self { path: real.join(name), directory, name: name.to_owned() })
    }

    /// As [`Target::open`], for a new disk: that its directory is not there says nothing of an image.
    pub(crate) fn open_for_disk(path: &Path) -> Result<Self> {
        Self::open(path).map_err(|error| match error.kind() {
            ErrorKind::NotFound => {
                Error::new(ErrorKind::Invalid, "target-directory", error.message().to_owned()).scoped(Scope::Request)
            }
            _ => error,
        })
    }

    /// The absolute path, its directory resolved.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The open directory.
    pub(crate) fn directory(&self) -> BorrowedFd<'_> {
        self.directory.as_fd()
    }

    /// The name in the directory.
    pub(crate) fn name(&self) -> &OsStr {
        &self.name
    }

    /// What stands at the target, never following a link.
    pub(crate) fn occupant(&self) -> Result<Option<Occupant>> {
        occupant(self.directory(), &self.name)
            .map_err(|error| error.context(format_args!("look at {}", self.path.display())))
    }

    /// Refuses when something stands at the target that may not be replaced: anything, or with `replace` anything but a
    /// regular file.
    pub(crate) fn refuse_occupied(&self, replace: bool) -> Result<()> {
        let path = self.path.display();
        match self.occupant()? {
            None => Ok(()),
            Some(Occupant::File(_)) if replace => Ok(()),
            Some(Occupant::File(_)) => Err(exists("exists", format!("{path} exists"))),
            Some(other) => Err(exists("exists-not-a-file", format!("{path} exists and is a {}", other.word()))),
        }
    }
}

/// What stands at `name`, never following a link.
pub(crate) fn occupant(directory: BorrowedFd<'_>, name: &OsStr) -> Result<Option<Occupant>> {
    let wanted = StatxFlags::BASIC_STATS | StatxFlags::BTIME;
    let stat = match rustix::fs::statx(directory, name, AtFlags::SYMLINK_NOFOLLOW, wanted) {
        Ok(stat) => stat,
        Err(Errno::NOENT) => return Ok(None),
        Err(errno) => return Err(Error::os(&errno.into(), "stat").scoped(Scope::Request)),
    };
    let version = || -> Result<FileVersion> {
        let file_system = rustix::fs::fstatvfs(directory)
            .map_err(|errno| Error::os(&errno.into(), "stat the file system").scoped(Scope::Request))?;
        Ok(FileVersion::from_stat(&stat, file_system.f_fsid))
    };
    let what = match FileType::from_raw_mode(stat.stx_mode.into()) {
        FileType::RegularFile => return version().map(|version| Some(Occupant::File(version))),
        FileType::Directory => return version().map(|version| Some(Occupant::Directory(version))),
        FileType::Symlink => "symbolic link",
        FileType::Fifo => "FIFO",
        FileType::Socket => "socket",
        FileType::CharacterDevice => "character device",
        FileType::BlockDevice => "block device",
        FileType::Unknown => "thing of unknown type",
    };
    Ok(Some(Occupant::Other(what)))
}

/// The error for an occupied target.
pub(crate) fn exists(code: &'static str, message: String) -> Error {
    Error::new(ErrorKind::Exists, code, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odd_names_are_refused() {
        for path in ["", "a/", "a/.", "..", "/", ".", "a/..", "x\0y"] {
            let error = Target::open(Path::new(path)).expect_err(path);
            assert_eq!((error.code(), error.scope()), ("target-name", Scope::Request), "{path:?}");
        }
        let long = "n".repeat(256);
        assert_eq!(Target::open(Path::new(&long)).unwrap_err().code(), "target-name");
    }

    #[test]
    fn occupants_are_seen_without_following() {
        let directory = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("nowhere", directory.path().join("link")).unwrap();
        let target = Target::open(&directory.path().join("link")).unwrap();
        assert_eq!(target.occupant().unwrap(), Some(Occupant::Other("symbolic link")));
        assert_eq!(target.refuse_occupied(true).unwrap_err().kind(), ErrorKind::Exists);
        let free = Target::open(&directory.path().join("free")).unwrap();
        free.refuse_occupied(false).unwrap();
    }
}
