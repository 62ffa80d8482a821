//! What each request of a download meets, from a seed.

use super::lie::Lie;

/// Numbers that a seed determines (splitmix64).
#[derive(Debug, Clone)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// Less than `end`, which is not 0.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    pub(crate) fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    pub(crate) fn one_of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[usize::try_from(self.below(choices.len() as u64)).unwrap()]
    }
}

/// Faults by the order of requests; what comes after the last meets none.
#[derive(Debug, Clone)]
pub(crate) struct Schedule {
    faults: Vec<Option<Lie>>,
}

impl Schedule {
    /// What may pass when it is tried again.
    pub(crate) const TRANSIENT: [Lie; 9] = [
        Lie::ClosesAtOnce,
        Lie::ClosesInHeaders,
        Lie::ClosesInBody,
        Lie::ResetsAtOnce,
        Lie::ResetsInBody,
        Lie::Status(500),
        Lie::Status(503),
        Lie::Status(504),
        Lie::LengthTooLarge,
    ];
    /// What no honest server does.
    pub(crate) const LIES: [Lie; 10] = [
        Lie::WrongBytes,
        Lie::OtherRange,
        Lie::OtherTotal,
        Lie::NoContentRange,
        Lie::PartBodyShort,
        Lie::GzipNamed,
        Lie::IgnoresRanges,
        Lie::RangeNotThere,
        Lie::TwoLengths,
        Lie::StatusLineGarbage,
    ];

    /// Of at most `most` requests, each of which meets a transient fault or a lie with these percentages.
    pub(crate) fn random(random: &mut Random, most: u64, transient: u64, lies: u64) -> Self {
        let length = random.below(most + 1);
        let faults = (0..length).map(|_| match random.below(100) {
            roll if roll < transient => Some(random.one_of(&Self::TRANSIENT)),
            roll if roll < transient + lies => Some(random.one_of(&Self::LIES)),
            _ => None,
        });
        Self { faults: faults.collect() }
    }

    pub(crate) fn of(faults: &[Option<Lie>]) -> Self {
        Self { faults: faults.to_vec() }
    }

    pub(super) fn fault(&self, nth: usize) -> Option<Lie> {
        self.faults.get(nth).copied().flatten()
    }
}
