//! Every cut and every changed byte of small images.

use std::collections::BTreeMap;

use crate::source::Compression;
use crate::test_support::*;

/// An image of two members, where the first ends, and what both are.
fn two(format: Format) -> (Vec<u8>, usize, Vec<u8>) {
    let (one, other) = (pattern(300), pattern(40));
    let first = format.compress(&one);
    ([first.clone(), format.compress(&other)].concat(), first.len(), [one, other].concat())
}

fn each_with_threads() -> Vec<(Format, Compression)> {
    let mut each: Vec<_> = EACH.map(|format| (format, format.compression())).into();
    each.push((Format::Xz, threads(4)));
    each
}

#[test]
fn an_image_that_is_cut_short_is_refused() {
    for (format, compression) in each_with_threads() {
        let (stored, boundary, bytes) = two(format);
        for len in 0..stored.len() {
            let expected = if len == boundary { Ok(bytes[..300].to_vec()) } else { corrupt("unexpected-end") };
            assert!(outcome_of(&compression, &stored[..len]) == expected, "{format:?} {len} of {}", stored.len());
        }
        assert_eq!(outcome_of(&compression, &stored), Ok(bytes));
    }
}

#[test]
fn blocks_that_are_cut_short_are_refused_in_every_number_of_threads() {
    let bytes = pattern(5000);
    let stored = xz_blocks(&bytes, 1024);
    for compression in [threads(1), threads(2), threads(5)] {
        for len in (0..stored.len()).step_by(7) {
            assert_eq!(outcome_of(&compression, &stored[..len]), corrupt("unexpected-end"), "{len}");
        }
        assert_eq!(outcome_of(&compression, &stored), Ok(bytes.clone()));
    }
}

/// Images with one byte changed: how many are read as if it were not, and the codes of those that are refused, with
/// their numbers. None is read as anything else.
fn changed(compression: &Compression, stored: &[u8], bytes: &[u8]) -> (usize, BTreeMap<String, usize>) {
    let (mut same, mut refused) = (0, BTreeMap::new());
    for at in 0..stored.len() {
        for by in [0x01, 0x02, 0x10, 0x80, 0xFF] {
            let mut stored = stored.to_vec();
            stored[at] ^= by;
            match outcome_of(compression, &stored) {
                Ok(inflated) => {
                    assert!(inflated == bytes, "{compression:?}: byte {at} ^ {by} made other bytes");
                    same += 1;
                }
                Err((_, code)) => *refused.entry(code).or_insert(0) += 1,
            }
        }
    }
    (same, refused)
}

/// What has no meaning: of a gzip header time, flags of the deflater, system, name and the flag for text, 71 changes in
/// each of two members; then bits that fill up the last byte, a bit of zstd that is unused, a larger block size of bzip2,
/// and other spellings of the same bytes, which their checksum bears out.
#[test]
fn a_changed_byte_is_found_or_has_no_meaning() {
    const ALWAYS: [&str; 4] = ["bad-magic", "bad-stream", "trailing-data", "unexpected-end"];
    for (format, compression) in each_with_threads() {
        let (stored, _, bytes) = two(format);
        let (same, refused) = changed(&compression, &stored, &bytes);
        let (meaningless, also): (_, &[&str]) = match format {
            Format::Gzip => (2 * 71..=2 * 71 + 10, &["checksum-mismatch"]),
            Format::Zstd => (1..=10, &["checksum-mismatch", "window-too-large", "dictionary"]),
            Format::Xz | Format::Bzip2 => (0..=10, &[]),
        };
        assert!(meaningless.contains(&same), "{format:?} {same}");
        assert_eq!(same + refused.values().sum::<usize>(), 5 * stored.len());
        for code in refused.keys() {
            assert!(ALWAYS.contains(&code.as_str()) || also.contains(&code.as_str()), "{format:?} {code}");
        }
        assert!(refused["bad-stream"] > 100 && refused["trailing-data"] >= 10, "{format:?} {refused:?}");
    }
}
