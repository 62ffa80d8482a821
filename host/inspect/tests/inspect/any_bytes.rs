//! No bytes, sizes or names make the rules panic or contradict themselves.

use landfall_inspect::{DiskFormat, HEAD_BYTES, TAIL_BYTES, Window, agree, detect};
use proptest::prelude::*;

use crate::image::{Place, SAMPLES};

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

/// Sizes near those where something begins or ends, or any.
fn sizes() -> impl Strategy<Value = u64> {
    prop_oneof![
        0..1200_u64,
        (HEAD_BYTES as u64 - 8)..(HEAD_BYTES as u64 + 8),
        (HEAD_BYTES + TAIL_BYTES) as u64 - 8..(HEAD_BYTES + TAIL_BYTES) as u64 + 8,
        any::<u64>(),
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

proptest! {
    #[test]
    fn any_window_gets_an_answer(
        head in bytes(),
        tail in bytes(),
        size in sizes(),
        disk in names(),
        container in names(),
    ) {
        let window = Window { head: &head, tail: &tail, size };
        let found = detect(&window);
        prop_assert_eq!(found.contains(DiskFormat::Raw), found.formats().next().is_none());
        prop_assert!(found.marks().is_sorted());

        let verdict = agree(&window, &disk, &container);
        if let Err(error) = &verdict {
            prop_assert!(error.to_string().len() < 1024);
            prop_assert!(!error.to_string().contains(char::is_control));
        }
        prop_assert_eq!(window.check().is_err(),
            verdict.is_err_and(|error| error.code().starts_with("window-")));
    }

    #[test]
    fn a_whole_image_always_fits_its_window(image in bytes()) {
        prop_assert_eq!(Window::of(&image).check(), Ok(()));
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
