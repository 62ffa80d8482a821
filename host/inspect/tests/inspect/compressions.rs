//! Streams that a record says to be compressed.

use landfall_inspect::{Compression, DiskFormat, HEAD_BYTES, Window, agree_compressed, agree_foreign};

use crate::containers::STREAMS;
use crate::image::{Image, SIZE, image_of};

fn code(image: &Image, compression: &str) -> &'static str {
    agree_compressed(&image.window(), compression).err().map_or("ok", |error| error.code())
}

#[test]
fn every_stream_under_every_name() {
    for (compression, magic) in STREAMS {
        for image in [Image::zeros(SIZE).put(0, magic), Image(magic.to_vec())] {
            for claimed in Compression::ALL {
                let expected = if claimed == compression { "ok" } else { "compression-mismatch" };
                assert_eq!(code(&image, claimed.name()), expected, "{compression} as {claimed}");
                assert_eq!(Compression::from_name(claimed.name()), Some(claimed));
            }
            for unknown in ["", "GZIP", "-gz", "lz 4", "zstd ", &"z".repeat(33)] {
                assert_eq!(code(&image, unknown), "compression-unknown");
                assert_eq!(Compression::from_name(unknown), None);
            }
        }
    }
}

#[test]
fn disks_and_archives_are_no_streams() {
    for format in DiskFormat::ALL {
        for claimed in Compression::ALL {
            assert_eq!(code(&image_of(format), claimed.name()), "compression-mismatch", "{format} as {claimed}");
        }
    }
    assert_eq!(code(&Image::zeros(0), "gzip"), "compression-mismatch");
    assert_eq!(code(&Image(b"PK\x03\x04".to_vec()), "zstd"), "compression-mismatch");
}

/// Of a form that only somebody's handler knows, it is only known what it may not be.
#[test]
fn forms_without_rules_are_no_disks() {
    let foreign = |image: &Image| agree_foreign(&image.window(), "site-pack").err().map_or("ok", |error| error.code());
    for own in [Image::zeros(SIZE).put(0, b"TAG0"), Image::zeros(0), Image(b"PK\x03\x04".to_vec())] {
        assert_eq!([code(&own, "site-lz4"), foreign(&own)], ["ok", "ok"]);
        let by_chance = Image::zeros(SIZE).put(510, b"\x55\xaa");
        assert_eq!([code(&by_chance, "site-lz4"), foreign(&by_chance)], ["ok", "ok"]);
    }
    for format in DiskFormat::ALL {
        let (image, unmarked) = (image_of(format), matches!(format, DiskFormat::Raw | DiskFormat::Gpt));
        let (stream, container) = if unmarked { ("ok", "ok") } else { ("compression-mismatch", "container-mismatch") };
        assert_eq!([code(&image, "site-lz4"), foreign(&image)], [stream, container], "{format}");
    }
    // What is known is called by its name; a container may have any form.
    for (_, magic) in STREAMS {
        let stream = Image::zeros(SIZE).put(0, magic);
        assert_eq!([code(&stream, "site-lz4"), foreign(&stream)], ["compression-mismatch", "ok"]);
    }
}

#[test]
fn a_stream_that_may_be_a_disk_too_is_refused() {
    for (compression, magic) in STREAMS {
        let stream = Image::zeros(SIZE).put(0, magic);
        assert_eq!(code(&stream.clone().put(510, b"\x55\xaa"), compression.name()), "ok", "by chance");
        for (at, mark) in [(0x40, &b"\x7f\x10\xda\xbe"[..]), (32 * 1024 + 1, b"CD001"), (SIZE - 512, b"conectix")] {
            assert_eq!(code(&stream.clone().put(at, mark), compression.name()), "compression-mismatch");
        }
    }
}

/// A skippable frame of `content` bytes.
fn skippable(nibble: u8, content: usize) -> Vec<u8> {
    let mut frame = vec![0x50 | nibble, 0x2a, 0x4d, 0x18];
    frame.extend((content as u32).to_le_bytes());
    frame.resize(8 + content, 0xaa);
    frame
}

#[test]
fn skippable_frames_come_before_zstd() {
    const ZSTD: &[u8] = b"\x28\xb5\x2f\xfd";
    for nibble in 0..16 {
        for content in [0, 1, 4, 300, HEAD_BYTES - 8 - 4] {
            let stream = [&skippable(nibble, content)[..], ZSTD].concat();
            assert_eq!(Compression::of(&stream), Some(Compression::Zstd), "{nibble} {content}");
            assert_eq!(code(&Image(stream), "zstd"), "ok", "{nibble} {content}");
        }
    }
    let many = [skippable(0, 0).repeat(8191), ZSTD.to_vec()].concat();
    assert_eq!(code(&Image(many), "zstd"), "ok");

    for (what, stream) in [
        ("no data at all", skippable(0, 4)),
        ("only the frame's magic", skippable(0, 4)[..4].to_vec()),
        ("other data", [&skippable(0, 4)[..], b"\x1f\x8b\x08"].concat()),
        ("a frame of lz4", [&skippable(0, 4)[..], b"\x04\x22\x4d\x18"].concat()),
        ("the length lies", [&skippable(0, 5)[..8], ZSTD].concat()),
        ("longer than the head", [&skippable(0, HEAD_BYTES)[..], ZSTD].concat()),
        ("longer than anything", [b"\x50\x2a\x4d\x18\xff\xff\xff\xff", ZSTD].concat()),
        ("frames up to the end of the head", [skippable(0, 0).repeat(8192), ZSTD.to_vec()].concat()),
        ("another magic", [b"\x60\x2a\x4d\x18\0\0\0\0", ZSTD].concat()),
    ] {
        let window = Window::of(&stream);
        assert_eq!(agree_compressed(&window, "zstd").unwrap_err().code(), "compression-mismatch", "{what}");
    }
}

#[test]
fn messages_name_what_is_claimed_and_what_is_found() {
    let message = |bytes: &[u8], claimed| agree_compressed(&Window::of(bytes), claimed).unwrap_err().to_string();
    assert_eq!(message(b"\x1f\x8b\x08", "xz"), "the record claims compression \"xz\", found gzip data");
    assert_eq!(message(b"", "xz"), "the record claims compression \"xz\", found no known container");
    assert_eq!(message(b"QED\0", "xz"), "the record claims compression \"xz\", found the marks of qed");
    assert_eq!(message(b"", "a\nb"), "the record claims compression \"a\\nb\", which is no name of one");
}
