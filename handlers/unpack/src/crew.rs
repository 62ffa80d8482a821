//! Threads that decode and write.

use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread::{self, Builder};

use landfall_handler_api::{Error, ErrorKind, Result};

use crate::disk::Disk;
use crate::job::Job;
use crate::queue::Queue;
use crate::window::{WINDOW, Window};

/// Jobs that may wait for each thread. With the one that it works at and the one that is being filled, these are all
/// the stored bytes that are held at a time.
pub const JOBS_PER_THREAD: usize = 2;

/// Threads that decode jobs and write them to a disk, while [`Crew::run`] runs.
///
/// Two jobs must not touch the same [`BLOCK`](crate::BLOCK) of the disk: each writes the blocks that it touches whole,
/// as few and large writes, from memory aligned for direct I/O; blocks of zeros are not written at all.
pub struct Crew<'a> {
    queue: &'a Queue,
}

impl Crew<'_> {
    /// Lets `feed` submit jobs for the part `bounds` of a disk, and waits until all of them are written.
    ///
    /// There are `threads` threads, at least 1, beside the calling one. If jobs fail, the error is that of the earliest
    /// one, for any number of threads, whatever `feed` says: what it found wrong comes later in the stream. A panic in
    /// a thread is `crashed`, code `unpack-panicked`.
    pub fn run<T>(
        threads: usize,
        disk: &dyn Disk,
        bounds: Range<u64>,
        feed: impl FnOnce(&Crew<'_>) -> Result<T>,
    ) -> Result<T> {
        let threads = threads.max(1);
        // Here and not in the threads: the allocator would set aside address space for each of them, and a worker has
        // little of that.
        let windows = (0..threads).map(|_| Window::new()).collect::<Result<Vec<_>>>()?;
        let queue = Queue::new(threads.saturating_mul(JOBS_PER_THREAD));

        let fed = thread::scope(|scope| {
            let _closing = Closing(&queue);
            let mut started = 0_usize;
            for window in windows {
                let (queue, bounds) = (&queue, bounds.clone());
                let spawned = Builder::new().spawn_scoped(scope, move || work(queue, window, disk, &bounds));
                match spawned {
                    Ok(_) => started = started.saturating_add(1),
                    // Fewer threads than wanted do it too.
                    Err(_) if started > 0 => break,
                    Err(error) => return Err(Error::os(&error, "start a thread")),
                }
            }
            feed(&Crew { queue: &queue })
        });
        match queue.into_failure() {
            Some(error) => Err(error),
            None => fed,
        }
    }

    /// An empty job for the window that holds `offset` of the disk.
    pub fn job(&self, offset: u64) -> Job {
        let mut job = self.queue.blank();
        job.window = offset & !(WINDOW as u64).wrapping_sub(1);
        job
    }

    /// Hands a job over, and waits while too many are waiting. Fails once any job has: then nothing more is wanted.
    pub fn submit(&self, job: Job) -> Result<()> {
        if job.is_empty() { Ok(()) } else { self.queue.put(job) }
    }
}

/// Ends the threads, also when the one that feeds them panics.
struct Closing<'a>(&'a Queue);

impl Drop for Closing<'_> {
    fn drop(&mut self) {
        self.0.close();
    }
}

fn work(queue: &Queue, mut window: Window, disk: &dyn Disk, bounds: &Range<u64>) {
    while let Some(job) = queue.take() {
        // A panic must not leave the one that feeds waiting for a thread that is gone.
        let outcome = catch_unwind(AssertUnwindSafe(|| window.finish(&job, disk, bounds)));
        let panicked = |_| Err(Error::new(ErrorKind::Crashed, "unpack-panicked", "a thread that unpacks panicked"));
        queue.done(job, outcome.unwrap_or_else(panicked));
    }
}

#[cfg(test)]
mod tests;
