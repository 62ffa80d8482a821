//! What a worker gives up before it loads a plugin, in this order: descriptors that are not its own, the right to gain
//! rights, resources beyond its bounds. Namespaces, Landlock and seccomp have their place after these and before the load.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::RawFd;

use nix::sys::resource::{Resource, setrlimit};
use nix::sys::signal::{SigSet, Signal};
use nix::unistd::Pid;

use super::message::Bounds;

/// Descriptors that one worker may have open.
const DESCRIPTORS: u64 = 256;
/// Seconds from the signal that tells of the end of its CPU time to the one that cannot be caught.
const CPU_GRACE: u64 = 2;

/// Closes every descriptor from `first` on. The agent opens its own so that they do not get here; plugins may not.
pub(super) fn close_from(first: RawFd) -> io::Result<()> {
    let first = libc::c_uint::try_from(first).map_err(io::Error::other)?;
    // SAFETY: takes numbers only; nothing in this process owns a descriptor of this range yet.
    match unsafe { libc::syscall(libc::SYS_close_range, first, libc::c_uint::MAX, 0) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// What a worker ends with that cannot hear the agent any more, or need not.
pub(super) const DEAF: i32 = 113;

/// Ends this process at once, without running anything of the plugin's.
pub(super) fn vanish() -> ! {
    // SAFETY: takes a number and never returns.
    unsafe { libc::_exit(DEAF) }
}

/// Address space counts, and the C library would take 64 MiB of it for the heap of each of many threads.
pub(crate) fn keep_heap_small() {
    // SAFETY: takes numbers only, before any other thread runs. Not being obeyed costs address space.
    unsafe { libc::mallopt(libc::M_ARENA_MAX, 2) };
}

/// Gives up what no plugin needs.
pub(super) fn confine(bounds: &Bounds) -> io::Result<()> {
    nix::sys::prctl::set_no_new_privs()?;
    lower(Resource::RLIMIT_CORE, 0, 0)?;
    lower(Resource::RLIMIT_NOFILE, DESCRIPTORS, DESCRIPTORS)?;
    lower(Resource::RLIMIT_AS, bounds.memory, bounds.memory)?;
    lower(Resource::RLIMIT_CPU, bounds.cpu_seconds, bounds.cpu_seconds.saturating_add(CPU_GRACE))?;
    lower(Resource::RLIMIT_FSIZE, bounds.file_bytes, bounds.file_bytes)?;
    // A write beyond that then fails with EFBIG and a name.
    let mut blocked = SigSet::empty();
    blocked.add(Signal::SIGXFSZ);
    blocked.thread_block()?;
    Ok(())
}

/// Bounds a resource, and never above what the agent itself may have.
pub(crate) fn lower(resource: Resource, soft: u64, hard: u64) -> nix::Result<()> {
    let (_, most) = nix::sys::resource::getrlimit(resource)?;
    setrlimit(resource, soft.min(most), hard.min(most))
}

/// Ends this process when the thread of the agent ends that started it: one that was taken over does not heed the end of its
/// connection.
pub(super) fn die_with(agent: u32) -> io::Result<()> {
    nix::sys::prctl::set_pdeathsig(Signal::SIGKILL)?;
    // It may have ended before.
    if u32::try_from(nix::unistd::getppid().as_raw()) != Ok(agent) {
        vanish();
    }
    Ok(())
}

/// Keeps others, and the kernel when it dumps cores to a program, from reading this process.
pub(crate) fn hide_memory() -> io::Result<()> {
    Ok(nix::sys::prctl::set_dumpable(false)?)
}

/// Bounds the size of the files that another process writes, below the bound that it began with.
pub(super) fn limit_files_of(process: Pid, bytes: u64) -> io::Result<()> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    let call = |new: *const libc::rlimit, old: *mut libc::rlimit| {
        // SAFETY: each pointer is NULL or leads to a value of the type.
        match unsafe { libc::prlimit(process.as_raw(), libc::RLIMIT_FSIZE, new, old) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    };
    call(std::ptr::null(), &raw mut limit)?;
    let soft = bytes.min(limit.rlim_max);
    // With the right to raise it again, the hard limit follows: the worker itself could raise the soft one.
    if nix::unistd::geteuid().is_root()
        && call(&libc::rlimit { rlim_cur: bytes, rlim_max: bytes }, std::ptr::null_mut()).is_ok()
    {
        return Ok(());
    }
    limit.rlim_cur = soft;
    call(&raw const limit, std::ptr::null_mut())
}
