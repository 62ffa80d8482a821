//! Disks as guests have them, which must pass as raw whatever they hold.

use landfall_inspect::agree_unpacked;

use crate::image::{Image, SIZE, fixed_vhd, luks, mbr};

const DESCRIPTOR: &[u8] = b"# Disk DescriptorFile\nversion=1\ncreateType=\"monolithicFlat\"\n";

fn gpt() -> Image {
    let protective = Image::zeros(SIZE).put(448, b"\x02\0\xee\xff\xff\xff\x01\0\0\0\xff\xff\xff\xff");
    protective.put(510, b"\x55\xaa").put(512, b"EFI PART").put_before_end(512, b"EFI PART")
}

/// The starts of ordinary disks, reduced to what is before the first file's data.
fn disks() -> Vec<(&'static str, Image)> {
    let disk = || Image::zeros(SIZE);
    vec![
        ("zeros", disk()),
        ("a boot sector and a partition", mbr().put(0, b"\xeb\x63\x90\x10\x8e\xd0\xbc\0\xb0\xb8\0\0")),
        ("a partition that is not the first", disk().put(462, &mbr().0[446..462]).put(510, b"\x55\xaa")),
        ("GPT", gpt()),
        ("ext4", disk().put(1024 + 0x38, b"\x53\xef")),
        ("XFS", disk().put(0, b"XFSB\0\0\x10\0")),
        ("LVM", disk().put(512, b"LABELONE\x01\0\0\0\0\0\0\0")),
        ("swap", disk().put(4086, b"SWAPSPACE2")),
        ("squashfs", disk().put(0, b"hsqs\x10\0\0\0")),
        ("FAT", disk().put(0, b"\xeb\x3c\x90mkfs.fat\0\x02\x04\x04\0\x02\0\x02\0\0\xf8").put(510, b"\x55\xaa")),
        ("an ELF kernel", disk().put(0, b"\x7fELF\x02\x01\x01\0")),
        ("a gzip ramdisk", disk().put(0, b"\x1f\x8b\x08\0\0\0\0\0")),
        ("a cpio ramdisk", disk().put(0, b"070701000002D1000041ED").put(110, b".\0")),
    ]
}

#[test]
fn ordinary_disks_are_raw() {
    for (what, image) in disks() {
        assert_eq!(image.agree("raw", "bare"), "ok", "{what}");
        assert_eq!(image.agree("ari", "ari"), "ok", "{what}");
        assert_eq!(image.agree("qcow2", "bare"), "format-mismatch", "{what}");
    }
}

#[test]
fn disks_may_hold_files_of_any_format_early() {
    for (what, image) in disks() {
        for at in [8192, 16 * 1024, 33 * 1024] {
            for file in [DESCRIPTOR, b"QFI\xfb\0\0\0\x03", b"KDMV\x01\0\0\0", b"conectix", b"vhdxfile"] {
                let holding = image.clone().put(at, file);
                assert_eq!(holding.agree("raw", "bare"), "ok", "{what} with {file:?} at {at}");
            }
        }
    }
}

#[test]
fn random_bytes_that_quote_create_type_are_raw() {
    // As a disk under plain dm-crypt begins; without any NUL, which would end the search earlier.
    let mut state = 1_u32;
    let mut bytes = Vec::new();
    while bytes.len() < SIZE {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        bytes.push((state >> 24) as u8 | 1);
    }
    let image = Image(bytes).put(510, b"\x01\x01").put(20_000, b"\ncreateType=\"vmfs\"\n");
    assert_eq!(image.agree("raw", "bare"), "ok");
}

#[test]
fn a_disk_that_is_one_luks_volume_must_be_claimed_as_luks() {
    assert_eq!(luks().agree("raw", "bare"), "format-mismatch");
    assert_eq!(luks().agree("luks", "bare"), "ok");
}

/// A boot sector without a partition: oslo.utils refuses it as a disk, and so do we what is stored as one. A kernel
/// begins with one, and a disk that came out of an image may.
#[test]
fn a_boot_sector_without_partitions() {
    let ntfs = b"\xeb\x52\x90NTFS    \0\x02\x08\0\0\0\0\0\0\0\xf8";
    for image in [Image::zeros(SIZE).put(510, b"\x55\xaa"), Image::zeros(SIZE).put(0, ntfs).put(510, b"\x55\xaa")] {
        for claim in ["raw", "gpt", "ploop", "our-own"] {
            assert_eq!(image.agree(claim, "bare"), "format-header");
        }
        for kind in ["ami", "aki", "ari"] {
            assert_eq!(image.agree(kind, kind), "ok");
            assert_eq!(image.agree(kind, "bare"), "ok");
        }
        assert_eq!(agree_unpacked(&image.window()), Ok(()));
    }
}

#[test]
fn what_was_unpacked_is_raw_and_nothing_else() {
    for (what, image) in disks() {
        assert_eq!(agree_unpacked(&image.window()), Ok(()), "{what}");
    }
    for image in [luks(), fixed_vhd(), Image::zeros(SIZE).put(0, b"QFI\xfb"), Image::zeros(SIZE).put(0, b"KDMV")] {
        assert_eq!(agree_unpacked(&image.window()).unwrap_err().code(), "format-mismatch");
    }
    let both = mbr().put(0, b"QFI\xfb");
    assert_eq!(agree_unpacked(&both.window()).unwrap_err().code(), "format-ambiguous");
}

#[test]
fn a_fixed_vhd_is_not_raw_though_it_would_boot_as_such() {
    let image = fixed_vhd().put(510, b"\x55\xaa");
    assert_eq!(image.agree("raw", "bare"), "format-mismatch");
    assert_eq!(image.agree("vhd", "bare"), "ok");
}
