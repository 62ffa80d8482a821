//! Room on file systems that was promised to stages of this process and is not taken yet: what is free is not free twice.

use std::fs::File;
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use landfall_handler_api::Result;

use super::{free_space, refuse_short_space, stage_error};

/// How much room is asked for at a time where nobody knows how much it takes in the end.
const STEP: u64 = 64 << 20;
/// Bytes of a block, as `st_blocks` counts them (`stat(2)`).
const BLOCK: u64 = 512;

static PROMISES: Mutex<Vec<Weak<Promise>>> = Mutex::new(Vec::new());

/// Room for one stage; given back when it is dropped.
#[derive(Debug)]
pub(super) struct Promise {
    device: u64,
    file: File,
    /// How many bytes more it may take.
    bytes: u64,
    /// How many it had when that was said.
    before: u64,
}

impl Promise {
    /// What it has not taken yet.
    fn outstanding(&self) -> u64 {
        let taken = place_of(&self.file).map_or(0, |(_, taken)| taken);
        self.bytes.saturating_sub(taken.saturating_sub(self.before))
    }
}

fn promises() -> MutexGuard<'static, Vec<Weak<Promise>>> {
    PROMISES.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The file system of a file, and the bytes that it has there.
fn place_of(file: impl AsFd) -> Result<(u64, u64)> {
    let stat = rustix::fs::fstat(file).map_err(|errno| stage_error(&errno.into(), "stat the stage"))?;
    Ok((stat.st_dev, u64::try_from(stat.st_blocks).unwrap_or(0).saturating_mul(BLOCK)))
}

/// Bytes of `file`'s file system that are promised to stages.
pub(super) fn promised(file: &File) -> Result<u64> {
    let (device, _) = place_of(file)?;
    Ok(sum(&mut promises(), device))
}

fn sum(promises: &mut Vec<Weak<Promise>>, device: u64) -> u64 {
    promises.retain(|promise| promise.strong_count() > 0);
    let live = promises.iter().filter_map(Weak::upgrade).filter(|promise| promise.device == device);
    live.fold(0, |all, promise| all.saturating_add(promise.outstanding()))
}

/// Promises `bytes` more to `file`, of the `free` ones of its file system; refuses where others were promised too much of them.
pub(super) fn promise(file: &File, bytes: u64, free: u64) -> Result<Arc<Promise>> {
    let (device, before) = place_of(file)?;
    let file = file.try_clone().map_err(|error| stage_error(&error, "duplicate the stage's descriptor"))?;
    let mut promises = promises();
    let others = sum(&mut promises, device);
    let hint = if others == 0 { String::new() } else { format!("; {others} of them are promised to other jobs") };
    refuse_short_space(free, bytes.saturating_add(others), &hint)?;
    let promise = Arc::new(Promise { device, file, bytes, before });
    promises.push(Arc::downgrade(&promise));
    Ok(promise)
}

/// Room for what nobody knows the size of: promised a step at a time, ahead of what is written.
pub(crate) struct Steps {
    file: File,
    reach: u64,
    promise: Option<Arc<Promise>>,
}

impl Steps {
    pub(crate) fn new(file: File) -> Self {
        Self { file, reach: 0, promise: None }
    }

    /// Refuses where the file system has no room for bytes up to `end`.
    pub(crate) fn reach(&mut self, end: u64) -> Result<()> {
        if end <= self.reach {
            return Ok(());
        }
        // What it was promised before is taken by now.
        self.promise = None;
        let step = end.saturating_sub(self.reach).max(STEP);
        self.promise = Some(promise(&self.file, step, free_space(&self.file)?)?);
        self.reach = self.reach.saturating_add(step);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn what_is_promised_to_one_is_not_promised_to_another() {
        let (one, two) = (tempfile::tempfile().unwrap(), tempfile::tempfile().unwrap());
        const FREE: u64 = 1 << 40;
        let half = FREE / 2 + 1;
        let first = promise(&one, half, FREE).unwrap();
        let error = promise(&two, half, FREE).unwrap_err();
        assert_eq!(error.code(), "space-short");
        assert!(error.message().contains("promised to other jobs"), "{}", error.message());
        assert!(promised(&two).unwrap() >= half);
        // What was taken is not promised any more: it is not free either.
        (&one).write_all(&vec![7; 1 << 20]).unwrap();
        one.sync_all().unwrap();
        assert!(first.outstanding() <= half - (1 << 20));
        drop(first);
        promise(&two, half, FREE).unwrap();
    }

    #[test]
    fn steps_go_as_far_as_there_is_room() {
        let mut steps = Steps::new(tempfile::tempfile().unwrap());
        steps.reach(0).unwrap();
        assert!(steps.promise.is_none());
        for (end, reach) in [(1, STEP), (STEP, STEP), (STEP + 1, 2 * STEP)] {
            steps.reach(end).unwrap();
            assert_eq!(steps.reach, reach);
        }
        assert_eq!(steps.reach(1 << 60).unwrap_err().code(), "space-short");
    }
}
