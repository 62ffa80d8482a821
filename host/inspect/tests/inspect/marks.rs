//! Each mark: just there, one byte off, cut short, in the wrong place, and two at once.

use landfall_inspect::{DiskFormat, Mark};

use crate::image::{Image, Place, SAMPLES, SIZE, VOLUME};

#[test]
fn there_is_a_sample_of_every_mark() {
    for mark in Mark::ALL {
        assert!(SAMPLES.iter().any(|sample| sample.mark == mark), "{mark:?}");
    }
}

#[test]
fn a_mark_is_found_and_nothing_else() {
    let mut cases = 0;
    for sample in &SAMPLES {
        for image in [sample.image(), sample.smallest()] {
            // A footer with nothing before it is at the start too, which is how a dynamic VHD begins.
            let whole = image.0.len() == 512 || image.0.len() == 511;
            let mark = match sample.mark {
                Mark::VhdFooter if whole => Mark::VhdHeader,
                mark => mark,
            };
            let found = image.detect();
            assert_eq!(found.marks(), [mark], "{:?}", sample.mark);
            assert_eq!(found.format(), Some(mark.format()));
            assert!(found.contains(mark.format()) && !found.contains(DiskFormat::Raw));
            assert_eq!(found.to_string(), mark.format().name());
            cases += 1;
        }
    }
    assert_eq!(cases, 2 * SAMPLES.len());
}

#[test]
fn one_byte_off_is_no_mark() {
    let (mut cases, mut expected) = (0, 0);
    for sample in &SAMPLES {
        expected += sample.bytes.len();
        for at in 0..sample.bytes.len() {
            let mut bytes = sample.bytes.to_vec();
            bytes[at] ^= 0x80;
            let image = match sample.place {
                Place::At(start) => Image::zeros(SIZE).put(start, &bytes),
                Place::BeforeEnd(back) => Image::zeros(SIZE).put_before_end(back, &bytes),
            };
            // Another version of qcow is still qcow, and text before createType may be any.
            let still = match sample.mark {
                Mark::Qcow1 if at >= 4 => Some(DiskFormat::Qcow2),
                Mark::VmdkDescriptor if sample.bytes.starts_with(b"CID") && at < 6 => Some(DiskFormat::Vmdk),
                _ => Some(DiskFormat::Raw),
            };
            assert_eq!(image.detect().format(), still, "{:?} {at}", sample.mark);
            cases += 1;
        }
    }
    assert_eq!(cases, expected);
}

#[test]
fn a_mark_cut_short_is_no_mark() {
    for sample in &SAMPLES {
        let mut image = sample.smallest();
        match sample.place {
            Place::At(_) => image.0.pop(),
            // One byte less before the end, or two where the footer may be a byte shorter.
            Place::BeforeEnd(_) => {
                image = sample.image();
                image.0.pop();
                image.0.pop()
            }
        };
        let left = match sample.mark {
            Mark::Qcow1 => DiskFormat::Qcow2,
            _ => DiskFormat::Raw,
        };
        assert_eq!(image.detect().format(), Some(left), "{:?}", sample.mark);
    }
}

#[test]
fn a_mark_a_byte_from_its_place_is_no_mark() {
    for sample in &SAMPLES {
        let image = match sample.place {
            Place::At(at) => Image::zeros(SIZE).put(at + 1, sample.bytes),
            Place::BeforeEnd(back) => {
                // 511 and 512 are both places of a VHD's footer.
                let back = if back == 511 { 510 } else { 513 };
                Image::zeros(SIZE).put_before_end(back, sample.bytes)
            }
        };
        assert!(image.detect().contains(DiskFormat::Raw), "{:?}", sample.mark);
    }
}

#[test]
fn a_fat_boot_sector_is_no_partition_table() {
    let boot = Image::zeros(SIZE).put(510, b"\x55\xaa");
    let fat = boot.clone().put(0x10, b"\x02").put(0x15, b"\xf8");
    assert!(fat.detect().contains(DiskFormat::Raw));

    // One FAT, or the media byte of a floppy disk: oslo.utils takes both for a partition table.
    for other in [boot.clone().put(0x10, b"\x01").put(0x15, b"\xf8"), boot.put(0x10, b"\x02").put(0x15, b"\xf0")] {
        assert_eq!(other.detect().format(), Some(DiskFormat::Gpt));
    }
}

#[test]
fn a_trailer_behind_a_format_of_its_own_is_a_guests_data() {
    for trailer in SAMPLES.iter().filter(|it| it.is_trailer()) {
        for sample in SAMPLES.iter().filter(|it| !it.is_trailer()) {
            let image = trailer.put_in(sample.image());
            let mut expected = vec![sample.mark];
            if matches!(sample.mark, Mark::Iso | Mark::Gpt) {
                expected.insert(0, trailer.mark);
            }
            assert_eq!(image.detect().marks(), expected);
        }
    }
}

#[test]
fn a_trailer_needs_all_its_bytes_before_the_end() {
    for size in [4, 100, 511] {
        let image = Image::zeros(size).put(0, b"koly");
        assert!(image.detect().contains(DiskFormat::Raw), "{size}");
    }
}

#[test]
fn several_marks_are_all_found_in_order() {
    let hybrid = Image::zeros(SIZE).put(VOLUME, b"CD001").put(510, b"\x55\xaa");
    assert_eq!(hybrid.detect().marks(), [Mark::Iso, Mark::Gpt]);
    assert_eq!(hybrid.detect().to_string(), "iso+gpt");
    assert_eq!(hybrid.detect().format(), Some(DiskFormat::Iso));

    let three = hybrid.put(0, b"QFI\xfb\0\0\0\x03");
    let found = three.detect();
    assert_eq!(found.formats().collect::<Vec<_>>(), [DiskFormat::Qcow2, DiskFormat::Iso, DiskFormat::Gpt]);
    assert_eq!(found.format(), None);
}

#[test]
fn a_fixed_vhd_may_hold_a_partition_table_but_a_dynamic_one_may_not() {
    let fixed = Image::zeros(SIZE).put(510, b"\x55\xaa").put_before_end(512, b"conectix");
    assert_eq!(fixed.detect().marks(), [Mark::VhdFooter, Mark::Gpt]);
    assert_eq!(fixed.detect().format(), Some(DiskFormat::Vhd));

    let dynamic = fixed.put(0, b"conectix");
    assert_eq!(dynamic.detect().marks(), [Mark::VhdHeader, Mark::Gpt]);
    assert_eq!(dynamic.detect().format(), None);
}

#[test]
fn bytes_past_the_limits_change_nothing() {
    let mut head = vec![b'#'; landfall_inspect::HEAD_BYTES];
    head.extend_from_slice(b"\n# Disk DescriptorFile\n");
    head.resize(SIZE, 0);
    assert!(Image(head).detect().contains(DiskFormat::Raw));
}
