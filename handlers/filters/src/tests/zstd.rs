//! Zstandard by hand: windows, dictionaries, skippable frames.

use crate::config::ZstdConfig;
use crate::source::Compression;
use crate::test_support::*;

fn limited(window_bytes: u64) -> Compression {
    Compression::Zstd(ZstdConfig { window_bytes })
}

fn usual() -> Compression {
    Format::Zstd.compression()
}

#[test]
fn a_window_is_held_against_its_limit() {
    // Descriptors of the window: exponent and mantissa (RFC 8878, 3.1.1.1.2).
    for (descriptor, most, right) in [
        (10 << 3, 1 << 20, true),
        (10 << 3 | 1, 1 << 20, false),
        (10 << 3 | 1, 9 << 17, true),
        (17 << 3, 1 << 27, true),
        (17 << 3 | 1, 1 << 27, false),
        (18 << 3, 1 << 27, false),
        (21 << 3 | 7, 1 << 31, false),
        (31 << 3 | 7, 1 << 31, false),
    ] {
        let stored = zstd_frame(&[0x00, descriptor], &[b"abc"]);
        let expected = if right { Ok(b"abc".to_vec()) } else { limit("window-too-large") };
        assert_eq!(outcome_of(&limited(most), &stored), expected, "{descriptor:#x} {most:#x}");
    }
}

/// Of a single segment the window is the content, so that it is all held in memory.
#[test]
fn the_content_of_a_single_segment_is_its_window() {
    let bytes = pattern((1 << 20) + 1);
    let blocks: Vec<&[u8]> = bytes.chunks(1 << 17).collect();
    let stored = zstd_frame(&[0xA0, 1, 0, 0x10, 0], &blocks);
    for cuts in [(1 << 22, 1 << 22), (1 << 18, 1 << 18), (999, 9999)] {
        assert!(cut(&limited((1 << 20) + 1), &stored, cuts, UNBOUNDED) == Ok(bytes.clone()));
        assert!(cut(&limited(1 << 20), &stored, cuts, UNBOUNDED) == limit("window-too-large"));
    }
}

/// A block of more than its window is legal for a decoder that sees the whole frame, if it does not look.
#[test]
fn blocks_are_judged_alike_however_they_are_cut() {
    let large = pattern(5000);
    for header in [&[0x00, 0x00][..], &[0x40, 0x00, 0x88, 0x12]] {
        assert_eq!(outcome_of(&usual(), &zstd_frame(header, &[&large])), corrupt("bad-stream"));
        let small: Vec<&[u8]> = large.chunks(1000).collect();
        assert_eq!(outcome_of(&usual(), &zstd_frame(header, &small)), Ok(large.clone()));
    }
}

#[test]
fn a_dictionary_is_refused_by_name() {
    assert_eq!(outcome_of(&usual(), &zstd_frame(&[0x21, 7, 3], &[b"abc"])), unsupported("dictionary"));
    assert_eq!(outcome_of(&usual(), &zstd_frame(&[0x03, 0, 0, 0, 0, 1], &[b"abc"])), unsupported("dictionary"));
    assert_eq!(outcome_of(&usual(), &zstd_frame(&[0x21, 0, 3], &[b"abc"])), Ok(b"abc".to_vec()));
    assert_eq!(outcome_of(&usual(), &zstd_frame(&[0x20, 3], &[b"abc"])), Ok(b"abc".to_vec()));
}

#[test]
fn skippable_frames_are_passed_over() {
    let frame = Format::Zstd.compress(b"abc");
    let cases: [(Vec<u8>, Outcome); 7] = [
        ([skippable(0, 100), frame.clone()].concat(), Ok(b"abc".to_vec())),
        ([frame.clone(), skippable(15, 70_000), frame.clone()].concat(), Ok(b"abcabc".to_vec())),
        ([frame.clone(), skippable(3, 0), skippable(4, 0)].concat(), Ok(b"abc".to_vec())),
        (skippable(7, 9), Ok(vec![])),
        (skippable(7, 9)[..16].to_vec(), corrupt("unexpected-end")),
        ([frame.clone(), skippable(7, 9)[..7].to_vec()].concat(), corrupt("unexpected-end")),
        ([frame, skippable(7, 9), vec![0x60]].concat(), corrupt("trailing-data")),
    ];
    for (number, (stored, expected)) in cases.into_iter().enumerate() {
        assert_eq!(outcome_of(&usual(), &stored), expected, "case {number}");
    }
}

#[test]
fn each_lie_of_a_frame_has_its_name() {
    let checked = Format::Zstd.compress(&pattern(500));
    let mut checksum = checked.clone();
    *checksum.last_mut().unwrap() ^= 1;
    assert_eq!(outcome_of(&usual(), &checksum), corrupt("checksum-mismatch"));
    assert_eq!(outcome_of(&usual(), &checked), Ok(pattern(500)));
    for (stored, code) in [
        (zstd_frame(&[0x20, 4], &[b"abc"]), "bad-stream"),
        (zstd_frame(&[0x20, 2], &[b"abc"]), "bad-stream"),
        (zstd_frame(&[0x28, 3], &[b"abc"]), "bad-stream"),
        // A block of the reserved type (3.1.1.2.2).
        ([&zstd_frame(&[0x20, 3], &[])[..], &[0x1F, 0, 0, 1, 2, 3]].concat(), "bad-stream"),
        // The magic of zstd 0.7.
        (vec![0x27, 0xB5, 0x2F, 0xFD, 0, 0, 0, 0], "bad-magic"),
    ] {
        assert_eq!(outcome_of(&usual(), &stored), corrupt(code), "{stored:?}");
    }
}
