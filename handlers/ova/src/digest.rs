//! Digests of the members, computed beside the unpacking: one thread for each algorithm, all from the same bytes.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{Builder, Scope, ScopedJoinHandle};

use landfall_handler_api::{Error, ErrorKind, Result};
use sha1::Sha1;
use sha2::{Digest, Sha256, Sha512};

/// Bytes that are handed to the threads at a time.
const PIECE: usize = 1 << 20;
/// Pieces that wait for each thread.
const QUEUE: usize = 4;

/// How a member is hashed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Algorithm {
    Sha1,
    Sha256,
    Sha512,
}

impl Algorithm {
    pub(crate) const ALL: [Self; 3] = [Self::Sha1, Self::Sha256, Self::Sha512];

    /// Its name in a manifest.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Sha1 => "SHA1",
            Self::Sha256 => "SHA256",
            Self::Sha512 => "SHA512",
        }
    }

    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.name() == name)
    }

    /// Bytes of its digests.
    pub(crate) fn bytes(self) -> usize {
        match self {
            Self::Sha1 => 20,
            Self::Sha256 => 32,
            Self::Sha512 => 64,
        }
    }

    fn run(self, orders: &Receiver<Order>) -> Vec<Found> {
        match self {
            Self::Sha1 => hash::<Sha1>(self, orders),
            Self::Sha256 => hash::<Sha256>(self, orders),
            Self::Sha512 => hash::<Sha512>(self, orders),
        }
    }
}

/// The digest of a member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Found {
    /// The member's index.
    pub(crate) member: usize,
    pub(crate) algorithm: Algorithm,
    pub(crate) digest: Vec<u8>,
}

enum Order {
    Bytes(Arc<Vec<u8>>),
    /// The member that the bytes so far were of.
    End(usize),
}

fn hash<D: Digest>(algorithm: Algorithm, orders: &Receiver<Order>) -> Vec<Found> {
    let mut found = Vec::new();
    let mut state = D::new();
    for order in orders {
        match order {
            Order::Bytes(bytes) => state.update(bytes.as_slice()),
            Order::End(member) => {
                let digest = std::mem::replace(&mut state, D::new()).finalize().to_vec();
                found.push(Found { member, algorithm, digest });
            }
        }
    }
    found
}

/// Takes members one after the other, and gives their digests at the end.
pub(crate) struct Digests<'scope> {
    lanes: Vec<Lane<'scope>>,
    /// Whether the member at hand is wanted of each lane.
    wanted: Vec<bool>,
    /// Bytes that were not handed out yet.
    piece: Vec<u8>,
    /// Pieces that were handed out: never more than all queues and threads hold, and one.
    spent: Vec<Arc<Vec<u8>>>,
}

struct Lane<'scope> {
    algorithm: Algorithm,
    orders: SyncSender<Order>,
    thread: ScopedJoinHandle<'scope, Vec<Found>>,
}

impl<'scope> Digests<'scope> {
    /// Starts a thread for each of `algorithms`.
    pub(crate) fn start<'env>(scope: &'scope Scope<'scope, 'env>, algorithms: &[Algorithm]) -> Result<Self> {
        let lane = |algorithm: &Algorithm| {
            let algorithm = *algorithm;
            let (orders, queue) = sync_channel(QUEUE);
            let thread = Builder::new().name(format!("ova-{}", algorithm.name().to_ascii_lowercase()));
            let thread = thread.spawn_scoped(scope, move || algorithm.run(&queue));
            let thread = thread.map_err(|error| Error::os(&error, "start a thread for digests"))?;
            Ok(Lane { algorithm, orders, thread })
        };
        let lanes = algorithms.iter().map(lane).collect::<Result<Vec<_>>>()?;
        Ok(Self { wanted: vec![false; lanes.len()], lanes, piece: Vec::new(), spent: Vec::new() })
    }

    /// Begins a member that is wanted of `algorithms`; whether there is anything to do for it.
    pub(crate) fn begin(&mut self, algorithms: &[Algorithm]) -> bool {
        self.wanted = self.lanes.iter().map(|lane| algorithms.contains(&lane.algorithm)).collect();
        self.wanted.contains(&true)
    }

    /// The member's next bytes.
    pub(crate) fn push(&mut self, mut bytes: &[u8]) -> Result<()> {
        while !bytes.is_empty() {
            let (now, later) = bytes.split_at(bytes.len().min(PIECE.saturating_sub(self.piece.len())));
            self.piece.extend_from_slice(now);
            if self.piece.len() >= PIECE {
                self.send()?;
            }
            bytes = later;
        }
        Ok(())
    }

    /// Ends the member, which is the one with this index.
    pub(crate) fn end(&mut self, member: usize) -> Result<()> {
        self.send()?;
        self.each_wanted(|| Order::End(member))
    }

    /// Waits for the digests of all members.
    pub(crate) fn finish(self) -> Result<Vec<Found>> {
        let mut found = Vec::new();
        for Lane { orders, thread, .. } in self.lanes {
            drop(orders);
            found.extend(thread.join().map_err(|_| stopped())?);
        }
        Ok(found)
    }

    /// Hands the piece at hand to the threads.
    fn send(&mut self) -> Result<()> {
        if self.piece.is_empty() {
            return Ok(());
        }
        let piece = Arc::new(std::mem::take(&mut self.piece));
        self.each_wanted(|| Order::Bytes(Arc::clone(&piece)))?;
        self.spent.push(piece);
        self.piece = self.spare();
        Ok(())
    }

    /// Room for another piece: that of one which every thread is done with, if there is one.
    fn spare(&mut self) -> Vec<u8> {
        let done = self.spent.iter().position(|piece| Arc::strong_count(piece) == 1);
        let mut piece = done.and_then(|done| Arc::into_inner(self.spent.swap_remove(done))).unwrap_or_default();
        piece.clear();
        piece
    }

    fn each_wanted(&self, order: impl Fn() -> Order) -> Result<()> {
        for (lane, _) in self.lanes.iter().zip(&self.wanted).filter(|(_, wanted)| **wanted) {
            lane.orders.send(order()).map_err(|_| stopped())?;
        }
        Ok(())
    }
}

/// A thread that hashes ends before its orders do only if it panicked.
fn stopped() -> Error {
    Error::new(ErrorKind::Internal, "digest-stopped", "a thread that computes digests has stopped")
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects)]
mod tests {
    use super::*;

    #[test]
    fn each_member_gets_the_digests_that_it_is_wanted_of() {
        let long: Vec<u8> = (0..PIECE * 11 + 3).map(|at| u8::try_from(at % 251).unwrap()).collect();
        let found = std::thread::scope(|scope| {
            let mut digests = Digests::start(scope, &Algorithm::ALL).unwrap();
            assert!(digests.begin(&[Algorithm::Sha256]));
            for piece in long.chunks(70_000) {
                digests.push(piece).unwrap();
            }
            digests.end(3).unwrap();
            assert!(!digests.begin(&[]));
            assert!(digests.begin(&Algorithm::ALL));
            digests.end(7).unwrap();
            assert!(digests.begin(&[Algorithm::Sha1]));
            digests.push(&long).unwrap();
            digests.end(9).unwrap();
            assert!(digests.spent.len() <= digests.lanes.len() * (QUEUE + 1) + 1);
            digests.finish().unwrap()
        });
        let digest = |member, algorithm, digest: &[u8]| Found { member, algorithm, digest: digest.to_vec() };
        let expected = [
            digest(7, Algorithm::Sha1, &Sha1::digest([])),
            digest(9, Algorithm::Sha1, &Sha1::digest(&long)),
            digest(3, Algorithm::Sha256, &Sha256::digest(&long)),
            digest(7, Algorithm::Sha256, &Sha256::digest([])),
            digest(7, Algorithm::Sha512, &Sha512::digest([])),
        ];
        assert_eq!(found, expected);
        for Found { algorithm, digest, .. } in found {
            assert_eq!(digest.len(), algorithm.bytes());
            assert_eq!(Algorithm::named(algorithm.name()), Some(algorithm));
        }
    }
}
