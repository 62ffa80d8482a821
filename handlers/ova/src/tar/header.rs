//! One header block of a tar archive.
//!
//! Fields and their places: POSIX.1-2017, `pax`, "ustar Interchange Format"; the magic, the base-256 numbers and the
//! types of GNU: the manual of GNU tar, "Basic Tar Format".

use landfall_handler_api::{Error, ErrorKind, Result};

/// Bytes of a block.
pub(crate) const BLOCK: usize = 512;

const NAME: std::ops::Range<usize> = 0..100;
const SIZE: std::ops::Range<usize> = 124..136;
const CHECKSUM: std::ops::Range<usize> = 148..156;
const TYPE: usize = 156;
const MAGIC: std::ops::Range<usize> = 257..265;
/// `prefix` and the padding of ustar; for GNU the times, the map of a sparse file and its real size.
const EXTENSION: std::ops::Range<usize> = 345..512;

const USTAR: &[u8] = b"ustar\x0000";
const GNU: &[u8] = b"ustar  \0";

/// What follows a header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A regular file.
    File,
    /// PAX records for the next member.
    Pax,
    /// PAX records for all members that follow.
    PaxGlobal,
}

/// A header that no two readers understand differently.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) kind: Kind,
    /// The name's bytes, without the NULs after it. Of PAX records it means nothing.
    pub(crate) name: Vec<u8>,
    /// Bytes that follow, without the padding to whole blocks.
    pub(crate) size: u64,
}

impl Header {
    /// Parses `block`; `None` is the block of zeros that ends an archive.
    pub(crate) fn parse(block: &[u8; BLOCK]) -> Result<Option<Self>> {
        if block.iter().all(|byte| *byte == 0) {
            return Ok(None);
        }
        let magic = field(block, MAGIC);
        if magic != USTAR && magic != GNU {
            return Err(Error::new(ErrorKind::Corrupt, "tar-magic", "a tar header is neither of ustar nor of GNU tar"));
        }
        if octal(field(block, CHECKSUM)) != Some(checksum(block)) {
            return Err(Error::new(
                ErrorKind::Corrupt,
                "tar-checksum",
                "a tar header has another checksum than it says",
            ));
        }
        let kind = kind(block.get(TYPE).copied().unwrap_or_default())?;
        let size = number(field(block, SIZE))?;
        let name = match kind {
            Kind::File => name(block)?,
            Kind::Pax | Kind::PaxGlobal => Vec::new(),
        };
        Ok(Some(Self { kind, name, size }))
    }
}

fn field(block: &[u8; BLOCK], range: std::ops::Range<usize>) -> &[u8] {
    block.get(range).unwrap_or_default()
}

/// The sum of a header's bytes, those of the checksum counted as spaces.
fn checksum(block: &[u8; BLOCK]) -> u64 {
    let bytes = block.iter().enumerate();
    bytes.map(|(at, byte)| if CHECKSUM.contains(&at) { u64::from(b' ') } else { u64::from(*byte) }).sum()
}

fn kind(kind: u8) -> Result<Kind> {
    let what = match kind {
        b'0' | 0 => return Ok(Kind::File),
        b'x' => return Ok(Kind::Pax),
        b'g' => return Ok(Kind::PaxGlobal),
        b'1' | b'2' => "a link",
        b'3' | b'4' => "a device",
        b'5' | b'D' => "a directory",
        b'6' => "a FIFO",
        b'S' => "a sparse file",
        b'K' | b'L' => "a long name of GNU tar",
        _ => "of an unknown type",
    };
    let message = format!("a tar entry is {what}; a package has regular files only");
    Err(Error::new(ErrorKind::Unsupported, "tar-entry-type", message))
}

/// The bytes of a file's name. Nothing may stand behind its end, nor in the fields that would make it longer: readers
/// differ in what they make of these.
fn name(block: &[u8; BLOCK]) -> Result<Vec<u8>> {
    let refused = |what: &str| Err(Error::new(ErrorKind::Unsupported, "tar-name", format!("a tar header has {what}")));
    let mut parts = field(block, NAME).splitn(2, |byte| *byte == 0);
    let (name, rest) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    if rest.iter().any(|byte| *byte != 0) {
        return refused("bytes behind the end of its name");
    }
    if field(block, EXTENSION).iter().any(|byte| *byte != 0) {
        return refused("a prefix to its name, or an extension");
    }
    Ok(name.to_vec())
}

/// A number of bytes: octal digits, or 0x80 and the number in 11 bytes, most significant first.
fn number(field: &[u8]) -> Result<u64> {
    let value = match field.split_first() {
        Some((0x80, bytes)) => bytes
            .iter()
            .try_fold(0_u64, |value, byte| Some(value.checked_mul(256)? | u64::from(*byte)))
            .filter(|value| i64::try_from(*value).is_ok()),
        _ => octal(field),
    };
    value.ok_or_else(|| {
        Error::new(ErrorKind::Corrupt, "tar-number", "a tar header has a size that is no number of bytes")
    })
}

/// Octal digits, with spaces before them and spaces or NULs behind.
fn octal(field: &[u8]) -> Option<u64> {
    let start = field.iter().position(|byte| *byte != b' ')?;
    let digits = field.get(start..)?;
    let end = digits.iter().position(|byte| !(b'0'..=b'7').contains(byte)).unwrap_or(digits.len());
    let (digits, rest) = digits.split_at_checked(end)?;
    if digits.is_empty() || rest.iter().any(|byte| !matches!(byte, b' ' | 0)) {
        return None;
    }
    let add = |value: u64, digit: &u8| value.checked_mul(8)?.checked_add(u64::from(digit & 7));
    digits.iter().try_fold(0_u64, add)
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(512))]

        /// Octal has room for 33 bits and an end; base-256 for more than a file can have.
        #[test]
        fn sizes_are_read_as_they_are_written(bits in 0..64_u32, any: u64, blanks in 0..12_usize) {
            let size = any >> bits;
            let mut binary = [0; 12];
            binary[0] = 0x80;
            binary[4..].copy_from_slice(&size.to_be_bytes());
            prop_assert_eq!(number(&binary).ok(), Some(size).filter(|size| *size < 1 << 63));
            let digits = format!("{size:o}");
            for end in [" ", "\0", " \0", ""] {
                let text = format!("{:>1$}", digits, digits.len() + blanks);
                prop_assert_eq!(number(format!("{text}{end}").as_bytes()).ok(), Some(size), "{}", text);
            }
        }

        #[test]
        fn more_than_a_file_can_have_is_no_size(above in 1..=u8::MAX, place in 1..4_usize, below: u64) {
            let mut binary = [0; 12];
            binary[0] = 0x80;
            binary[place] = above;
            binary[4..].copy_from_slice(&below.to_be_bytes());
            prop_assert!(number(&binary).is_err());
        }

        #[test]
        fn any_field_is_a_number_or_none(field in proptest::collection::vec(any::<u8>(), 12)) {
            let plain = field.iter().all(|byte| matches!(byte, b'0'..=b'7' | b' ' | 0));
            prop_assert!(number(&field).is_err() || plain || field[0] == 0x80);
        }

        /// One changed byte always changes the sum, unless it is of the sum's own field.
        #[test]
        fn a_changed_byte_is_noticed(at in 0..BLOCK, by in 1..=u8::MAX) {
            let mut block = [0; BLOCK];
            block[MAGIC].copy_from_slice(USTAR);
            block[SIZE].copy_from_slice(b"00000000000\0");
            let sum = checksum(&block);
            block[CHECKSUM].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
            prop_assert!(Header::parse(&block).is_ok());
            if !CHECKSUM.contains(&at) {
                block[at] = block[at].wrapping_add(by);
                prop_assert!(Header::parse(&block).is_err());
            }
        }
    }
}
