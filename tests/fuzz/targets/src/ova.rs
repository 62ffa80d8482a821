//! A whole package: the same with one thread and with two; and a stream that need not be read again gives the same
//! disks as where all bytes can be read.

use landfall_handler_ova::ManifestPolicy;
use landfall_handler_ova::fuzzing::{Conditions, unpack};
use landfall_unpack::Stored;

use crate::knobs;
use crate::memory::{Bytes, DISK_BYTES, Memory};
use crate::tar::with_checksums;
use crate::verdict::{Verdict, same, verdict, wants_a_file};

const DISKS: u32 = 4;

pub(crate) fn run(mut data: &[u8]) {
    let knobs = knobs::byte(&mut data);
    let manifest = match knobs >> 1 & 3 {
        0 | 1 => ManifestPolicy::Enforce,
        2 => ManifestPolicy::Ignore,
        _ => ManifestPolicy::Require,
    };
    let repaired = (knobs & 1 != 0).then(|| with_checksums(data));
    let data = repaired.as_deref().unwrap_or(data);
    let ranged = |threads| unpacked(&Bytes::ranged(data), manifest, true, threads);
    let outcome = ranged(1);
    same(&outcome, &ranged(2), "two threads");
    for known in [true, false] {
        let streamed = unpacked(&Bytes::stream(data, usize::MAX, known), manifest, false, 2);
        // A package with several faults may show another of them first.
        if !wants_a_file(&streamed) {
            assert!(outcome.as_ref().ok() == streamed.as_ref().ok(), "{:?} {:?}", outcome.err(), streamed.err());
        }
    }
}

fn unpacked(stored: &dyn Stored, manifest: ManifestPolicy, ranged: bool, threads: usize) -> Verdict<Vec<Vec<u8>>> {
    let conditions = Conditions { threads, disk_bytes: DISK_BYTES, disks: DISKS, manifest, ranged };
    let disks = verdict(unpack(stored, &conditions, Memory::of_extents))?;
    assert!(disks.len() <= DISKS as usize && disks.keys().copied().eq(0..disks.len() as u32), "{:?}", disks.keys());
    Ok(disks.into_values().map(Memory::into_bytes).collect())
}
