//! Bombs, cancelling, and what is wanted.

use landfall_handler_api::ErrorKind;

use crate::inflate::{Bounds, inflate};
use crate::test_support::*;

fn bounded(disk_bytes: u64) -> Bounds {
    Bounds { wanted: u64::MAX, disk_bytes }
}

#[test]
fn the_disk_may_be_as_large_as_the_limit_and_no_larger() {
    let bytes = pattern(10_000);
    for format in EACH {
        let stored = [format.compress(&bytes), format.compress(&[])].concat();
        for cuts in CUTS {
            for (disk_bytes, right) in [(10_001, true), (10_000, true), (9_999, false), (1, false), (0, false)] {
                let expected = if right { Ok(bytes.clone()) } else { limit("disk-bytes") };
                let outcome = cut(&format.compression(), &stored, cuts, bounded(disk_bytes));
                assert!(outcome == expected, "{format:?} {cuts:?} {disk_bytes}");
            }
        }
        assert_eq!(cut(&format.compression(), &format.compress(&[]), (9, 9), bounded(0)), Ok(vec![]));
    }
}

/// Whichever comes first in the stream is said, wherever the bytes are cut. Of xz it may be either, where the damage makes
/// a block longer than the limit: liblzma finds it earlier with a smaller room. It is refused all the same.
#[test]
fn of_damage_and_the_limit_the_first_is_said() {
    let parts = [&pattern(60)[..], b"a", b"bc", &pattern(30)];
    for format in EACH {
        let mut stored = parts.map(|part| format.compress(part)).concat();
        if format == Format::Zstd {
            stored.extend(zstd_frame(&[0, 0], &[&pattern(20), b"x", b"y", &pattern(20)]));
        }
        if format == Format::Xz {
            stored.extend(xz_blocks(&pattern(40), 20));
        }
        for at in (0..stored.len()).step_by(3) {
            let mut stored = stored.clone();
            stored[at] ^= 0x41;
            let unbounded = cut(&format.compression(), &stored, (1 << 12, 1 << 12), UNBOUNDED);
            for disk_bytes in [59, 60, 61, 62, 63, 64, 92, 93, 94, 112, 113, 114, 115, 116] {
                let first = cut(&format.compression(), &stored, CUTS[0], bounded(disk_bytes));
                let same = |outcome: Outcome| match (format, &outcome, &first) {
                    (Format::Xz, Err((_, code)), Err(_)) => code == "disk-bytes" || outcome == unbounded,
                    _ => outcome == first,
                };
                for cuts in [(1, 4096), (5, 1), (7, 13), (1 << 12, 1 << 12)] {
                    let outcome = cut(&format.compression(), &stored, cuts, bounded(disk_bytes));
                    assert!(
                        same(outcome.clone()),
                        "{format:?} byte {at}, limit {disk_bytes}, {cuts:?}: {outcome:?} {first:?}"
                    );
                }
                if format == Format::Xz {
                    let outcome = cut(&threads(4), &stored, (1 << 12, 1 << 12), bounded(disk_bytes));
                    assert!(same(outcome), "byte {at}, limit {disk_bytes}, threads");
                }
            }
        }
    }
}

/// The image is endless, each member of it a thousand times smaller than what it inflates to or smaller still.
#[test]
fn a_bomb_stops_at_the_limit() {
    const MOST: u64 = 40 << 20;
    for format in EACH {
        let member = format.compress(&vec![0; 3 << 20]);
        assert!(member.len() < 4096, "{format:?} {}", member.len());
        let mut decoder = format.compression().decoder().unwrap();
        let mut rooms = Rooms::counting(1 << 18);
        let mut stored = Endless { bytes: &member, at: 0 };
        let host = Patience::new(2000);
        let outcome = inflate(&mut *decoder, &mut stored, &mut [0; 1 << 16], &mut rooms, &host, bounded(MOST));
        let error = outcome.unwrap_err();
        assert_eq!((error.kind(), error.code()), (ErrorKind::Limit, "disk-bytes"), "{format:?}");
        assert_eq!(rooms.count, MOST, "{format:?}");
    }
}

#[test]
fn an_endless_image_without_bytes_shows_life_and_can_be_cancelled() {
    for format in EACH {
        let member = format.compress(&[]);
        let mut decoder = format.compression().decoder().unwrap();
        let mut rooms = Rooms::counting(100);
        let mut stored = Endless { bytes: &member, at: 0 };
        let host = Patience::new(3000);
        let outcome = inflate(&mut *decoder, &mut stored, &mut [0; 64], &mut rooms, &host, UNBOUNDED);
        assert_eq!(outcome.unwrap_err().code(), "cancelled", "{format:?}");
        assert_eq!(rooms.count, 0);
        assert!(host.signs.get() > 100, "{format:?} {}", host.signs.get());
    }
}

#[test]
fn every_wait_is_preceded_by_a_question() {
    let bytes = pattern(1000);
    for format in EACH {
        let stored = format.compress(&bytes);
        let enough = (0..).find(|&questions| {
            let mut decoder = format.compression().decoder().unwrap();
            let host = Patience::new(questions);
            let mut rooms = Rooms::new(100);
            let outcome = inflate(&mut *decoder, &mut Memory(&stored), &mut [0; 50], &mut rooms, &host, UNBOUNDED);
            assert!(rooms.count <= questions * 100);
            assert!(outcome.is_ok() || outcome.unwrap_err().code() == "cancelled");
            rooms.count == 1000
        });
        assert!(enough.unwrap() >= 10, "{format:?}");
    }
}

#[test]
fn no_more_is_read_than_is_wanted() {
    let bytes = pattern(10_000);
    for format in EACH {
        let stored = [format.compress(&bytes), b"not looked at".to_vec()].concat();
        for wanted in [0, 1, 4096, 9_999, 10_000] {
            let bounds = Bounds { wanted, disk_bytes: 20_000 };
            let outcome = cut(&format.compression(), &stored, (64, 1 << 20), bounds);
            assert_eq!(outcome, Ok(bytes[..usize::try_from(wanted).unwrap()].to_vec()), "{format:?} {wanted}");
        }
    }
}
