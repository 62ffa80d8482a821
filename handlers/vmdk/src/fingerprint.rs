//! Whether two long lists say the same, without keeping either.

use std::hash::{BuildHasher, RandomState};

/// Fingerprints of sets of (place on the disk, sector in the file), equal sets having equal ones.
///
/// Each member counts with a hash whose key is drawn anew in each process, and a set with the sum of its members'
/// hashes. So the order does not matter, a member more or less shows, and whoever wrote the bytes can aim at nothing.
#[derive(Clone)]
pub(crate) struct Fingerprints {
    key: RandomState,
}

impl Fingerprints {
    pub(crate) fn new() -> Self {
        Self { key: RandomState::new() }
    }

    /// `set`, which is 0 for an empty one, with one more member.
    pub(crate) fn with(&self, set: u64, place: u64, sector: u32) -> u64 {
        set.wrapping_add(self.key.hash_one((place, sector)))
    }
}
