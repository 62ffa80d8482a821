//! Images in memory, compressed by the libraries' own encoders and by hand, and a host that is as stingy as it may be.

use std::cell::Cell;
use std::io::Write;

use landfall_handler_api::{Error, ErrorKind, Result};
use liblzma::stream::{Action, Check, Filters, LzmaOptions, MtStreamBuilder, Status, Stream};

use crate::config::{XzConfig, ZstdConfig};
use crate::inflate::{Bounds, Host, Room, Stored, inflate};
use crate::source::Compression;

pub(crate) const EACH: [Format; 4] = [Format::Gzip, Format::Zstd, Format::Xz, Format::Bzip2];
/// How a host cuts: bytes of a chunk, bytes of a room.
pub(crate) const CUTS: [(usize, usize); 6] = [(1, 1), (1, 4096), (4096, 1), (7, 13), (64, 1 << 20), (1 << 18, 1 << 18)];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    Gzip,
    Zstd,
    Xz,
    Bzip2,
}

impl Format {
    pub(crate) fn compress(self, bytes: &[u8]) -> Vec<u8> {
        match self {
            Self::Gzip => {
                let mut encoder = flate2::GzBuilder::new()
                    .filename("disk.raw")
                    .mtime(0x5EAD_BEEF)
                    .write(Vec::new(), flate2::Compression::new(6));
                encoder.write_all(bytes).unwrap();
                encoder.finish().unwrap()
            }
            Self::Zstd => {
                let mut encoder = zstd::Encoder::new(Vec::new(), 3).unwrap();
                encoder.include_checksum(true).unwrap();
                encoder.set_pledged_src_size(Some(bytes.len() as u64)).unwrap();
                encoder.write_all(bytes).unwrap();
                encoder.finish().unwrap()
            }
            Self::Xz => encode(Stream::new_easy_encoder(6, Check::Crc64).unwrap(), bytes),
            Self::Bzip2 => {
                let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::new(9));
                encoder.write_all(bytes).unwrap();
                encoder.finish().unwrap()
            }
        }
    }

    /// With the usual settings, and one thread.
    pub(crate) fn compression(self) -> Compression {
        match self {
            Self::Gzip => Compression::Gzip,
            Self::Zstd => Compression::Zstd(ZstdConfig::default()),
            Self::Xz => Compression::Xz(XzConfig { threads: 1, ..XzConfig::default() }),
            Self::Bzip2 => Compression::Bzip2,
        }
    }
}

pub(crate) fn threads(threads: u32) -> Compression {
    Compression::Xz(XzConfig { threads, ..XzConfig::default() })
}

pub(crate) fn encode(mut encoder: Stream, bytes: &[u8]) -> Vec<u8> {
    let mut into = Vec::with_capacity(4096);
    loop {
        into.reserve(4096);
        let taken = usize::try_from(encoder.total_in()).unwrap();
        if encoder.process_vec(&bytes[taken..], &mut into, Action::Finish).unwrap() == Status::StreamEnd {
            return into;
        }
    }
}

/// xz in blocks that say how long they are.
pub(crate) fn xz_blocks(bytes: &[u8], block: u64) -> Vec<u8> {
    encode(MtStreamBuilder::new().preset(1).threads(2).block_size(block).check(Check::Crc32).encoder().unwrap(), bytes)
}

/// xz with a dictionary of this size.
pub(crate) fn xz_window(bytes: &[u8], window: u32) -> Vec<u8> {
    let mut filters = Filters::new();
    filters.lzma2(LzmaOptions::new_preset(0).unwrap().dict_size(window));
    encode(Stream::new_stream_encoder(&filters, Check::None).unwrap(), bytes)
}

/// A frame of raw blocks, after a header's bytes that follow the magic.
pub(crate) fn zstd_frame(header: &[u8], blocks: &[&[u8]]) -> Vec<u8> {
    let mut frame = vec![0x28, 0xB5, 0x2F, 0xFD];
    frame.extend_from_slice(header);
    for (at, block) in blocks.iter().enumerate() {
        let head = u32::try_from(block.len()).unwrap() << 3 | u32::from(at + 1 == blocks.len());
        frame.extend_from_slice(&head.to_le_bytes()[..3]);
        frame.extend_from_slice(block);
    }
    frame
}

pub(crate) fn skippable(kind: u8, size: u32) -> Vec<u8> {
    let mut frame = vec![0x50 | kind, 0x2A, 0x4D, 0x18];
    frame.extend_from_slice(&size.to_le_bytes());
    frame.extend(std::iter::repeat_n(0xAA, usize::try_from(size).unwrap()));
    frame
}

/// Bytes that are neither all alike nor random.
pub(crate) fn pattern(len: usize) -> Vec<u8> {
    let mut state = 1_u32;
    let bytes = (0..len).map(|at| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        if at % 7 < 4 { (at / 7 % 251) as u8 } else { (state >> 29) as u8 }
    });
    bytes.collect()
}

/// Bytes in memory.
pub(crate) struct Memory<'a>(pub(crate) &'a [u8]);

impl Stored for Memory<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        let (now, later) = self.0.split_at(buffer.len().min(self.0.len()));
        buffer[..now.len()].copy_from_slice(now);
        self.0 = later;
        Ok(now.len())
    }
}

/// The same bytes again and again.
pub(crate) struct Endless<'a> {
    pub(crate) bytes: &'a [u8],
    pub(crate) at: usize,
}

impl Stored for Endless<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        for byte in &mut *buffer {
            *byte = self.bytes[self.at];
            self.at = (self.at + 1) % self.bytes.len();
        }
        Ok(buffer.len())
    }
}

/// Gives rooms of at most `room` bytes, and keeps what is put there unless it is to be counted only.
pub(crate) struct Rooms {
    pub(crate) bytes: Vec<u8>,
    pub(crate) count: u64,
    keeps: bool,
    room: Vec<u8>,
}

impl Rooms {
    pub(crate) fn new(room: usize) -> Self {
        Self { bytes: Vec::new(), count: 0, keeps: true, room: vec![0xEE; room] }
    }

    pub(crate) fn counting(room: usize) -> Self {
        Self { keeps: false, ..Self::new(room) }
    }
}

impl Room for Rooms {
    fn reserve(&mut self, want: usize) -> Result<&mut [u8]> {
        assert!(want > 0);
        let most = want.min(self.room.len());
        Ok(&mut self.room[..most])
    }

    fn commit(&mut self, filled: usize) -> Result<()> {
        assert!(filled > 0);
        self.count += filled as u64;
        if self.keeps {
            self.bytes.extend_from_slice(&self.room[..filled]);
        }
        Ok(())
    }
}

/// Cancels after so many questions.
pub(crate) struct Patience {
    pub(crate) left: Cell<u64>,
    pub(crate) signs: Cell<u64>,
}

impl Patience {
    pub(crate) fn new(left: u64) -> Self {
        Self { left: Cell::new(left), signs: Cell::new(0) }
    }
}

impl Host for Patience {
    fn check(&self) -> Result<()> {
        let left = self.left.get();
        if left == 0 {
            return Err(Error::cancelled());
        }
        self.left.set(left - 1);
        Ok(())
    }

    fn alive(&self, _: u64) {
        self.signs.set(self.signs.get() + 1);
    }
}

pub(crate) const UNBOUNDED: Bounds = Bounds { wanted: u64::MAX, disk_bytes: u64::MAX };

/// The outcome of a test: bytes, or the error's kind and code.
pub(crate) type Outcome = std::result::Result<Vec<u8>, (ErrorKind, String)>;

pub(crate) fn cut(compression: &Compression, stored: &[u8], (chunk, room): (usize, usize), bounds: Bounds) -> Outcome {
    let mut rooms = Rooms::new(room);
    let outcome = compression.decoder().and_then(|mut decoder| {
        let host = Patience::new(u64::MAX);
        inflate(&mut *decoder, &mut Memory(stored), &mut vec![0; chunk], &mut rooms, &host, bounds)
    });
    outcome.map(|()| rooms.bytes).map_err(|error| (error.kind(), error.code().to_owned()))
}

/// The outcome, after having seen that it is the same however it is cut.
pub(crate) fn outcome_of(compression: &Compression, stored: &[u8]) -> Outcome {
    let outcomes = CUTS.map(|cuts| cut(compression, stored, cuts, UNBOUNDED));
    for (outcome, cuts) in outcomes.iter().zip(CUTS) {
        assert!(*outcome == outcomes[0], "cut into {cuts:?}: {:?}", outcome.as_ref().map(Vec::len));
    }
    outcomes.into_iter().next().unwrap()
}

pub(crate) fn corrupt(code: &str) -> Outcome {
    Err((ErrorKind::Corrupt, code.to_owned()))
}

pub(crate) fn limit(code: &str) -> Outcome {
    Err((ErrorKind::Limit, code.to_owned()))
}

pub(crate) fn unsupported(code: &str) -> Outcome {
    Err((ErrorKind::Unsupported, code.to_owned()))
}
