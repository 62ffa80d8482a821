//! The header of a gzip member (RFC 1952, 2.3).

use flate2::Crc;
use landfall_handler_api::Result;

use crate::decoder::{bad_stream, checksum_mismatch, no_beginning};
use crate::gzip::FORMAT;

/// ID1, ID2 and CM (2.3.1): a gzip member that is deflated, the only method there is.
const ID: [u8; 2] = [0x1F, 0x8B];
const DEFLATE: u8 = 8;

/// FLG (2.3.1). FTEXT says nothing that matters here, and the upper three must be zero.
const FHCRC: u8 = 1 << 1;
const FEXTRA: u8 = 1 << 2;
const FNAME: u8 = 1 << 3;
const FCOMMENT: u8 = 1 << 4;
const RESERVED: u8 = 0b1110_0000;

/// ID1, ID2, CM, FLG, MTIME, XFL, OS.
const FIXED: u8 = 10;

/// A header that is being read, and nothing of it kept: name and comment may be of any length.
#[derive(Debug)]
pub(super) struct Header {
    field: Field,
    flags: u8,
    /// Of everything before the header's own checksum.
    crc: Crc,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Field {
    /// The byte of the fixed part that comes next.
    Fixed(u8),
    /// The lower byte of the extra field's size is known, or not yet.
    ExtraSize(Option<u8>),
    /// Bytes that are left of it.
    Extra(u16),
    Name,
    Comment,
    Crc(Option<u8>),
    End,
}

impl Header {
    pub(super) fn new() -> Self {
        Self { field: Field::Fixed(0), flags: 0, crc: Crc::new() }
    }

    pub(super) fn is_untouched(&self) -> bool {
        self.field == Field::Fixed(0)
    }

    pub(super) fn is_whole(&self) -> bool {
        self.field == Field::End
    }

    /// Reads on, at most to the header's end, and says how many bytes that took. `first`: of the input's first member.
    pub(super) fn take(&mut self, input: &[u8], first: bool) -> Result<usize> {
        let mut rest = input;
        while self.field != Field::End {
            let Some((&byte, after)) = rest.split_first() else { break };
            // Text and the extra field are passed over at once, all else byte by byte.
            let many = match self.field {
                Field::Extra(left) => rest.len().min(left.into()),
                Field::Name | Field::Comment => rest.iter().position(|&byte| byte == 0).unwrap_or(rest.len()),
                _ => 0,
            };
            let (now, later) = if many > 0 { rest.split_at(many) } else { (rest.get(..1).unwrap_or_default(), after) };
            if !matches!(self.field, Field::Crc(_)) {
                self.crc.update(now);
            }
            self.field = match self.field {
                Field::Extra(left) => match left.saturating_sub(u16::try_from(many).unwrap_or(u16::MAX)) {
                    0 => self.after(FEXTRA),
                    left => Field::Extra(left),
                },
                _ if many > 0 => self.field,
                _ => self.next(byte, first)?,
            };
            rest = later;
        }
        Ok(input.len().saturating_sub(rest.len()))
    }

    /// What comes after `byte`.
    fn next(&mut self, byte: u8, first: bool) -> Result<Field> {
        match self.field {
            Field::Fixed(at @ 0..=1) if Some(&byte) != ID.get(usize::from(at)) => {
                return Err(no_beginning(FORMAT, first));
            }
            Field::Fixed(2) if byte != DEFLATE => return Err(bad_stream(FORMAT, "an unknown method")),
            Field::Fixed(3) if byte & RESERVED != 0 => return Err(bad_stream(FORMAT, "a reserved flag")),
            Field::Fixed(3) => self.flags = byte,
            _ => {}
        }
        Ok(match self.field {
            Field::Fixed(at) => match at.saturating_add(1) {
                FIXED => self.after(0),
                at => Field::Fixed(at),
            },
            Field::ExtraSize(None) => Field::ExtraSize(Some(byte)),
            Field::ExtraSize(Some(lower)) => match u16::from_le_bytes([lower, byte]) {
                0 => self.after(FEXTRA),
                size => Field::Extra(size),
            },
            Field::Name => self.after(FNAME),
            Field::Comment => self.after(FCOMMENT),
            Field::Crc(None) => Field::Crc(Some(byte)),
            Field::Crc(Some(lower)) => {
                // The lower half of the CRC-32 (2.3.1.2).
                let [low, high, ..] = self.crc.sum().to_le_bytes();
                if [lower, byte] != [low, high] {
                    return Err(checksum_mismatch(FORMAT, "the checksum of a header is another"));
                }
                Field::End
            }
            Field::Extra(_) | Field::End => self.field,
        })
    }

    /// The field after that of the flag `last`, 0 for the fixed part: in the order of the format, those that are there.
    fn after(&self, last: u8) -> Field {
        let order = [
            (FEXTRA, Field::ExtraSize(None)),
            (FNAME, Field::Name),
            (FCOMMENT, Field::Comment),
            (FHCRC, Field::Crc(None)),
        ];
        let place = order.iter().position(|&(flag, _)| flag == last).map_or(0, |at| at.saturating_add(1));
        let later = order.iter().skip(place).find(|&&(flag, _)| self.flags & flag != 0);
        later.map_or(Field::End, |&(_, field)| field)
    }
}
