//! The inside of a qcow2: each field poked alone, beside what is legal.

use crate::image::{Image, qcow2};

/// What is put where, and the verdict.
const POKES: [(&str, usize, &[u8], &str); 35] = [
    ("nothing", 0, b"", "ok"),
    ("version 0", 7, b"\0", "format-variant"),
    ("version 4", 7, b"\x04", "format-variant"),
    ("version 2 and 2^24", 4, b"\x01\0\0\x02", "format-variant"),
    ("backing file, offset only", 8, b"\x80", "format-reference"),
    ("backing file, offset only, low", 15, b"\x01", "format-reference"),
    ("backing file, size only", 16, b"\x80", "format-reference"),
    ("backing file, size only, low", 19, b"\x01", "format-reference"),
    ("clusters of 256 bytes", 23, b"\x08", "format-header"),
    ("clusters of 512 bytes", 23, b"\x09", "ok"),
    ("clusters of 2 MiB", 23, b"\x15", "ok"),
    ("clusters of 4 MiB", 23, b"\x16", "format-header"),
    ("clusters beyond any shift", 20, b"\xff\xff\xff\xff", "format-header"),
    ("AES", 35, b"\x01", "format-encrypted"),
    ("LUKS", 35, b"\x02", "format-encrypted"),
    ("an unknown encryption", 32, b"\x80", "format-encrypted"),
    ("dirty, and lazy refcounts", 79, b"\x01\0\0\0\0\0\0\0\x01", "ok"),
    ("corrupt", 79, b"\x02", "format-feature"),
    ("data file", 79, b"\x04", "format-reference"),
    ("data file, raw", 79, b"\x04\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x02", "format-reference"),
    ("zstd without its bit", 104, b"\x01", "format-feature"),
    ("the compression bit without zstd", 79, b"\x08", "format-feature"),
    ("extended L2", 79, b"\x10", "ok"),
    ("bit 5", 79, b"\x20", "format-feature"),
    ("bit 63", 72, b"\x80", "format-feature"),
    ("header of 0 bytes", 103, b"\0", "format-header"),
    ("header of 96 bytes", 103, b"\x60", "format-header"),
    ("header of 104 bytes, no extension", 103, b"\x68", "ok"),
    ("header of 108 bytes", 103, b"\x6c", "format-header"),
    ("header of 128 bytes", 102, b"\0\x88", "ok"),
    ("header longer than a cluster", 101, b"\x01\0\x08", "format-header"),
    ("an external data file's name", 112, b"DATA\0\0\0\x01x", "format-reference"),
    ("a backing file's format", 112, b"\xe2\x79\x2a\xca\0\0\0\x03raw", "format-reference"),
    ("an encryption header", 112, b"\x05\x37\xbe\x77\0\0\0\x10", "format-encrypted"),
    ("an extension longer than a cluster", 116, b"\0\x01\0\0", "format-header"),
];

#[test]
fn every_field() {
    for (what, at, bytes, verdict) in POKES {
        let image = qcow2().put(at, bytes);
        assert_eq!(image.agree("qcow2", "bare"), verdict, "{what}");
        assert_eq!(image.agree("raw", "bare"), "format-mismatch", "{what}");
    }
}

#[test]
fn zstd_needs_its_bit_and_its_field() {
    let zstd = qcow2().put(79, b"\x08").put(104, b"\x01");
    assert_eq!(zstd.agree("qcow2", "bare"), "ok");
    assert_eq!(zstd.clone().put(104, b"\x02").agree("qcow2", "bare"), "format-feature");
    // Of a header that ends before it, the field is not one.
    let short = zstd.put(103, b"\x68").put(104, b"\x01\0\0\0\0\0\0\0");
    assert_eq!(short.agree("qcow2", "bare"), "format-feature");
}

#[test]
fn version_2_has_no_features_but_extensions() {
    let two = qcow2().put(7, b"\x02").put(72, &[0; 48]);
    assert_eq!(two.agree("qcow2", "bare"), "ok");
    let named = |kind: &[u8]| two.clone().put(72, kind).put(76, b"\0\0\0\x04name").agree("qcow2", "bare");
    assert_eq!(named(b"DATA"), "format-reference");
    assert_eq!(named(b"\xe2\x79\x2a\xca"), "format-reference");
    assert_eq!(named(b"else"), "ok");
    assert_eq!(two.clone().put(19, b"\x01").agree("qcow2", "bare"), "format-reference");
    assert_eq!(two.put(35, b"\x01").agree("qcow2", "bare"), "format-encrypted");
}

#[test]
fn a_header_cut_short_is_refused() {
    for length in 4..512 {
        let mut image = qcow2();
        image.0.truncate(length);
        assert_eq!(image.agree("qcow2", "bare"), "format-header", "{length}");
    }
    let mut image = qcow2();
    image.0.truncate(512);
    assert_eq!(image.agree("qcow2", "bare"), "ok");
}

/// Extensions without an end: up to the end of a cluster they may go, beyond the head nobody looks.
#[test]
fn extensions_end_with_the_cluster_or_are_refused() {
    let filled = |cluster_bits: u8| {
        let mut image = qcow2().put(23, &[cluster_bits]);
        for at in (112..image.0.len()).step_by(8) {
            image = image.put(at, b"some\0\0\0\0");
        }
        image
    };
    for cluster_bits in 9..=16 {
        assert_eq!(filled(cluster_bits).agree("qcow2", "bare"), "ok", "{cluster_bits}");
    }
    for cluster_bits in 17..=21 {
        assert_eq!(filled(cluster_bits).agree("qcow2", "bare"), "format-header", "{cluster_bits}");
    }
    let last = filled(9).put(504, b"DATA");
    assert_eq!(last.agree("qcow2", "bare"), "format-reference");
    let past = filled(9).put(512, b"DATA");
    assert_eq!(past.agree("qcow2", "bare"), "ok");
}

#[test]
fn an_extension_may_fill_its_cluster_but_not_a_byte_more() {
    let long = |length: u32| qcow2().put(116, &length.to_be_bytes()).agree("qcow2", "bare");
    assert_eq!(long(0x1_0000 - 112 - 8), "ok");
    assert_eq!(long(0x1_0000 - 112 - 7), "format-header");
    assert_eq!(long(u32::MAX), "format-header");
    assert_eq!(long(u32::MAX - 7), "format-header");
}

#[test]
fn fields_that_are_not_looked_at() {
    // L1 table, refcount table, snapshots, automatic features: for the code that reads the tables.
    for place in [36..40, 40..48, 48..56, 56..60, 60..64, 64..72, 80..88, 88..96, 96..100] {
        let mut image: Image = qcow2();
        image.0[place.clone()].fill(0xff);
        assert_eq!(image.agree("qcow2", "bare"), "ok", "{place:?}");
    }
}

#[test]
fn the_size_of_the_disk() {
    let sized = |bytes: u64| qcow2().put(24, &bytes.to_be_bytes());
    for bytes in [0, 1, 10 << 30, (1 << 63) - 1] {
        assert_eq!(sized(bytes).agree("qcow2", "bare"), "ok");
        assert_eq!(sized(bytes).window().virtual_size(), Some(bytes));
    }
    for bytes in [1 << 63, u64::MAX] {
        assert_eq!(sized(bytes).agree("qcow2", "bare"), "format-header");
        assert_eq!(sized(bytes).window().virtual_size(), None);
    }
}
