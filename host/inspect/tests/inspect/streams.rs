//! The window of an image is the same however its bytes arrive, and takes bounded memory.

use landfall_inspect::{DiskFormat, HEAD_BYTES, Inspector, TAIL_BYTES, Window, agree, detect};
use proptest::prelude::*;

use crate::image::{DESCRIPTOR, Image, SAMPLES, image_of, read_at_random, stream_optimized, vmdk};
use crate::vhdx::{METADATA, MIB, legal, vhdx};

/// The chunks that oslo.utils tests its inspectors with, and odder ones.
const CHUNKS: [usize; 12] = [1, 3, 7, 13, 17, 32, 64, 512, 4096, 65_536, 65_537, 1 << 20];

fn fed(bytes: &[u8], chunk: usize) -> Window {
    let mut inspector = Inspector::new();
    for part in bytes.chunks(chunk) {
        inspector.feed(part);
        inspector.feed(&[]);
    }
    assert_eq!(inspector.position(), bytes.len() as u64);
    inspector.finish()
}

/// One of each way to be kept: the start alone, more of it, pieces behind it.
fn kinds() -> [Image; 4] {
    let long = vmdk(DESCRIPTOR.as_bytes()).put(0x24, b"\xc0");
    [image_of(DiskFormat::Qcow2), stream_optimized(), long, vhdx()]
}

fn images() -> Vec<Image> {
    let mut images: Vec<Image> = DiskFormat::ALL.into_iter().map(image_of).collect();
    images.extend(kinds());
    images.extend(SAMPLES.iter().flat_map(|sample| [sample.image(), sample.smallest()]));
    images.extend([0, 1, 511, 4095, 4096, 4097, 65_535, 65_536, 65_537, 69_632].map(Image::zeros));
    images
}

#[test]
fn every_image_in_some_chunks() {
    for image in images() {
        let whole = Window::of(&image.0);
        assert_eq!(whole, read_at_random(&image.0));
        for chunk in [511, 4096, 65_537] {
            assert_eq!(fed(&image.0, chunk), whole, "{} in {chunk}", detect(&whole));
        }
    }
}

#[test]
fn every_kind_of_image_in_the_oddest_chunks() {
    for image in kinds() {
        let whole = Window::of(&image.0);
        for chunk in CHUNKS {
            assert_eq!(fed(&image.0, chunk), whole, "{} in {chunk}", detect(&whole));
        }
    }
}

/// A part of an image: from where, how often the byte.
fn mutations() -> impl Strategy<Value = Vec<(usize, usize, u8)>> {
    proptest::collection::vec((any::<usize>(), 1..40_usize, any::<u8>()), 0..6)
}

/// Where the parts are that tell the inspector what to keep.
fn places() -> impl Strategy<Value = Vec<(usize, u8)>> {
    let place = prop_oneof![
        0..0x50_usize,
        0x1_0000..0x1_0050_usize,
        0x2_0000..0x2_0050_usize,
        0x3_0000..0x3_0060_usize,
        0x4_0000..0x4_0060_usize,
        MIB..MIB + 0x70,
        MIB + 0x1_0000..MIB + 0x1_0010,
    ];
    proptest::collection::vec((place, any::<u8>()), 0..5)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn any_image_in_any_chunks(
        which in 0..5_usize,
        changes in mutations(),
        pokes in places(),
        cut in prop_oneof![Just(usize::MAX), any::<usize>()],
        cuts in proptest::collection::vec(any::<usize>(), 0..40),
    ) {
        let long = vmdk(DESCRIPTOR.as_bytes()).put(0x24, b"\xff");
        let mut bytes = [vhdx(), stream_optimized(), long, image_of(DiskFormat::Qcow2), vhdx()][which].0.clone();
        for (at, byte) in pokes {
            if let Some(place) = bytes.get_mut(at) {
                *place = byte;
            }
        }
        if which != 4 {
            for (at, count, byte) in changes {
                let at = at % bytes.len();
                let end = (at + count).min(bytes.len());
                bytes[at..end].fill(byte);
            }
        }
        if cut != usize::MAX {
            bytes.truncate(cut % bytes.len());
        }

        let mut ends: Vec<usize> = cuts.into_iter().map(|cut| cut % (bytes.len() + 1)).collect();
        ends.push(bytes.len());
        ends.sort_unstable();
        let (mut inspector, mut at) = (Inspector::new(), 0);
        for end in ends {
            inspector.feed(&bytes[at..end]);
            at = end;
        }
        let (held, window) = (inspector.held_bytes(), inspector.finish());
        prop_assert!(held <= Inspector::MOST_BYTES);
        prop_assert_eq!(&window, &Window::of(&bytes));
        prop_assert_eq!(&window, &read_at_random(&bytes));
        let sized = ["qcow2", "vhd", "vhdx", "vmdk", "vdi", "luks"];
        let agreed: Vec<&str> = sized.into_iter().filter(|disk| agree(&window, disk, "bare").is_ok()).collect();
        prop_assert!(agreed.len() <= 1);
        prop_assert!(agreed.is_empty() || window.virtual_size().is_some_and(|bytes| bytes < 1 << 63));
    }
}

/// Feeds an image and gives the most that was held.
fn most_held(head: &[u8], size: usize) -> usize {
    let mut inspector = Inspector::new();
    inspector.feed(head);
    let (mut most, chunk) = (inspector.held_bytes(), vec![0x5a; 300_001]);
    let mut left = size.saturating_sub(head.len());
    while left > 0 {
        inspector.feed(&chunk[..chunk.len().min(left)]);
        most = most.max(inspector.held_bytes());
        left = left.saturating_sub(chunk.len());
    }
    most
}

#[test]
fn memory_is_bounded() {
    const { assert!(Inspector::MOST_BYTES_BUT_VMDK < 512 * 1024) }
    const { assert!(Inspector::MOST_BYTES < 3 * 1024 * 1024 / 2) }
    const { assert!(HEAD_BYTES + TAIL_BYTES < Inspector::MOST_BYTES_BUT_VMDK) }

    for image in images() {
        let most = most_held(&image.0, 4 << 20);
        let is_vmdk = image.0.starts_with(b"KDMV");
        let bound = if is_vmdk { Inspector::MOST_BYTES } else { Inspector::MOST_BYTES_BUT_VMDK };
        assert!(most <= bound, "{most} of {}", image.detect());
        if !is_vmdk && !image.0.starts_with(b"vhdxfile") {
            assert_eq!(most, HEAD_BYTES + TAIL_BYTES, "{}", image.detect());
        }
    }

    // The longest descriptor, one that is too long, and one without end: 2 MiB and 2^64.
    let described = |sectors: u64| vmdk(DESCRIPTOR.as_bytes()).put(0x24, &sectors.to_le_bytes()).0;
    assert_eq!(most_held(&described(2047), 4 << 20), Inspector::MOST_BYTES);
    for sectors in [2048, 4096, u64::MAX] {
        assert_eq!(most_held(&described(sectors), 4 << 20), HEAD_BYTES + TAIL_BYTES, "{sectors}");
    }

    let mut full = legal();
    full.regions = vec![(METADATA, 2 * MIB as u64, MIB as u32, 1)];
    (full.metadata_at, full.size) = (2 * MIB, 3 * MIB);
    assert_eq!(most_held(&full.build().0, 4 << 20), Inspector::MOST_BYTES_BUT_VMDK);
}

#[test]
fn no_more_is_read_than_is_kept() {
    for image in images() {
        let (mut read, mut end, size) = (0_usize, 0, image.0.len() as u64);
        let window = landfall_inspect::inspect_at(size, |offset, into: &mut [u8]| {
            let at = usize::try_from(offset).unwrap();
            assert!(at >= end && at + into.len() <= image.0.len());
            end = at + into.len();
            into.copy_from_slice(&image.0[at..at + into.len()]);
            read += into.len();
            Ok::<_, ()>(into.len())
        });
        assert_eq!(window.unwrap().size(), size);
        assert!(read <= Inspector::MOST_BYTES && read <= image.0.len(), "{read} of {size}");
    }
}

#[test]
fn a_source_that_says_it_read_more_than_there_was_room_for() {
    let window = landfall_inspect::inspect_at(100_000, |_, _: &mut [u8]| Ok::<_, ()>(usize::MAX)).unwrap();
    assert_eq!(window.check(), Ok(()));
    assert_eq!(window.size(), 100_000);
}

/// What is logged of a window has nothing of the image in it.
#[test]
fn the_bytes_of_an_image_are_not_shown() {
    let image = image_of(DiskFormat::Qcow2);
    let mut inspector = Inspector::new();
    inspector.feed(&image.0);
    assert_eq!(format!("{inspector:?}"), "Inspector { position: 131072, .. }");
    assert_eq!(format!("{:?}", inspector.finish()), "Window { size: 131072, .. }");
}
