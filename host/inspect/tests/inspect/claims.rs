//! What a record claims against what the bytes are.

use landfall_inspect::{DiskFormat, Mark, agree, agree_compressed, agree_unpacked, inspect_at};

use crate::image::{Image, SAMPLES, SIZE, VOLUME, image_of};

/// The formats of Glance, and a name that an operator may have added.
const CLAIMS: [&str; 15] = [
    "raw", "qcow2", "qed", "vhd", "vhdx", "vmdk", "vdi", "iso", "gpt", "luks", "ploop", "ami", "aki", "ari", "our-own",
];

/// What may be claimed of bytes of each format; nothing of those that are not here.
const ALLOWED: [(DiskFormat, &[&str]); 10] = [
    (DiskFormat::Raw, &["raw", "ploop", "ami", "aki", "ari", "our-own"]),
    (DiskFormat::Gpt, &["raw", "gpt", "ploop", "ami", "aki", "ari", "our-own"]),
    (DiskFormat::Qcow2, &["qcow2"]),
    (DiskFormat::Vhd, &["vhd"]),
    (DiskFormat::Vhdx, &["vhdx"]),
    (DiskFormat::Vmdk, &["vmdk"]),
    (DiskFormat::Vdi, &["vdi"]),
    (DiskFormat::Luks, &["luks"]),
    (DiskFormat::Iso, &["iso"]),
    (DiskFormat::Ploop, &["ploop"]),
];

#[test]
fn every_claim_of_every_format() {
    let (mut cases, mut allowed) = (0, 0);
    for format in DiskFormat::ALL {
        let image = image_of(format);
        for claim in CLAIMS {
            let expected = match ALLOWED.iter().find(|(found, _)| *found == format) {
                _ if claim == "qed" => "format-banned",
                Some((_, claims)) if claims.contains(&claim) => "ok",
                _ => "format-mismatch",
            };
            for container in ["bare", "ovf"] {
                assert_eq!(image.agree(claim, container), expected, "{claim} of {format}");
            }
            cases += 1;
            allowed += usize::from(expected == "ok");
        }
    }
    assert_eq!(cases, DiskFormat::ALL.len() * CLAIMS.len());
    assert_eq!(allowed, ALLOWED.iter().map(|(_, claims)| claims.len()).sum());
}

/// Of two marks one must be elsewhere than at the start: VDI's, ISO's or a partition table's.
#[test]
fn every_claim_of_every_two_formats() {
    let (mut pairs, mut agreed) = (0, Vec::new());
    for second in SAMPLES.iter().filter(|it| matches!(it.mark, Mark::Vdi | Mark::Iso | Mark::Gpt)) {
        for first in SAMPLES.iter().filter(|it| it.mark < second.mark) {
            // A trailer behind a VDI is no mark.
            if first.is_trailer() && second.mark == Mark::Vdi {
                continue;
            }
            let image = second.put_in(first.image());
            assert_eq!(image.detect().marks(), [first.mark, second.mark]);
            pairs += 1;

            let single = image.detect().format();
            for claim in CLAIMS.into_iter().filter(|claim| *claim != "qed") {
                match image.agree(claim, "bare") {
                    // Of a VHD only the mark is there.
                    "ok" | "format-header" => agreed.push((first.mark, second.mark, claim)),
                    code if single.is_some() => assert_eq!(code, "format-mismatch"),
                    code => assert_eq!(code, "format-ambiguous"),
                }
            }
        }
    }
    // VDI with 11 samples, each of the 4 names of ISO with 20, a partition table with 24.
    assert_eq!(pairs, 11 + 4 * 20 + 24);

    agreed.dedup();
    assert_eq!(agreed, [(Mark::VhdFooter, Mark::Gpt, "vhd"), (Mark::Iso, Mark::Gpt, "iso"),]);
}

#[test]
fn kinds_that_are_refused_are_refused_under_their_own_name() {
    let mut refused = Vec::new();
    for sample in &SAMPLES {
        let claim = sample.mark.format().name();
        if sample.mark.refusal().is_some() {
            assert_eq!(sample.image().agree(claim, "bare"), "format-variant");
            assert_eq!(sample.image().agree("raw", "bare"), "format-mismatch");
            refused.push(sample.mark);
        }
    }
    refused.dedup();
    assert_eq!(refused, [Mark::Qcow1, Mark::VmdkCowd, Mark::VmdkSeSparse, Mark::VmdkDescriptor]);
}

#[test]
fn qed_is_banned_whoever_claims_it() {
    for image in [image_of(DiskFormat::Qed), Image::zeros(SIZE), Image::zeros(0)] {
        for container in ["bare", "ovf", "ova", "compressed", "docker", "ami"] {
            assert_eq!(image.agree("qed", container), "format-banned");
        }
    }
    assert_eq!(image_of(DiskFormat::Qed).agree("raw", "bare"), "format-mismatch");
}

#[test]
fn a_hybrid_iso_is_an_iso_only() {
    let hybrid = Image::zeros(SIZE).put(VOLUME, b"CD001").put(510, b"\x55\xaa");
    for claim in CLAIMS.into_iter().filter(|claim| *claim != "qed") {
        let expected = if claim == "iso" { "ok" } else { "format-mismatch" };
        assert_eq!(hybrid.agree(claim, "bare"), expected, "{claim}");
    }
}

#[test]
fn an_image_of_no_bytes_is_raw() {
    for claim in CLAIMS.into_iter().filter(|claim| *claim != "qed") {
        let unmarked = ["raw", "ploop", "ami", "aki", "ari", "our-own"].contains(&claim);
        let expected = if unmarked { "ok" } else { "format-mismatch" };
        assert_eq!(Image::zeros(0).agree(claim, "bare"), expected, "{claim}");
    }
}

#[test]
fn a_source_that_ends_early_comes_before_any_other_answer() {
    let nothing_but = |have: usize| {
        move |offset: u64, into: &mut [u8]| -> Result<usize, std::convert::Infallible> {
            Ok(into.len().min(have.saturating_sub(usize::try_from(offset).unwrap())))
        }
    };
    for (have, size) in [(1000, 1001), (0, 1), (65_535, 65_536), (65_536, 65_537), (SIZE - 1, SIZE), (SIZE, 1 << 30)] {
        let window = inspect_at(size as u64, nothing_but(have)).unwrap();
        for (disk, container) in [("raw", "bare"), ("qed", "bare"), ("raw", "unheard-of")] {
            assert_eq!(agree(&window, disk, container).unwrap_err().code(), "window-short");
        }
        assert_eq!(agree_unpacked(&window).unwrap_err().code(), "window-short");
        assert_eq!(agree_compressed(&window, "gzip").unwrap_err().code(), "window-short");
    }
    let whole = inspect_at(SIZE as u64, nothing_but(SIZE)).unwrap();
    assert_eq!(agree(&whole, "raw", "bare"), Ok(()));
    let message = agree(&inspect_at(1001, nothing_but(1000)).unwrap(), "raw", "bare").unwrap_err().to_string();
    assert!(message.contains("1000") && message.contains("1001"), "{message}");
}

#[test]
fn what_a_source_fails_with_is_passed_on() {
    for fails_at in [0, 65_536 * 2 - 4096] {
        let read = |offset: u64, into: &mut [u8]| if offset >= fails_at { Err("torn") } else { Ok(into.len()) };
        assert_eq!(inspect_at(SIZE as u64, read), Err("torn"));
    }
}

#[test]
fn messages_name_what_is_claimed_and_what_is_found() {
    let message = |image: &Image, disk, container| agree(&image.window(), disk, container).unwrap_err().to_string();
    let two = image_of(DiskFormat::Qcow2).put(510, b"\x55\xaa");
    let text = Image(b"# Disk DescriptorFile".to_vec());
    for (shown, expected) in [
        (
            message(&image_of(DiskFormat::Qcow2), "raw", "bare"),
            "the record claims disk_format \"raw\", the bytes are qcow2",
        ),
        (
            message(&two, "raw", "bare"),
            "the record claims disk_format \"raw\", the bytes may be taken for any of qcow2+gpt",
        ),
        (
            message(&text, "vmdk", "bare"),
            "the record claims disk_format \"vmdk\", the bytes are vmdk but a text descriptor, which names other \
             files: not accepted",
        ),
        (
            message(&image_of(DiskFormat::Qcow2).put(19, b"\x01"), "qcow2", "bare"),
            "the record claims disk_format \"qcow2\", the bytes are qcow2 with a backing file: not accepted",
        ),
        (message(&Image(b"QFI\xfb".to_vec()), "qcow2", "bare"), "the image is a qcow2 that ends within its header"),
        (message(&text, "qed", "bare"), "the record claims disk_format \"qed\", which is never accepted"),
        (message(&text, "vmdk", "ova"), "the record claims container_format \"ova\", found the marks of vmdk"),
        (message(&text, "raw", "box\n"), "the record claims container_format \"box\\n\", which is unknown"),
    ] {
        assert_eq!(shown, expected);
    }
}
