//! The one way to stop an operation: a flag that threads ask and a descriptor that they can wait on.

use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use landfall_handler_api::{Error, ErrorKind, Result};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::eventfd::{EfdFlags, EventFd};

/// A deadline that passes wakes nobody.
const TICK: Duration = Duration::from_millis(50);

/// Stops an operation, once and for ever. Clones stop together.
#[derive(Clone, Debug)]
pub(crate) struct Cancel {
    shared: Arc<Shared>,
    deadline: Option<Instant>,
}

#[derive(Debug)]
struct Shared {
    fired: AtomicBool,
    event: EventFd,
    /// Those that stop when this one does.
    children: Mutex<Vec<Weak<Shared>>>,
}

impl Shared {
    fn new() -> Result<Self> {
        let event = EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)
            .map_err(|errno| Error::os(&errno.into(), "make an event descriptor"))?;
        Ok(Self { fired: AtomicBool::new(false), event, children: Mutex::default() })
    }

    fn fire(&self) {
        self.fired.store(true, Ordering::SeqCst);
        // A full counter is readable already.
        let _ = self.event.write(1);
        let children = std::mem::take(&mut *self.children.lock().unwrap_or_else(PoisonError::into_inner));
        for child in children.iter().filter_map(Weak::upgrade) {
            child.fire();
        }
    }
}

impl Cancel {
    /// A token that has not fired. Fails when the process has no descriptor left.
    pub(crate) fn new() -> Result<Self> {
        Ok(Self { shared: Arc::new(Shared::new()?), deadline: None })
    }

    /// A token that fires when this one does, or by itself, which leaves this one as it is.
    pub(crate) fn child(&self) -> Result<Self> {
        let child = Self { shared: Arc::new(Shared::new()?), deadline: self.deadline };
        {
            let mut children = self.shared.children.lock().unwrap_or_else(PoisonError::into_inner);
            // A long operation makes many.
            children.retain(|child| child.strong_count() > 0);
            children.push(Arc::downgrade(&child.shared));
        }
        // One that fired in between has taken its list already.
        if self.is_cancelled() {
            child.cancel();
        }
        Ok(child)
    }

    /// The same token, which also counts as fired from `deadline` on.
    #[must_use]
    pub(crate) fn with_deadline(mut self, deadline: Option<Instant>) -> Self {
        self.deadline = deadline;
        self
    }

    /// Fires. Safe to call more than once.
    pub(crate) fn cancel(&self) {
        self.shared.fire();
    }

    /// Whether the operation must stop.
    pub(crate) fn is_cancelled(&self) -> bool {
        if self.shared.fired.load(Ordering::SeqCst) {
            return true;
        }
        let late = self.deadline.is_some_and(|deadline| Instant::now() >= deadline);
        if late {
            self.cancel();
        }
        late
    }

    /// When the operation must have ended.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// `Err(cancelled)` once the operation must stop; for every loop.
    pub(crate) fn check(&self) -> Result<()> {
        if !self.is_cancelled() {
            return Ok(());
        }
        match self.deadline {
            Some(deadline) if Instant::now() >= deadline => {
                Err(Error::new(ErrorKind::Cancelled, "deadline", "the deadline passed"))
            }
            _ => Err(Error::cancelled()),
        }
    }

    /// Sleeps for so long, or until it fires.
    pub(crate) fn sleep(&self, pause: Duration) {
        let mut wanted = [PollFd::new(self.descriptor(), PollFlags::POLLIN)];
        // Being woken early only means that something is tried again early.
        let _ = poll(&mut wanted, PollTimeout::try_from(pause).unwrap_or(PollTimeout::MAX));
    }

    /// Sleeps for all of `pause`; fails soon after it fired or its deadline passed, though nobody else asks.
    pub(crate) fn wait_out(&self, pause: Duration) -> Result<()> {
        let until = Instant::now() + pause;
        loop {
            self.check()?;
            match until.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
                None => return Ok(()),
                Some(left) => self.sleep(left.min(TICK)),
            }
        }
    }

    /// Readable once it fired (by `cancel`, or by anybody who asked after the deadline). Not to be read.
    pub(crate) fn descriptor(&self) -> BorrowedFd<'_> {
        self.shared.event.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clones_stop_together() {
        let one = Cancel::new().unwrap();
        let two = one.clone();
        assert!(two.check().is_ok());
        one.cancel();
        assert_eq!(two.check().unwrap_err().code(), "cancelled");
    }

    #[test]
    fn a_child_stops_alone_or_with_its_parent() {
        let parent = Cancel::new().unwrap();
        let (one, two) = (parent.child().unwrap(), parent.child().unwrap());
        one.cancel();
        assert!(one.is_cancelled() && !two.is_cancelled() && !parent.is_cancelled());
        parent.cancel();
        assert!(two.is_cancelled() && parent.child().unwrap().is_cancelled());
    }

    #[test]
    fn a_passed_deadline_fires_and_is_named() {
        let past = Instant::now().checked_sub(Duration::from_secs(1)).unwrap();
        let token = Cancel::new().unwrap().with_deadline(Some(past));
        assert_eq!(token.check().unwrap_err().code(), "deadline");
    }
}
