//! A piece of a large object.

use std::fmt::Write;
use std::ops::Range;

use landfall_handler_api::{Error, ErrorKind, Result};
use md5::{Digest, Md5};

use crate::name::ObjectName;

/// Segments of one object. Swift's own bound is 1000 (`max_manifest_segments`), which operators raise.
pub(crate) const SEGMENTS_MAX: usize = 100_000;

/// A piece of a large object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Segment {
    pub(crate) length: u64,
    pub(crate) piece: Piece,
}

/// Where a piece is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Piece {
    /// In the manifest itself.
    Held(Vec<u8>),
    /// In an object of the same account.
    Object {
        name: ObjectName,
        /// MD5 in lower-case hexadecimal; what a server compares its ETag with.
        hash: String,
        /// Bytes of the whole object.
        size: u64,
        /// Where in it the piece begins.
        start: u64,
    },
}

/// Segments one after the other.
#[derive(Debug)]
pub(crate) struct Layout {
    segments: Vec<Segment>,
    /// Where each ends in the whole.
    ends: Vec<u64>,
}

impl Layout {
    /// Fails with `bad-manifest` unless they have `size` bytes together. Those without bytes are left out.
    pub(crate) fn new(mut segments: Vec<Segment>, size: u64) -> Result<Self> {
        segments.retain(|segment| segment.length > 0);
        let mut ends = Vec::with_capacity(segments.len());
        let mut end: u64 = 0;
        for segment in &segments {
            end = end.checked_add(segment.length).filter(|&end| end <= size).ok_or_else(other_size)?;
            ends.push(end);
        }
        if end == size { Ok(Self { segments, ends }) } else { Err(other_size()) }
    }

    /// The segment that has the byte at `offset`, and where in the whole it begins and ends.
    pub(crate) fn at(&self, offset: u64) -> Option<(&Segment, Range<u64>)> {
        let index = self.ends.partition_point(|&end| end <= offset);
        let (segment, &end) = self.segments.get(index).zip(self.ends.get(index))?;
        Some((segment, end.saturating_sub(segment.length)..end))
    }

    /// The containers that they are in.
    pub(crate) fn containers(&self) -> impl Iterator<Item = &str> {
        self.segments.iter().filter_map(|segment| match &segment.piece {
            Piece::Object { name, .. } => Some(name.container()),
            Piece::Held(_) => None,
        })
    }

    /// Bytes of a segment, on the average.
    pub(crate) fn average(&self) -> u64 {
        let count = u64::try_from(self.segments.len()).unwrap_or(u64::MAX);
        self.ends.last().and_then(|size| size.checked_div(count)).unwrap_or_default()
    }
}

fn other_size() -> Error {
    bad_manifest("the segments have another size together than the object")
}

/// "What the store says of the segments cannot be right."
pub(crate) fn bad_manifest(what: &str) -> Error {
    Error::new(ErrorKind::Corrupt, "bad-manifest", format!("{what}; the object cannot be put together"))
}

/// "It is another image now."
pub(crate) fn changed(how: &str) -> Error {
    Error::new(ErrorKind::Corrupt, "source-changed", format!("the image was changed while it was read: {how}"))
}

/// Of texts that become a large object's ETag.
#[derive(Default)]
pub(crate) struct EtagDigest(Md5);

impl EtagDigest {
    /// Takes more of it.
    pub(crate) fn update(&mut self, text: &str) {
        self.0.update(text.as_bytes());
    }

    /// In lower-case hexadecimal.
    pub(crate) fn finish(self) -> String {
        hex(&self.0.finalize())
    }
}

/// The MD5 of bytes, in lower-case hexadecimal.
pub(crate) fn md5_of(bytes: &[u8]) -> String {
    hex(&Md5::digest(bytes))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// A hash as manifests and listings write it.
pub(crate) fn is_md5(text: &str) -> bool {
    text.len() == 32 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn held(length: u64) -> Segment {
        Segment { length, piece: Piece::Held(Vec::new()) }
    }

    #[test]
    fn the_sum_is_the_size() {
        for (lengths, size, good) in [
            (&[][..], 0, true),
            (&[0, 0], 0, true),
            (&[3, 0, 4], 7, true),
            (&[3, 4], 8, false),
            (&[3, 4], 6, false),
            (&[], 1, false),
            (&[u64::MAX, 2], 1, false),
            (&[u64::MAX], u64::MAX, true),
        ] {
            let layout = Layout::new(lengths.iter().map(|&length| held(length)).collect(), size);
            let code = layout.as_ref().map(|_| ()).map_err(Error::code);
            assert_eq!(code, if good { Ok(()) } else { Err("bad-manifest") }, "{lengths:?} {size}");
        }
    }

    #[test]
    fn hashes_are_of_one_form() {
        assert_eq!(md5_of(b""), "d41d8cd98f00b204e9800998ecf8427e");
        assert!(is_md5(&md5_of(b"x")));
        for text in [
            "",
            "D41D8CD98F00B204E9800998ECF8427E",
            "\"d41d8cd98f00b204e9800998ecf8427\"",
            "d41d8cd98f00b204e9800998ecf8427é",
        ] {
            assert!(!is_md5(text), "{text}");
        }
    }

    proptest! {
        #[test]
        fn every_byte_is_in_its_segment(lengths in prop::collection::vec(0u64..5, 0..20)) {
            let size = lengths.iter().sum();
            let layout = Layout::new(lengths.iter().map(|&length| held(length)).collect(), size).unwrap();
            let mut offset = 0;
            for &length in lengths.iter().filter(|&&length| length > 0) {
                for at in offset..offset + length {
                    let (segment, range) = layout.at(at).unwrap();
                    prop_assert_eq!((segment.length, range), (length, offset..offset + length));
                }
                offset += length;
            }
            prop_assert!(layout.at(size).is_none());
        }
    }
}
