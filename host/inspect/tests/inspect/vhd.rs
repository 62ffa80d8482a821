//! The inside of a VHD: each field poked alone, beside what is legal.

use crate::image::{Image, SIZE, VHD_HEADER, dynamic_vhd, fixed_vhd, vhd_footer};

#[test]
fn every_disk_type_in_copy_and_footer() {
    for disk_type in 0..=255_u8 {
        let footer = vhd_footer(disk_type);
        let fixed = Image::zeros(SIZE).put_before_end(512, &footer);
        let old = Image::zeros(SIZE).put_before_end(511, &footer[..511]);
        let both = Image::zeros(SIZE).put(0, &footer).put(512, VHD_HEADER).put_before_end(512, &footer);
        let copy = Image::zeros(SIZE).put(0, &footer).put(512, VHD_HEADER);

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
            8..0x55 => "format-header",
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
    for length in 8..512 + 1024 {
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

#[test]
fn a_dynamic_disk_has_a_header_without_a_parent() {
    let at = |offset: u64| {
        let offset = offset.to_be_bytes();
        dynamic_vhd().put(0x10, &offset).put_before_end(512 - 0x10, &offset)
    };
    assert_eq!(at(512).agree("vhd", "bare"), "ok");
    assert_eq!(at(0x1_0000 - 1024).put(0x1_0000 - 1024, VHD_HEADER).agree("vhd", "bare"), "ok");
    for offset in [0, 511, 513, 1024, 0x1_0000 - 1023, 0x2_0000, u64::MAX] {
        assert_eq!(at(offset).agree("vhd", "bare"), "format-header", "{offset}");
    }

    for (place, verdict) in [
        (8..0x28, "ok"),
        (0x28..0x38, "format-reference"),
        (0x38..0x40, "ok"),
        (0x40..0x300, "format-reference"),
        (0x300..0x400, "ok"),
    ] {
        for at in place {
            assert_eq!(dynamic_vhd().put(512 + at, b"\x01").agree("vhd", "bare"), verdict, "{at}");
        }
    }
}

#[test]
fn the_size_of_the_disk() {
    let put = |at: usize, bytes: &[u8]| {
        let both = dynamic_vhd().put(at, bytes).put_before_end(512 - at, bytes);
        let fixed = fixed_vhd().put_before_end(512 - at, bytes);
        assert_eq!(both.window().virtual_size(), fixed.window().virtual_size());
        assert_eq!(both.agree("vhd", "bare"), fixed.agree("vhd", "bare"));
        (both.window().virtual_size(), both.agree("vhd", "bare"))
    };
    assert_eq!(put(0, b""), (Some(0x0020_6800), "ok"));
    assert_eq!(put(0x30, &[0; 8]), (Some(0), "ok"));
    assert_eq!(put(0x30, b"\x7f"), (Some((0x7f << 56) + 0x0020_6800), "ok"));
    assert_eq!(put(0x30, b"\x80"), (None, "format-header"));
    assert_eq!(put(0x38, b"\xff\xfe\x10\xff"), (Some(65_534 * 16 * 255 * 512), "ok"));
    assert_eq!(put(0x38, b"\xff\xff\xff\xff"), (Some(65_535 * 255 * 255 * 512), "ok"));
    assert_eq!(put(0x38, b"\xff\xff\x10\xff"), (Some(0x0020_6800), "ok"), "the most that there is says nothing");
    assert_eq!(put(0x38, b"\0\x01\x01\x01"), (Some(0x0020_6800), "ok"), "a smaller geometry");
}
