//! The inspector: the same window and the same verdict however the bytes come, within its memory; what it says early,
//! it says at the end.

use std::convert::Infallible;

use landfall_inspect::{Inspector, Window, agree, agree_compressed, agree_unpacked, detect, inspect_at};

use crate::knobs;

const CLAIMS: [(&str, &str); 14] = [
    ("raw", "bare"),
    ("vmdk", "bare"),
    ("qcow2", "bare"),
    ("vhd", "bare"),
    ("vhdx", "bare"),
    ("vdi", "bare"),
    ("iso", "bare"),
    ("ploop", "bare"),
    ("luks", "bare"),
    ("gpt", "ovf"),
    ("vmdk", "ova"),
    ("ami", "ami"),
    ("raw", "compressed"),
    ("raw", "docker"),
];
const PIECES: [usize; 6] = [1, 7, 511, 4096, 65_537, usize::MAX];
/// Bytes of an image that is made of patches: as far as a VHDX has something to look at, and more.
const PATCHED: usize = (1 << 20) + (192 << 10);

pub(crate) fn run(mut data: &[u8]) {
    let (knobs, pieces) = (knobs::byte(&mut data), knobs::byte(&mut data));
    let (disk_format, container_format) = CLAIMS[usize::from(knobs >> 1) % CLAIMS.len()];
    let patched = (knobs & 1 != 0).then(|| of_patches(data));
    let data = patched.as_deref().unwrap_or(data);

    let window = Window::of(data);
    let outcome = agree(&window, disk_format, container_format).map_err(|refusal| refusal.code());
    let mut inspector = Inspector::new();
    // What is known early is asked for now and then: it is a look at all that is kept.
    let (mut early, mut asked) = (Ok(()), 0);
    // A piece of one byte is for what is small.
    let size = PIECES[usize::from(pieces) % PIECES.len()].max(data.len() / 512);
    for piece in data.chunks(size) {
        inspector.feed(piece);
        assert!(inspector.held_bytes() <= Inspector::MOST_BYTES, "{} bytes are held", inspector.held_bytes());
        if early.is_ok() && inspector.position() >= 2 * asked {
            asked = inspector.position();
            early = inspector.agree_so_far(disk_format, container_format);
        }
    }
    assert_eq!(inspector.position(), data.len() as u64);
    assert!(inspector.finish() == window, "in pieces of {size}");
    if let Err(early) = early {
        let found = outcome.expect_err("what was refused early is refused at the end");
        assert!(found == early.code() || found == "format-ambiguous", "{} early, {found} at the end", early.code());
    }

    let mut reached = 0;
    let read: Result<Window, Infallible> = inspect_at(data.len() as u64, |offset, into| {
        assert!(offset >= reached, "it went back");
        let rest = &data[usize::try_from(offset).expect("it asks for what is there")..];
        let got = rest.len().min(into.len()).min(size);
        into[..got].copy_from_slice(&rest[..got]);
        reached = offset + got as u64;
        Ok(got)
    });
    let Ok(read) = read;
    assert!(read == window, "read in pieces of {size}");

    let found = detect(&window);
    if found.marks().is_empty() {
        assert!(agree(&window, "raw", "bare").is_ok() && agree_unpacked(&window).is_ok(), "bytes without a mark");
    }
    if let Some(format) = found.format() {
        assert!(found.marks().is_empty() || found.contains(format));
    }
    let compressions = ["gzip", "zstd", "xz", "bzip2"].iter().filter(|name| agree_compressed(&window, name).is_ok());
    assert!(compressions.count() <= 1, "two compressions");
}

/// An image of zeros, into which parts of the input are put: four bytes of place, two of length, and the bytes.
fn of_patches(mut data: &[u8]) -> Vec<u8> {
    let mut image = vec![0; PATCHED];
    let mut end = 0;
    while !data.is_empty() {
        let place = u32::from_le_bytes([(); 4].map(|()| knobs::byte(&mut data)));
        let place = usize::try_from(place).unwrap_or(usize::MAX) % PATCHED;
        let part = knobs::part(&mut data);
        let part = &part[..part.len().min(PATCHED - place)];
        image[place..place + part.len()].copy_from_slice(part);
        end = end.max(place + part.len());
    }
    image.truncate(end);
    image
}
