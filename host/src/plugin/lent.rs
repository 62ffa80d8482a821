//! Lends a thread to one call into a plugin, and takes the caller back when the plugin does not.
//!
//! A call never runs on the caller's thread: a plugin that hangs would take the placement, or the agent, with it. A fresh
//! named thread costs some 50 microseconds, against operations that move gigabytes; a pool would lose one of its threads
//! for ever to each call that hangs.

use std::os::fd::{AsFd, BorrowedFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use landfall_handler_api::{Error, ErrorKind, Result};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::eventfd::{EfdFlags, EventFd};

use super::pulse::Pulse;
use crate::cancel::Cancel;

/// Promised by the ABI, whatever the environment says of this program's own threads.
const STACK: usize = 2 << 20;

/// How a lent thread came back.
pub(super) enum Lent<T> {
    /// The work ended.
    Back(Result<T>),
    /// It did not end in time. The thread goes on, and whatever was moved into the work stays with it.
    Abandoned,
}

struct Done<T> {
    outcome: Mutex<Option<Result<T>>>,
    event: EventFd,
}

/// What ends a call that does not end by itself.
#[derive(Clone, Copy)]
pub(super) struct Watched<'a> {
    /// The call's own.
    pub(super) cancel: &'a Cancel,
    /// Fires `cancel` when it goes flat.
    pub(super) pulse: &'a Pulse,
}

/// Runs `work` on a thread called `name`, for as long as it takes. When `cancel` fires, `work` has `grace` to end; one that
/// nobody watches has so from the start.
pub(super) fn lend<T: Send + 'static>(
    name: &str,
    watched: Option<Watched<'_>>,
    grace: Duration,
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Lent<T> {
    let event = match EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK) {
        Ok(event) => event,
        Err(errno) => return Lent::Back(Err(Error::os(&errno.into(), "make an event descriptor"))),
    };
    let done = Arc::new(Done { outcome: Mutex::new(None), event });
    let theirs = Arc::clone(&done);
    let run = move || {
        let outcome = catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| {
            Err(Error::new(ErrorKind::Internal, "host-panic", "the host panicked around a plugin"))
        });
        *theirs.outcome.lock().unwrap_or_else(PoisonError::into_inner) = Some(outcome);
        // A full counter is readable already. One that is gone was closed by the plugin, and whoever waits would wait for
        // ever: nothing that this process holds is its own any more.
        if theirs.event.write(1) == Err(Errno::EBADF) {
            std::process::abort();
        }
    };
    if let Err(error) = thread::Builder::new().name(name.to_owned()).stack_size(STACK).spawn(run) {
        return Lent::Back(Err(Error::os(&error, "start a thread for a plugin")));
    }
    match wait(&done, watched, grace) {
        Some(outcome) => Lent::Back(outcome),
        None => Lent::Abandoned,
    }
}

fn wait<T>(done: &Done<T>, watched: Option<Watched<'_>>, grace: Duration) -> Option<Result<T>> {
    let mut give_up = watched.is_none().then(|| Instant::now() + grace);
    loop {
        if let Some(outcome) = done.outcome.lock().unwrap_or_else(PoisonError::into_inner).take() {
            return Some(outcome);
        }
        if let Some(Watched { cancel, pulse }) = watched.filter(|_| give_up.is_none()) {
            if pulse.is_flat() {
                cancel.cancel();
            }
            if cancel.is_cancelled() {
                give_up = Some(Instant::now() + grace);
            }
        }
        let until = match give_up {
            Some(moment) if Instant::now() >= moment => return None,
            Some(moment) => Some(moment),
            None => watched.map(|watched| {
                let flat = watched.pulse.flat_at();
                watched.cancel.deadline().map_or(flat, |deadline| deadline.min(flat))
            }),
        };
        // Once it fired, the cancel descriptor is readable for ever and says nothing more.
        let cancelled = watched.filter(|_| give_up.is_none()).map(|watched| watched.cancel.descriptor());
        sleep_until(done.event.as_fd(), cancelled, until);
    }
}

fn sleep_until(done: BorrowedFd<'_>, cancelled: Option<BorrowedFd<'_>>, until: Option<Instant>) {
    let mut wanted: Vec<PollFd<'_>> =
        std::iter::once(done).chain(cancelled).map(|fd| PollFd::new(fd, PollFlags::POLLIN)).collect();
    let timeout = match until {
        None => PollTimeout::NONE,
        Some(moment) => {
            // Whole milliseconds, rounded up so as not to spin through the last one.
            let left = moment.saturating_duration_since(Instant::now()) + Duration::from_millis(1);
            PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX)
        }
    };
    // An interrupted or failed poll only means that the caller looks again.
    let _ = poll(&mut wanted, timeout);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lend_watched<T: Send + 'static>(
        cancel: &Cancel,
        silence: Duration,
        grace: Duration,
        work: impl FnOnce() -> Result<T> + Send + 'static,
    ) -> Lent<T> {
        lend("h:test", Some(Watched { cancel, pulse: &Pulse::new(silence) }), grace, work)
    }

    const LONG: Duration = Duration::from_secs(3600);

    #[test]
    fn work_has_a_thread_of_its_own_with_a_name() {
        let here = thread::current().id();
        let cancel = Cancel::new().unwrap();
        let back = lend_watched(&cancel, LONG, Duration::ZERO, move || {
            assert_ne!(thread::current().id(), here);
            Ok(thread::current().name().map(str::to_owned))
        });
        assert!(matches!(back, Lent::Back(Ok(Some(name))) if name == "h:test"));
    }

    #[test]
    fn cancelled_work_has_its_grace() {
        let cancel = Cancel::new().unwrap();
        cancel.cancel();
        let slow = || {
            thread::sleep(Duration::from_millis(50));
            Ok(7)
        };
        assert!(matches!(lend_watched(&cancel, LONG, Duration::from_secs(5), slow), Lent::Back(Ok(7))));
        assert!(matches!(lend_watched(&cancel, LONG, Duration::from_millis(1), slow), Lent::Abandoned));
        assert!(matches!(lend("h:test", None, Duration::from_millis(1), slow), Lent::Abandoned));
    }

    fn hang() -> Result<()> {
        thread::sleep(Duration::from_secs(3));
        Ok(())
    }

    #[test]
    fn a_deadline_ends_the_wait_without_anybody_cancelling() {
        let cancel = Cancel::new().unwrap().with_deadline(Some(Instant::now() + Duration::from_millis(30)));
        let begun = Instant::now();
        assert!(matches!(lend_watched(&cancel, LONG, Duration::from_millis(30), hang), Lent::Abandoned));
        assert!(begun.elapsed() < Duration::from_secs(2) && cancel.is_cancelled());
    }

    #[test]
    fn silence_ends_the_wait() {
        let parent = Cancel::new().unwrap();
        let cancel = parent.child().unwrap();
        let begun = Instant::now();
        let silence = Duration::from_millis(30);
        assert!(matches!(lend_watched(&cancel, silence, Duration::from_millis(30), hang), Lent::Abandoned));
        assert!(begun.elapsed() < Duration::from_secs(2) && cancel.is_cancelled() && !parent.is_cancelled());
    }
}
