//! bzip2: streams one after the other. The format has no specification but its program: a stream is `BZh`, a digit for the
//! size of its blocks, blocks with a magic of six bytes, and an end with another one (bzip2 1.0.8, decompress.c).

use bzip2::{Decompress, Error as Bzip2Error, Status};
use landfall_handler_api::{Error, Result};

use crate::decoder::{Decoder, Step, bad_stream, broken, no_beginning, no_memory, passed, unexpected_end};
use crate::prefix::Prefix;

const FORMAT: &str = "bzip2";

const MAGIC: [u8; 3] = *b"BZh";
/// Hundreds of kilobytes.
const BLOCK_SIZES: std::ops::RangeInclusive<u8> = b'1'..=b'9';
/// Of a stream without blocks the end follows at once: its magic, and a checksum of no blocks.
const EMPTY: [u8; 10] = [0x17, 0x72, 0x45, 0x38, 0x50, 0x90, 0, 0, 0, 0];
const HEADER: usize = 14;

/// Inflates bzip2.
pub(crate) struct Bzip2Decoder {
    at: At,
    /// No stream was complete yet.
    first: bool,
}

/// Where in a stream the decoder is.
enum At {
    Header(Prefix<HEADER>),
    Blocks(Decompress),
}

impl Bzip2Decoder {
    pub(crate) fn new() -> Self {
        Self { at: At::Header(Prefix::new()), first: true }
    }

    fn next_stream(&mut self) {
        self.first = false;
        self.at = At::Header(Prefix::new());
    }
}

impl Decoder for Bzip2Decoder {
    fn step(&mut self, input: &[u8], room: &mut [u8]) -> Result<Step> {
        match &mut self.at {
            At::Header(header) => {
                let taken = header.fill(input);
                let begun = header.bytes().iter().zip(MAGIC).all(|(&byte, expected)| byte == expected);
                if !begun {
                    return Err(no_beginning(FORMAT, self.first));
                }
                if header.bytes().get(MAGIC.len()).is_some_and(|size| !BLOCK_SIZES.contains(size)) {
                    return Err(bad_stream(FORMAT, "a block size that there is none of"));
                }
                let Some(whole) = header.whole().copied() else { return Ok(Step::taking(taken)) };
                if whole.ends_with(&EMPTY) {
                    // Without a decoder: making one costs as much as inflating thousands of such streams' bytes.
                    self.next_stream();
                    return Ok(Step::taking(taken));
                }
                let mut stream = Decompress::new(false);
                let status = stream.decompress(&whole, room).map_err(fault)?;
                if status != Status::Ok || stream.total_in() != whole.len() as u64 {
                    return Err(if status == Status::MemNeeded { no_memory(FORMAT) } else { broken(FORMAT) });
                }
                let given = passed(0, stream.total_out());
                self.at = At::Blocks(stream);
                Ok(Step { taken, given, fault: None })
            }
            At::Blocks(stream) => {
                let (taken, given) = (stream.total_in(), stream.total_out());
                let outcome = stream.decompress(input, room);
                let (taken, given) = (passed(taken, stream.total_in()), passed(given, stream.total_out()));
                let fault = match outcome {
                    Ok(Status::MemNeeded) => Some(no_memory(FORMAT)),
                    Ok(_) => None,
                    Err(error) => Some(fault(error)),
                };
                if outcome == Ok(Status::StreamEnd) {
                    self.next_stream();
                }
                Ok(Step { taken, given, fault })
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

fn fault(_: Bzip2Error) -> Error {
    bad_stream(FORMAT, "a checksum is another, or no block is")
}
