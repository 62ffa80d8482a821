//! A running operation, and how other processes see whether it still runs.
//!
//! Each job locks one byte of a shared file, at the offset of its number, for as long as it lives. The kernel drops the
//! lock with the process, so no clean-up is needed and no process number can be mistaken for another's.

use std::fs::{File, OpenOptions};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use landfall_handler_api::{Error, Result, Scope};
use nix::fcntl::{FcntlArg, fcntl};

use super::Ledger;
use crate::digest::Algorithm;
use crate::disk;

/// A job of this process. Its lock lives as long as this value.
#[derive(Debug)]
pub(crate) struct Job {
    number: i64,
    _lock: File,
}

impl Job {
    /// The job's number: random, positive.
    pub(crate) fn number(&self) -> i64 {
        self.number
    }
}

/// The right to change what stands at a path, among the processes that share the ledger.
#[derive(Debug)]
pub(crate) struct PathLock {
    _lock: File,
}

fn byte(number: i64) -> libc::flock {
    libc::flock {
        l_type: libc::F_WRLCK as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: number,
        l_len: 1,
        l_pid: 0,
    }
}

impl Ledger {
    fn lock_file(&self) -> Result<File> {
        let path = self.directory.join("jobs.lock");
        OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .mode(0o600)
            .open(&path)
            .map_err(|error| Error::os(&error, format_args!("open {}", path.display())).scoped(Scope::Node))
    }

    /// Begins a job.
    pub(crate) fn begin_job(&self) -> Result<Job> {
        let lock = self.lock_file()?;
        // 62 bits: above them are the locks of paths.
        let number = i64::try_from(crate::stage::random()? >> 2).unwrap_or(0);
        fcntl(&lock, FcntlArg::F_OFD_SETLK(&byte(number)))
            .map_err(|errno| Error::os(&errno.into(), "lock a job's number").scoped(Scope::Node))?;
        Ok(Job { number, _lock: lock })
    }

    /// Waits until no other process changes what stands at `path`, and keeps them waiting until the value is dropped. Such
    /// changes take some milliseconds each.
    pub(crate) fn lock_path(&self, path: &Path) -> Result<PathLock> {
        let mut hasher = Algorithm::Sha256.hasher();
        hasher.update(path.as_os_str().as_bytes());
        let digest = hasher.finish().value;
        let number = digest.get(..15).and_then(|digits| i64::from_str_radix(digits, 16).ok()).unwrap_or(0);
        let lock = self.lock_file()?;
        // Above the jobs' numbers. Two paths of one number only wait for each other.
        let number = number.saturating_add(1 << 62);
        disk::retry(|| Ok(fcntl(&lock, FcntlArg::F_OFD_SETLKW(&byte(number)))?))
            .map_err(|error| Error::os(&error, "lock a path").scoped(Scope::Node))?;
        Ok(PathLock { _lock: lock })
    }

    /// Whether the job runs, in this process or another.
    pub(super) fn is_alive(&self, number: i64) -> Result<bool> {
        let lock = self.lock_file()?;
        let mut probe = byte(number);
        fcntl(&lock, FcntlArg::F_OFD_GETLK(&mut probe))
            .map_err(|errno| Error::os(&errno.into(), "look at a job's lock").scoped(Scope::Node))?;
        Ok(probe.l_type != libc::F_UNLCK as libc::c_short)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_lives_as_long_as_its_value() {
        let directory = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(directory.path()).unwrap();
        let job = ledger.begin_job().unwrap();
        let number = job.number();
        assert!(ledger.is_alive(number).unwrap());
        drop(job);
        assert!(!ledger.is_alive(number).unwrap());
    }
}
