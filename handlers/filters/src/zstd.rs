//! Zstandard (RFC 8878): frames one after the other, skippable ones among them.
//!
//! The frames' headers are read here before the library sees them, so that a window is held against its limit, and a
//! dictionary refused, however the bytes are cut: the library passes over its own limit where it has a whole frame and
//! room for all of it. Handing it the header alone also keeps it to one way of decoding.

mod header;

use landfall_handler_api::{Error, ErrorKind, Result};
use zstd::zstd_safe::zstd_sys::ZSTD_ErrorCode;
use zstd::zstd_safe::{DCtx, DParameter, ErrorCode, InBuffer, OutBuffer, is_error_kind};

use self::header::{HEADER_MOST, Start};
use crate::decoder::{
    Decoder, Step, bad_stream, broken, checksum_mismatch, no_memory, unexpected_end, window_too_large,
};
use crate::prefix::Prefix;

const FORMAT: &str = "zstd";

/// What `ZSTD_d_windowLogMax` takes on 64 bits.
const WINDOW_LOG: std::ops::RangeInclusive<u32> = 10..=31;

/// Inflates Zstandard.
pub(crate) struct ZstdDecoder {
    at: At,
    context: DCtx<'static>,
    window_bytes: u64,
    /// No frame was complete yet.
    first: bool,
}

/// Where in a frame the decoder is.
enum At {
    Header(Prefix<HEADER_MOST>),
    Blocks,
    /// In a skippable frame, of which so many bytes are left.
    Skipped(u32),
}

impl ZstdDecoder {
    /// A window of more than `window_bytes` is refused.
    pub(crate) fn new(window_bytes: u64) -> Result<Self> {
        let mut context = DCtx::try_create().ok_or_else(|| no_memory(FORMAT))?;
        let log = window_bytes.checked_next_power_of_two().map_or(u64::BITS, u64::trailing_zeros);
        let log = log.clamp(*WINDOW_LOG.start(), *WINDOW_LOG.end());
        context.set_parameter(DParameter::WindowLogMax(log)).map_err(|code| fault(code, window_bytes))?;
        Ok(Self { at: At::Header(Prefix::new()), context, window_bytes, first: true })
    }

    fn blocks(&mut self, input: &[u8], room: &mut [u8]) -> Result<Step> {
        let (mut from, mut to) = (InBuffer::around(input), OutBuffer::around(room));
        let hint = self.context.decompress_stream(&mut to, &mut from).map_err(|code| fault(code, self.window_bytes))?;
        if hint == 0 {
            self.next_frame();
        }
        Ok(Step { taken: from.pos(), given: to.pos(), fault: None })
    }

    fn next_frame(&mut self) {
        self.first = false;
        self.at = At::Header(Prefix::new());
    }
}

impl Decoder for ZstdDecoder {
    fn step(&mut self, input: &[u8], room: &mut [u8]) -> Result<Step> {
        match &mut self.at {
            At::Header(header) => {
                let mut taken = 0_usize;
                for &byte in input {
                    header.push(byte);
                    taken = taken.saturating_add(1);
                    match Start::parse(header.bytes(), self.first)? {
                        Start::Unfinished => {}
                        Start::Skippable(0) => {
                            self.next_frame();
                            return Ok(Step::taking(taken));
                        }
                        Start::Skippable(size) => {
                            self.at = At::Skipped(size);
                            return Ok(Step::taking(taken));
                        }
                        Start::Frame { dictionary: true, .. } => return Err(dictionary()),
                        Start::Frame { window, .. } if window > self.window_bytes => {
                            return Err(window_too_large(FORMAT, self.window_bytes));
                        }
                        Start::Frame { .. } => {
                            let At::Header(header) = std::mem::replace(&mut self.at, At::Blocks) else {
                                return Err(broken(FORMAT));
                            };
                            let step = self.blocks(header.bytes(), room)?;
                            if step.taken != header.bytes().len() {
                                return Err(broken(FORMAT));
                            }
                            return Ok(Step { taken, ..step });
                        }
                    }
                }
                Ok(Step::taking(taken))
            }
            At::Blocks => self.blocks(input, room),
            At::Skipped(left) => {
                let now = input.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                *left = left.saturating_sub(u32::try_from(now).unwrap_or(u32::MAX));
                if *left == 0 {
                    self.next_frame();
                }
                Ok(Step::taking(now))
            }
        }
    }

    fn finish(&self) -> Result<()> {
        match &self.at {
            At::Header(header) if header.is_empty() && !self.first => Ok(()),
            _ => Err(unexpected_end(FORMAT)),
        }
    }
}

/// What the library says is wrong.
fn fault(code: ErrorCode, window_bytes: u64) -> Error {
    let is = |kind| is_error_kind(code, kind);
    if is(ZSTD_ErrorCode::ZSTD_error_checksum_wrong) {
        checksum_mismatch(FORMAT, "the checksum of a frame is another")
    } else if is(ZSTD_ErrorCode::ZSTD_error_frameParameter_windowTooLarge) {
        window_too_large(FORMAT, window_bytes)
    } else if is(ZSTD_ErrorCode::ZSTD_error_memory_allocation) {
        no_memory(FORMAT)
    } else {
        bad_stream(FORMAT, "no frame's content")
    }
}

fn dictionary() -> Error {
    let message = "the zstd data were made with a dictionary, which an image does not bring along";
    Error::new(ErrorKind::Unsupported, "dictionary", message)
}
