//! ISO images: their first volume descriptor.

use landfall_inspect::DiskFormat;

use crate::image::{Image, SIZE};

const DESCRIPTOR: usize = 32 * 1024;

fn iso() -> Image {
    let block = b"\0\x08\x08\0";
    Image::zeros(SIZE)
        .put(DESCRIPTOR, b"\x01CD001\x01")
        .put(DESCRIPTOR + 80, &64_u32.to_le_bytes())
        .put(DESCRIPTOR + 128, block)
}

#[test]
fn the_size_is_blocks_times_their_size() {
    let size = |image: Image| {
        assert_eq!(image.agree("iso", "bare"), "ok");
        image.window().virtual_size()
    };
    assert_eq!(size(iso()), Some(SIZE as u64));
    assert_eq!(size(iso().put(DESCRIPTOR + 128, b"\0\x02")), Some(64 * 512));
    assert_eq!(
        size(iso().put(DESCRIPTOR + 80, &[0xff; 4]).put(DESCRIPTOR + 128, &[0xff; 2])),
        Some(281_470_681_677_825)
    );
    assert_eq!(size(iso().put(DESCRIPTOR, b"\0")), None, "a boot record comes first");
    assert_eq!(size(iso().put(DESCRIPTOR + 1, b"NSR02")), None);
    assert_eq!(size(iso().put(DESCRIPTOR + 1, b"BEA01")), None);
}

#[test]
fn one_cut_short_is_refused() {
    for length in [DESCRIPTOR + 6, DESCRIPTOR + 132, DESCRIPTOR + 2047] {
        assert_eq!(Image(iso().0[..length].to_vec()).agree("iso", "bare"), "format-header", "{length}");
    }
    assert_eq!(Image(iso().0[..DESCRIPTOR + 2048].to_vec()).agree("iso", "bare"), "ok");
}

#[test]
fn another_format_in_the_system_area_is_ambiguous() {
    for (at, mark) in
        [(0, &b"QFI\xfb\0\0\0\x03"[..]), (0, b"KDMV\x01\0\0\0"), (0x40, b"\x7f\x10\xda\xbe"), (0, b"LUKS\xba\xbe")]
    {
        let image = iso().put(at, mark);
        assert_eq!(image.detect().format(), None);
        assert!(image.detect().contains(DiskFormat::Iso));
        for claim in ["iso", "qcow2", "vmdk", "vdi", "luks", "raw"] {
            assert_eq!(image.agree(claim, "bare"), "format-ambiguous", "{claim}");
        }
    }
}
