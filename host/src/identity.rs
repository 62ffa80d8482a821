//! Which file, and which version of it.

use std::os::fd::AsFd;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use landfall_handler_api::{Error, Result};
use rustix::fs::{AtFlags, Statx, StatxFlags};

/// A file's identity, also across restarts: the inode's number, with its birth time where the file system keeps one, else
/// with the file system's id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FileIdentity {
    /// `f_fsid` of the file system.
    pub(crate) file_system: u64,
    /// The inode's number.
    pub(crate) inode: u64,
    /// When the inode was made, in nanoseconds since 1970.
    pub(crate) born: Option<i64>,
}

impl FileIdentity {
    /// Whether both name one inode. Device numbers may change with a reboot, so a birth time decides where there is one.
    pub(crate) fn is(&self, other: &Self) -> bool {
        self.inode == other.inode
            && match (self.born, other.born) {
                (Some(one), Some(two)) => one == two,
                _ => self.file_system == other.file_system,
            }
    }
}

/// One version of a file's content, as far as the kernel tells versions apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FileVersion {
    /// Which file.
    pub(crate) identity: FileIdentity,
    /// Bytes.
    pub(crate) size: u64,
    /// When the content changed, nanoseconds since 1970.
    pub(crate) modified: i64,
    /// When the inode changed, nanoseconds since 1970. Cannot be set from user space.
    pub(crate) changed: i64,
    /// Owner.
    pub(crate) owner: (u32, u32),
    /// Permission bits.
    pub(crate) mode: u32,
    /// The kernel's number of the device, for "is it the same file system".
    pub(crate) device: (u32, u32),
}

/// How old a version must be before "nothing changed since" can be trusted: file systems stamp times coarsely, and a write
/// through a mapping is stamped when its page is first touched.
const SETTLED: Duration = Duration::from_secs(2);

impl FileVersion {
    /// The version that `file` has now.
    pub(crate) fn of(file: impl AsFd) -> Result<Self> {
        let describe = |errno: rustix::io::Errno| Error::os(&errno.into(), "stat an open file");
        let stat = rustix::fs::statx(&file, "", AtFlags::EMPTY_PATH, StatxFlags::BASIC_STATS | StatxFlags::BTIME)
            .map_err(describe)?;
        let file_system = rustix::fs::fstatvfs(&file).map_err(describe)?.f_fsid;
        Ok(Self::from_stat(&stat, file_system))
    }

    pub(crate) fn from_stat(stat: &Statx, file_system: u64) -> Self {
        let born = StatxFlags::from_bits_retain(stat.stx_mask)
            .contains(StatxFlags::BTIME)
            .then(|| nanoseconds(stat.stx_btime.tv_sec, stat.stx_btime.tv_nsec));
        Self {
            identity: FileIdentity { file_system, inode: stat.stx_ino, born },
            size: stat.stx_size,
            modified: nanoseconds(stat.stx_mtime.tv_sec, stat.stx_mtime.tv_nsec),
            changed: nanoseconds(stat.stx_ctime.tv_sec, stat.stx_ctime.tv_nsec),
            owner: (stat.stx_uid, stat.stx_gid),
            mode: u32::from(stat.stx_mode) & 0o7777,
            device: (stat.stx_dev_major, stat.stx_dev_minor),
        }
    }

    /// Whether any later change would show: the last one is long enough ago.
    pub(crate) fn is_settled(&self) -> bool {
        let Ok(now) = SystemTime::now().duration_since(UNIX_EPOCH) else { return false };
        i64::try_from((now.saturating_sub(SETTLED)).as_nanos()).is_ok_and(|limit| self.changed < limit)
    }

    /// Whether this is `before` after its inode got or lost a name: everything but the inode's time is the same.
    pub(crate) fn same_after_link(&self, before: &Self) -> bool {
        self.identity == before.identity && (self.size, self.modified) == (before.size, before.modified)
    }

    /// Whether both are the same content, by all that the kernel tells.
    pub(crate) fn same_content(&self, other: &Self) -> bool {
        self.identity == other.identity
            && (self.size, self.modified, self.changed) == (other.size, other.modified, other.changed)
    }
}

fn nanoseconds(seconds: i64, nanoseconds: u32) -> i64 {
    seconds.saturating_mul(1_000_000_000).saturating_add(i64::from(nanoseconds))
}
