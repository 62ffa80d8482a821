//! Whole images, several members as one, and what may follow them.

use proptest::prelude::*;

use crate::test_support::*;

#[test]
fn what_was_compressed_comes_back() {
    for format in EACH {
        for len in [0, 1, 2, 100, 65_536, 300_001] {
            let bytes = pattern(len);
            let outcome = outcome_of(&format.compression(), &format.compress(&bytes));
            assert!(outcome == Ok(bytes), "{format:?} {len}");
        }
        let zeros = vec![0; 5 << 20];
        let outcome = cut(&format.compression(), &format.compress(&zeros), (1 << 18, 1 << 18), UNBOUNDED);
        assert!(outcome == Ok(zeros), "{format:?} zeros");
    }
}

#[test]
fn several_are_one_image() {
    for format in EACH {
        let (one, other) = (pattern(70_000), pattern(333));
        let parts = [&one[..], &[], &[], &other, &[], &one].map(|part| format.compress(part));
        let expected = [&one[..], &other, &one].concat();
        assert!(outcome_of(&format.compression(), &parts.concat()) == Ok(expected), "{format:?}");
        assert_eq!(
            outcome_of(&format.compression(), &[format.compress(&[]), format.compress(&[])].concat()),
            Ok(vec![])
        );
    }
}

#[test]
fn nothing_else_may_follow() {
    let other = [
        Format::Zstd.compress(b"a"),
        Format::Gzip.compress(b"a"),
        Format::Bzip2.compress(b"a"),
        Format::Gzip.compress(b"a"),
    ];
    for (format, other) in EACH.into_iter().zip(other) {
        let whole = format.compress(&pattern(1000));
        let tails: [&[u8]; 6] = [b"\x01", b"trailing", &[0, 0, 0, 0, 1], &[0, 0, 0, 1], &[0xFF; 3000], &other];
        for tail in tails {
            let outcome = outcome_of(&format.compression(), &[&whole, tail].concat());
            assert_eq!(outcome, corrupt("trailing-data"), "{format:?} {:?}", &tail[..1]);
        }
    }
}

/// What `gzip -d` and `xz -d` take in silence, and what they do not.
#[test]
fn zeros_may_follow_where_the_format_has_padding() {
    for format in EACH {
        let whole = format.compress(&pattern(1000));
        for zeros in [1, 3, 4, 5, 8, 512, 10_240] {
            let right = match format {
                Format::Gzip => true,
                Format::Xz => zeros % 4 == 0,
                Format::Zstd | Format::Bzip2 => false,
            };
            let outcome = outcome_of(&format.compression(), &[whole.clone(), vec![0; zeros]].concat());
            let expected = if right { Ok(pattern(1000)) } else { corrupt("trailing-data") };
            assert!(outcome == expected, "{format:?} {zeros}");
        }
    }
}

#[test]
fn what_is_no_such_image_is_told_apart() {
    for format in EACH {
        for other in EACH.into_iter().filter(|&other| other != format) {
            let outcome = outcome_of(&format.compression(), &other.compress(&pattern(100)));
            assert_eq!(outcome, corrupt("bad-magic"), "{format:?} {other:?}");
        }
        assert_eq!(outcome_of(&format.compression(), &[0; 512]), corrupt("bad-magic"), "{format:?}");
        assert_eq!(outcome_of(&format.compression(), b"QFI\xFB"), corrupt("bad-magic"), "{format:?}");
        assert_eq!(outcome_of(&format.compression(), &[]), corrupt("unexpected-end"), "{format:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// Wherever it is cut, damaged or not, the outcome is the same.
    #[test]
    fn cuts_change_nothing(
        len in 0_usize..20_000,
        chunk in 1_usize..5000,
        room in 1_usize..5000,
        damage in proptest::option::of((any::<proptest::sample::Index>(), 1_u8..)),
        end in proptest::option::of(any::<proptest::sample::Index>()),
    ) {
        for format in EACH {
            let mut stored = [format.compress(&pattern(len)), format.compress(b"and more")].concat();
            if let Some((at, by)) = &damage {
                let at = at.index(stored.len());
                stored[at] ^= by;
            }
            if let Some(end) = &end {
                stored.truncate(end.index(stored.len()));
            }
            let compression = format.compression();
            let whole = cut(&compression, &stored, (1 << 18, 1 << 18), UNBOUNDED);
            prop_assert_eq!(cut(&compression, &stored, (chunk, room), UNBOUNDED), whole.clone());
            if format == Format::Xz {
                prop_assert_eq!(cut(&threads(3), &stored, (chunk, room), UNBOUNDED), whole);
            }
        }
    }

    /// No bytes at all make it fail otherwise than with one of its errors.
    #[test]
    fn any_bytes_after_a_beginning_are_judged(noise in proptest::collection::vec(any::<u8>(), 0..3000)) {
        for format in EACH {
            let stored = [&format.compress(&pattern(64))[..12], &noise].concat();
            let whole = cut(&format.compression(), &stored, (1 << 18, 1 << 18), UNBOUNDED);
            prop_assert_eq!(cut(&format.compression(), &stored, (5, 3), UNBOUNDED), whole);
        }
    }
}
