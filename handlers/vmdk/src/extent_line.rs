//! A descriptor's line for one part of the disk: access, sectors, kind, name and offset.

use landfall_handler_api::Result;

use crate::refusal::{corrupt, unsupported};

/// Bytes of a file's name.
const NAME_MAX: usize = 255;

/// How a part of the disk is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExtentKind {
    /// Raw, in a file, from [`Extent::offset`] on.
    Flat,
    /// A hosted sparse extent, which is a whole file.
    Sparse,
    /// Zeros, without a file.
    Zero,
}

/// A part of the disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extent {
    /// Sectors of 512 bytes; at least 1.
    pub sectors: u64,
    /// How they are stored.
    pub kind: ExtentKind,
    /// The file, beside the descriptor: one name, no path. Empty for [`ExtentKind::Zero`]. Bytes that are not UTF-8 are
    /// replaced.
    pub name: String,
    /// First sector in a flat file.
    pub offset: u64,
}

/// Whether a line of a descriptor begins with the access to an extent.
pub(crate) fn is_extent(line: &[u8]) -> bool {
    let (access, _) = word(line);
    [&b"RW"[..], b"RDONLY", b"NOACCESS"].iter().any(|it| access.eq_ignore_ascii_case(it))
}

/// Whether it is written as everybody does: `RW`, sectors, and `FLAT` or `SPARSE`, in capitals.
pub(crate) fn is_plain(line: &[u8]) -> bool {
    let (access, rest) = word(line);
    let (_, rest) = word(rest);
    let (kind, _) = word(rest);
    access == b"RW" && matches!(kind, b"FLAT" | b"SPARSE")
}

impl Extent {
    /// A line of which [`is_extent`] is true.
    pub(crate) fn parse(line: &[u8]) -> Result<Self> {
        let shape = || corrupt("vmdk-extent", "an extent is not access, sectors, kind, name and offset");
        let (access, rest) = word(line);
        let (sectors, rest) = word(rest);
        let (kind, rest) = word(rest);
        if access.eq_ignore_ascii_case(b"NOACCESS") {
            return Err(unsupported("vmdk-other-files", "an extent may not be read"));
        }
        let sectors = number(sectors).filter(|sectors| *sectors > 0).ok_or_else(shape)?;
        let kinds = [(&b"FLAT"[..], ExtentKind::Flat), (b"SPARSE", ExtentKind::Sparse), (b"ZERO", ExtentKind::Zero)];
        let Some((_, kind)) = kinds.into_iter().find(|(name, _)| kind.eq_ignore_ascii_case(name)) else {
            return Err(unsupported("vmdk-other-files", "an extent is neither FLAT nor SPARSE nor ZERO"));
        };
        if kind == ExtentKind::Zero {
            return if rest.is_empty() {
                Ok(Self { sectors, kind, name: String::new(), offset: 0 })
            } else {
                Err(shape())
            };
        }
        let (name, rest) = quoted(rest).ok_or_else(shape)?;
        if name.iter().any(|byte| matches!(byte, b'/' | b'\\' | b':')) || matches!(name, b"." | b"..") {
            return Err(unsupported("vmdk-other-files", "an extent is given by a path"));
        }
        if name.is_empty() || name.len() > NAME_MAX {
            return Err(shape());
        }
        let offset = match (kind, rest) {
            (ExtentKind::Flat, digits) => number(digits).ok_or_else(shape)?,
            (_, b"") => 0,
            _ => return Err(shape()),
        };
        Ok(Self { sectors, kind, name: String::from_utf8_lossy(name).into_owned(), offset })
    }
}

/// The first word, and what follows it and the blanks behind it.
fn word(text: &[u8]) -> (&[u8], &[u8]) {
    let end = text.iter().position(u8::is_ascii_whitespace).unwrap_or(text.len());
    let (word, rest) = text.split_at_checked(end).unwrap_or((text, &[]));
    (word, rest.trim_ascii_start())
}

/// What is between the quotes with which a text begins, and what follows them.
fn quoted(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let text = text.strip_prefix(b"\"")?;
    let (name, rest) = text.split_at_checked(text.iter().position(|byte| *byte == b'"')?)?;
    let rest = rest.strip_prefix(b"\"")?;
    (rest.is_empty() || rest.starts_with(b" ") || rest.starts_with(b"\t")).then(|| (name, rest.trim_ascii()))
}

/// A decimal number of digits alone.
fn number(digits: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(digits).ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))?;
    text.parse().ok()
}
