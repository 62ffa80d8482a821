//! Which files may be loaded as plugins.
//!
//! Loading a file is running it as the agent. So a plugin and its directory belong to root or to the agent's own user, and
//! nobody else may write to them. What was checked is an open descriptor, and that descriptor is what is then loaded: a
//! file that is swapped in between is never looked at.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fmt::Write as _;
use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use nix::fcntl::{OFlag, open, openat};
use nix::sys::stat::{FileStat, Mode, SFlag, fstat};
use nix::unistd::geteuid;
use sha2::{Digest as _, Sha256};

use super::refusal::Refusal;

/// A directory of plugins that passed the check; `None` when there is no such directory.
pub(super) fn open_directory(path: &Path) -> Result<Option<OwnedFd>, Refusal> {
    let directory = match open(path, OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty()) {
        Ok(directory) => directory,
        Err(nix::Error::ENOENT) => return Ok(None),
        Err(errno) => return Err(unreadable(path, errno)),
    };
    let stat = fstat(&directory).map_err(|errno| unreadable(path, errno))?;
    check_owner_and_mode(&stat, path)?;
    Ok(Some(directory))
}

/// The plugin file `name` in a checked directory. `path` is for messages.
pub(super) fn open_plugin(
    directory: impl AsFd,
    name: &OsStr,
    path: &Path,
    allowed: Option<&BTreeSet<String>>,
) -> Result<File, Refusal> {
    // O_NONBLOCK: a FIFO of that name must not hang the agent.
    let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
    let file = match openat(directory, name, flags, Mode::empty()) {
        Ok(file) => File::from(file),
        Err(nix::Error::ELOOP) => return Err(Refusal::new("symlink", "the file is a symbolic link")),
        Err(errno) => return Err(unreadable(path, errno)),
    };
    let stat = fstat(&file).map_err(|errno| unreadable(path, errno))?;
    if SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT != SFlag::S_IFREG {
        return Err(Refusal::new("not-a-regular-file", "the file is no regular file"));
    }
    check_owner_and_mode(&stat, path)?;
    // Meaningless on a library, and so a sign that the file is not what its name says.
    if stat.st_mode & 0o6000 != 0 {
        return Err(Refusal::new("set-id", "the file is set-user-id or set-group-id"));
    }
    if let Some(allowed) = allowed {
        let digest = digest(&file).map_err(|error| Refusal::new("unreadable", error))?;
        if !allowed.contains(&digest) {
            let reason = format!("its sha256 {digest} is not in the list of allowed plugins");
            return Err(Refusal::new("not-allowed", reason));
        }
    }
    Ok(file)
}

fn check_owner_and_mode(stat: &FileStat, path: &Path) -> Result<(), Refusal> {
    let me = geteuid().as_raw();
    let path = path.display();
    if stat.st_uid != 0 && stat.st_uid != me {
        let reason = format!("{path} belongs to user {}, neither root nor the agent's user", stat.st_uid);
        return Err(Refusal::new("untrusted-owner", reason));
    }
    if stat.st_mode & 0o002 != 0 {
        return Err(Refusal::new("world-writable", format!("{path} can be written by everybody")));
    }
    if me == 0 && stat.st_mode & 0o020 != 0 {
        return Err(Refusal::new("group-writable", format!("{path} can be written by its group")));
    }
    Ok(())
}

fn unreadable(path: &Path, errno: nix::Error) -> Refusal {
    Refusal::new("unreadable", format!("open {}: {}", path.display(), errno.desc()))
}

fn digest(mut file: &File) -> std::io::Result<String> {
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match file.read(&mut buffer)? {
            0 => break,
            filled => hasher.update(buffer.get(..filled).unwrap_or_default()),
        }
    }
    let mut hex = String::new();
    for byte in hasher.finalize() {
        // Writing to a String does not fail.
        let _ = write!(hex, "{byte:02x}");
    }
    Ok(hex)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt, symlink};

    fn refused(directory: &Path, name: &str) -> String {
        let opened = open_directory(directory).map(|directory| directory.unwrap());
        opened.and_then(|directory| open_plugin(directory, name.as_ref(), Path::new(name), None)).unwrap_err().code
    }

    #[test]
    fn only_what_nobody_else_can_write_is_trusted() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        let mode = |name: &str, mode| {
            std::fs::set_permissions(root.join(name), std::fs::Permissions::from_mode(mode)).unwrap();
        };
        std::fs::write(root.join("a.so"), "x").unwrap();
        mode("a.so", 0o644);
        let trusted = open_directory(root).unwrap().unwrap();
        assert!(open_plugin(&trusted, "a.so".as_ref(), root, None).is_ok());
        mode("a.so", 0o646);
        assert_eq!(refused(root, "a.so"), "world-writable");
        mode("a.so", 0o4755);
        assert_eq!(refused(root, "a.so"), "set-id");
        if geteuid().is_root() {
            mode("a.so", 0o664);
            assert_eq!(refused(root, "a.so"), "group-writable");
            mode("a.so", 0o644);
            std::os::unix::fs::chown(root.join("a.so"), Some(12345), None).unwrap();
            assert_eq!(refused(root, "a.so"), "untrusted-owner");
        }
        symlink("a.so", root.join("b.so")).unwrap();
        assert_eq!(refused(root, "b.so"), "symlink");
        std::fs::create_dir(root.join("c.so")).unwrap();
        assert_eq!(refused(root, "c.so"), "not-a-regular-file");
        nix::unistd::mkfifo(&root.join("d.so"), Mode::S_IRUSR).unwrap();
        assert_eq!(refused(root, "d.so"), "not-a-regular-file");
        assert_eq!(refused(root, "e.so"), "unreadable");
        std::fs::set_permissions(root, std::fs::Permissions::from_mode(0o777)).unwrap();
        assert_eq!(refused(root, "d.so"), "world-writable");
        assert!(open_directory(&root.join("none")).unwrap().is_none());
    }

    #[test]
    fn a_list_of_digests_allows_only_what_is_in_it() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("a.so"), "abc").unwrap();
        std::fs::set_permissions(directory.path().join("a.so"), std::fs::Permissions::from_mode(0o600)).unwrap();
        let trusted = open_directory(directory.path()).unwrap().unwrap();
        let open =
            |allowed: &BTreeSet<String>| open_plugin(&trusted, "a.so".as_ref(), Path::new("a.so"), Some(allowed));
        assert_eq!(open(&BTreeSet::new()).unwrap_err().code, "not-allowed");
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert!(open(&BTreeSet::from([abc.to_owned()])).is_ok());
    }
}
