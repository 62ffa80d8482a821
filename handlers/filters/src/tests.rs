//! Each compression against its own encoder, in every way that bytes may come and go.

use std::io::{self, Read, Write};

use landfall_handler_api::{ErrorKind, Result};
use proptest::prelude::*;

use crate::codec::Streams;
use crate::inflated::Inflated;
use crate::{Bzip2, Gzip, Xz, Zstd};

const WINDOW: u64 = 128 << 20;

/// Gives at most so many bytes at once.
struct Dripping<'a> {
    bytes: &'a [u8],
    step: usize,
}

impl Read for Dripping<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let count = self.step.min(into.len());
        self.bytes.read(&mut into[..count])
    }
}

fn inflate<C: Streams>(stored: &[u8], step: usize, room: usize, window: u64) -> Result<Vec<u8>> {
    let mut inflated = Inflated::<C, _>::new(Dripping { bytes: stored, step }, window);
    let (mut all, mut buffer) = (Vec::new(), vec![0; room]);
    loop {
        match inflated.fill(&mut buffer)? {
            0 => return Ok(all),
            filled => all.extend_from_slice(&buffer[..filled]),
        }
    }
}

/// Inflates stored bytes that come in steps of this size into rooms of that size, with a window of that many bytes.
type Inflate = fn(&[u8], usize, usize, u64) -> Result<Vec<u8>>;

/// One compression under test.
struct Subject {
    name: &'static str,
    deflate: fn(&[u8]) -> Vec<u8>,
    inflate: Inflate,
    /// Zeros that may follow a stream.
    padding: &'static [usize],
    /// Zeros that may not.
    no_padding: &'static [usize],
}

fn subjects() -> [Subject; 4] {
    [
        Subject {
            name: "gzip",
            deflate: |bytes| {
                let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
                encoder.write_all(bytes).unwrap();
                encoder.finish().unwrap()
            },
            inflate: inflate::<Gzip>,
            padding: &[1, 512, 700_000],
            no_padding: &[],
        },
        Subject {
            name: "zstd",
            deflate: |bytes| {
                let mut encoder = zstd::Encoder::new(Vec::new(), 3).unwrap();
                encoder.include_checksum(true).unwrap();
                encoder.write_all(bytes).unwrap();
                encoder.finish().unwrap()
            },
            inflate: inflate::<Zstd>,
            padding: &[],
            no_padding: &[1, 4, 512],
        },
        Subject {
            name: "xz",
            deflate: |bytes| {
                let mut encoder = liblzma::write::XzEncoder::new(Vec::new(), 1);
                encoder.write_all(bytes).unwrap();
                encoder.finish().unwrap()
            },
            inflate: inflate::<Xz>,
            padding: &[4, 512, 700_000],
            no_padding: &[1, 2, 3, 511],
        },
        Subject {
            name: "bzip2",
            deflate: |bytes| {
                let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
                encoder.write_all(bytes).unwrap();
                encoder.finish().unwrap()
            },
            inflate: inflate::<Bzip2>,
            padding: &[],
            no_padding: &[1, 4, 512],
        },
    ]
}

/// Bytes of which a part repeats.
fn sample(len: usize) -> Vec<u8> {
    let mut state = 7_u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    (0..len).map(|at| if at / 1000 % 3 == 0 { b'x' } else { next() }).collect()
}

#[track_caller]
fn code(outcome: Result<Vec<u8>>) -> (ErrorKind, String) {
    let error = outcome.map(|bytes| bytes.len()).unwrap_err();
    (error.kind(), error.code().to_owned())
}

fn corrupt(code: &str) -> (ErrorKind, String) {
    (ErrorKind::Corrupt, code.to_owned())
}

#[test]
fn what_was_compressed_comes_out_however_it_goes_in() {
    for subject in subjects() {
        for len in [0, 1, 1000, 100_000, 1_000_003] {
            let bytes = sample(len);
            let stored = (subject.deflate)(&bytes);
            for (step, room) in [(1 << 20, 1 << 18), (1, 4096), (7, 1), (4096, 3)] {
                if len > 100_000 && (step < 100 || room < 100) {
                    continue;
                }
                let found = (subject.inflate)(&stored, step, room, WINDOW);
                assert!(found.unwrap() == bytes, "{} {len} {step} {room}", subject.name);
            }
        }
    }
}

#[test]
fn several_streams_are_one_image() {
    let (one, two) = (sample(50_000), sample(70_001));
    let both = [&one[..], &two].concat();
    for subject in subjects() {
        let (first, second) = ((subject.deflate)(&one), (subject.deflate)(&two));
        for padding in subject.padding.iter().copied().chain([0]) {
            let stored = [&first[..], &vec![0; padding], &second, &vec![0; padding]].concat();
            assert!((subject.inflate)(&stored, 1000, 4096, WINDOW).unwrap() == both, "{} {padding}", subject.name);
        }
        for padding in subject.no_padding {
            let stored = [&first[..], &vec![0; *padding]].concat();
            let found = code((subject.inflate)(&stored, 1000, 4096, WINDOW));
            assert_eq!(found, corrupt("trailing-data"), "{} {padding}", subject.name);
        }
        // Zeros are between streams or behind them.
        let stored = [&[0; 4], &first[..]].concat();
        assert_eq!(code((subject.inflate)(&stored, 1000, 4096, WINDOW)), corrupt("bad-stream"), "{}", subject.name);
    }
}

#[test]
fn skippable_frames_are_skipped() {
    let bytes = sample(5000);
    let frame = (subjects()[1].deflate)(&bytes);
    let skippable = [&[0x53, 0x2a, 0x4d, 0x18, 5, 0, 0, 0][..], b"hello"].concat();
    let stored = [&skippable[..], &frame, &skippable, &frame, &skippable].concat();
    for step in [1, 3, 1 << 20] {
        assert!(inflate::<Zstd>(&stored, step, 999, WINDOW).unwrap() == [&bytes[..], &bytes].concat());
    }
}

#[test]
fn something_else_behind_the_last_stream_is_named() {
    let bytes = sample(5000);
    for subject in subjects() {
        for other in subjects() {
            let stored = [(subject.deflate)(&bytes), (other.deflate)(&bytes)].concat();
            let found = (subject.inflate)(&stored, 100, 4096, WINDOW);
            if subject.name == other.name {
                assert_eq!(found.unwrap().len(), 10_000);
            } else {
                assert_eq!(code(found), corrupt("trailing-data"), "{} {}", subject.name, other.name);
            }
        }
    }
}

#[test]
fn a_stream_that_is_cut_anywhere_is_named() {
    let bytes = sample(3000);
    for subject in subjects() {
        let stored = (subject.deflate)(&bytes);
        for end in 0..stored.len() {
            let found: Vec<_> = [(1, 64), (1 << 20, 4096)]
                .map(|(step, room)| code((subject.inflate)(&stored[..end], step, room, WINDOW)))
                .into();
            let magic = end > 0 && end < 6 && found[0] == corrupt("bad-stream");
            assert!(magic || found[0] == corrupt("unexpected-end"), "{} cut at {end}: {found:?}", subject.name);
            assert_eq!(found[0], found[1], "{} cut at {end}", subject.name);
        }
    }
}

#[test]
fn a_changed_byte_is_an_error_or_means_nothing() {
    let bytes = sample(2000);
    for subject in subjects() {
        let stored = (subject.deflate)(&bytes);
        let (mut refused, mut meaningless) = (0, 0);
        for at in 0..stored.len() {
            for mask in [1_u8, 0x80, 0xff] {
                let mut changed = stored.clone();
                changed[at] ^= mask;
                match (subject.inflate)(&changed, 1 << 20, 4096, WINDOW) {
                    Ok(found) => {
                        assert!(found == bytes, "{} at {at}", subject.name);
                        meaningless += 1;
                    }
                    Err(error) => {
                        assert!(
                            ["bad-stream", "unexpected-end", "trailing-data", "window-too-large"]
                                .contains(&error.code()),
                            "{} at {at}: {error:?}",
                            subject.name
                        );
                        refused += 1;
                    }
                }
            }
        }
        assert_eq!(refused + meaningless, stored.len() * 3);
        // Times, names and flags of gzip, the size of bzip2's blocks, unused bits.
        assert!(meaningless <= 48, "{}: {meaningless} of {} changes mean nothing", subject.name, stored.len() * 3);
    }
}

#[test]
fn a_window_that_is_too_large_is_a_limit() {
    let bytes = sample(100_000);
    let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
    encoder.window_log(24).unwrap();
    encoder.write_all(&bytes).unwrap();
    let frame = encoder.finish().unwrap();
    let options = {
        let mut options = liblzma::stream::LzmaOptions::new_preset(1).unwrap();
        options.dict_size(16 << 20);
        options
    };
    let mut filters = liblzma::stream::Filters::new();
    filters.lzma2(&options);
    let stream = liblzma::stream::Stream::new_stream_encoder(&filters, liblzma::stream::Check::Crc64).unwrap();
    let mut encoder = liblzma::write::XzEncoder::new_stream(Vec::new(), stream);
    encoder.write_all(&bytes).unwrap();
    let xz = encoder.finish().unwrap();
    for (stored, inflate) in [(frame, inflate::<Zstd> as Inflate), (xz, inflate::<Xz>)] {
        assert!(inflate(&stored, 1000, 4096, 16 << 20).unwrap() == bytes);
        let found = code(inflate(&stored, 1000, 4096, 8 << 20));
        assert_eq!(found, (ErrorKind::Limit, "window-too-large".to_owned()));
    }
}

proptest! {
    #[test]
    fn any_bytes_give_an_answer_that_does_not_depend_on_the_way(
        mut bytes in prop::collection::vec(any::<u8>(), 0..300),
        which in 0_usize..4,
        begins in any::<bool>(),
        step in 1_usize..40,
        room in 1_usize..40,
    ) {
        let subject = &subjects()[which];
        if begins {
            let stored = (subject.deflate)(&bytes);
            let keep = stored.len().min(20);
            bytes.splice(0..0, stored[..keep].iter().copied());
        }
        let one = (subject.inflate)(&bytes, step, room, WINDOW).map_err(|error| error.code().to_owned());
        let other = (subject.inflate)(&bytes, 1 << 20, 1 << 16, WINDOW).map_err(|error| error.code().to_owned());
        prop_assert_eq!(one, other);
    }
}
