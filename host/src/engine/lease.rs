//! Whether anybody could still write to a file without leaving a trace.
#![allow(unsafe_code)]

use std::fs::File;
use std::os::fd::AsRawFd;

/// Whether nobody has the file open, or mapped, for writing. A store through a mapping that was made before is stamped only
/// when its page is first touched, so times alone prove nothing while there is such a mapping; every later writer must open
/// the file, and is stamped. False also where the kernel does not say: to users other than the file's owner, and on some
/// file systems.
pub(super) fn has_no_writer(file: &File) -> bool {
    // A read lease is refused while there is a writer (fcntl(2), "Leases"). It is given back at once; a writer that comes
    // in between waits for that, and SIGIO, which would tell of it, is blocked by `signals`.
    // SAFETY: takes no pointer; the descriptor is borrowed and so open.
    let lease = |kind: libc::c_int| unsafe { libc::fcntl(file.as_raw_fd(), libc::F_SETLEASE, kind) };
    let granted = lease(libc::F_RDLCK) == 0;
    if granted {
        // Cannot fail for a lease that is held; one that is broken is gone already.
        lease(libc::F_UNLCK);
    }
    granted
}

/// Whether somebody else has a stage open, be it through a descriptor or a mapping. False also where the kernel does not say.
pub(super) fn is_open_elsewhere(file: &File) -> bool {
    // A write lease is refused while there is any other open file of the inode (fcntl(2), "Leases").
    // SAFETY: takes no pointer; the descriptor is borrowed and so open.
    let lease = |kind: libc::c_int| unsafe { libc::fcntl(file.as_raw_fd(), libc::F_SETLEASE, kind) };
    if lease(libc::F_WRLCK) == 0 {
        // Cannot fail for a lease that is held.
        lease(libc::F_UNLCK);
        return false;
    }
    std::io::Error::last_os_error().raw_os_error() == Some(libc::EAGAIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_writer_is_noticed() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        std::fs::write(&path, b"bytes").unwrap();
        let file = File::open(&path).unwrap();
        assert!(has_no_writer(&file));
        let writer = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
        assert!(!has_no_writer(&file));
        drop(writer);
        assert!(has_no_writer(&file));
    }
}
