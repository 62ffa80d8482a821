//! xz: padding, dictionaries, checks, threads.

use liblzma::stream::{Check, Filters, LzmaOptions, Stream};

use crate::config::XzConfig;
use crate::source::Compression;
use crate::test_support::*;

fn limited(window_bytes: u64, threads: u32) -> Compression {
    Compression::Xz(XzConfig { window_bytes, threads })
}

/// CRC-32 of a header's bytes.
fn crc(bytes: &[u8]) -> [u8; 4] {
    let mut crc = flate2::Crc::new();
    crc.update(bytes);
    crc.sum().to_le_bytes()
}

#[test]
fn padding_is_counted_in_fours() {
    let (one, other) = (Format::Xz.compress(b"one"), Format::Xz.compress(b"other"));
    for zeros in 0..=12 {
        let stored = [&one[..], &vec![0; zeros], &other, &[0; 8]].concat();
        let expected = if zeros % 4 == 0 { Ok(b"oneother".to_vec()) } else { corrupt("trailing-data") };
        for compression in [threads(1), threads(4)] {
            assert_eq!(outcome_of(&compression, &stored), expected, "{zeros}");
        }
    }
    assert_eq!(outcome_of(&threads(1), &[&[0; 4][..], &one].concat()), corrupt("bad-magic"));
}

#[test]
fn a_dictionary_is_held_against_its_limit_in_every_number_of_threads() {
    const MIB: u32 = 1 << 20;
    for (window, most, right) in [
        (MIB, 1, true),
        (MIB + MIB / 2, 1, false),
        (2 * MIB, 2, true),
        (3 * MIB, 2, false),
        (64 * MIB, 64, true),
        (96 * MIB, 64, false),
        (1024 * MIB, 64, false),
    ] {
        let bytes = pattern(1000);
        let stored = xz_window(&bytes, window);
        let expected = if right { Ok(bytes) } else { limit("window-too-large") };
        for threads in [1, 4] {
            let outcome = outcome_of(&limited(most << 20, threads), &stored);
            assert!(outcome == expected, "{window} {most} {threads}: {:?}", outcome.map(|bytes| bytes.len()));
        }
    }
}

#[test]
fn blocks_come_back_in_order_from_every_number_of_threads() {
    let bytes = pattern(700_000);
    let stored = [xz_blocks(&bytes, 50_000), xz_blocks(&bytes[..99], 10), Format::Xz.compress(&bytes)].concat();
    let expected = [&bytes[..], &bytes[..99], &bytes].concat();
    for number in [1, 2, 3, 8] {
        assert!(cut(&threads(number), &stored, (1 << 18, 1 << 18), UNBOUNDED) == Ok(expected.clone()));
        assert!(cut(&threads(number), &stored, (1000, 777), UNBOUNDED) == Ok(expected.clone()));
    }
    let many = xz_blocks(&bytes[..500], 100).repeat(30);
    for number in [1, 2, 8] {
        assert!(cut(&threads(number), &many, (50, 50), UNBOUNDED) == Ok(bytes[..500].repeat(30)));
    }
}

#[test]
fn damaged_blocks_are_refused_alike_in_every_number_of_threads() {
    let stored = xz_blocks(&pattern(4000), 1000);
    for at in 0..stored.len() {
        let mut stored = stored.clone();
        stored[at] ^= 0x11;
        let one = cut(&threads(1), &stored, (1 << 18, 1 << 18), UNBOUNDED);
        assert!(one.is_err(), "byte {at}");
        for (number, cuts) in [(2, (1 << 18, 1 << 18)), (8, (100, 100)), (3, (1, 1))] {
            assert_eq!(cut(&threads(number), &stored, cuts, UNBOUNDED), one, "byte {at}, {number} threads");
        }
    }
}

#[test]
fn every_check_and_filter_of_the_format_is_read() {
    let bytes = pattern(3000);
    for check in [Check::None, Check::Crc32, Check::Crc64, Check::Sha256] {
        let stored = encode(Stream::new_easy_encoder(1, check).unwrap(), &bytes);
        assert_eq!(outcome_of(&threads(1), &stored), Ok(bytes.clone()), "{check:?}");
        assert_eq!(outcome_of(&threads(2), &stored), Ok(bytes.clone()), "{check:?}");
    }
    let mut filters = Filters::new();
    filters.x86().lzma2(&LzmaOptions::new_preset(1).unwrap());
    let stored = encode(Stream::new_stream_encoder(&filters, Check::Crc64).unwrap(), &bytes);
    assert_eq!(outcome_of(&threads(1), &stored), Ok(bytes.clone()));
    assert_eq!(outcome_of(&threads(2), &stored), Ok(bytes));
}

/// A stream without blocks, whose header and footer say that its check is number 2: reserved, of four bytes (2.1.1.2).
#[test]
fn an_unknown_check_is_refused_by_name_and_a_wrong_header_is_damage() {
    let legal = encode(Stream::new_easy_encoder(1, Check::Crc32).unwrap(), &[]);
    assert_eq!(legal.len(), 32);
    let with_flags = |flags: [u8; 2], sealed: bool| {
        let mut stored = legal.clone();
        stored[6..8].copy_from_slice(&flags);
        stored[28..30].copy_from_slice(&flags);
        if sealed {
            let (head, foot) = (crc(&stored[6..8]), crc(&stored[24..30]));
            stored[8..12].copy_from_slice(&head);
            stored[20..24].copy_from_slice(&foot);
        }
        stored
    };
    for compression in [threads(1), threads(4)] {
        assert_eq!(outcome_of(&compression, &with_flags([0, 1], true)), Ok(vec![]));
        assert_eq!(outcome_of(&compression, &with_flags([0, 0], true)), Ok(vec![]));
        for flags in [[0, 2], [0, 15], [0, 0x11], [1, 1]] {
            assert_eq!(outcome_of(&compression, &with_flags(flags, true)), unsupported("unsupported-options"));
            assert_eq!(outcome_of(&compression, &with_flags(flags, false)), corrupt("bad-stream"));
        }
    }
}
