//! Containers: tar headers, compressed streams, Amazon's kinds, and disks that claim to be one.

use landfall_inspect::{Compression, ContainerFormat, DiskFormat, Mark, is_tar};

use crate::image::{Image, SAMPLES, SIZE, image_of};

pub(crate) const STREAMS: [(Compression, &[u8]); 5] = [
    (Compression::Gzip, b"\x1f\x8b\x08"),
    (Compression::Zstd, b"\x28\xb5\x2f\xfd"),
    (Compression::Xz, b"\xfd7zXZ\0"),
    (Compression::Bzip2, b"BZh9\x31\x41\x59\x26\x53\x59"),
    (Compression::Bzip2, b"BZh1\x17\x72\x45\x38\x50\x90"),
];

/// An archive of one entry, its header as POSIX or GNU tar writes it.
fn tar(name: &[u8], magic: &[u8]) -> Image {
    let header = Image::zeros(SIZE)
        .put(0, name)
        .put(100, b"0000644\0")
        .put(124, b"00000001000\0")
        .put(156, b"0")
        .put(257, magic);
    with_checksum(header)
}

fn with_checksum(image: Image) -> Image {
    let image = image.put(148, b"        ");
    let sum: u32 = image.0[..512].iter().map(|byte| u32::from(*byte)).sum();
    image.put(148, format!("{sum:06o}\0 ").as_bytes())
}

#[test]
fn every_container_with_every_content() {
    let mut contents = vec![
        ("tar", tar(b"disk.ovf", b"ustar\x0000")),
        ("tar", tar(b"disk.ovf", b"ustar  \0")),
        ("raw", Image::zeros(SIZE)),
        ("empty", Image::zeros(0)),
    ];
    for (_, magic) in STREAMS {
        contents.push(("stream", Image::zeros(SIZE).put(0, magic)));
    }
    for format in DiskFormat::ALL.into_iter().filter(|it| *it != DiskFormat::Raw) {
        contents.push(("disk", image_of(format)));
    }

    let mut cases = 0;
    for (kind, image) in &contents {
        for container in ["ova", "docker", "compressed"] {
            let expected = match (container, *kind) {
                ("ova" | "docker", "tar") | ("compressed" | "docker", "stream") => "ok",
                _ => "container-mismatch",
            };
            for disk in ["raw", "vmdk", "qcow2", "our-own"] {
                assert_eq!(image.agree(disk, container), expected, "{container} of {kind}");
                cases += 1;
            }
        }
    }
    assert_eq!(cases, (4 + STREAMS.len() + DiskFormat::ALL.len() - 1) * 3 * 4);
}

#[test]
fn streams_are_told_apart_to_the_last_byte() {
    for (compression, magic) in STREAMS {
        assert_eq!(Compression::of(magic), Some(compression));
        for length in 0..magic.len() {
            assert_eq!(Compression::of(&magic[..length]), None);
        }
        for at in 0..magic.len() {
            let mut other = magic.to_vec();
            other[at] ^= 0x80;
            assert_eq!(Compression::of(&other), None);
        }
    }
    assert_eq!(Compression::of(b"BZh0\x31\x41\x59\x26\x53\x59"), None);
}

#[test]
fn a_tar_header_needs_its_checksum() {
    let good = tar(b"disk.ovf", b"ustar\x0000");
    assert!(is_tar(&good.0));
    assert!(is_tar(&good.0[..512]));
    assert!(!is_tar(&good.0[..511]));

    for at in 0..512 {
        let mut bad = good.clone();
        bad.0[at] ^= 0x01;
        assert!(!is_tar(&bad.0) || at == 155, "byte {at}");
    }
    for field in [b"        ", b"\0\0\0\0\0\0\0\0", b"+0012345", b"-0012345", b"99999999"] {
        assert!(!is_tar(&good.clone().put(148, field).0));
    }
    let sum = String::from_utf8(good.0[149..154].to_vec()).unwrap();
    assert!(is_tar(&good.clone().put(148, format!(" {sum}").as_bytes()).0));
    assert!(!is_tar(&good.clone().put(148, format!("+{sum}").as_bytes()).0));
    assert!(!is_tar(&with_checksum(good.put(257, b"usta")).0[1..]));
    assert!(!is_tar(&with_checksum(Image::zeros(512)).0), "no ustar");
}

#[test]
fn a_tar_that_is_also_a_disk_is_refused() {
    for sample in &SAMPLES {
        let archive = tar(b"disk.ovf", b"ustar\x0000");
        let both = with_checksum(sample.put_in(archive));
        assert!(is_tar(&both.0));
        assert_eq!(both.detect().marks(), [sample.mark]);
        for container in ["ova", "docker"] {
            let code = both.agree("vmdk", container);
            assert_eq!(code, "container-mismatch", "{:?}", sample.mark);
        }
    }
}

#[test]
fn a_stream_may_have_the_two_bytes_of_a_partition_table_but_no_other_mark() {
    for (_, magic) in STREAMS {
        let stream = Image::zeros(SIZE).put(0, magic);
        let by_chance = stream.clone().put(510, b"\x55\xaa");
        assert_eq!(by_chance.agree("raw", "compressed"), "ok");
        assert_eq!(by_chance.agree("raw", "docker"), "ok");

        for mark in [Mark::Vdi, Mark::Iso, Mark::Dmg, Mark::VhdFooter] {
            let disk = SAMPLES.iter().find(|it| it.mark == mark).unwrap().image();
            let both = disk.put(0, magic);
            assert_eq!(both.agree("raw", "compressed"), "container-mismatch", "{mark:?}");
        }
    }
}

#[test]
fn a_compressed_disk_is_raw_if_the_record_says_no_container() {
    for (_, magic) in STREAMS {
        assert_eq!(Image::zeros(SIZE).put(0, magic).agree("raw", "bare"), "ok");
        assert_eq!(Image::zeros(SIZE).put(0, magic).agree("qcow2", "bare"), "format-mismatch");
    }
}

#[test]
fn amazon_kinds_are_their_own_container() {
    for kind in ["ami", "aki", "ari"] {
        assert_eq!(Image::zeros(SIZE).agree(kind, kind), "ok");
        assert_eq!(image_of(DiskFormat::Gpt).agree(kind, kind), "ok");
        assert_eq!(image_of(DiskFormat::Qcow2).agree(kind, kind), "format-mismatch");
        for other in ["raw", "qcow2", "ami", "aki", "ari"].into_iter().filter(|it| *it != kind) {
            assert_eq!(Image::zeros(SIZE).agree(other, kind), "container-mismatch");
        }
    }
}

#[test]
fn a_container_without_rules_is_unknown() {
    for name in ["", "BARE", "bare ", "zip", "bundle", "none"] {
        assert_eq!(ContainerFormat::from_name(name), None);
        assert_eq!(Image::zeros(SIZE).agree("raw", name), "container-unknown");
    }
    for container in ContainerFormat::ALL {
        assert_eq!(ContainerFormat::from_name(container.name()), Some(container));
        assert_eq!(container.to_string(), container.name());
    }
}
