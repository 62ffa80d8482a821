//! The inside of a VHD: each field poked alone, beside what is legal.

use crate::image::{Image, SIZE, dynamic_vhd, fixed_vhd, vhd_footer};

#[test]
fn every_disk_type_in_copy_and_footer() {
    for disk_type in 0..=255_u8 {
        let footer = vhd_footer(disk_type);
        let fixed = Image::zeros(SIZE).put_before_end(512, &footer);
        let old = Image::zeros(SIZE).put_before_end(511, &footer[..511]);
        let both = Image::zeros(SIZE).put(0, &footer).put_before_end(512, &footer);
        let copy = Image::zeros(SIZE).put(0, &footer);

        let verdict = |legal: u8| match disk_type {
            4 => "format-reference",
            _ if disk_type == legal => "ok",
            _ => "format-header",
        };
        for (image, legal) in [(fixed, 2), (old, 2), (both, 3), (copy, 3)] {
            assert_eq!(image.agree("vhd", "bare"), verdict(legal), "{disk_type}, {legal}");
        }
        let differing = dynamic_vhd().put_before_end(512, &footer);
        assert_eq!(differing.agree("vhd", "bare"), verdict(3), "{disk_type} in the footer only");
        let differing = dynamic_vhd().put(0, &footer);
        assert_eq!(differing.agree("vhd", "bare"), verdict(3), "{disk_type} in the copy only");
    }
    assert_eq!(fixed_vhd().put_before_end(512 - 0x3c, b"\x01").agree("vhd", "bare"), "format-header");
}

/// Where readers of the copy and readers of the footer would see another disk, and where they would not.
#[test]
fn every_field_that_differs_between_copy_and_footer() {
    for at in 8..512 {
        let verdict = match at {
            0x10..0x18 | 0x30..0x38 | 0x3c..0x40 => "format-header",
            _ => "ok",
        };
        let mut image = dynamic_vhd();
        image.0[at] ^= 0x80;
        assert_eq!(image.agree("vhd", "bare"), verdict, "{at} in the copy");

        let mut image = dynamic_vhd();
        image.0[SIZE - 512 + at] ^= 0x80;
        assert_eq!(image.agree("vhd", "bare"), verdict, "{at} in the footer");
    }
}

#[test]
fn a_header_cut_short_is_refused() {
    for length in 8..511 {
        let mut image = dynamic_vhd();
        image.0.truncate(length);
        assert_eq!(image.agree("vhd", "bare"), "format-header", "{length}");
    }
    let mut image = dynamic_vhd();
    image.0.truncate(SIZE - 512);
    assert_eq!(image.agree("vhd", "bare"), "ok", "the copy is there for this");
}

#[test]
fn a_partition_table_in_a_fixed_disk_is_its_own() {
    let fixed = fixed_vhd().put(510, b"\x55\xaa");
    assert_eq!(fixed.agree("vhd", "bare"), "ok");
    assert_eq!(fixed.put_before_end(512, &vhd_footer(4)).agree("vhd", "bare"), "format-reference");
}
