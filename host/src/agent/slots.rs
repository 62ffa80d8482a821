//! How many worker processes there may be at once: those who need more wait.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// What a movement counts as: the worker of its source, and those of a filter and an unpacker.
pub(crate) const OF_A_MOVEMENT: u32 = 3;

#[derive(Debug)]
struct State {
    all: u32,
    taken: u32,
    /// Whose turn it is, and the number of whoever comes next: first come, first served.
    turn: u64,
    next: u64,
}

/// Slots for worker processes.
#[derive(Debug)]
pub(crate) struct Slots {
    state: Mutex<State>,
    changed: Condvar,
}

/// Some slots, given back when dropped.
#[derive(Debug)]
pub(crate) struct Taken<'a> {
    slots: &'a Slots,
    count: u32,
}

impl Slots {
    pub(crate) fn new(all: u32) -> Self {
        Self { state: Mutex::new(State { all, taken: 0, turn: 0, next: 0 }), changed: Condvar::new() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on there are so many.
    pub(crate) fn set(&self, all: u32) {
        self.state().all = all;
        self.changed.notify_all();
    }

    /// How many are taken.
    pub(crate) fn taken(&self) -> u32 {
        self.state().taken
    }

    /// Waits for `count` of them; for all where there are fewer.
    pub(crate) fn take(&self, count: u32) -> Taken<'_> {
        let mut state = self.state();
        let number = state.next;
        state.next = number.saturating_add(1);
        loop {
            let count = count.min(state.all).max(1);
            if state.turn == number && (state.taken.saturating_add(count) <= state.all || state.taken == 0) {
                state.taken = state.taken.saturating_add(count);
                state.turn = number.saturating_add(1);
                self.changed.notify_all();
                return Taken { slots: self, count };
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        let mut state = self.slots.state();
        state.taken = state.taken.saturating_sub(self.count);
        self.slots.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    #[test]
    fn who_came_first_is_served_first_and_never_too_many() {
        let slots = Slots::new(4);
        let first = slots.take(3);
        let (done, order) = mpsc::channel();
        std::thread::scope(|scope| {
            let waits = |name: &'static str, count: u32| {
                let (slots, done) = (&slots, done.clone());
                scope.spawn(move || {
                    let taken = slots.take(count);
                    assert!(slots.taken() <= 4);
                    done.send(name).unwrap();
                    drop(taken);
                });
            };
            waits("large", 9);
            while slots.state().next < 2 {
                std::thread::yield_now();
            }
            waits("small", 1);
            while slots.state().next < 3 {
                std::thread::yield_now();
            }
            drop(first);
            assert_eq!((order.recv().unwrap(), order.recv().unwrap()), ("large", "small"));
        });
        assert_eq!(slots.taken(), 0);
        slots.set(1);
        assert_eq!(slots.take(3).count, 1);
    }
}
