//! What the header and the descriptor of a hosted sparse extent may say. VMware's Virtual Disk Format 5.0;
//! little-endian numbers.
//!
//! Readers find things in the descriptor in their own ways: qemu searches for some keys anywhere, comments included,
//! up to a NUL, and takes the descriptor to be at sector 1; oslo.utils splits lines at every control code that could
//! end one. A descriptor is accepted only if all of them see the same.

use std::ops::Range;

use crate::flaw::{Flaw, field};
use crate::mark::Mark;
use crate::window::{HEAD_BYTES, Window, last};

/// What is kept of the start at most: header, the longest descriptor, and a byte to see that it ends there.
pub(crate) const MOST_START_BYTES: usize = SECTOR_BYTES + MOST_DESCRIPTOR_SECTORS * SECTOR_BYTES + 1;

const SECTOR_BYTES: usize = 512;
const SECTOR: u64 = 512;
/// The longest descriptor that is read by qemu and oslo.utils is 1 MiB - 1, of which this is what whole sectors have.
const MOST_DESCRIPTOR_SECTORS: usize = 2047;
/// The NUL behind the text, and what may follow it: qemu's vmdk_write_cid puts a CID of one to eight digits in the
/// place of a longer one, and leaves the end of the longer text behind. No line that means anything is as short.
const REMNANT_BYTES: usize = 8;
/// The grain to which VirtualBox rounds up the capacity in the header, but not the one in the descriptor.
const GRAIN_SECTORS: u64 = 128;

const CAPACITY: usize = 0x0c;
const REDUNDANT_GRAIN_DIRECTORY: usize = 0x30;
const GRAIN_DIRECTORY: usize = 0x38;
/// In place of the grain directory's sector: the header at the end of the file has it.
const AT_END: u64 = u64::MAX;
/// The fields that a footer repeats: all but the grain directories, and the byte for an unclean shutdown.
const REPEATED: [Range<usize>; 3] = [0..0x30, 0x40..0x48, 0x49..0x4f];

const CREATE_TYPE: &[u8] = b"createType=\"";

/// Marker, footer, and the marker of the end of the stream.
const FOOTER_BYTES: usize = 3 * SECTOR_BYTES;
const FOOTER_MARKER: u32 = 3;

/// How many bytes of the start are looked at in a file with this head: up to the end of the descriptor, and one more.
pub(crate) fn start_bytes(head: &[u8]) -> usize {
    match descriptor_area(head) {
        Ok(area) => area.end.saturating_add(1).clamp(HEAD_BYTES, MOST_START_BYTES),
        Err(_) => HEAD_BYTES,
    }
}

/// Whether the disk is whole in this file: nothing else is named, the extent is the one that the header describes, and
/// so is the footer.
pub(crate) fn check(window: &Window) -> Result<(), Flaw> {
    let start = &window.start;
    let version = u32::from_le_bytes(field(start, 0x04)?);
    let capacity = number(start, CAPACITY)?;
    if !matches!(version, 1..=3) {
        return Err(Flaw::Variant("of an unknown version"));
    }
    // qemu takes such a file for a text descriptor, and opens the extents that it names.
    if capacity == 0 {
        return Err(Flaw::Reference("a descriptor in place of a disk"));
    }

    let place = descriptor_area(start)?;
    let area = start.get(place.clone()).ok_or(Flaw::Header("ends within its descriptor"))?;
    let text = area.split(|byte| *byte == 0).next().unwrap_or(area);
    let padding = area.get(text.len()..).unwrap_or_default();
    // What readers that stop only at a NUL would go on with.
    let after = start.get(place.end).filter(|_| padding.is_empty());
    if padding.iter().skip(REMNANT_BYTES).chain(after).any(|byte| *byte != 0) {
        return Err(Flaw::Header("has more text behind its descriptor"));
    }

    let extent = descriptor(text)?;
    if extent != capacity && extent.checked_next_multiple_of(GRAIN_SECTORS) != Some(capacity) {
        return Err(Flaw::Header("has an extent of another size than its header says"));
    }
    if number(start, GRAIN_DIRECTORY)? == AT_END { footer(window) } else { Ok(()) }
}

/// The capacity in bytes; `None` for a kind of VMDK that has no such header.
pub(crate) fn virtual_size(window: &Window) -> Result<Option<u64>, Flaw> {
    if !Mark::VmdkSparse.is_in(window) {
        return Ok(None);
    }
    let bytes = number(window.head(), CAPACITY)?.checked_mul(SECTOR);
    bytes.map(Some).ok_or(Flaw::Header("says that its disk has 2^63 bytes or more"))
}

/// Where the descriptor is that the header tells of.
fn descriptor_area(head: &[u8]) -> Result<Range<usize>, Flaw> {
    let (offset, sectors) = (number(head, 0x1c)?, number(head, 0x24)?);
    if offset != 1 || sectors == 0 {
        return Err(Flaw::Header("has no descriptor in its second sector"));
    }
    usize::try_from(sectors)
        .ok()
        .filter(|sectors| *sectors <= MOST_DESCRIPTOR_SECTORS)
        .and_then(|sectors| sectors.checked_mul(SECTOR_BYTES)?.checked_add(SECTOR_BYTES))
        .map(|end| SECTOR_BYTES..end)
        .ok_or(Flaw::Header("has a descriptor of 1 MiB or more"))
}

/// Whether the file ends with a footer that differs from the header in nothing but where the grain directories are.
///
/// Some readers go by the footer, others by the header.
fn footer(window: &Window) -> Result<(), Flaw> {
    let end = last(&window.tail, FOOTER_BYTES);
    let header = window.head();
    let [marker, footer, end_of_stream] = [0, 1, 2].map(|nth: usize| {
        let at = nth.saturating_mul(SECTOR_BYTES);
        end.get(at..).and_then(|rest| rest.get(..SECTOR_BYTES)).unwrap_or_default()
    });
    let zeros = |bytes: Option<&[u8]>| bytes.is_some_and(|bytes| bytes.iter().all(|byte| *byte == 0));
    if end_of_stream.is_empty() || !zeros(Some(end_of_stream)) {
        return Err(Flaw::Header("does not end with the marker of its end"));
    }
    // The number in the first 8 bytes is of sectors; some writers leave it zero.
    if u32::from_le_bytes(field(marker, 8)?) != 0
        || u32::from_le_bytes(field(marker, 12)?) != FOOTER_MARKER
        || !zeros(marker.get(16..))
    {
        return Err(Flaw::Header("has no marker before its footer"));
    }

    if REPEATED.into_iter().any(|place| header.get(place.clone()) != footer.get(place)) {
        return Err(Flaw::Header("has a footer that differs from its header"));
    }
    let redundant = number(header, REDUNDANT_GRAIN_DIRECTORY)?;
    if redundant != AT_END && redundant != number(footer, REDUNDANT_GRAIN_DIRECTORY)? {
        return Err(Flaw::Header("has a footer that differs from its header"));
    }
    if number(footer, GRAIN_DIRECTORY)? == AT_END {
        return Err(Flaw::Header("has a footer that tells of another footer"));
    }
    Ok(())
}

/// The sectors of the one extent in a descriptor of a disk that is whole in its file.
fn descriptor(text: &[u8]) -> Result<u64, Flaw> {
    if [&b"parentfilenamehint"[..], b"changetrackpath"].iter().any(|key| occurrences(text, key) > 0) {
        return Err(Flaw::Reference("the name of another file"));
    }
    if occurrences(text, b"parentcid") != 1 || occurrences(text, b"createtype") != 1 {
        return Err(Flaw::Header("has a descriptor without one parentCID and one createType"));
    }

    let (mut parent, mut kind, mut extent) = (false, false, None);
    for line in text.split(|byte| *byte == b'\n') {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.iter().any(|byte| byte.is_ascii_control() && *byte != b'\t') {
            return Err(Flaw::Header("has a control code in its descriptor"));
        }
        let line = line.trim_ascii();
        if line.is_empty() || line.starts_with(b"#") {
            continue;
        }
        if is_extent(line) {
            if extent.replace(sparse_extent(line)?).is_some() {
                return Err(Flaw::Reference("more than one extent"));
            }
            continue;
        }

        let (key, value) = assignment(line).ok_or(Flaw::Header("has an unknown line in its descriptor"))?;
        if key.eq_ignore_ascii_case(b"parentCID") {
            parent = true;
            if !value.eq_ignore_ascii_case(b"ffffffff") {
                return Err(Flaw::Reference("a parent"));
            }
        } else if key.eq_ignore_ascii_case(b"createType") {
            kind = true;
            // qemu and oslo.utils look for the key with what follows it, and would not find another spelling.
            let (start, value) = line.split_at_checked(CREATE_TYPE.len()).unwrap_or_default();
            if !start.eq_ignore_ascii_case(CREATE_TYPE) {
                return Err(Flaw::Header("has a createType that is not in quotes behind an equals sign"));
            }
            let value = value.strip_suffix(b"\"").unwrap_or_default();
            if ![&b"monolithicSparse"[..], b"streamOptimized"].iter().any(|it| value.eq_ignore_ascii_case(it)) {
                return Err(Flaw::Variant("of another createType than monolithicSparse and streamOptimized"));
            }
        }
    }
    if !(parent && kind) {
        return Err(Flaw::Header("has a descriptor without one parentCID and one createType"));
    }
    extent.ok_or(Flaw::Header("has a descriptor without an extent"))
}

/// Whether a line begins with the access to an extent.
fn is_extent(line: &[u8]) -> bool {
    let (access, _) = word(line);
    [&b"rw"[..], b"rdonly", b"noaccess"].iter().any(|it| access.eq_ignore_ascii_case(it))
}

/// The sectors of an extent, if it is sparse and its name can be that of this file only: no path, no URL.
fn sparse_extent(line: &[u8]) -> Result<u64, Flaw> {
    const SHAPE: Flaw = Flaw::Header("has an extent that is not access, size, kind and name");
    let (_access, rest) = word(line);
    let (size, rest) = word(rest);
    let (kind, name) = word(rest);
    if !kind.eq_ignore_ascii_case(b"SPARSE") {
        return Err(Flaw::Reference("an extent that is not sparse"));
    }
    if name.iter().any(|byte| matches!(byte, b'/' | b'\\' | b':')) {
        return Err(Flaw::Reference("the path of an extent"));
    }
    let quoted = name.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\""));
    if quoted.is_none_or(|name| name.is_empty() || name.contains(&b'"')) || !size.iter().all(u8::is_ascii_digit) {
        return Err(SHAPE);
    }
    std::str::from_utf8(size).ok().and_then(|digits| digits.parse().ok()).ok_or(SHAPE)
}

/// The first word, and what follows it and the blanks behind it.
fn word(text: &[u8]) -> (&[u8], &[u8]) {
    let end = text.iter().position(u8::is_ascii_whitespace).unwrap_or(text.len());
    let (word, rest) = text.split_at_checked(end).unwrap_or((text, &[]));
    (word, rest.trim_ascii_start())
}

/// Key and value of a line that assigns one. Only the keys of the disk data base have blanks before the equals sign:
/// there are readers that would not find the others.
fn assignment(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let (key, value) = line.split_at_checked(line.iter().position(|byte| *byte == b'=')?)?;
    let in_data_base = key.get(..3).is_some_and(|start| start.eq_ignore_ascii_case(b"ddb"));
    let key = if in_data_base { key.trim_ascii_end() } else { key };
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-' | b':');
    let is_key = !key.is_empty() && key.iter().all(plain);
    is_key.then(|| (key, value.strip_prefix(b"=").unwrap_or(value).trim_ascii()))
}

/// How often `word`, which is in lower case, occurs in the text, in any case.
fn occurrences(text: &[u8], word: &[u8]) -> usize {
    text.windows(word.len()).filter(|at| at.eq_ignore_ascii_case(word)).count()
}

fn number(head: &[u8], at: usize) -> Result<u64, Flaw> {
    field(head, at).map(u64::from_le_bytes)
}
