//! Who is at the other end of a connection, as the kernel tells it.

// `SO_PEERGROUPS` is in no crate: one call of getsockopt(2).
#![allow(unsafe_code)]

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::sync::Arc;

use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};

/// The most supplementary groups that a process can have (`NGROUPS_MAX`, `limits.h` of Linux).
const GROUPS_MAX: usize = 65_536;

/// A process that called, with the rights that it had when it connected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Caller {
    /// Effective user.
    pub(crate) uid: u32,
    /// Effective group.
    pub(crate) gid: u32,
    /// Supplementary groups.
    pub(crate) groups: Arc<[u32]>,
    /// Process number, for logs alone: the process may be gone.
    pub(crate) pid: i32,
}

impl Caller {
    /// The peer of a connected Unix socket (`unix(7)`, `SO_PEERCRED`, `SO_PEERGROUPS`).
    pub(crate) fn of_socket(socket: impl AsFd) -> io::Result<Self> {
        let credentials = getsockopt(&socket, PeerCredentials)?;
        Ok(Self {
            uid: credentials.uid(),
            gid: credentials.gid(),
            groups: groups(socket.as_fd())?.into(),
            pid: credentials.pid(),
        })
    }

    /// Whether a group is one of the caller's.
    pub(crate) fn is_in(&self, is_it: impl Fn(u32) -> bool) -> bool {
        is_it(self.gid) || self.groups.iter().any(|&gid| is_it(gid))
    }
}

fn groups(socket: BorrowedFd<'_>) -> io::Result<Vec<u32>> {
    let mut groups = vec![0_u32; 64];
    loop {
        let room = groups.len().saturating_mul(size_of::<u32>());
        let mut len = libc::socklen_t::try_from(room).map_err(io::Error::other)?;
        // SAFETY: the buffer has `len` bytes, the kernel writes no more than that and says how many in `len`.
        let done = unsafe {
            libc::getsockopt(
                socket.as_raw_fd(),
                libc::SOL_SOCKET,
                libc::SO_PEERGROUPS,
                groups.as_mut_ptr().cast(),
                &raw mut len,
            )
        };
        let count = usize::try_from(len).map_or(0, |len| len / size_of::<u32>());
        if done == 0 {
            groups.truncate(count);
            return Ok(groups);
        }
        let error = io::Error::last_os_error();
        // The kernel then says how many bytes there are.
        if error.raw_os_error() != Some(libc::ERANGE) || count <= groups.len() || count > GROUPS_MAX {
            return Err(error);
        }
        groups.resize(count, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixStream;

    #[test]
    fn a_peer_is_this_process_at_both_ends_of_a_pair() {
        let (one, _two) = UnixStream::pair().unwrap();
        let caller = Caller::of_socket(&one).unwrap();
        assert_eq!((caller.uid, caller.gid), (nix::unistd::geteuid().as_raw(), nix::unistd::getegid().as_raw()));
        let own: Vec<u32> = nix::unistd::getgroups().unwrap().into_iter().map(nix::unistd::Gid::as_raw).collect();
        assert_eq!(&caller.groups[..], own);
        assert!(caller.is_in(|gid| gid == caller.gid) && !caller.is_in(|_| false));
    }
}
