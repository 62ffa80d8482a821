//! gzip by hand.

use crate::test_support::*;

/// A member with these flags and this between the fixed part and a stored block of `abc`.
fn member(flags: u8, fields: &[u8]) -> Vec<u8> {
    let head = [0x1F, 0x8B, 8, flags, 1, 2, 3, 4, 0, 255];
    // A last block that is stored: its size, the size's complement, its bytes (RFC 1951, 3.2.4).
    let block = [1, 3, 0, 0xFC, 0xFF, b'a', b'b', b'c'];
    let trailer = [0xC2, 0x41, 0x24, 0x35, 3, 0, 0, 0];
    [&head[..], fields, &block, &trailer].concat()
}

fn with_crc(flags: u8, fields: &[u8]) -> Vec<u8> {
    let mut crc = flate2::Crc::new();
    crc.update(&[0x1F, 0x8B, 8, flags | 2, 1, 2, 3, 4, 0, 255]);
    crc.update(fields);
    member(flags | 2, &[fields, &crc.sum().to_le_bytes()[..2]].concat())
}

#[test]
fn every_field_of_a_header_is_passed_over() {
    let long = [&[b'n'; 70_000][..], &[0]].concat();
    let extra = [&[0xFF, 0xFF][..], &[0; 65_535]].concat();
    let cases = [
        member(0, b""),
        member(1, b""),
        member(4, b"\x00\x00"),
        member(4, b"\x03\x00xyz"),
        member(4, &extra),
        member(8, b"name\x00"),
        member(8, b"\x00"),
        member(8, &long),
        member(16, b"a comment\x00"),
        member(16, &long),
        member(4 | 8 | 16, b"\x02\x00\x00\x00name\x00comment\x00"),
        with_crc(0, b""),
        with_crc(4 | 8 | 16 | 1, b"\x02\x00\x00\x00name\x00comment\x00"),
        with_crc(8, &long),
    ];
    for (number, stored) in cases.iter().enumerate() {
        assert_eq!(outcome_of(&Format::Gzip.compression(), stored), Ok(b"abc".to_vec()), "case {number}");
        assert_eq!(outcome_of(&Format::Gzip.compression(), &stored[..stored.len() - 9]), corrupt("unexpected-end"));
    }
    let all = cases.concat();
    assert_eq!(cut(&Format::Gzip.compression(), &all, (7, 2), UNBOUNDED), Ok(b"abc".repeat(cases.len())));
}

#[test]
fn each_lie_has_its_name() {
    let mut method = member(0, b"");
    method[2] = 7;
    let (mut crc, mut size) = (member(0, b""), member(0, b""));
    *crc.iter_mut().nth_back(7).unwrap() ^= 1;
    *size.last_mut().unwrap() ^= 0x80;
    let mut header_crc = with_crc(8, b"name\x00");
    header_crc[12] ^= 1;
    let mut complement = member(0, b"");
    complement[13] ^= 1;
    // A match that reaches before the member's first byte (RFC 1951, 3.2.5): fixed codes, length 3, distance 1.
    let far = [&[0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 0][..], &[0b0000_0011, 0b0000_0010, 0, 0, 0]].concat();
    let after_another = [member(0, b""), far.clone()].concat();
    for (stored, code) in [
        (method, "bad-stream"),
        (member(0x20, b""), "bad-stream"),
        (member(0x40, b""), "bad-stream"),
        (member(0x80, b""), "bad-stream"),
        (complement, "bad-stream"),
        (far, "bad-stream"),
        (after_another, "bad-stream"),
        (crc, "checksum-mismatch"),
        (size, "checksum-mismatch"),
        (header_crc, "checksum-mismatch"),
        ([member(0, b""), vec![0, 0x1F, 0x8B, 8]].concat(), "trailing-data"),
        ([member(0, b""), vec![0x1F, 0x8C]].concat(), "trailing-data"),
        ([member(0, b""), vec![0x1F]].concat(), "unexpected-end"),
    ] {
        assert_eq!(outcome_of(&Format::Gzip.compression(), &stored), corrupt(code), "{stored:?}");
    }
}
