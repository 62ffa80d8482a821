//! The inside of a sparse VMDK: each field and each line changed alone, beside what is legal.

use landfall_inspect::HEAD_BYTES;

use crate::image::{DESCRIPTOR, vmdk};

const PARENT: &str = "parentCID=ffffffff";
const KIND: &str = "createType=\"monolithicSparse\"";
const EXTENT: &str = "RW 4096 SPARSE \"disk.vmdk\"";

/// A line of the descriptor, what is there in its place, and the verdict.
const LINES: [(&str, &str, &str); 54] = [
    ("", "", "ok"),
    (PARENT, "parentCID=FFFFFFFF", "ok"),
    (PARENT, "parentCID = ffffffff", "ok"),
    (PARENT, "parentCID=ffffffff\r", "ok"),
    (PARENT, "parentCID=fffffffe", "format-reference"),
    (PARENT, "parentCID=81f019b7", "format-reference"),
    (PARENT, "parentCID=0", "format-reference"),
    (PARENT, "parentCID=", "format-reference"),
    (PARENT, "parentCID=fffffffff", "format-reference"),
    (PARENT, "", "format-header"),
    (PARENT, "#parentCID=ffffffff", "format-header"),
    (PARENT, "parentCID ffffffff", "format-header"),
    (PARENT, "notparentCID=ffffffff", "format-header"),
    (PARENT, "parentCID=ffffffff\nparentCID=ffffffff", "format-header"),
    (PARENT, "# parentCID=81f019b7\nparentCID=ffffffff", "format-header"),
    (PARENT, "parentCID=ffffffff\nPARENTcid=81f019b7", "format-header"),
    (PARENT, "parentCID=ffffffff\nparentFileNameHint=\"base.vmdk\"", "format-reference"),
    (PARENT, "parentCID=ffffffff\nPARENTFILENAMEHINT=\"base.vmdk\"", "format-reference"),
    (PARENT, "parentCID=ffffffff\n# parentFileNameHint=\"base.vmdk\"", "format-reference"),
    (PARENT, "parentCID=ffffffff\nparentFileNameHint", "format-reference"),
    (PARENT, "parentCID=ffffffff\nchangeTrackPath=\"disk-ctk.vmdk\"", "format-reference"),
    (KIND, "createType=\"streamOptimized\"", "ok"),
    (KIND, "CREATETYPE = \"StreamOptimized\"", "ok"),
    (KIND, "createType=monolithicSparse", "ok"),
    (KIND, "createType=\"monolithicFlat\"", "format-variant"),
    (KIND, "createType=\"twoGbMaxExtentSparse\"", "format-variant"),
    (KIND, "createType=\"vmfsSparse\"", "format-variant"),
    (KIND, "createType=\"custom\"", "format-variant"),
    (KIND, "createType=\"\"", "format-variant"),
    (KIND, "createType=\"monolithicSparse", "format-variant"),
    (KIND, "", "format-header"),
    (KIND, "createType=\"monolithicSparse\"\ncreateType=\"monolithicFlat\"", "format-header"),
    (EXTENT, "RDONLY 4096 SPARSE \"generated-by-streaming\"", "ok"),
    (EXTENT, "noaccess  4096\tsparse  \"a disk.vmdk\"", "ok"),
    (EXTENT, "RW 4096 SPARSE \"диск.vmdk\"", "ok"),
    (EXTENT, "RW 4096 FLAT \"disk-flat.vmdk\" 0", "format-reference"),
    (EXTENT, "RW 4096 ZERO", "format-reference"),
    (EXTENT, "RW 4096 VMFS \"disk-flat.vmdk\"", "format-reference"),
    (EXTENT, "RW 4096 VMFSRDM \"disk-rdm.vmdk\"", "format-reference"),
    (EXTENT, "RW 4096 SPARSE \"/etc/hosts\"", "format-reference"),
    (EXTENT, "RW 4096 SPARSE \"../disk.vmdk\"", "format-reference"),
    (EXTENT, "RW 4096 SPARSE \"..\\disk.vmdk\"", "format-reference"),
    (EXTENT, "RW 4096 SPARSE \"nbd:localhost:10809\"", "format-reference"),
    (EXTENT, "RW 4096 SPARSE \"disk.vmdk\"\nRW 4096 SPARSE \"disk.vmdk\"", "format-reference"),
    (EXTENT, "RW 4096 SPARSE \"disk.vmdk\"\nRW 8 FLAT \"passwd\" 0", "format-reference"),
    (EXTENT, "", "format-header"),
    (EXTENT, "RW 4096 SPARSE disk.vmdk", "format-header"),
    (EXTENT, "RW 4096 SPARSE \"\"", "format-header"),
    (EXTENT, "RW 4096 SPARSE \"disk.vmdk\" 0", "format-header"),
    (EXTENT, "RW +4096 SPARSE \"disk.vmdk\"", "format-header"),
    (EXTENT, "RW 99999999999999999999 SPARSE \"disk.vmdk\"", "format-header"),
    (EXTENT, "wronly 4096 SPARSE \"disk.vmdk\"", "format-header"),
    ("version=1", "version=1\u{b}encoding=\"x\"", "format-header"),
    ("version=1", "version=1\rencoding=\"x\"", "format-header"),
];

#[test]
fn every_line() {
    for (line, other, verdict) in LINES {
        let image = vmdk(DESCRIPTOR.replacen(line, other, 1).as_bytes());
        assert_eq!(image.agree("vmdk", "bare"), verdict, "{other:?}");
        assert_eq!(image.agree("raw", "bare"), "format-mismatch", "{other:?}");
    }
}

/// What is put where in the header, and the verdict.
const POKES: [(&str, usize, &[u8], &str); 21] = [
    ("version 0", 0x04, b"\0", "format-variant"),
    ("version 2", 0x04, b"\x02", "ok"),
    ("version 3", 0x04, b"\x03", "ok"),
    ("version 4", 0x04, b"\x04", "format-variant"),
    ("all flags", 0x08, b"\xff\xff\xff\xff", "ok"),
    ("no capacity", 0x0c, &[0; 8], "format-reference"),
    ("a sector less", 0x0c, b"\xff\x0f", "format-header"),
    ("a sector more", 0x0c, b"\x01\x10", "format-header"),
    ("a grain more", 0x0c, b"\x80\x10", "format-header"),
    ("2^57 sectors", 0x13, b"\x02", "format-header"),
    ("grains of 2^64 - 1 sectors", 0x14, &[0xff; 8], "ok"),
    ("such grains, and as much capacity", 0x0c, &[0xff; 16], "format-header"),
    ("no descriptor", 0x1c, b"\0", "format-header"),
    ("descriptor in the third sector", 0x1c, b"\x02", "format-header"),
    ("descriptor at 2^56 and 1", 0x23, b"\x01", "format-header"),
    ("descriptor of no sectors", 0x24, b"\0", "format-header"),
    ("descriptor of one sector", 0x24, b"\x01", "ok"),
    ("descriptor up to the end of the head", 0x24, b"\x7f", "ok"),
    ("descriptor past the end of the head", 0x24, b"\x80", "format-header"),
    ("descriptor of 2^63 sectors", 0x2b, b"\x80", "format-header"),
    ("tables, overhead, shutdown, line ends, compression", 0x2c, &[0xff; 0x23], "ok"),
];

#[test]
fn every_field() {
    assert_eq!(HEAD_BYTES, 0x80 * 512);
    for (what, at, bytes, verdict) in POKES {
        let image = vmdk(DESCRIPTOR.as_bytes()).put(at, bytes);
        assert_eq!(image.agree("vmdk", "bare"), verdict, "{what}");
    }
}

#[test]
fn a_capacity_may_be_rounded_up_to_a_grain() {
    for (sectors, verdict) in
        [(3968, "format-header"), (3969, "ok"), (4095, "ok"), (4096, "ok"), (4097, "format-header")]
    {
        let text = DESCRIPTOR.replace("4096", &sectors.to_string());
        assert_eq!(vmdk(text.as_bytes()).agree("vmdk", "bare"), verdict, "{sectors}");
    }
}

#[test]
fn nothing_may_follow_the_text_of_a_descriptor() {
    let area = 512..512 + 20 * 512;
    let image = vmdk(DESCRIPTOR.as_bytes());
    for at in [area.start + DESCRIPTOR.len() + 1, area.end - 1] {
        assert_eq!(image.clone().put(at, b"x").agree("vmdk", "bare"), "format-header", "{at}");
    }
    assert_eq!(image.put(area.end, b"tables").agree("vmdk", "bare"), "ok");

    // A descriptor that fills its area goes on, for readers that look for a NUL.
    let full = DESCRIPTOR.to_owned() + &"#".repeat(512 - DESCRIPTOR.len());
    let image = vmdk(full.as_bytes()).put(0x24, b"\x01");
    assert_eq!(image.agree("vmdk", "bare"), "ok");
    assert_eq!(image.put(1024, b"\nparentFileNameHint=x").agree("vmdk", "bare"), "format-header");
}

#[test]
fn an_image_cut_short_is_refused() {
    for length in (4..512 + 20 * 512).step_by(7) {
        let mut image = vmdk(DESCRIPTOR.as_bytes());
        image.0.truncate(length);
        assert_eq!(image.agree("vmdk", "bare"), "format-header", "{length}");
    }
    let mut image = vmdk(DESCRIPTOR.as_bytes());
    image.0.truncate(512 + 20 * 512);
    assert_eq!(image.agree("vmdk", "bare"), "ok");
    assert_eq!(vmdk(b"").agree("vmdk", "bare"), "format-header", "an area without text");
}
