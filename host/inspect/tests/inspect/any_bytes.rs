//! No bytes, sizes or names make the rules panic or contradict themselves.

use landfall_inspect::{DiskFormat, HEAD_BYTES, Window, agree, detect};
use proptest::prelude::*;

use crate::image::{DESCRIPTOR, Place, SAMPLES, dynamic_vhd, fixed_vhd, qcow2, vdi, vmdk};

fn names() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("bare".to_owned()),
        Just("raw".to_owned()),
        Just("ova".to_owned()),
        Just("compressed".to_owned()),
        Just("docker".to_owned()),
        Just("vmdk".to_owned()),
        Just("qcow2".to_owned()),
        Just("ami".to_owned()),
        any::<String>(),
    ]
}

/// Bytes into which some marks are put, in or out of their places.
fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let filled = (0..70_000_usize, any::<u8>()).prop_map(|(size, fill)| vec![fill; size]);
    let noise = proptest::collection::vec(any::<u8>(), 0..1200);
    let marks = proptest::collection::vec((0..SAMPLES.len(), 0..3_usize), 0..4);
    (prop_oneof![filled, noise], marks).prop_map(|(mut bytes, marks)| {
        for (nth, off) in marks {
            let sample = &SAMPLES[nth];
            let start = match sample.place {
                Place::At(at) => at + off,
                Place::BeforeEnd(back) => bytes.len().saturating_sub(back + off),
            };
            for (byte, mark) in bytes.iter_mut().skip(start).zip(sample.bytes) {
                *byte = *mark;
            }
        }
        bytes
    })
}

/// A legal image of a format whose inside is looked at, some bytes of its headers changed, cut somewhere or not.
fn poked() -> impl Strategy<Value = Vec<u8>> {
    let pokes = proptest::collection::vec((0..1200_usize, any::<bool>(), any::<u8>()), 0..6);
    let size = prop_oneof![Just(usize::MAX), 0..12_000_usize];
    (0..5_usize, pokes, size).prop_map(|(legal, pokes, size)| {
        let mut bytes = [qcow2, dynamic_vhd, fixed_vhd, vdi, || vmdk(DESCRIPTOR.as_bytes())][legal]().0;
        for (place, from_end, byte) in pokes {
            let at = if from_end { bytes.len() - 1 - place } else { place };
            bytes[at] = byte;
        }
        bytes.truncate(size);
        bytes
    })
}

/// Header extensions: kinds that mean something and others, lengths that fit and others.
fn extensions() -> impl Strategy<Value = Vec<(u32, u32)>> {
    let kind =
        prop_oneof![Just(0_u32), Just(0x4441_5441_u32), Just(0xe279_2aca_u32), Just(0x6803_f857_u32), any::<u32>(),];
    let length = prop_oneof![4 => 0..64_u32, 1 => 0..70_000_u32, 1 => any::<u32>()];
    proptest::collection::vec((kind, length), 0..40)
}

/// Lines that a descriptor may have, or nearly.
fn lines() -> impl Strategy<Value = String> {
    let line = prop_oneof![
        Just("parentCID=ffffffff".to_owned()),
        Just("parentCID=1".to_owned()),
        Just("createType=\"monolithicSparse\"".to_owned()),
        Just("createType=\"vmfs\"".to_owned()),
        Just("RW 4096 SPARSE \"x\"".to_owned()),
        Just("RW 4096 FLAT \"/x\" 0".to_owned()),
        Just("parentFileNameHint=\"x\"".to_owned()),
        "[a-zA-Z#= \"0-9]{0,20}",
        any::<String>(),
    ];
    proptest::collection::vec(line, 0..8).prop_map(|lines| lines.join("\n"))
}

proptest! {
    #[test]
    fn a_poked_header_gets_an_answer_and_what_passes_names_no_other_file(image in poked()) {
        let window = Window::of(&image);
        let zeros = |place: std::ops::Range<usize>| image[place].iter().all(|byte| *byte == 0);
        for disk in ["qcow2", "vhd", "vdi", "vmdk"] {
            if agree(&window, disk, "bare").is_err() {
                continue;
            }
            match disk {
                "qcow2" => prop_assert!(zeros(8..20) && zeros(32..36) && (image[7] == 2 || image[79] & 6 == 0)),
                "vdi" => prop_assert!(zeros(0x1a8..0x1c8) && image[0x4c] < 3),
                "vhd" => prop_assert!(!image.starts_with(b"conectix") || image[0x3f] == 3),
                _ => prop_assert!(!zeros(0x0c..0x14)),
            }
        }
    }

    #[test]
    fn extensions_are_followed_as_by_hand(list in extensions(), cluster_bits in 9..=21_u8) {
        let mut image = qcow2().put(23, &[cluster_bits]);
        let end = 1_u64 << cluster_bits;
        let (mut at, mut expected) = (112_u64, None);
        for (kind, length) in &list {
            if at >= end {
                break;
            }
            if at + 8 > HEAD_BYTES as u64 {
                expected = expected.or(Some("format-header"));
                break;
            }
            let place = usize::try_from(at).unwrap();
            image = image.put(place, &kind.to_be_bytes()).put(place + 4, &length.to_be_bytes());
            at += 8 + u64::from(*length).next_multiple_of(8);
            expected = expected.or(match kind {
                0 => Some("ok"),
                0x4441_5441 | 0xe279_2aca => Some("format-reference"),
                0x0537_be77 => Some("format-encrypted"),
                _ if at > end => Some("format-header"),
                _ => None,
            });
            if expected.is_some() {
                break;
            }
        }
        // Zeros follow, which are an end, if the head is not over.
        let past = at < end && at + 8 > HEAD_BYTES as u64;
        let expected = expected.unwrap_or(if past { "format-header" } else { "ok" });
        prop_assert_eq!(image.agree("qcow2", "bare"), expected);
    }

    #[test]
    fn a_descriptor_of_any_lines_gets_an_answer(text in lines()) {
        let text = text.get(..10_000).unwrap_or(&text);
        let verdict = vmdk(text.as_bytes()).agree("vmdk", "bare");
        let once = |what: &str| text.to_lowercase().matches(what).count() == 1;
        if verdict == "ok" {
            prop_assert!(once("parentcid=ffffffff") && once("createtype=\"monolithicsparse\""));
            prop_assert!(text.contains("SPARSE") && !text.contains("FLAT") && !text.contains("Hint"));
        }
    }

    #[test]
    fn any_bytes_get_an_answer(image in bytes(), disk in names(), container in names()) {
        let window = Window::of(&image);
        let found = detect(&window);
        prop_assert_eq!(found.contains(DiskFormat::Raw), found.formats().next().is_none());
        prop_assert!(found.marks().is_sorted());
        prop_assert_eq!(window.check(), Ok(()));

        if let Err(error) = agree(&window, &disk, &container) {
            prop_assert!(error.to_string().len() < 1024);
            prop_assert!(!error.to_string().contains(char::is_control));
        }
    }

    #[test]
    fn bytes_are_at_most_one_format(image in bytes()) {
        let window = Window::of(&image);
        let marked = ["qcow2", "vhd", "vhdx", "vmdk", "vdi", "luks", "iso"];
        let agreed = marked.into_iter().chain(["raw"])
            .filter(|disk| agree(&window, disk, "bare").is_ok());
        prop_assert!(agreed.count() <= 1);
    }

    #[test]
    fn noise_without_a_mark_is_raw(mut image in proptest::collection::vec(any::<u8>(), 0..70_000)) {
        // The only mark that is short enough for noise to have it now and then.
        if let Some(byte) = image.get_mut(510) {
            *byte = 0;
        }
        prop_assert!(detect(&Window::of(&image)).contains(DiskFormat::Raw));
        prop_assert!(agree(&Window::of(&image), "raw", "bare").is_ok());
    }
}
