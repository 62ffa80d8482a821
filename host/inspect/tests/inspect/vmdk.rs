//! The inside of a sparse VMDK: each field and each line changed alone, beside what is legal.

use landfall_inspect::HEAD_BYTES;

use crate::image::{DESCRIPTOR, Image, SIZE, stream_optimized, vmdk};

const PARENT: &str = "parentCID=ffffffff";
const KIND: &str = "createType=\"monolithicSparse\"";
const EXTENT: &str = "RW 4096 SPARSE \"disk.vmdk\"";

/// A line of the descriptor, what is there in its place, and the verdict.
const LINES: [(&str, &str, &str); 59] = [
    ("", "", "ok"),
    (PARENT, "parentCID=FFFFFFFF", "ok"),
    (PARENT, "parentCID = ffffffff", "format-header"),
    (PARENT, "parentCID= ffffffff", "ok"),
    (PARENT, "parentCID=ffffffff\nencoding =\"UTF-8\"", "format-header"),
    (PARENT, "parentCID=ffffffff\nddb.encoding \t= \"UTF-8\"", "ok"),
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
    (KIND, "CREATETYPE=\"StreamOptimized\"", "ok"),
    (KIND, "createType = \"streamOptimized\"", "format-header"),
    (KIND, "createType= \"streamOptimized\"", "format-header"),
    (KIND, "createType=monolithicSparse", "format-header"),
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
const POKES: [(&str, usize, &[u8], &str); 25] = [
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
    ("descriptor past the end of the head", 0x24, b"\x80", "ok"),
    ("descriptor past the end of the file", 0x24, b"\0\x01", "format-header"),
    ("descriptor of 1 MiB", 0x24, b"\0\x08", "format-header"),
    ("descriptor of 2^63 sectors", 0x2b, b"\x80", "format-header"),
    ("grain table and redundant directory", 0x2c, &[0xff; 12], "ok"),
    ("grain directory at the end, without a footer", 0x38, &[0xff; 8], "format-header"),
    ("overhead, shutdown, line ends, compression", 0x40, &[0xff; 15], "ok"),
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
    for at in [area.start + DESCRIPTOR.len() + 8, area.end - 1] {
        assert_eq!(image.clone().put(at, b"x").agree("vmdk", "bare"), "format-header", "{at}");
    }
    // Of every 256th image that it makes, qemu leaves the end of a descriptor with a longer CID.
    for cid in ["", "1", "f431b52"] {
        let shorter = DESCRIPTOR.replace("f431b526", cid) + "\0";
        assert_eq!(image.clone().put(area.start, shorter.as_bytes()).agree("vmdk", "bare"), "ok", "{cid}");
    }
    let longer = image.clone().put(area.start + DESCRIPTOR.len() + 1, b"RW 8 FLAT");
    assert_eq!(longer.agree("vmdk", "bare"), "format-header");
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

/// A descriptor may be as long as qemu and oslo.utils read it, and what is in it counts up to its end.
#[test]
fn the_longest_descriptor() {
    const LONGEST: usize = 2047 * 512;
    let long = |length: usize, line: &str| {
        let mut text = DESCRIPTOR.to_owned();
        while text.len() + 512 < length {
            text.push_str(&("#".repeat(511) + "\n"));
        }
        text.push_str(&("#".repeat(length - text.len() - line.len() - 1) + "\n" + line));
        let mut image = vmdk(b"");
        image.0.resize(2 << 20, 0);
        image.put(512, text.as_bytes()).put(0x24, b"\xff\x07")
    };
    for length in [70_000, LONGEST - 1, LONGEST] {
        assert_eq!(long(length, "encoding=\"windows-1252\"").agree("vmdk", "bare"), "ok", "{length}");
        assert_eq!(long(length, "parentFileNameHint=\"x\"").agree("vmdk", "bare"), "format-reference", "{length}");
        assert_eq!(long(length, "RW 8 FLAT \"/etc/passwd\" 0").agree("vmdk", "bare"), "format-reference", "{length}");
    }
    let full = long(LONGEST, "");
    assert_eq!(full.clone().put(512 + LONGEST, b"\nparentFileNameHint=x").agree("vmdk", "bare"), "format-header");
    assert_eq!(full.put(0x24, b"\0\x08").agree("vmdk", "bare"), "format-header", "one sector more");
}

/// Each byte of the footer changed alone: what it repeats must be the same, where the tables are is its own.
#[test]
fn every_field_of_a_footer() {
    assert_eq!(stream_optimized().agree("vmdk", "bare"), "ok");
    for at in 0..512 {
        let verdict = match at {
            0x38..0x40 | 0x48 | 0x4f.. => "ok",
            _ => "format-header",
        };
        let mut image = stream_optimized();
        image.0[SIZE - 1024 + at] ^= 0x04;
        assert_eq!(image.agree("vmdk", "bare"), verdict, "{at}");
    }
    let footer = |at: usize, bytes: &[u8]| stream_optimized().put_before_end(1024 - at, bytes).agree("vmdk", "bare");
    for (what, at, bytes) in [
        ("signature", 0, &b"COWD"[..]),
        ("version", 4, b"\x01"),
        ("flags", 8, b"\x03"),
        ("capacity", 0x0c, b"\0\x20"),
        ("grain size", 0x14, b"\x40"),
        ("descriptor moved", 0x1c, b"\x02"),
        ("descriptor length", 0x24, b"\x15"),
        ("entries of a grain table", 0x2c, b"\0\x04"),
        ("compression", 0x4d, b"\0"),
        ("another footer", 0x38, &[0xff; 8]),
    ] {
        assert_eq!(footer(at, bytes), "format-header", "{what}");
    }
    assert_eq!(footer(0x38, b"\x07\x01"), "ok", "the grain directory is where the footer says");
    // As VirtualBox has it: of both grain directories the header says that the footer knows.
    let both = stream_optimized().put(0x30, &[0xff; 8]).put_before_end(1024 - 0x30, b"\x20");
    assert_eq!(both.agree("vmdk", "bare"), "ok");
}

#[test]
fn the_markers_around_a_footer() {
    for at in 0..512 {
        let verdict = if at < 8 { "ok" } else { "format-header" };
        let mut image = stream_optimized();
        image.0[SIZE - 1536 + at] ^= 0x10;
        assert_eq!(image.agree("vmdk", "bare"), verdict, "{at} of the marker");
        let mut image = stream_optimized();
        image.0[SIZE - 512 + at] ^= 0x10;
        assert_eq!(image.agree("vmdk", "bare"), "format-header", "{at} of the end");
    }
    for cut in [1, 511, 512, 1024, 1536] {
        let mut image = stream_optimized();
        image.0.truncate(SIZE - cut);
        assert_eq!(image.agree("vmdk", "bare"), "format-header", "{cut} bytes less");
    }
    // Where the header says where the tables are, whatever is at the end is none.
    let plain = stream_optimized().put(0x38, b"\x20\0\0\0\0\0\0\0").put_before_end(1024, &[7; 1024]);
    assert_eq!(plain.agree("vmdk", "bare"), "ok");
}

#[test]
fn the_size_of_the_disk() {
    assert_eq!(vmdk(DESCRIPTOR.as_bytes()).window().virtual_size(), Some(4096 * 512));
    for (sectors, bytes) in [(1 << 53, Some(1 << 62)), (1 << 54, None), (1 << 55, None), (u64::MAX, None)] {
        let text = DESCRIPTOR.replace("4096", &sectors.to_string());
        let image = vmdk(text.as_bytes()).put(0x0c, &sectors.to_le_bytes());
        assert_eq!(image.window().virtual_size(), bytes, "{sectors}");
        assert_eq!(image.agree("vmdk", "bare"), if bytes.is_some() { "ok" } else { "format-header" }, "{sectors}");
    }
    assert_eq!(Image(DESCRIPTOR.as_bytes().to_vec()).window().virtual_size(), None, "a descriptor alone");
}
