//! The unpublished file on the target's file system.
//!
//! A nameless file where the file system has them: a crash then leaves nothing. Otherwise a hidden file beside the target,
//! locked by its owner; [`collect`] removes those whose owner is gone. Handlers see neither.

mod collect;
mod directory;
mod kept;
mod promised;

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use landfall_handler_api::{Error, ErrorKind, Result, Scope};
use rustix::fs::FlockOperation;

use crate::complaint::complain;
use crate::disk;
use crate::faults::Point;
use crate::target::Target;

use kept::Kept;
use promised::Promise;
pub(crate) use promised::Steps;

pub(crate) use directory::{HiddenDirectory, refuse_foreign, remove_with_disks};

/// What hidden files beside a target begin with.
pub(crate) const HIDDEN_PREFIX: &str = ".landfall-";

/// Where the staged bytes are.
#[derive(Debug)]
enum Form {
    /// A file without a name.
    Anonymous,
    /// A hidden file, locked by this process.
    Named(OsString),
    /// The same, with a journal, for this process and later ones.
    Kept(Kept),
    /// The store's own file, to be given a second name.
    Shared,
}

/// A staged disk. Dropped without being published, it leaves nothing.
#[derive(Debug)]
pub(crate) struct Stage {
    target: Arc<Target>,
    file: File,
    form: Form,
    /// Who is to own the target.
    owner: Option<(u32, u32)>,
    /// Whether it is only read, and never published.
    scratch: bool,
    /// Room that it may take yet.
    room: Mutex<Option<Arc<Promise>>>,
}

/// An error of the stage: whatever failed, no other location will do better here.
pub(crate) fn stage_error(error: &std::io::Error, what: &str) -> Error {
    let error = Error::os(error, what);
    let scope =
        if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::Denied) { Scope::Request } else { Scope::Node };
    error.scoped(scope)
}

impl Stage {
    /// Opens an empty stage for `target`. Where it needs a name, hidden files of dead owners older than `keep` are
    /// collected first.
    /// `owner` is given to it at once, so that not being allowed to shows before any byte is moved.
    pub(crate) fn open(target: &Arc<Target>, keep: Duration, owner: Option<(u32, u32)>) -> Result<Self> {
        let mut stage = Self::open_unowned(target, keep)?;
        stage.owner = owner;
        stage.give_to_owner()?;
        Ok(stage)
    }

    /// Opens a file on the target's file system that is read and then forgotten.
    pub(crate) fn open_scratch(target: &Arc<Target>, keep: Duration) -> Result<Self> {
        let mut stage = Self::open_unowned(target, keep)?;
        stage.scratch = true;
        Ok(stage)
    }

    /// Whether it is only read, and never published.
    pub(crate) fn is_scratch(&self) -> bool {
        self.scratch
    }

    /// Says who is to own the target. One that is kept stays the agent's own until it is published.
    pub(crate) fn set_owner(&mut self, owner: Option<(u32, u32)>) -> Result<()> {
        self.owner = owner;
        if matches!(self.form, Form::Kept(_)) { Ok(()) } else { self.give_to_owner() }
    }

    /// Takes its name away, if it has one: it is only read from now on.
    pub(crate) fn hide(&mut self) {
        self.forget_progress();
        self.give_up();
    }

    fn give_to_owner(&self) -> Result<()> {
        let Some((uid, gid)) = self.owner else { return Ok(()) };
        disk::set_owner(self.descriptor(), uid, gid)
            .map_err(|error| Error::os(&error, format_args!("give the target to {uid}:{gid}")).scoped(Scope::Request))
    }

    fn open_unowned(target: &Arc<Target>, keep: Duration) -> Result<Self> {
        let directory = target.directory();
        match disk::create_anonymous(directory) {
            Ok(file) => {
                let (target, file) = (Arc::clone(target), File::from(file));
                Ok(Self { target, file, form: Form::Anonymous, owner: None, scratch: false, room: Mutex::default() })
            }
            Err(error) if lacks_anonymous(&error) => {
                collect::collect(directory, keep)?;
                let name = hidden_name("stage")?;
                let file = disk::create_named(directory, &name)
                    .map_err(|error| stage_error(&error, "make a file in the target's directory"))?;
                let (target, file) = (Arc::clone(target), File::from(file));
                let stage =
                    Self { target, file, form: Form::Named(name), owner: None, scratch: false, room: Mutex::default() };
                rustix::fs::flock(&stage.file, FlockOperation::NonBlockingLockExclusive)
                    .map_err(|errno| stage_error(&errno.into(), "lock the stage"))?;
                Ok(stage)
            }
            Err(error) => Err(stage_error(&error, "make a file in the target's directory")),
        }
    }

    /// Takes the store's own file as what will be published.
    pub(crate) fn share(&mut self, file: File) {
        self.give_up();
        self.file = file;
        self.form = Form::Shared;
    }

    /// The target that this stage is for.
    pub(crate) fn target(&self) -> Arc<Target> {
        Arc::clone(&self.target)
    }

    /// Who is to own the target.
    pub(crate) fn owner(&self) -> Option<(u32, u32)> {
        self.owner
    }

    /// The staged bytes.
    pub(crate) fn file(&self) -> &File {
        &self.file
    }

    /// The staged bytes' descriptor.
    pub(crate) fn descriptor(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }

    /// The hidden name, for a stage that has one.
    pub(crate) fn hidden_name(&self) -> Option<&OsStr> {
        match &self.form {
            Form::Named(name) => Some(name),
            Form::Kept(kept) => Some(kept.name()),
            Form::Anonymous | Form::Shared => None,
        }
    }

    /// Whether this is the store's own file.
    pub(crate) fn is_shared(&self) -> bool {
        matches!(self.form, Form::Shared)
    }

    /// Bytes that the file system has free for this process.
    pub(crate) fn free_space(&self) -> Result<u64> {
        free_space(&self.file)
    }

    /// Refuses when the file system has less than `bytes` free for this process beside what other stages may take yet; else
    /// they are this one's, until [`Stage::has_its_bytes`].
    pub(crate) fn check_space(&self, bytes: u64) -> Result<()> {
        // What it was promised before counts no more.
        self.has_its_bytes();
        let promise = promised::promise(&self.file, bytes, self.free_space()?)?;
        *self.room.lock().unwrap_or_else(PoisonError::into_inner) = Some(promise);
        Ok(())
    }

    /// Bytes that the file system has free beside what stages may take yet.
    pub(crate) fn unpromised_space(&self) -> Result<u64> {
        Ok(self.free_space()?.saturating_sub(promised::promised(&self.file)?))
    }

    /// Room for what nobody knows the size of.
    pub(crate) fn steps(&self) -> Result<Steps> {
        let file = self.file.try_clone().map_err(|error| stage_error(&error, "duplicate the stage's descriptor"))?;
        Ok(Steps::new(file))
    }

    /// It takes no more room.
    pub(crate) fn has_its_bytes(&self) {
        *self.room.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Sets the size; what is new reads as zeros.
    pub(crate) fn set_size(&self, size: u64) -> Result<()> {
        disk::set_size(self.descriptor(), size).map_err(|error| stage_error(&error, "set the stage's size"))
    }

    /// The hidden name became the target's, or went otherwise.
    pub(crate) fn forget_hidden_name(&mut self) {
        if let Form::Kept(kept) = &self.form {
            remove(Point::JournalUnlink, &self.target, kept.journal_name());
        }
        self.form = Form::Anonymous;
    }

    /// Makes the stage one that a later run can go on with: the hidden file of this `key`, taken over if an earlier run left
    /// it. Gives its journal; `None` where that is not possible now, and the stage is as it was. Those that are older than
    /// `age` are collected first.
    pub(crate) fn keep(&mut self, key: &str, age: Duration) -> Result<Option<File>> {
        if age.is_zero() || !matches!(self.form, Form::Anonymous | Form::Named(_)) {
            return Ok(None);
        }
        collect::collect(self.target.directory(), age)?;
        let opened = Kept::open(&self.target, key).unwrap_or_else(|error| {
            // The stage that there is already does as well.
            complain(format_args!("the download for {} is not kept: {error}", self.target.path().display()));
            None
        });
        let Some((kept, file, journal)) = opened else { return Ok(None) };
        self.give_up();
        (self.file, self.form) = (file, Form::Kept(kept));
        Ok(Some(journal))
    }

    /// There is a checkpoint: the stage is left behind if it is not published.
    pub(crate) fn made_progress(&mut self) {
        if let Form::Kept(kept) = &mut self.form {
            kept.is_worth_it = true;
        }
    }

    /// What is in the stage is of no use to anybody.
    pub(crate) fn forget_progress(&mut self) {
        if let Form::Kept(kept) = &mut self.form {
            kept.is_worth_it = false;
        }
    }

    /// Gives a stage that outlived a run to its owner: until now it was the agent's alone.
    pub(crate) fn hand_over(&self) -> Result<()> {
        match &self.form {
            Form::Kept(_) => self.give_to_owner(),
            _ => Ok(()),
        }
    }

    fn give_up(&mut self) {
        match &self.form {
            Form::Named(name) => remove(Point::StageUnlink, &self.target, name),
            Form::Kept(kept) if kept.is_worth_it => {
                // The next attempt may be this process's own, while a thread of this one still has the descriptor.
                if let Err(errno) = rustix::fs::flock(&self.file, FlockOperation::Unlock) {
                    complain(format_args!("could not unlock the stage {}: {errno}", kept.name().display()));
                }
            }
            Form::Kept(kept) => {
                // The journal first: without it nobody believes the other.
                remove(Point::JournalUnlink, &self.target, kept.journal_name());
                remove(Point::StageUnlink, &self.target, kept.name());
            }
            Form::Anonymous | Form::Shared => {}
        }
        self.form = Form::Anonymous;
    }
}

/// Bytes that the file system of `file` has free for this process.
fn free_space(file: &File) -> Result<u64> {
    let stat =
        rustix::fs::fstatvfs(file).map_err(|errno| stage_error(&errno.into(), "stat the target's file system"))?;
    Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
}

/// Refuses when more than the bytes that are free may be needed; `hint` says what people can do about it.
pub(crate) fn refuse_short_space(free: u64, needed: u64, hint: &str) -> Result<()> {
    if free >= needed {
        return Ok(());
    }
    let message = format!("the target's file system has {free} bytes free, {needed} may be needed{hint}");
    Err(Error::new(ErrorKind::NoSpace, "space-short", message))
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.give_up();
    }
}

/// Removes a hidden name. What cannot be removed now is collected later: its lock goes with this process.
fn remove(point: Point, target: &Target, name: &OsStr) {
    match disk::unlink(point, target.directory(), name) {
        // The ledger has settled it.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => complain(format_args!("could not remove the stage {}: {error}", name.display())),
        Ok(()) => {}
    }
}

/// A hidden name that nobody else has: `.landfall-WHAT-` and 16 random hex digits.
pub(crate) fn hidden_name(what: &str) -> Result<OsString> {
    Ok(OsString::from(format!("{HIDDEN_PREFIX}{what}-{:016x}", random()?)))
}

/// 64 random bits.
pub(crate) fn random() -> Result<u64> {
    let mut bytes = [0; 8];
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())
        .map_err(|errno| Error::os(&errno.into(), "get random bytes").scoped(Scope::Node))?;
    Ok(u64::from_ne_bytes(bytes))
}

/// Whether a failed `O_TMPFILE` says that there is no such thing here. Old kernels take the flag for a directory's.
fn lacks_anonymous(error: &std::io::Error) -> bool {
    disk::is_missing(error) || error.raw_os_error() == Some(libc::EISDIR)
}
