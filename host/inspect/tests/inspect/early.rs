//! What is known of an image before its end.

use landfall_inspect::{DiskFormat, HEAD_BYTES, Inspector};

use crate::image::{Image, SIZE, dynamic_vhd, fixed_vhd, image_of, qcow2, vdi};

/// The verdict after a part of the bytes, at the very least the head.
fn so_far(image: &Image, count: usize, disk: &str, container: &str) -> &'static str {
    let mut inspector = Inspector::new();
    inspector.feed(&image.0[..count]);
    inspector.agree_so_far(disk, container).err().map_or("ok", |error| error.code())
}

#[test]
fn a_wrong_claim_is_known_once_the_head_is_there() {
    let claims = ["raw", "qcow2", "vhd", "vhdx", "vmdk", "vdi", "luks", "iso", "gpt", "ploop", "qed", "our-own"];
    let (mut early, mut late) = (0, 0);
    for format in DiskFormat::ALL {
        let image = image_of(format);
        for claim in claims {
            for container in ["bare", "ova", "compressed", "zip"] {
                let (now, then) = (so_far(&image, HEAD_BYTES, claim, container), image.agree(claim, container));
                assert_eq!(so_far(&image, HEAD_BYTES - 1, claim, container), "ok", "before, nothing is said");
                if now == "ok" {
                    late += usize::from(then != "ok");
                } else {
                    assert_eq!(now, then, "{claim} of {format} in {container}");
                    early += 1;
                }
            }
        }
    }
    // What is left: disks that may end as a VHD, a DMG that begins as nothing, and insides for which all is needed.
    assert!(early > 400 && late < 12, "{early} {late}");
}

#[test]
fn what_the_end_tells_is_left_to_the_end() {
    assert_eq!(so_far(&fixed_vhd(), HEAD_BYTES, "vhd", "bare"), "ok");
    assert_eq!(so_far(&Image::zeros(SIZE), HEAD_BYTES, "vhd", "bare"), "ok");
    assert_eq!(so_far(&fixed_vhd(), HEAD_BYTES, "raw", "bare"), "ok");
    assert_eq!(so_far(&fixed_vhd(), HEAD_BYTES, "qcow2", "bare"), "format-mismatch");
    assert_eq!(so_far(&dynamic_vhd(), HEAD_BYTES, "raw", "bare"), "format-mismatch");
}

#[test]
fn headers_that_are_whole_are_looked_at() {
    assert_eq!(so_far(&qcow2(), HEAD_BYTES, "qcow2", "bare"), "ok");
    assert_eq!(so_far(&qcow2().put(15, b"\x01"), HEAD_BYTES, "qcow2", "bare"), "format-reference");
    assert_eq!(so_far(&vdi().put(0x4c, b"\x04"), HEAD_BYTES, "vdi", "bare"), "format-reference");
}
