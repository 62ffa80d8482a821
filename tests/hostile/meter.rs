//! Memory and processor time of a command and its workers.

use std::fs;
use std::path::Path;

/// What a hostile image may cost: memory that one process has resident, and processor time of all of them.
///
/// A legal image may want a window of 128 MiB. The time is many times that of the slowest case: machines differ.
pub(super) const MOST: Cost = Cost { resident_bytes: 256 << 20, processor_milliseconds: 20_000 };

/// What a command cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cost {
    pub(super) resident_bytes: u64,
    pub(super) processor_milliseconds: u64,
}

impl Cost {
    /// What `meter.c` wrote.
    pub(super) fn read(file: &Path) -> Self {
        let line = fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        let numbers: Vec<u64> = line.split_ascii_whitespace().map(|number| number.parse().unwrap()).collect();
        let [kibibytes, processor_milliseconds] = numbers[..] else { panic!("the meter wrote {line:?}") };
        Self { resident_bytes: kibibytes << 10, processor_milliseconds }
    }

    /// Whether a hostile image may cost so much.
    pub(super) fn is_bounded(self) -> bool {
        self.resident_bytes <= MOST.resident_bytes && self.processor_milliseconds <= MOST.processor_milliseconds
    }
}
