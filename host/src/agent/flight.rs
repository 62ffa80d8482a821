//! One movement of bytes for all who want the same: the first begins it, the others wait for it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use landfall_handler_api::Result;

use super::anchor::Anchor;
use super::errand::Errand;
use super::job::Job;
use crate::cancel::Cancel;

/// One image of one job, that waits for its bytes.
#[derive(Clone)]
pub(crate) struct Ticket {
    /// The job.
    pub(crate) job: Arc<Job>,
    /// What it is to do.
    pub(crate) errand: Arc<Errand>,
    /// Which of its images.
    pub(crate) member: usize,
}

/// A movement that is to be begun.
pub(crate) struct Flight {
    /// Names the bytes.
    pub(crate) key: String,
    /// Which of the movements of that name.
    pub(crate) number: u64,
    /// Whose rights, target and file system it uses.
    pub(crate) leader: Ticket,
    /// Fires when nobody waits for it any more.
    pub(crate) cancel: Cancel,
}

/// What comes of asking for bytes.
pub(crate) enum Boarding {
    /// Nobody moves them yet: whoever asked does, with this.
    Begins(Flight),
    /// They are being moved.
    Joined,
    /// They are here.
    Held(Arc<Anchor>),
}

/// The movements under way, and the bytes that are held for a while.
#[derive(Default)]
pub(crate) struct Flights {
    table: Mutex<Table>,
}

#[derive(Default)]
struct Table {
    entries: HashMap<String, Entry>,
    next: u64,
}

enum Entry {
    Moving { number: u64, tickets: Vec<Ticket>, cancel: Cancel },
    Held { anchor: Arc<Anchor>, until: Instant },
}

impl Flights {
    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks for the bytes that `ticket` wants. Its caller may have them: that was found out before.
    pub(crate) fn board(&self, ticket: Ticket, now: Instant) -> Result<Boarding> {
        let Some(member) = ticket.errand.members.get(ticket.member) else { return Ok(Boarding::Joined) };
        let key = ticket.errand.key(member);
        let mut table = self.table();
        match table.entries.get_mut(&key) {
            Some(Entry::Held { anchor, until }) if now < *until => return Ok(Boarding::Held(Arc::clone(anchor))),
            Some(Entry::Moving { tickets, .. }) => {
                tickets.push(ticket);
                return Ok(Boarding::Joined);
            }
            _ => {}
        }
        let cancel = Cancel::new()?;
        let number = table.next;
        table.next = number.saturating_add(1);
        let entry = Entry::Moving { number, tickets: vec![ticket.clone()], cancel: cancel.clone() };
        table.entries.insert(key.clone(), entry);
        Ok(Boarding::Begins(Flight { key, number, leader: ticket, cancel }))
    }

    /// Those who wait for a movement; none when nobody does any more.
    pub(crate) fn waiting(&self, key: &str, number: u64) -> Vec<Ticket> {
        match self.table().entries.get(key) {
            Some(Entry::Moving { number: other, tickets, .. }) if *other == number => tickets.clone(),
            _ => Vec::new(),
        }
    }

    /// The job waits no more. Movements that nobody waits for are stopped.
    pub(crate) fn leave(&self, job: &Arc<Job>) {
        self.table().entries.retain(|_, entry| match entry {
            Entry::Held { .. } => true,
            Entry::Moving { tickets, cancel, .. } => {
                tickets.retain(|ticket| !Arc::ptr_eq(&ticket.job, job));
                if tickets.is_empty() {
                    cancel.cancel();
                }
                !tickets.is_empty()
            }
        });
    }

    /// The bytes are here; those who waited get them. They are held for others for `linger`, if that is anything.
    pub(crate) fn landed(
        &self,
        flight: &Flight,
        mut anchor: Anchor,
        linger: Duration,
        now: Instant,
    ) -> (Arc<Anchor>, Vec<Ticket>) {
        let mut table = self.table();
        let tickets = table.take(flight);
        // Who is the only one may take the disks themselves.
        if !linger.is_zero() || tickets.len() > 1 {
            anchor.share();
        }
        let anchor = Arc::new(anchor);
        if let Some(until) = now.checked_add(linger).filter(|_| !linger.is_zero()) {
            table.entries.insert(flight.key.clone(), Entry::Held { anchor: Arc::clone(&anchor), until });
        }
        (anchor, tickets)
    }

    /// The bytes did not come. Gives those who waited.
    pub(crate) fn failed(&self, flight: &Flight) -> Vec<Ticket> {
        self.table().take(flight)
    }

    /// Lets go of what was held long enough; gives how many are held still, and their bytes.
    pub(crate) fn let_go(&self, now: Instant) -> (usize, u64) {
        let mut table = self.table();
        table.entries.retain(|_, entry| !matches!(entry, Entry::Held { until, .. } if now >= *until));
        table.entries.values().fold((0, 0), |(count, bytes), entry| match entry {
            Entry::Held { anchor, .. } => (count.saturating_add(1), bytes.saturating_add(anchor.bytes())),
            Entry::Moving { .. } => (count, bytes),
        })
    }

    /// Stops every movement; those who wait are told by whoever made it.
    pub(crate) fn cancel_all(&self) {
        for entry in self.table().entries.values() {
            if let Entry::Moving { cancel, .. } = entry {
                cancel.cancel();
            }
        }
    }

    /// Lets go of all that is held.
    pub(crate) fn let_all_go(&self) {
        self.table().entries.retain(|_, entry| matches!(entry, Entry::Moving { .. }));
    }
}

impl Table {
    fn take(&mut self, flight: &Flight) -> Vec<Ticket> {
        match self.entries.remove(&flight.key) {
            Some(Entry::Moving { number, tickets, .. }) if number == flight.number => tickets,
            // Everybody had left, and somebody began anew.
            Some(other) => {
                self.entries.insert(flight.key.clone(), other);
                Vec::new()
            }
            None => Vec::new(),
        }
    }
}
