//! Jobs on their way from the one that reads to the threads, and what came of them.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use landfall_handler_api::{Error, Result};

use crate::job::Job;

/// A queue of bounded length. Of all errors it keeps that of the earliest job, whichever thread is faster.
pub(crate) struct Queue {
    most: usize,
    state: Mutex<State>,
    /// A job was put in, or none will be.
    filled: Condvar,
    /// A job was taken out.
    taken: Condvar,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Job>,
    /// Jobs that are done, for their memory.
    spare: Vec<Job>,
    submitted: u64,
    closed: bool,
    failed: Option<(u64, Error)>,
}

impl Queue {
    pub(crate) fn new(most: usize) -> Self {
        Self { most, state: Mutex::default(), filled: Condvar::new(), taken: Condvar::new() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An empty job, in the memory of one that is done where there is one.
    pub(crate) fn blank(&self) -> Job {
        self.state().spare.pop().unwrap_or_default()
    }

    /// Puts a job in, and waits for room. Fails once any job has.
    pub(crate) fn put(&self, mut job: Job) -> Result<()> {
        let state = self.taken.wait_while(self.state(), |state| state.waiting.len() >= self.most);
        let mut state = state.unwrap_or_else(PoisonError::into_inner);
        if let Some((_, error)) = &state.failed {
            return Err(error.clone());
        }
        job.number = state.submitted;
        state.submitted = state.submitted.saturating_add(1);
        state.waiting.push_back(job);
        drop(state);
        self.filled.notify_one();
        Ok(())
    }

    /// The next job that can still matter; none once the queue is closed and empty.
    pub(crate) fn take(&self) -> Option<Job> {
        let mut state = self.state();
        loop {
            while let Some(job) = state.waiting.pop_front() {
                self.taken.notify_one();
                if state.failed.as_ref().is_none_or(|(earliest, _)| job.number < *earliest) {
                    return Some(job);
                }
            }
            if state.closed {
                return None;
            }
            state = self.filled.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Takes back a job that is done.
    pub(crate) fn done(&self, mut job: Job, outcome: Result<()>) {
        // What it shares is free from now on.
        job.clear();
        let mut state = self.state();
        if let Err(error) = outcome
            && state.failed.as_ref().is_none_or(|(earliest, _)| job.number < *earliest)
        {
            state.failed = Some((job.number, error));
        }
        state.spare.push(job);
    }

    /// No more jobs will be put in.
    pub(crate) fn close(&self) {
        self.state().closed = true;
        self.filled.notify_all();
    }

    /// The error of the earliest job that failed, once all threads are done.
    pub(crate) fn into_failure(self) -> Option<Error> {
        self.state.into_inner().unwrap_or_else(PoisonError::into_inner).failed.map(|(_, error)| error)
    }
}

#[cfg(test)]
mod tests {
    use landfall_handler_api::ErrorKind;

    use super::*;

    #[test]
    fn the_earliest_failure_stays_in_whatever_order_jobs_end() {
        for order in [[0, 1, 2], [2, 1, 0], [1, 2, 0], [1, 0, 2]] {
            let queue = Queue::new(8);
            for _ in 0..5 {
                queue.put(queue.blank()).unwrap();
            }
            let mut taken: Vec<_> = (0..3).map(|_| queue.take()).collect();
            for at in order {
                let job = taken[at].take().unwrap();
                let code = ["first", "second", "third"][at];
                queue.done(job, Err(Error::new(ErrorKind::Corrupt, code, "")));
            }
            assert!(queue.put(queue.blank()).is_err());
            queue.close();
            assert!(queue.take().is_none(), "what comes later no longer matters");
            assert_eq!(queue.into_failure().unwrap().code(), "first");
        }
    }

    #[test]
    fn what_is_earlier_than_a_failure_is_still_done() {
        let queue = Queue::new(8);
        for _ in 0..3 {
            queue.put(queue.blank()).unwrap();
        }
        let (first, second) = (queue.take().unwrap(), queue.take().unwrap());
        assert_eq!((first.number, second.number), (0, 1));
        queue.done(second, Err(Error::new(ErrorKind::Corrupt, "second", "")));
        queue.done(first, Ok(()));
        queue.close();
        assert!(queue.take().is_none());
        assert_eq!(queue.into_failure().unwrap().code(), "second");
    }
}
