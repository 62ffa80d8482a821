//! Processes that a worker started and left behind.
//!
//! No plugin may start any, and so the agent takes over whatever outlives its parent and ends it. It becomes the parent of
//! all orphans among its descendants (`PR_SET_CHILD_SUBREAPER`), and tells them from its own children by a list.
#![allow(unsafe_code)]

use std::collections::BTreeSet;
use std::os::fd::AsFd;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus};
use std::sync::{Mutex, MutexGuard, PoisonError};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::Pid;

/// How long a killed process may take to end.
const BURY_MILLIS: u16 = 100;

/// This process's own children. Held while one is started, so that nobody takes it for an orphan before it is listed.
static OWN: Mutex<BTreeSet<u32>> = Mutex::new(BTreeSet::new());

fn own() -> MutexGuard<'static, BTreeSet<u32>> {
    OWN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Starts a child that is this process's own.
pub(crate) fn spawn(command: &mut Command) -> std::io::Result<Child> {
    let mut own = own();
    let child = command.spawn()?;
    own.insert(child.id());
    Ok(child)
}

/// A child of [`spawn`] has been waited for.
pub(crate) fn forget(child: u32) {
    own().remove(&child);
}

/// From now on orphans among the descendants come to this process; unless it was given children by whoever started it,
/// whose descendants are none of its business. Whether they come.
pub(super) fn adopt() -> std::io::Result<bool> {
    let own = own();
    let foreign = children().iter().any(|child| !own.contains(child));
    if nix::sys::prctl::get_child_subreaper()? {
        return Ok(true);
    }
    // Where the kernel does not list children, strangers could not be told from our own.
    if foreign || !Path::new("/proc/thread-self/children").exists() {
        return Ok(false);
    }
    nix::sys::prctl::set_child_subreaper(true)?;
    Ok(true)
}

/// Ends every child that is not this process's own, and theirs, which come here in turn. False if some are left.
pub(super) fn end() -> bool {
    if !nix::sys::prctl::get_child_subreaper().unwrap_or(false) {
        return true;
    }
    // Each round ends a generation. One that starts processes faster than they are ended is stopped first, and so loses.
    for _ in 0..64 {
        let own = own();
        let strangers: Vec<Pid> = children().into_iter().filter(|child| !own.contains(child)).filter_map(pid).collect();
        if strangers.is_empty() {
            return true;
        }
        for stranger in &strangers {
            let _ = kill(*stranger, Signal::SIGSTOP);
        }
        for stranger in &strangers {
            let _ = kill(*stranger, Signal::SIGKILL);
        }
        for stranger in &strangers {
            bury(*stranger);
        }
    }
    false
}

/// Waits for a killed process, but not for one that is stuck in the kernel: it is found again by the next round.
fn bury(process: Pid) {
    let Some(number) = rustix::process::Pid::from_raw(process.as_raw()) else { return };
    if let Ok(ended) = rustix::process::pidfd_open(number, rustix::process::PidfdFlags::empty()) {
        let mut wanted = [PollFd::new(ended.as_fd(), PollFlags::POLLIN)];
        let _ = poll(&mut wanted, PollTimeout::from(BURY_MILLIS));
    }
    let _ = waitpid(process, Some(WaitPidFlag::WNOHANG));
}

fn pid(number: u32) -> Option<Pid> {
    i32::try_from(number).ok().map(Pid::from_raw)
}

/// The children of all threads of this process.
fn children() -> Vec<u32> {
    let Ok(threads) = std::fs::read_dir("/proc/self/task") else { return Vec::new() };
    let read = |thread: std::fs::DirEntry| std::fs::read_to_string(thread.path().join("children")).ok();
    let lists: Vec<String> = threads.filter_map(|thread| read(thread.ok()?)).collect();
    lists.iter().flat_map(|list| list.split_ascii_whitespace()).filter_map(|number| number.parse().ok()).collect()
}

/// Waits for a child's end; gives how it ended, and the most memory that it had resident, in bytes.
pub(super) fn wait(child: &Child) -> std::io::Result<(ExitStatus, u64)> {
    let mut status = 0;
    let mut usage = std::mem::MaybeUninit::<libc::rusage>::zeroed();
    loop {
        let pid = libc::pid_t::try_from(child.id()).map_err(std::io::Error::other)?;
        // SAFETY: both pointers lead to values of their type that live here.
        let waited = unsafe { libc::wait4(pid, &raw mut status, 0, usage.as_mut_ptr()) };
        if waited >= 0 {
            break;
        }
        let error = std::io::Error::last_os_error();
        if error.kind() != std::io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
    // SAFETY: zeros are a value of it, and the kernel filled it in.
    let usage = unsafe { usage.assume_init() };
    let resident = u64::try_from(usage.ru_maxrss).unwrap_or(0).saturating_mul(1024);
    Ok((ExitStatus::from_raw(status), resident))
}
