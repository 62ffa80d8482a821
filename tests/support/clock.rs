//! The one thing that takes time by contract: a file's last change must be old enough before its digest is remembered.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::mpsc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Waits until the file's status changed at least this many milliseconds ago.
pub(crate) fn until_older(path: &Path, milliseconds: u64) {
    let meta = path.metadata().unwrap();
    let changed = Duration::new(u64::try_from(meta.ctime()).unwrap(), u32::try_from(meta.ctime_nsec()).unwrap());
    let wanted = UNIX_EPOCH + changed + Duration::from_millis(milliseconds);
    // Nothing is ever sent: this is a wait for a moment.
    let (_sender, never) = mpsc::channel::<()>();
    while let Ok(left) = wanted.duration_since(SystemTime::now()) {
        let _ = never.recv_timeout(left.max(Duration::from_millis(1)));
    }
}
