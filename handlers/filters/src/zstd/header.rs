//! The beginning of a Zstandard frame (RFC 8878, 3.1.1.1) or of a skippable one (3.1.2).

use landfall_handler_api::Result;

use crate::decoder::{bad_stream, no_beginning};
use crate::zstd::FORMAT;

/// The longest header: magic, descriptor, dictionary id and content size; a window descriptor comes without the largest.
pub(super) const HEADER_MOST: usize = 18;

/// Little-endian 0xFD2FB528 (3.1.1), and 0x184D2A50 to 0x184D2A5F (3.1.2).
const MAGIC: [u8; 4] = [0x28, 0xB5, 0x2F, 0xFD];
const SKIPPABLE: [u8; 4] = [0x50, 0x2A, 0x4D, 0x18];
const SKIPPABLE_KINDS: u8 = 0x0F;

/// The frame header descriptor (3.1.1.1.1). Bit 4 is unused and ignored, bit 3 reserved and zero.
const SINGLE_SEGMENT: u8 = 1 << 5;
const RESERVED: u8 = 1 << 3;

/// The smallest window is 2^10 bytes (3.1.1.1.2).
const WINDOW_LOG_LEAST: u32 = 10;

/// What the first bytes of a frame say.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Start {
    /// There are more.
    Unfinished,
    /// So many bytes follow that mean nothing.
    Skippable(u32),
    /// Blocks follow. The window is in bytes.
    Frame { window: u64, dictionary: bool },
}

impl Start {
    /// Reads a header, or its beginning. Never fails for one and gives something for a longer one, or the other way round:
    /// what is wrong is said at the first byte that is. `first`: of the input's first frame.
    pub(super) fn parse(bytes: &[u8], first: bool) -> Result<Self> {
        let (magic, rest) = bytes.split_at(bytes.len().min(MAGIC.len()));
        if MAGIC.starts_with(magic) {
            return if magic.len() < MAGIC.len() { Ok(Self::Unfinished) } else { Self::frame(rest) };
        }
        let kindless: [u8; 4] = std::array::from_fn(|at| match (magic.get(at), at) {
            (Some(byte), 0) => byte & !SKIPPABLE_KINDS,
            (Some(byte), _) => *byte,
            (None, _) => 0,
        });
        if !SKIPPABLE.starts_with(kindless.get(..magic.len()).unwrap_or_default()) {
            return Err(no_beginning(FORMAT, first));
        }
        Ok(match rest.first_chunk() {
            Some(&size) => Self::Skippable(u32::from_le_bytes(size)),
            None => Self::Unfinished,
        })
    }

    /// What follows the magic.
    fn frame(bytes: &[u8]) -> Result<Self> {
        let Some((&descriptor, rest)) = bytes.split_first() else { return Ok(Self::Unfinished) };
        if descriptor & RESERVED != 0 {
            return Err(bad_stream(FORMAT, "a reserved flag"));
        }
        let single = descriptor & SINGLE_SEGMENT != 0;
        let id_len = [0, 1, 2, 4].get(usize::from(descriptor & 3)).copied().unwrap_or(0);
        let size_len = match descriptor >> 6 {
            0 => usize::from(single),
            1 => 2,
            2 => 4,
            _ => 8,
        };
        let fields = rest
            .split_at_checked(usize::from(!single))
            .and_then(|(window, rest)| Some((window, rest.split_at_checked(id_len)?)))
            .and_then(|(window, (id, rest))| Some((window, id, rest.get(..size_len)?)));
        let Some((window, id, size)) = fields else { return Ok(Self::Unfinished) };
        // A content size of two bytes counts from 256 (3.1.1.1.4). Of a single segment it is the window (3.1.1.1.2).
        let content = little_endian(size).saturating_add(if size.len() == 2 { 256 } else { 0 });
        let window = window.first().map_or(content, |&descriptor| window_bytes(descriptor));
        Ok(Self::Frame { window, dictionary: little_endian(id) != 0 })
    }
}

/// An exponent of five bits, a mantissa of three (3.1.1.1.2): at most 15 times 2^38.
fn window_bytes(descriptor: u8) -> u64 {
    let base = 1_u64.checked_shl(WINDOW_LOG_LEAST.saturating_add(u32::from(descriptor >> 3))).unwrap_or(u64::MAX);
    (base / 8).saturating_mul(u64::from(descriptor & 7)).saturating_add(base)
}

/// At most eight bytes.
fn little_endian(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |number, &byte| (number << 8) | u64::from(byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(bytes: &[u8]) -> Result<Start, String> {
        Start::parse(bytes, true).map_err(|error| error.code().to_owned())
    }

    #[test]
    fn headers_are_read_by_the_letter() {
        let frame = |window, dictionary| Ok(Start::Frame { window, dictionary });
        let cases: [(&[u8], Result<Start, String>); 14] = [
            (&[0x00, 0x00], frame(1 << 10, false)),
            (&[0x00, 0x07], frame((1 << 10) + 7 * (1 << 7), false)),
            (&[0x00, 17 << 3], frame(1 << 27, false)),
            (&[0x00, 0xFF], frame(15 << 38, false)),
            (&[0x10, 0x00], frame(1 << 10, false)),
            (&[0x20, 200], frame(200, false)),
            (&[0x60, 0x01, 0x00], frame(257, false)),
            (&[0xA0, 1, 2, 3, 4], frame(0x0403_0201, false)),
            (&[0xE0, 1, 0, 0, 0, 0, 0, 0, 0x80], frame((1 << 63) + 1, false)),
            (&[0xC3, 0x00, 0, 0, 0, 0, 9, 9, 9, 9, 9, 9, 9, 9], frame(1 << 10, false)),
            (&[0x01, 0x00, 7], frame(1 << 10, true)),
            (&[0x22, 0, 1, 5], frame(5, true)),
            (&[0x23, 0, 0, 0, 1, 5], frame(5, true)),
            (&[0x08], Err("bad-stream".to_owned())),
        ];
        for (after, expected) in cases {
            let whole = [&MAGIC, after].concat();
            for len in 0..whole.len() {
                assert_eq!(parse(&whole[..len]), Ok(Start::Unfinished), "{len} bytes of {after:?}");
            }
            assert!(whole.len() <= HEADER_MOST);
            assert_eq!(parse(&whole), expected, "{after:?}");
        }
    }

    #[test]
    fn skippable_frames_have_sixteen_magics() {
        for kind in 0..=0x0F {
            let whole = [0x50 | kind, 0x2A, 0x4D, 0x18, 1, 0, 0, 0xFF];
            for len in 0..whole.len() {
                assert_eq!(parse(&whole[..len]), Ok(Start::Unfinished));
            }
            assert_eq!(parse(&whole), Ok(Start::Skippable(0xFF00_0001)));
        }
        for wrong in [&[0x4F_u8][..], &[0x60], &[0x50, 0x2B], &[0x28, 0xB5, 0x2F, 0xFC], &[0]] {
            assert_eq!(parse(wrong), Err("bad-magic".to_owned()));
            assert_eq!(Start::parse(wrong, false).unwrap_err().code(), "trailing-data");
        }
    }
}
