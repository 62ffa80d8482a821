//! bzip2: block sizes, and streams by hand.

use std::io::Write;

use crate::test_support::*;

/// A stream without blocks: header, the end's magic, a checksum.
fn empty(size: u8, checksum: u8) -> Vec<u8> {
    vec![b'B', b'Z', b'h', size, 0x17, 0x72, 0x45, 0x38, 0x50, 0x90, 0, 0, 0, checksum]
}

#[test]
fn every_block_size_is_read() {
    let bytes = pattern(250_000);
    let mut all = Vec::new();
    for level in 1..=9 {
        let mut encoder = ::bzip2::write::BzEncoder::new(Vec::new(), ::bzip2::Compression::new(level));
        encoder.write_all(&bytes).unwrap();
        let stored = encoder.finish().unwrap();
        assert_eq!(u32::from(stored[3] - b'0'), level);
        all.extend_from_slice(&stored);
    }
    assert!(cut(&Format::Bzip2.compression(), &all, (1 << 18, 1 << 18), UNBOUNDED) == Ok(bytes.repeat(9)));
    assert!(cut(&Format::Bzip2.compression(), &all, (999, 777), UNBOUNDED) == Ok(bytes.repeat(9)));
}

#[test]
fn each_lie_has_its_name() {
    let whole = Format::Bzip2.compress(b"abc");
    let changed = |at: usize| {
        let mut stored = whole.clone();
        stored[at] ^= 1;
        stored
    };
    let cases: [(Vec<u8>, Outcome); 11] = [
        (empty(b'1', 0), Ok(vec![])),
        (empty(b'9', 0), Ok(vec![])),
        (empty(b'0', 0), corrupt("bad-stream")),
        (empty(b':', 0), corrupt("bad-stream")),
        (empty(b'9', 1), corrupt("bad-stream")),
        ([whole.clone(), empty(b'5', 0), whole.clone()].concat(), Ok(b"abcabc".to_vec())),
        ([whole.clone(), empty(b'5', 7)].concat(), corrupt("bad-stream")),
        // The magic of a block, and its checksum.
        (changed(4), corrupt("bad-stream")),
        (changed(10), corrupt("bad-stream")),
        ([whole.clone(), b"BZ".to_vec()].concat(), corrupt("unexpected-end")),
        ([whole.clone(), b"BZ0".to_vec()].concat(), corrupt("trailing-data")),
    ];
    for (number, (stored, expected)) in cases.into_iter().enumerate() {
        assert_eq!(outcome_of(&Format::Bzip2.compression(), &stored), expected, "case {number}");
    }
}
