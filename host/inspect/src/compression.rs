//! How a stream is compressed.

use std::fmt;

/// A compression of a whole stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Compression {
    /// gzip with deflate, the only method there is. RFC 1952.
    Gzip,
    /// Zstandard; skippable frames may come before the first frame of data. RFC 8878.
    Zstd,
    /// xz. The .xz File Format, 2.1.1.
    Xz,
    /// bzip2: block size, then the magic of a block or, in an empty stream, of the end.
    Bzip2,
}

impl Compression {
    /// All compressions.
    pub const ALL: [Self; 4] = [Self::Gzip, Self::Zstd, Self::Xz, Self::Bzip2];

    /// The program's name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
            Self::Xz => "xz",
            Self::Bzip2 => "bzip2",
        }
    }

    /// The compression that a record's word means. Words are the programs' names, in lower case.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|compression| compression.name() == name)
    }

    /// Whether a word can be a compression's name, known here or not: up to 32 lower-case letters, digits and any of `+-._`, of
    /// which the first is a letter or digit.
    #[must_use]
    pub fn is_name(word: &str) -> bool {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        word.len() <= 32
            && word.bytes().next().is_some_and(plain)
            && word.bytes().all(|byte| plain(byte) || b"+-._".contains(&byte))
    }

    /// The compression of a stream that begins with `head`.
    #[must_use]
    pub fn of(head: &[u8]) -> Option<Self> {
        Self::ALL.into_iter().find(|compression| compression.begins(head))
    }

    /// Whether a stream that begins with `head` is compressed so.
    ///
    /// The first frame of a zstd stream that is not skippable must begin in `head`: 64 KiB of what has no data are
    /// more than any writer puts there.
    fn begins(self, head: &[u8]) -> bool {
        match self {
            Self::Gzip => head.starts_with(b"\x1f\x8b\x08"),
            Self::Zstd => skippable_skipped(head).starts_with(b"\x28\xb5\x2f\xfd"),
            Self::Xz => head.starts_with(b"\xfd7zXZ\0"),
            Self::Bzip2 => match head {
                [b'B', b'Z', b'h', b'1'..=b'9', rest @ ..] => {
                    rest.starts_with(b"\x31\x41\x59\x26\x53\x59") || rest.starts_with(b"\x17\x72\x45\x38\x50\x90")
                }
                _ => false,
            },
        }
    }
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// What follows the skippable frames with which `stream` begins: each a magic number of which four bits are free, the
/// length of its content in four bytes, and that content. RFC 8878, 3.1.2.
///
/// Each turn of the loop goes at least 8 bytes on.
fn skippable_skipped(mut stream: &[u8]) -> &[u8] {
    while let [0x50..=0x5f, 0x2a, 0x4d, 0x18, a, b, c, d, rest @ ..] = stream {
        let content = usize::try_from(u32::from_le_bytes([*a, *b, *c, *d])).unwrap_or(usize::MAX);
        stream = rest.get(content..).unwrap_or_default();
    }
    stream
}
