//! The partition table of the first sector: the rules of oslo.utils, field by field.

use crate::image::{Image, SIZE, mbr};

const ENTRIES: [usize; 4] = [446, 462, 478, 494];
const PROTECTIVE: &[u8; 16] = b"\0\0\x02\0\xee\xff\xff\xff\x01\0\0\0\xff\xff\xff\xff";

fn gpt() -> Image {
    Image::zeros(SIZE).put(446, PROTECTIVE).put(510, b"\x55\xaa").put(512, b"EFI PART")
}

/// What is put where, and the verdict.
const POKES: [(&str, usize, &[u8], &str); 14] = [
    ("nothing", 0, b"", "ok"),
    ("bootable", 446, b"\x80", "ok"),
    ("boot flag 0x0a", 446, b"\x0a", "format-header"),
    ("boot flag of an empty entry", 494, b"\x01", "format-header"),
    ("start head", 447, b"\x01", "format-header"),
    ("start sector", 448, b"\x01", "format-header"),
    ("start cylinder", 449, b"\x01", "format-header"),
    ("end", 451, b"\0\0\0", "ok"),
    ("start LBA 0", 454, b"\0", "format-header"),
    ("start LBA 2^24 + 1", 457, b"\x01", "format-header"),
    ("size", 458, b"\0\0\0\0", "ok"),
    ("a second entry of the same kind", 462, PROTECTIVE, "format-header"),
    ("a second entry", 466, b"\x83", "format-header"),
    ("no partition", 450, b"\0", "format-header"),
];

#[test]
fn every_field_of_a_protective_partition() {
    for (what, at, bytes, verdict) in POKES {
        let image = gpt().put(at, bytes);
        for claim in ["gpt", "raw", "ploop", "our-own"] {
            assert_eq!(image.agree(claim, "bare"), verdict, "{what} as {claim}");
        }
        assert_eq!(image.agree("qcow2", "bare"), "format-mismatch", "{what}");
        assert_eq!(image.agree("ami", "ami"), "ok", "{what}");
    }
}

#[test]
fn a_protective_partition_in_another_place_is_refused() {
    for at in ENTRIES {
        let verdict = if at == 446 { "ok" } else { "format-header" };
        let image = Image::zeros(SIZE).put(at, PROTECTIVE).put(510, b"\x55\xaa");
        assert_eq!(image.agree("gpt", "bare"), verdict, "{at}");
    }
}

#[test]
fn partitions_of_any_kind_and_in_any_entry() {
    for at in ENTRIES {
        for kind in (1..=255).filter(|kind| *kind != 0xee) {
            let image = Image::zeros(SIZE).put(at + 4, &[kind]).put(510, b"\x55\xaa");
            assert_eq!(image.agree("gpt", "bare"), "ok", "{kind} at {at}");
        }
    }
    assert_eq!(mbr().put(462, &[0x80; 48]).agree("raw", "bare"), "ok");
}

/// Of a hybrid image the partition table is for whoever boots it from a disk.
#[test]
fn the_partition_table_of_an_iso_may_be_odd() {
    let hybrid = |image: Image| image.put(32 * 1024, b"\x01CD001\x01");
    for (_, at, bytes, _) in POKES {
        assert_eq!(hybrid(gpt().put(at, bytes)).agree("iso", "bare"), "ok");
        assert_eq!(hybrid(gpt().put(at, bytes)).agree("raw", "bare"), "format-mismatch");
    }
    // As isohybrid writes it: the whole image as a partition, which begins at 0 and is not the first entry.
    let isohybrid =
        Image::zeros(SIZE).put(478, b"\x80\0\x01\0\x17\x3f\x20\x01\0\0\0\0\0\x10\0\0").put(510, b"\x55\xaa");
    assert_eq!(hybrid(isohybrid).agree("iso", "bare"), "ok");
}

#[test]
fn the_partition_table_in_a_fixed_vhd_is_content() {
    let footer = crate::image::vhd_footer(2);
    let image = Image::zeros(SIZE).put(510, b"\x55\xaa").put_before_end(512, &footer);
    assert_eq!(image.agree("vhd", "bare"), "ok");
}
