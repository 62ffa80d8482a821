//! The jobs of the agent: those that run, within bounds, and for a while those that are over.

use std::collections::{HashMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use landfall_handler_api::{Error, ErrorKind, Result, Scope};

use super::caller::Caller;
use super::errand::Errand;
use super::job::Job;

/// Jobs whose outcome can still be asked for when they are over.
const KEPT: usize = 1_000;
/// When to call again, where too many calls are under way.
const AGAIN: Duration = Duration::from_secs(2);

/// Bounds on the jobs that run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    /// Of all callers.
    pub(crate) all: u32,
    /// Of one.
    pub(crate) of_caller: u32,
}

#[derive(Default)]
struct Table {
    jobs: HashMap<String, Arc<Job>>,
    running: HashMap<u32, u32>,
    /// Those that are over with whose they were, the oldest first.
    over: VecDeque<(u32, String)>,
    /// Who has which target.
    targets: HashMap<PathBuf, (String, Arc<Job>)>,
}

impl Table {
    /// Where the oldest job is of the user who has most of those that are over: nobody pushes out those of others.
    fn least_missed(&self) -> Option<usize> {
        let mut counts: HashMap<u32, usize> = HashMap::new();
        for (uid, _) in &self.over {
            let count = counts.entry(*uid).or_default();
            *count = count.saturating_add(1);
        }
        let (most, _) = counts.into_iter().max_by_key(|(_, count)| *count)?;
        self.over.iter().position(|(uid, _)| *uid == most)
    }
}

/// The jobs.
#[derive(Default)]
pub(crate) struct Jobs {
    table: Mutex<Table>,
}

/// Whether a job may go on with its target.
pub(crate) enum Claim {
    /// The target is its own until it ends.
    Granted,
    /// The same was called for before, and is under way.
    Same(Arc<Job>),
}

impl Jobs {
    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a job in, if there is room.
    pub(crate) fn begin(&self, job: Job, bounds: Bounds) -> Result<Arc<Job>> {
        let mut table = self.table();
        let all = table.running.values().fold(0_u32, |all, count| all.saturating_add(*count));
        let own = table.running.get(&job.caller.uid).copied().unwrap_or_default();
        if all >= bounds.all {
            return Err(full("queue-full", format!("{all} calls are under way, as many as there may be")));
        }
        if own >= bounds.of_caller {
            let message = format!("{own} calls of user {} are under way, as many as one may have", job.caller.uid);
            return Err(full("queue-full-for-caller", message));
        }
        table.running.insert(job.caller.uid, own.saturating_add(1));
        let job = Arc::new(job);
        table.jobs.insert(job.id.clone(), Arc::clone(&job));
        Ok(job)
    }

    /// Claims the errand's target for a job.
    pub(crate) fn claim_target(&self, job: &Arc<Job>, errand: &Errand, fingerprint: String) -> Result<Claim> {
        let path = errand.target.path();
        let mut table = self.table();
        match table.targets.get(path) {
            None => {
                table.targets.insert(path.to_owned(), (fingerprint, Arc::clone(job)));
                Ok(Claim::Granted)
            }
            Some((other, owner)) if *other == fingerprint && owner.caller.uid == job.caller.uid => {
                Ok(Claim::Same(Arc::clone(owner)))
            }
            Some(_) => {
                let message = format!("another call is placing something at {}", path.display());
                Err(Error::new(ErrorKind::Exists, "target-in-use", message).scoped(Scope::Request))
            }
        }
    }

    /// Refuses a path at which a job of the caller's, or of anybody where it sees those, is placing something.
    pub(crate) fn refuse_in_use(&self, path: &Path, caller: &Caller, any: bool) -> Result<()> {
        match self.table().targets.get(path) {
            Some((_, owner)) if any || owner.caller.uid == caller.uid => {
                let message = format!("job {} is placing something at {}", owner.id, path.display());
                Err(Error::new(ErrorKind::Exists, "target-in-use", message).scoped(Scope::Request))
            }
            _ => Ok(()),
        }
    }

    /// The caller's own that run for a target, as it was named or as it was found to be.
    pub(crate) fn for_target(&self, path: &Path, caller: &Caller) -> Vec<Arc<Job>> {
        let path: PathBuf = path.components().collect();
        let table = self.table();
        let holder = table.targets.get(&path).map(|(_, owner)| owner.id.as_str());
        let running = table.jobs.values().filter(|job| !job.is_over() && job.caller.uid == caller.uid);
        running.filter(|job| job.is_for(&path) || holder == Some(job.id.as_str())).cloned().collect()
    }

    /// A job is over: its target is free, and so is its place.
    pub(crate) fn ended(&self, job: &Arc<Job>) {
        let mut table = self.table();
        table.targets.retain(|_, (_, owner)| !Arc::ptr_eq(owner, job));
        let uid = job.caller.uid;
        match table.running.get_mut(&uid) {
            Some(count) if *count > 1 => *count = count.saturating_sub(1),
            _ => {
                table.running.remove(&uid);
            }
        }
        table.over.push_back((uid, job.id.clone()));
        while table.over.len() > KEPT
            && let Some(oldest) = table.least_missed()
        {
            if let Some((_, id)) = table.over.remove(oldest) {
                table.jobs.remove(&id);
            }
        }
    }

    /// The job of this id, if the caller may see it. Whoever may not is told no more than whoever invents an id.
    pub(crate) fn find(&self, id: &str, caller: &Caller, any: bool) -> Result<Arc<Job>> {
        let found = self.table().jobs.get(id).cloned();
        found.filter(|job| any || job.caller.uid == caller.uid).ok_or_else(|| {
            Error::new(ErrorKind::NotFound, "no-such-job", "there is no such job of yours").scoped(Scope::Request)
        })
    }

    /// Those that the caller may see, the oldest first.
    pub(crate) fn list(&self, caller: &Caller, any: bool) -> Vec<Arc<Job>> {
        let mut jobs: Vec<_> =
            self.table().jobs.values().filter(|job| any || job.caller.uid == caller.uid).cloned().collect();
        jobs.sort_by(|one, two| (one.began, &one.id).cmp(&(two.began, &two.id)));
        jobs
    }

    /// All that run.
    pub(crate) fn running(&self) -> Vec<Arc<Job>> {
        self.table().jobs.values().filter(|job| !job.is_over()).cloned().collect()
    }

    /// How many run.
    pub(crate) fn count(&self) -> u32 {
        self.table().running.values().fold(0, |all, count| all.saturating_add(*count))
    }
}

fn full(code: &'static str, message: String) -> Error {
    Error::new(ErrorKind::Unavailable, code, message).scoped(Scope::Request).retried_after(AGAIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_most_that_is_over_loses_the_oldest() {
        let mut table = Table::default();
        let over = [(1, "a"), (2, "b"), (2, "c"), (1, "d"), (2, "e")];
        table.over = over.into_iter().map(|(uid, id)| (uid, id.to_owned())).collect();
        assert_eq!(table.least_missed(), Some(1));
        table.over.remove(1);
        table.over.remove(1);
        assert_eq!(table.least_missed(), Some(0));
        assert_eq!(Table::default().least_missed(), None);
    }
}
