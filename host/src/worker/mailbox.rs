//! What arrives for one operation, and a descriptor to wait for it.

use std::collections::VecDeque;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Mutex, PoisonError};

use landfall_handler_api::{Error, Result};
use nix::sys::eventfd::{EfdFlags, EventFd};

use super::message::{Ask, Outcome};

/// Questions that may wait for their answers. An honest worker waits for each.
const WAITING_MAX: usize = 64;

/// Something for an operation.
#[derive(Debug)]
pub(super) enum Letter {
    /// The worker asks.
    Question { question: u64, ask: Ask },
    /// It is over.
    Done { outcome: Result<Outcome>, descriptors: Vec<OwnedFd> },
    /// The worker is no more.
    Died(Error),
}

/// Letters in the order in which they came. Filled by the thread that watches the worker, emptied by the operation's.
#[derive(Debug)]
pub(super) struct Mailbox {
    letters: Mutex<VecDeque<Letter>>,
    event: EventFd,
}

impl Mailbox {
    pub(super) fn new() -> Result<Self> {
        let event = EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)
            .map_err(|errno| Error::os(&errno.into(), "make an event descriptor"))?;
        Ok(Self { letters: Mutex::default(), event })
    }

    /// False when there are too many already.
    pub(super) fn put(&self, letter: Letter) -> bool {
        let mut letters = self.letters.lock().unwrap_or_else(PoisonError::into_inner);
        if letters.len() >= WAITING_MAX && matches!(letter, Letter::Question { .. }) {
            return false;
        }
        letters.push_back(letter);
        // A full counter is readable already.
        let _ = self.event.write(1);
        true
    }

    /// The next letter, if one is there.
    pub(super) fn take(&self) -> Option<Letter> {
        // First the event and then the letters: one that comes in between is found now or makes the event readable again.
        let _ = self.event.read();
        let mut letters = self.letters.lock().unwrap_or_else(PoisonError::into_inner);
        let letter = letters.pop_front();
        if !letters.is_empty() {
            let _ = self.event.write(1);
        }
        letter
    }

    /// Readable when there is a letter.
    pub(super) fn descriptor(&self) -> BorrowedFd<'_> {
        self.event.as_fd()
    }
}
