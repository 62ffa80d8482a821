//! xz (the .xz file format 1.2.1): streams one after the other, with padding between and after them.
//!
//! Each stream has a decoder of its own, so that what follows a stream is judged here. Several threads are used where the
//! blocks say how long they are, and only for the first streams: a decoder with threads costs more than the smallest
//! streams have bytes.

use landfall_handler_api::{Error, ErrorKind, Result};
use liblzma::stream::{Action, Error as LzmaError, MtStreamBuilder, Status, Stream};

use crate::decoder::{
    Decoder, Step, bad_stream, broken, no_beginning, no_memory, passed, trailing_data, unexpected_end, window_too_large,
};
use crate::prefix::Prefix;

const FORMAT: &str = "xz";

/// Stream header (2.1.1): magic, stream flags, CRC-32.
const HEADER: usize = 12;
const MAGIC: [u8; 6] = [0xFD, b'7', b'z', b'X', b'Z', 0];
/// None, CRC-32, CRC-64 and SHA-256 (2.1.1.2). liblzma reads streams with others and checks nothing.
const CHECKS: [u8; 4] = [0, 1, 4, 10];
/// Stream padding is a multiple of this (2.2).
const PADDING: usize = 4;

/// What a decoder takes beside its dictionary, for everything: the next larger dictionary is far more than this larger.
const BESIDE_WINDOW: u64 = 128 << 10;
/// All blocks that are inflated at once: four of 24 MiB with their dictionaries, as `xz -T` makes them.
const PARALLEL_BYTES: u64 = 256 << 20;
/// Streams that may be inflated by several threads.
const PARALLEL_STREAMS: u32 = 8;

/// Inflates xz.
pub(crate) struct XzDecoder {
    at: At,
    window_bytes: u64,
    threads: u32,
    /// Streams that were complete, up to a number that is enough.
    streams: u32,
}

/// Where in a stream the decoder is.
enum At {
    /// Behind a stream and so many zeros, modulo 4.
    Padding(usize),
    Header(Prefix<HEADER>),
    Blocks(Stream),
}

impl XzDecoder {
    /// A dictionary of more than `window_bytes` is refused. `threads` at least 1.
    pub(crate) fn new(window_bytes: u64, threads: u32) -> Self {
        Self { at: At::Header(Prefix::new()), window_bytes, threads, streams: 0 }
    }

    /// A decoder for one stream that was given its header.
    fn stream(&self, header: &[u8; HEADER]) -> Result<Stream> {
        let memory = self.window_bytes.saturating_add(BESIDE_WINDOW);
        let made = if self.threads > 1 && self.streams < PARALLEL_STREAMS {
            let mut builder = MtStreamBuilder::new();
            builder.threads(self.threads).memlimit_threading(PARALLEL_BYTES).memlimit_stop(memory.max(PARALLEL_BYTES));
            // The second limit bounds the first when they are set, but is that of one block from then on.
            builder.decoder().and_then(|mut stream| stream.set_memlimit(memory).map(|()| stream))
        } else {
            Stream::new_stream_decoder(memory, 0)
        };
        let mut stream = made.map_err(|error| self.fault(error))?;
        let mut none = [0];
        let status = stream.process(header, &mut none, Action::Run).map_err(|error| self.fault(error))?;
        if status == Status::StreamEnd || stream.total_in() != header.len() as u64 || stream.total_out() != 0 {
            return Err(broken(FORMAT));
        }
        // Only now, since the header's own checksum stands above what it says. The upper half must be zero.
        let [.., check, _, _, _, _] = header;
        if CHECKS.contains(check) { Ok(stream) } else { Err(unsupported_options()) }
    }

    fn fault(&self, error: LzmaError) -> Error {
        match error {
            LzmaError::MemLimit => window_too_large(FORMAT, self.window_bytes),
            LzmaError::Mem => no_memory(FORMAT),
            LzmaError::Options => unsupported_options(),
            _ => bad_stream(FORMAT, "a checksum is another, or no block is"),
        }
    }
}

impl Decoder for XzDecoder {
    fn step(&mut self, input: &[u8], room: &mut [u8]) -> Result<Step> {
        match &mut self.at {
            At::Padding(zeros) => {
                let now = input.iter().take_while(|&&byte| byte == 0).count();
                *zeros = zeros.wrapping_add(now) % PADDING;
                if now < input.len() {
                    if *zeros != 0 {
                        return Err(trailing_data(FORMAT));
                    }
                    self.at = At::Header(Prefix::new());
                    return self
                        .step(input.get(now..).unwrap_or_default(), room)
                        .map(|step| Step { taken: step.taken.saturating_add(now), ..step });
                }
                Ok(Step::taking(now))
            }
            At::Header(header) => {
                let taken = header.fill(input);
                let begun = header.bytes().iter().zip(MAGIC).all(|(&byte, expected)| byte == expected);
                if !begun {
                    return Err(no_beginning(FORMAT, self.streams == 0));
                }
                if let Some(header) = header.whole().copied() {
                    self.at = At::Blocks(self.stream(&header)?);
                }
                Ok(Step::taking(taken))
            }
            At::Blocks(stream) => {
                let (taken, given) = (stream.total_in(), stream.total_out());
                let action = if input.is_empty() { Action::Finish } else { Action::Run };
                let outcome = stream.process(input, room, action);
                let (taken, given) = (passed(taken, stream.total_in()), passed(given, stream.total_out()));
                if outcome == Ok(Status::StreamEnd) {
                    self.streams = self.streams.saturating_add(1);
                    self.at = At::Padding(0);
                }
                Ok(Step { taken, given, fault: outcome.err().map(|error| self.fault(error)) })
            }
        }
    }

    fn finish(&self) -> Result<()> {
        match &self.at {
            At::Padding(0) => Ok(()),
            At::Padding(_) => Err(trailing_data(FORMAT)),
            At::Header(_) | At::Blocks(_) => Err(unexpected_end(FORMAT)),
        }
    }
}

fn unsupported_options() -> Error {
    let message = "the xz data were made with a filter, a check or flags that are not supported";
    Error::new(ErrorKind::Unsupported, "unsupported-options", message)
}
