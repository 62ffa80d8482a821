//! A directory of records, one file `ID.json` for each, which several processes may change at once.
//!
//! A change is a compare-and-swap: what was read is changed, and takes the record's place only if that is still what was read.
//! Landfall's own writers take turns by a lock. One who does not know of it, an editor for instance, is noticed too: names are
//! exchanged, and exchanged back where it was another record that went out. At every moment there is a whole record, the old
//! or the new.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use landfall_handler_api::{Error, ErrorKind, ImageRecord, Result, Scope};
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};
use rustix::fs::{Mode, OFlags};

use super::{parse, refuse_oversized};
use crate::cancel::Cancel;
use crate::config::Config;
use crate::disk;
use crate::faults::Point;
use crate::redact;

/// Whoever changes a record holds the lock of this file.
const LOCK: &str = ".landfall-lock";
/// What is to become a record, and then what it was. There is one at a time, for it needs the lock.
const SPARE: &str = ".landfall-record";
/// How long whoever waits for the lock sleeps: others hold it for some milliseconds.
const PAUSE: Duration = Duration::from_millis(5);

/// A catalog's directory.
pub(crate) struct RecordDirectory<'a> {
    path: PathBuf,
    directory: OwnedFd,
    config: &'a Config,
}

/// A record as it was read.
struct Seen {
    text: Vec<u8>,
    mode: u32,
    uid: u32,
    gid: u32,
}

impl<'a> RecordDirectory<'a> {
    /// Opens the catalog's directory.
    pub(crate) fn open(path: &Path, config: &'a Config) -> Result<Self> {
        let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC;
        let directory = rustix::fs::open(path, flags, Mode::empty()).map_err(|errno| {
            let message = format!("the catalog directory {} is not there: {errno}", path.display());
            Error::new(ErrorKind::Unavailable, "catalog-unavailable", message).scoped(Scope::Request)
        })?;
        Ok(Self { path: path.to_owned(), directory, config })
    }

    /// The record of `id`.
    pub(crate) fn record(&self, id: &str) -> Result<ImageRecord> {
        self.parse(id, &self.read(&name_of(id))?.text)
    }

    /// Changes the record of `id`, as often as others change it meanwhile. What `edit` gives of the record that took its place
    /// is given back; a record that stays as it is is made sure of.
    pub(crate) fn change<T>(
        &self,
        id: &str,
        cancel: &Cancel,
        edit: impl Fn(&mut ImageRecord) -> Result<T>,
    ) -> Result<T> {
        let name = name_of(id);
        loop {
            let seen = self.read(&name)?;
            let before = self.parse(id, &seen.text)?;
            let mut record = before.clone();
            let outcome = edit(&mut record)?;
            if record == before {
                // A change that was not made sure of may have been made all the same.
                self.sync()?;
                return Ok(outcome);
            }
            refuse_oversized(&record, self.config)?;
            let text = self.written(&record)?;
            let _lock = self.lock(cancel)?;
            if self.swap(&name, &seen, &text)? {
                return Ok(outcome);
            }
            cancel.check()?;
        }
    }

    /// Changes the record of `id` for whoever has the lock of this directory.
    pub(crate) fn change_locked<T>(
        &self,
        id: &str,
        _lock: &OwnedFd,
        cancel: &Cancel,
        edit: impl Fn(&mut ImageRecord) -> Result<T>,
    ) -> Result<T> {
        let name = name_of(id);
        loop {
            let seen = self.read(&name)?;
            let before = self.parse(id, &seen.text)?;
            let mut record = before.clone();
            let outcome = edit(&mut record)?;
            if record == before {
                self.sync()?;
                return Ok(outcome);
            }
            refuse_oversized(&record, self.config)?;
            let text = self.written(&record)?;
            if self.swap(&name, &seen, &text)? {
                return Ok(outcome);
            }
            cancel.check()?;
        }
    }

    /// The ids of all records, sorted.
    pub(crate) fn ids(&self) -> Result<Vec<String>> {
        let failed = self.failed("list");
        let mut ids = Vec::new();
        for entry in rustix::fs::Dir::read_from(&self.directory).map_err(|errno| failed(errno.into()))? {
            let entry = entry.map_err(|errno| failed(errno.into()))?;
            let name = entry.file_name().to_string_lossy();
            if let Some(id) = name.strip_suffix(".json").filter(|id| super::check_id(id).is_ok()) {
                ids.push(id.to_owned());
            }
        }
        ids.sort_unstable();
        Ok(ids)
    }

    /// When the record's file was last changed, in seconds since 1970.
    pub(crate) fn changed_at(&self, id: &str) -> Result<i64> {
        let stat = rustix::fs::statat(&self.directory, name_of(id), rustix::fs::AtFlags::SYMLINK_NOFOLLOW);
        Ok(stat.map_err(|errno| self.failed("look at a record of")(errno.into()))?.st_mtime)
    }

    /// Which directory it is, under whatever path.
    pub(crate) fn identity(&self) -> Result<(u64, u64)> {
        let stat = rustix::fs::fstat(&self.directory).map_err(|errno| self.failed("look at")(errno.into()))?;
        Ok((stat.st_dev, stat.st_ino))
    }

    fn parse(&self, id: &str, text: &[u8]) -> Result<ImageRecord> {
        let shown = redact::printable(&self.path.join(name_of(id)).to_string_lossy());
        parse(text, &shown, self.config).map_err(|error| error.scoped(Scope::Request))
    }

    fn written(&self, record: &ImageRecord) -> Result<Vec<u8>> {
        let mut text = serde_json::to_vec_pretty(record)
            .map_err(|error| Error::new(ErrorKind::Internal, "json", error.to_string()))?;
        text.push(b'\n');
        let most = self.config.limits.record_bytes;
        if text.len() as u64 > most {
            let message = format!("the record would have {} bytes, more than {most}", text.len());
            return Err(Error::new(ErrorKind::Limit, "record-bytes", message).scoped(Scope::Request));
        }
        Ok(text)
    }

    fn read(&self, name: &OsStr) -> Result<Seen> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&self.directory, name, flags, Mode::empty());
        let mut file = File::from(file.map_err(|errno| self.failed("open a record of")(errno.into()))?);
        let metadata = file.metadata().map_err(self.failed("look at a record of"))?;
        if !metadata.is_file() {
            let message = format!("{} is no regular file", redact::printable(&name.to_string_lossy()));
            return Err(Error::new(ErrorKind::Invalid, "record-file", message).scoped(Scope::Request));
        }
        let mut text = Vec::new();
        let most = self.config.limits.record_bytes.saturating_add(1);
        Read::by_ref(&mut file).take(most).read_to_end(&mut text).map_err(self.failed("read a record of"))?;
        Ok(Seen { text, mode: metadata.mode() & 0o7777, uid: metadata.uid(), gid: metadata.gid() })
    }

    /// Puts `text` in the place of what was seen; false if that is not there any more.
    fn swap(&self, name: &OsStr, seen: &Seen, text: &[u8]) -> Result<bool> {
        let spare = OsStr::new(SPARE);
        // Whoever left it there is dead, for the lock is ours.
        self.drop_spare(Point::RecordCollect)?;
        let outcome = self.write_spare(seen, text).and_then(|()| self.take_place(name, seen));
        match outcome {
            Ok(true) => {
                self.sync()?;
                // What is left of it otherwise is collected by the next one.
                let _ = disk::unlink(Point::RecordUnlink, self.fd(), spare);
                Ok(true)
            }
            other => {
                let _ = disk::unlink(Point::RecordUnlink, self.fd(), spare);
                other
            }
        }
    }

    fn write_spare(&self, seen: &Seen, text: &[u8]) -> Result<()> {
        let failed = self.failed("write a record into");
        let file = disk::create_record(self.fd(), OsStr::new(SPARE)).map_err(&failed)?;
        disk::write_record(file.as_fd(), text).map_err(&failed)?;
        let own = rustix::fs::fstat(&file).map_err(|errno| failed(errno.into()))?;
        if (own.st_uid, own.st_gid) != (seen.uid, seen.gid) {
            disk::set_owner(file.as_fd(), seen.uid, seen.gid).map_err(&failed)?;
        }
        disk::set_mode(file.as_fd(), seen.mode).map_err(&failed)?;
        disk::sync_record(file.as_fd()).map_err(&failed)
    }

    /// The spare file takes the record's place, unless that is not what was seen.
    fn take_place(&self, name: &OsStr, seen: &Seen) -> Result<bool> {
        let (spare, failed) = (OsStr::new(SPARE), self.failed("change a record of"));
        if self.read(name)?.text != seen.text {
            return Ok(false);
        }
        match disk::exchange(Point::RecordExchange, self.fd(), spare, name) {
            Ok(()) => {}
            Err(error) if disk::is_missing(&error) => {
                return disk::rename_over(Point::RecordReplace, self.fd(), spare, name).map(|()| true).map_err(failed);
            }
            Err(error) => return Err(failed(error)),
        }
        // One who does not know of the lock may have been faster.
        if self.read(spare)?.text == seen.text {
            return Ok(true);
        }
        disk::exchange(Point::RecordExchange, self.fd(), spare, name).map_err(failed)?;
        Ok(false)
    }

    fn drop_spare(&self, point: Point) -> Result<()> {
        match disk::unlink(point, self.fd(), OsStr::new(SPARE)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(self.failed("clean up")(error)),
            _ => Ok(()),
        }
    }

    fn sync(&self) -> Result<()> {
        disk::sync_directory(Point::RecordSyncDirectory, self.fd()).map_err(self.failed("sync"))
    }

    /// Waits for the lock, until the operation is cancelled. It is given back when the descriptor is closed.
    pub(crate) fn lock(&self, cancel: &Cancel) -> Result<OwnedFd> {
        let failed = self.failed("lock");
        let flags = OFlags::CREATE | OFlags::NOFOLLOW | OFlags::RDWR | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&self.directory, LOCK, flags, Mode::RUSR | Mode::WUSR)
            .map_err(|errno| failed(errno.into()))?;
        let whole = libc::flock {
            l_type: libc::F_WRLCK as libc::c_short,
            l_whence: libc::SEEK_SET as libc::c_short,
            l_start: 0,
            l_len: 0,
            l_pid: 0,
        };
        loop {
            match fcntl(&file, FcntlArg::F_OFD_SETLK(&whole)) {
                Ok(_) => return Ok(file),
                Err(Errno::EAGAIN | Errno::EACCES | Errno::EINTR) => {
                    cancel.check()?;
                    cancel.sleep(PAUSE);
                }
                Err(errno) => return Err(failed(errno.into())),
            }
        }
    }

    fn fd(&self) -> BorrowedFd<'_> {
        self.directory.as_fd()
    }

    fn failed(&self, what: &str) -> impl Fn(std::io::Error) -> Error {
        let what = format!("{what} {}", redact::printable(&self.path.to_string_lossy()));
        move |error| Error::os(&error, &what).scoped(Scope::Request)
    }
}

fn name_of(id: &str) -> OsString {
    OsString::from(format!("{id}.json"))
}
