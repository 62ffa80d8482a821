//! The inside of a VDI: each field poked alone, beside what is legal.

use crate::image::vdi;

/// What is put where, and the verdict.
const POKES: [(&str, usize, &[u8], &str); 21] = [
    ("nothing", 0, b"", "ok"),
    ("another program's words", 0, b"<<< Oracle VM VirtualBox Disk Image >>>\n", "ok"),
    ("version 0.1", 0x44, b"\x01\0\0\0", "format-variant"),
    ("version 1.0", 0x44, b"\0\0\x01\0", "format-variant"),
    ("version 1.2", 0x44, b"\x02\0\x01\0", "format-variant"),
    ("header as VirtualBox has it", 0x48, b"\x90\x01", "ok"),
    ("header without the UUIDs", 0x48, b"\x7f\x01", "format-header"),
    ("header of no bytes", 0x48, b"\0\0", "format-header"),
    ("type 0", 0x4c, b"\0", "format-header"),
    ("static", 0x4c, b"\x02", "ok"),
    ("undo", 0x4c, b"\x03", "format-reference"),
    ("differencing", 0x4c, b"\x04", "format-reference"),
    ("type 5", 0x4c, b"\x05", "format-header"),
    ("differencing and 2^24", 0x4f, b"\x01", "format-header"),
    ("link, first byte", 0x1a8, b"\x01", "format-reference"),
    ("link, last byte", 0x1b7, b"\x80", "format-reference"),
    ("parent, first byte", 0x1b8, b"\x01", "format-reference"),
    ("parent, last byte", 0x1c7, b"\x80", "format-reference"),
    ("past the parent", 0x1c8, b"\xff", "ok"),
    ("map, data, geometry", 0x154, &[0xff; 0x1c], "ok"),
    ("blocks and own UUIDs", 0x178, &[0xff; 0x30], "ok"),
];

#[test]
fn every_field() {
    for (what, at, bytes, verdict) in POKES {
        let image = vdi().put(at, bytes);
        assert_eq!(image.agree("vdi", "bare"), verdict, "{what}");
        assert_eq!(image.agree("raw", "bare"), "format-mismatch", "{what}");
    }
}

#[test]
fn a_header_cut_short_is_refused() {
    for length in 0x44..0x1c8 {
        let mut image = vdi();
        image.0.truncate(length);
        assert_eq!(image.agree("vdi", "bare"), "format-header", "{length}");
    }
    let mut image = vdi();
    image.0.truncate(0x1c8);
    assert_eq!(image.agree("vdi", "bare"), "ok");
}

#[test]
fn the_size_of_the_disk() {
    for (bytes, verdict) in [(0_u64, "ok"), (10 << 30, "ok"), ((1 << 63) - 1, "ok"), (1 << 63, "format-header")] {
        let image = vdi().put(0x170, &bytes.to_le_bytes());
        assert_eq!(image.agree("vdi", "bare"), verdict);
        assert_eq!(image.window().virtual_size(), (verdict == "ok").then_some(bytes));
    }
}
