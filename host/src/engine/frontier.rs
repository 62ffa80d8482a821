//! The digest of an image whose bytes arrive in any order: it is computed in order, beside their arrival.
//!
//! What arrives at the frontier is hashed from memory; what arrived before its turn is read back from the stage, which
//! nobody but the agent can write.

use std::fs::File;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread::JoinHandle;

use landfall_handler_api::{Error, ErrorKind, Result, Scope};

use super::pieces::Pieces;
use super::pump::CHUNK;
use super::written;
use crate::cancel::Cancel;
use crate::digest::{Digest, Hasher};

/// Pieces of work that wait for the digest; more make the lanes wait.
const WAITING: usize = 8;

enum Work {
    /// The next bytes.
    Bytes(Vec<u8>, usize),
    /// The next bytes are in the stage.
    Stage(Range<u64>),
    /// The state so far is wanted.
    Snapshot(Sender<String>),
}

/// Follows the arrival of an image's bytes. Without a digest to compute it only hands buffers out.
pub(super) struct Frontier {
    work: Option<SyncSender<Work>>,
    empties: Receiver<Vec<u8>>,
    thread: Option<JoinHandle<Result<Hasher>>>,
    abandon: Arc<AtomicBool>,
    /// Everything before this was given to the digest.
    next: u64,
}

fn died() -> Error {
    Error::new(ErrorKind::Internal, "digest-thread", "the digest's thread ended early").scoped(Scope::Node)
}

impl Frontier {
    /// Begins at `next`, up to which `hasher` has seen everything. `stage` is where bytes are read back from.
    /// Ends early once `cancel` fires: whoever waits for it may hold what everybody else waits for.
    pub(super) fn start(hasher: Option<Hasher>, next: u64, stage: File, cancel: Cancel) -> Result<Self> {
        let (give_back, empties) = channel();
        let abandon = Arc::new(AtomicBool::new(false));
        let Some(hasher) = hasher else { return Ok(Self { work: None, empties, thread: None, abandon, next }) };
        let abandoned = Arc::clone(&abandon);
        let (work, todo) = sync_channel(WAITING);
        let thread = std::thread::Builder::new()
            .name("digest".into())
            .spawn(move || {
                let stop = || abandoned.load(Ordering::Relaxed) || cancel.is_cancelled();
                digest(hasher, &stage, todo, &give_back, &stop)
            })
            .map_err(|error| Error::os(&error, "start a thread").scoped(Scope::Node))?;
        Ok(Self { work: Some(work), empties, thread: Some(thread), abandon, next })
    }

    /// What ends the digest early when it is set: nobody wants it any more.
    pub(super) fn abandon(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.abandon)
    }

    /// Up to where the digest was given everything.
    pub(super) fn next(&self) -> u64 {
        self.next
    }

    /// `filled` bytes of `buffer` arrived at `offset`, which are among `pieces` already. Gives a buffer for the next ones.
    pub(super) fn arrived(&mut self, offset: u64, buffer: Vec<u8>, filled: usize, pieces: &Pieces) -> Result<Vec<u8>> {
        if self.work.is_none() {
            return Ok(buffer);
        }
        let buffer = if offset == self.next {
            self.next = offset.saturating_add(filled as u64);
            self.send(Work::Bytes(buffer, filled))?;
            self.empties.try_recv().unwrap_or_else(|_| vec![0; CHUNK])
        } else {
            buffer
        };
        self.catch_up(pieces)?;
        Ok(buffer)
    }

    /// Gives the digest what is there already.
    pub(super) fn catch_up(&mut self, pieces: &Pieces) -> Result<()> {
        let reach = pieces.reach(self.next);
        if self.work.is_some() && reach > self.next {
            self.send(Work::Stage(self.next..reach))?;
            self.next = reach;
        }
        Ok(())
    }

    /// Asks for the digest's state at [`Frontier::next`]. It comes once everything before was hashed.
    pub(super) fn snapshot(&self) -> Result<Receiver<String>> {
        let (sender, state) = channel();
        self.send(Work::Snapshot(sender))?;
        Ok(state)
    }

    fn send(&self, work: Work) -> Result<()> {
        match &self.work {
            Some(sender) => sender.send(work).map_err(|_| died()),
            None => Ok(()),
        }
    }

    /// The digest of everything that it was given.
    pub(super) fn finish(&mut self) -> Result<Option<Digest>> {
        self.work = None;
        match self.thread.take() {
            None => Ok(None),
            Some(thread) => thread.join().map_err(|_| died())?.map(|hasher| Some(hasher.finish())),
        }
    }
}

impl Drop for Frontier {
    fn drop(&mut self) {
        self.abandon.store(true, Ordering::Relaxed);
    }
}

fn digest(
    mut hasher: Hasher,
    stage: &File,
    todo: Receiver<Work>,
    give_back: &Sender<Vec<u8>>,
    stop: &dyn Fn() -> bool,
) -> Result<Hasher> {
    let mut read = Vec::new();
    for work in todo {
        match work {
            Work::Bytes(buffer, filled) => {
                hasher.update(buffer.get(..filled).unwrap_or_default());
                // The lanes may have ended already.
                let _ = give_back.send(buffer);
            }
            Work::Stage(mut range) => {
                read.resize(CHUNK, 0);
                while !range.is_empty() {
                    if stop() {
                        return Err(died());
                    }
                    let left = usize::try_from(range.end.saturating_sub(range.start)).unwrap_or(CHUNK);
                    let room = read.get_mut(..left.min(CHUNK)).unwrap_or_default();
                    let filled =
                        written::read_full(stage, room, range.start).map_err(|error| error.scoped(Scope::Node))?;
                    if filled == 0 {
                        let message = "the stage is shorter than what was written to it";
                        return Err(Error::new(ErrorKind::Io, "stage-short", message).scoped(Scope::Node));
                    }
                    hasher.update(room.get(..filled).unwrap_or_default());
                    range.start = range.start.saturating_add(filled as u64);
                }
            }
            Work::Snapshot(sender) => {
                // Whoever asked may have been stopped.
                let _ = sender.send(hasher.state());
            }
        }
    }
    Ok(hasher)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Algorithm;
    use std::os::unix::fs::FileExt;

    #[test]
    fn any_order_gives_the_same_digest() {
        let bytes: Vec<u8> = (0..5 * CHUNK + 77).map(|at| u8::try_from(at * 31 % 253).unwrap()).collect();
        let mut whole = Algorithm::Sha512.hasher();
        whole.update(&bytes);
        let whole = whole.finish();
        for order in [[0, 1, 2, 3, 4, 5], [5, 4, 3, 2, 1, 0], [1, 0, 3, 5, 2, 4]] {
            let stage = tempfile::tempfile().unwrap();
            let mut pieces = Pieces::default();
            let hasher = Some(Algorithm::Sha512.hasher());
            let mut frontier = Frontier::start(hasher, 0, stage.try_clone().unwrap(), Cancel::new().unwrap()).unwrap();
            for chunk in order {
                let range = chunk * CHUNK..((chunk + 1) * CHUNK).min(bytes.len());
                let part = &bytes[range.clone()];
                stage.write_all_at(part, range.start as u64).unwrap();
                pieces.put(range.start as u64..range.end as u64, 0);
                frontier.arrived(range.start as u64, part.to_vec(), part.len(), &pieces).unwrap();
            }
            assert_eq!(frontier.finish().unwrap().unwrap(), whole, "{order:?}");
        }
    }

    #[test]
    fn a_saved_state_goes_on_where_it_was() {
        let bytes: Vec<u8> = (0..3 * CHUNK).map(|at| u8::try_from(at * 7 % 251).unwrap()).collect();
        for algorithm in Algorithm::ALL {
            let stage = tempfile::tempfile().unwrap();
            stage.write_all_at(&bytes, 0).unwrap();
            let mut pieces = Pieces::default();
            let hasher = Some(algorithm.hasher());
            let mut first = Frontier::start(hasher, 0, stage.try_clone().unwrap(), Cancel::new().unwrap()).unwrap();
            pieces.put(0..1000, 0);
            first.catch_up(&pieces).unwrap();
            let state = first.snapshot().unwrap().recv().unwrap();
            drop(first);
            pieces.put(1000..bytes.len() as u64, 0);
            let hasher = Hasher::resume(algorithm, &state).unwrap();
            let mut second = Frontier::start(Some(hasher), 1000, stage, Cancel::new().unwrap()).unwrap();
            second.catch_up(&pieces).unwrap();
            let mut whole = algorithm.hasher();
            whole.update(&bytes);
            assert_eq!(second.finish().unwrap().unwrap(), whole.finish());
            assert!(Hasher::resume(algorithm, "00").is_none() && Hasher::resume(algorithm, "zz").is_none());
        }
    }
}
