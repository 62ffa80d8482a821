//! What waits to be done, of many callers: each caller's turn comes round, whatever the others ask for.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Callers take turns; among what one of them waits for, a higher priority goes first, then what came first.
#[derive(Debug)]
pub(crate) struct FairQueue<T> {
    lines: Mutex<Lines<T>>,
    changed: Condvar,
    /// How many of one caller's are worked on at once while others may come.
    share: usize,
}

#[derive(Debug)]
struct Lines<T> {
    waiting: BTreeMap<u32, BTreeMap<(i32, u64), T>>,
    /// Whose turn comes when, of those that have something waiting.
    turns: VecDeque<u32>,
    working: BTreeMap<u32, usize>,
    next: u64,
    closed: bool,
}

/// What is worked on. Dropped when it is done.
#[derive(Debug)]
pub(crate) struct Turn<'a, T> {
    queue: &'a FairQueue<T>,
    uid: u32,
}

impl<T> FairQueue<T> {
    /// A queue that is worked on by `hands` at once; one caller occupies all of them but one.
    pub(crate) fn new(hands: usize) -> Self {
        let lines = Lines {
            waiting: BTreeMap::new(),
            turns: VecDeque::new(),
            working: BTreeMap::new(),
            next: 0,
            closed: false,
        };
        Self { lines: Mutex::new(lines), changed: Condvar::new(), share: hands.saturating_sub(1).max(1) }
    }

    fn lines(&self) -> MutexGuard<'_, Lines<T>> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts `item` into the line of `uid`. A larger `priority` goes before smaller ones of the same caller.
    pub(crate) fn push(&self, uid: u32, priority: u8, item: T) {
        let mut lines = self.lines();
        let number = lines.next;
        lines.next = number.saturating_add(1);
        let line = lines.waiting.entry(uid).or_default();
        let is_new = line.is_empty();
        line.insert((i32::from(priority).saturating_neg(), number), item);
        if is_new {
            lines.turns.push_back(uid);
        }
        drop(lines);
        self.changed.notify_all();
    }

    /// Waits for the next; `None` when the queue is closed and empty.
    pub(crate) fn pop(&self) -> Option<(T, Turn<'_, T>)> {
        let mut lines = self.lines();
        loop {
            if let Some((uid, item)) = lines.take(self.share) {
                return Some((item, Turn { queue: self, uid }));
            }
            if lines.closed && lines.turns.is_empty() {
                return None;
            }
            lines = self.changed.wait(lines).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// How many wait.
    pub(crate) fn len(&self) -> usize {
        self.lines().waiting.values().map(BTreeMap::len).sum()
    }

    /// Lets those who wait for more go, once nothing is left.
    pub(crate) fn close(&self) {
        self.lines().closed = true;
        self.changed.notify_all();
    }
}

impl<T> Lines<T> {
    fn take(&mut self, share: usize) -> Option<(u32, T)> {
        let is_free = |uid: &u32| self.working.get(uid).is_none_or(|&count| count < share);
        let at = self.turns.iter().position(is_free)?;
        let uid = self.turns.remove(at)?;
        let line = self.waiting.get_mut(&uid)?;
        let (_, item) = line.pop_first()?;
        if line.is_empty() {
            self.waiting.remove(&uid);
        } else {
            self.turns.push_back(uid);
        }
        let working = self.working.entry(uid).or_default();
        *working = working.saturating_add(1);
        Some((uid, item))
    }
}

impl<T> Drop for Turn<'_, T> {
    fn drop(&mut self) {
        let mut lines = self.queue.lines();
        if let Some(count) = lines.working.get_mut(&self.uid) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                lines.working.remove(&self.uid);
            }
        }
        drop(lines);
        self.queue.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn order(queue: &FairQueue<&'static str>, count: usize) -> Vec<&'static str> {
        (0..count).map(|_| queue.pop().map(|(item, _)| item).unwrap()).collect()
    }

    #[test]
    fn callers_take_turns_and_priority_is_among_ones_own() {
        let queue = FairQueue::new(4);
        for item in ["a1", "a2", "a3"] {
            queue.push(1, 5, item);
        }
        queue.push(2, 5, "b1");
        queue.push(1, 9, "a-urgent");
        queue.push(3, 0, "c1");
        queue.push(2, 5, "b2");
        assert_eq!(queue.len(), 7);
        assert_eq!(order(&queue, 7), ["a-urgent", "b1", "c1", "a1", "b2", "a2", "a3"]);
    }

    #[test]
    fn one_caller_leaves_a_hand_for_others() {
        let queue = FairQueue::new(3);
        for item in ["a1", "a2", "a3"] {
            queue.push(1, 5, item);
        }
        let one = queue.pop().unwrap();
        let _two = queue.pop().unwrap();
        queue.push(2, 5, "b1");
        let (item, _three) = queue.pop().unwrap();
        assert_eq!(item, "b1");
        drop(one);
        assert_eq!(queue.pop().unwrap().0, "a3");
    }

    #[test]
    fn a_closed_queue_gives_what_it_has_and_then_nothing() {
        let queue = FairQueue::new(2);
        queue.push(1, 5, "last");
        queue.close();
        assert!(queue.pop().is_some() && queue.pop().is_none());
    }

    proptest! {
        #[test]
        fn nothing_is_lost_and_nobody_waits_for_more_than_a_round(
            items in proptest::collection::vec((0_u32..5, 0_u8..10), 0..60),
        ) {
            let queue = FairQueue::new(1_000);
            for (number, (uid, priority)) in items.iter().enumerate() {
                queue.push(*uid, *priority, (number, *uid));
            }
            queue.close();
            let mut seen = Vec::new();
            while let Some(((number, uid), _turn)) = queue.pop() {
                seen.push((number, uid));
            }
            let mut numbers: Vec<usize> = seen.iter().map(|(number, _)| *number).collect();
            numbers.sort_unstable();
            prop_assert_eq!(numbers, (0..items.len()).collect::<Vec<_>>());
            // Between two turns of a caller that has more waiting, every other comes at most once.
            for (at, (_, uid)) in seen.iter().enumerate() {
                let Some(next) = seen[at + 1..].iter().position(|(_, other)| other == uid) else { continue };
                let mut between: Vec<u32> = seen[at + 1..at + 1 + next].iter().map(|(_, uid)| *uid).collect();
                let count = between.len();
                between.sort_unstable();
                between.dedup();
                prop_assert_eq!(between.len(), count);
            }
        }
    }
}
