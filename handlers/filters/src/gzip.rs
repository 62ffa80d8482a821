//! gzip (RFC 1952): members one after the other, each a header, deflated bytes and a trailer.
//!
//! After the last member zeros may follow, and nothing else: that is how tapes and block devices pad, and `gzip -d` takes
//! them in silence. Other bytes, which it warns of and drops, are refused.

mod header;

use flate2::{Crc, Decompress, FlushDecompress, Status};
use landfall_handler_api::Result;

use self::header::Header;
use crate::decoder::{Decoder, Step, bad_stream, checksum_mismatch, passed, trailing_data, unexpected_end};
use crate::prefix::Prefix;

const FORMAT: &str = "gzip";

/// Inflates gzip.
pub(crate) struct GzipDecoder {
    at: At,
    inflater: Decompress,
    /// Of the member's inflated bytes: their CRC-32, and their number modulo 2^32.
    crc: Crc,
    /// No member was complete yet.
    first: bool,
}

/// Where in a member the decoder is.
enum At {
    Header(Header),
    Deflated,
    /// CRC-32 and size, both little-endian (RFC 1952, 2.3.1).
    Trailer(Prefix<8>),
    /// Behind the last member.
    Padding,
}

impl GzipDecoder {
    pub(crate) fn new() -> Self {
        Self { at: At::Header(Header::new()), inflater: Decompress::new(false), crc: Crc::new(), first: true }
    }

    fn deflated(&mut self, input: &[u8], room: &mut [u8]) -> Result<Step> {
        let (taken, given) = (self.inflater.total_in(), self.inflater.total_out());
        let outcome = self.inflater.decompress(input, room, FlushDecompress::None);
        let step = Step {
            taken: passed(taken, self.inflater.total_in()),
            given: passed(given, self.inflater.total_out()),
            fault: outcome.is_err().then(|| bad_stream(FORMAT, "no deflate stream")),
        };
        self.crc.update(room.get(..step.given).unwrap_or_default());
        if outcome.is_ok_and(|status| status == Status::StreamEnd) {
            self.at = At::Trailer(Prefix::new());
        }
        Ok(step)
    }
}

impl Decoder for GzipDecoder {
    fn step(&mut self, input: &[u8], room: &mut [u8]) -> Result<Step> {
        match &mut self.at {
            At::Header(header) => {
                if header.is_untouched() && !self.first && input.first() == Some(&0) {
                    self.at = At::Padding;
                    return Ok(Step::taking(1));
                }
                let taken = header.take(input, self.first)?;
                if header.is_whole() {
                    self.at = At::Deflated;
                    self.inflater.reset(false);
                    self.crc.reset();
                }
                Ok(Step::taking(taken))
            }
            At::Deflated => self.deflated(input, room),
            At::Trailer(trailer) => {
                let taken = trailer.fill(input);
                if let Some(&[a, b, c, d, e, f, g, h]) = trailer.whole() {
                    if u32::from_le_bytes([a, b, c, d]) != self.crc.sum() {
                        return Err(checksum_mismatch(FORMAT, "the checksum is another"));
                    }
                    if u32::from_le_bytes([e, f, g, h]) != self.crc.amount() {
                        return Err(checksum_mismatch(FORMAT, "the size is another"));
                    }
                    self.first = false;
                    self.at = At::Header(Header::new());
                }
                Ok(Step::taking(taken))
            }
            At::Padding if input.iter().any(|&byte| byte != 0) => Err(trailing_data(FORMAT)),
            At::Padding => Ok(Step::taking(input.len())),
        }
    }

    fn finish(&self) -> Result<()> {
        match &self.at {
            At::Padding => Ok(()),
            At::Header(header) if header.is_untouched() && !self.first => Ok(()),
            _ => Err(unexpected_end(FORMAT)),
        }
    }
}
