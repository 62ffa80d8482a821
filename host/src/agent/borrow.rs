//! Acts on the file system with the rights of a caller.

// Linux keeps credentials by thread, and the C library's functions set those of all threads: raw system calls.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use landfall_handler_api::{Error, ErrorKind, Result, Scope};

use super::caller::Caller;

/// What `setfsuid` is asked to find out what is set: no user has it.
const NOBODY: u32 = u32::MAX;

/// Runs `action` on a thread that has the caller's user, groups and no capability for files (`credentials(7)`). What it opens
/// was opened with the caller's rights.
pub(crate) fn with_rights_of<T: Send>(caller: &Caller, action: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    let own = nix::unistd::geteuid().as_raw();
    if caller.uid == own {
        // Whoever runs the agent may do what the agent may.
        return action();
    }
    if own != 0 {
        let message = format!("the agent runs as user {own}, and cannot act for user {}", caller.uid);
        return Err(Error::new(ErrorKind::Denied, "agent-not-root", message).scoped(Scope::Request));
    }
    let borrowed = || {
        become_for_files(caller).map_err(|error| {
            Error::os(&error, format_args!("take the rights of user {}", caller.uid)).scoped(Scope::Node)
        })?;
        action()
    };
    // A new one: its rights end with it, whatever happens.
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("borrowed-rights".into()).spawn_scoped(scope, borrowed);
        let thread = thread.map_err(|error| Error::os(&error, "start a thread").scoped(Scope::Node))?;
        thread.join().unwrap_or_else(|_| {
            Err(Error::new(ErrorKind::Internal, "borrowed-rights", "a thread ended early").scoped(Scope::Node))
        })
    })
}

fn become_for_files(caller: &Caller) -> io::Result<()> {
    let groups = &caller.groups;
    // SAFETY: the pointer is to as many numbers as are said, which the kernel copies.
    let done = unsafe { libc::syscall(libc::SYS_setgroups, groups.len(), groups.as_ptr()) };
    if done != 0 {
        return Err(io::Error::last_os_error());
    }
    // The group first: without the user's capabilities it could not be set any more.
    set(libc::SYS_setfsgid, caller.gid)?;
    // From 0 to another user this takes away every capability for files.
    set(libc::SYS_setfsuid, caller.uid)
}

/// These calls tell what was set before, and never that they failed: they are asked again.
fn set(call: libc::c_long, id: u32) -> io::Result<()> {
    // SAFETY: both take a number and change this thread's credentials alone.
    let now = unsafe {
        libc::syscall(call, id);
        libc::syscall(call, NOBODY)
    };
    if u32::try_from(now) == Ok(id) { Ok(()) } else { Err(io::Error::from_raw_os_error(libc::EPERM)) }
}

/// Whether this thread may make and remove names in a directory.
pub(crate) fn may_change_names(directory: BorrowedFd<'_>) -> io::Result<()> {
    let (mode, flags) = (libc::W_OK | libc::X_OK, libc::AT_EACCESS);
    // SAFETY: the path is a constant that ends with NUL, the rest are numbers.
    let done = unsafe { libc::syscall(libc::SYS_faccessat2, directory.as_raw_fd(), c".".as_ptr(), mode, flags) };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, File, Permissions};
    use std::os::fd::AsFd;
    use std::os::unix::fs::{PermissionsExt, chown};

    fn somebody(uid: u32) -> Caller {
        Caller { uid, gid: uid, groups: vec![uid, 4321].into(), pid: 1 }
    }

    #[test]
    fn rights_are_the_callers_and_end_with_the_action() {
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
        let own = nix::unistd::geteuid().as_raw();
        let caller = Caller { uid: own, ..somebody(own) };
        with_rights_of(&caller, || Ok(())).unwrap();
        if own != 0 {
            assert_eq!(with_rights_of(&somebody(own + 1), || Ok(())).unwrap_err().code(), "agent-not-root");
            return;
        }
        let secret = folder.path().join("secret");
        fs::write(&secret, "x").unwrap();
        fs::set_permissions(&secret, Permissions::from_mode(0o600)).unwrap();
        let theirs = folder.path().join("theirs");
        fs::create_dir(&theirs).unwrap();
        chown(&theirs, Some(1234), Some(1234)).unwrap();
        let of_group = folder.path().join("of-group");
        fs::create_dir(&of_group).unwrap();
        chown(&of_group, Some(0), Some(4321)).unwrap();
        fs::set_permissions(&of_group, Permissions::from_mode(0o770)).unwrap();
        let seen = with_rights_of(&somebody(1234), || {
            let may = |path: &std::path::Path| {
                File::open(path).and_then(|directory| may_change_names(directory.as_fd())).is_ok()
            };
            Ok((File::open(&secret).is_ok(), may(&theirs), may(&of_group), may(folder.path())))
        });
        assert_eq!(seen.unwrap(), (false, true, true, false));
        let stranger =
            with_rights_of(&Caller { groups: Vec::new().into(), ..somebody(77) }, || Ok(File::open(&of_group).is_ok()));
        assert!(!stranger.unwrap(), "groups are the caller's too");
        assert!(File::open(&secret).is_ok(), "other threads keep their own");
    }
}
