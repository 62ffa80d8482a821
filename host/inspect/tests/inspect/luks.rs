//! The inside of a LUKS volume.

use crate::image::{Image, SIZE, luks};

#[test]
fn only_version_1() {
    for version in 0..=u16::MAX {
        if version > 300 && version.trailing_zeros() < 8 {
            continue;
        }
        let image = Image(luks().put(6, &version.to_be_bytes()).0[..4096].to_vec());
        let verdict = if version == 1 { "ok" } else { "format-variant" };
        assert_eq!(image.agree("luks", "bare"), verdict, "{version}");
        assert_eq!(image.agree("raw", "bare"), "format-mismatch", "{version}");
    }
}

#[test]
fn the_data_is_behind_the_header_and_before_the_end() {
    let sectors = (SIZE / 512) as u32;
    for (payload, verdict) in [
        (0, "format-header"),
        (1, "format-header"),
        (2, "ok"),
        (4096 / 512, "ok"),
        (sectors, "ok"),
        (sectors + 1, "format-header"),
        (u32::MAX, "format-header"),
    ] {
        let image = luks().put(104, &payload.to_be_bytes());
        assert_eq!(image.agree("luks", "bare"), verdict, "{payload}");
        let data = (verdict == "ok").then(|| SIZE as u64 - u64::from(payload) * 512);
        assert_eq!(image.window().virtual_size(), data);
    }
}

#[test]
fn a_header_cut_short_is_refused() {
    for length in (8..592).chain([1024, 2047]) {
        assert_eq!(Image(luks().0[..length].to_vec()).agree("luks", "bare"), "format-header", "{length}");
    }
    assert_eq!(Image(luks().0[..2048].to_vec()).agree("luks", "bare"), "ok");
}

/// What is encrypted may be anything: whoever has the key inspects it.
#[test]
fn marks_in_the_data_are_none() {
    assert_eq!(luks().put(2048, b"QFI\xfb\0\0\0\x03").agree("luks", "bare"), "ok");
}
