//! A tar archive: its members are within it and do not overlap, and a stream of it has the same.

use std::collections::HashSet;

use landfall_handler_ova::fuzzing::members;

use crate::knobs;
use crate::memory::Bytes;
use crate::verdict::verdict;

const BLOCK: usize = 512;

pub(crate) fn run(mut data: &[u8]) {
    let repaired = (knobs::byte(&mut data) & 1 != 0).then(|| with_checksums(data));
    let data = repaired.as_deref().unwrap_or(data);
    let outcome = verdict(members(&Bytes::ranged(data)));
    // Of how many bytes there are, a stream may know; without that, an end is noticed later.
    for known in [true, false] {
        let streamed = verdict(members(&Bytes::stream(data, usize::MAX, known)));
        assert_eq!(outcome.as_ref().ok(), streamed.as_ref().ok(), "a stream");
    }
    let Ok(members) = outcome else { return };
    let (mut end, mut names) = (0, HashSet::new());
    for (name, offset, size) in members {
        assert!(!name.is_empty() && !name.contains(['/', '\\', '\0']) && name != "." && name != "..", "{name:?}");
        assert!(names.insert(name.to_ascii_lowercase()), "{name:?} is there twice");
        assert!(offset >= end + BLOCK as u64, "{name:?} is where something else is");
        end = offset + size;
        assert!(end <= data.len() as u64, "{name:?} ends behind the archive");
    }
}

/// The archive with the checksums that its headers should have: chance does not find these.
pub(crate) fn with_checksums(archive: &[u8]) -> Vec<u8> {
    const CHECKSUM: std::ops::Range<usize> = 148..156;
    let mut repaired = archive.to_vec();
    for block in repaired.chunks_exact_mut(BLOCK).filter(|block| block[257..262] == *b"ustar") {
        block[CHECKSUM].fill(b' ');
        let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
        block[CHECKSUM].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    }
    repaired
}
