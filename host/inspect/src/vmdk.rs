//! What the header and the descriptor of a hosted sparse extent may say. VMware's Virtual Disk Format 5.0;
//! little-endian numbers.
//!
//! Readers find things in the descriptor in their own ways: qemu searches for some keys anywhere, comments included,
//! up to a NUL, and takes the descriptor to be at sector 1; oslo.utils splits lines at every control code that could
//! end one. A descriptor is accepted only if all of them see the same.

use crate::flaw::{Flaw, field};

const SECTOR: u64 = 512;
/// The grain to which VirtualBox rounds up the capacity in the header, but not the one in the descriptor.
const GRAIN_SECTORS: u64 = 128;

/// Whether the disk is whole in this file: nothing else is named, and the extent is the one that the header describes.
pub(crate) fn check(head: &[u8]) -> Result<(), Flaw> {
    let version = u32::from_le_bytes(field(head, 0x04)?);
    let capacity = number(head, 0x0c)?;
    let offset = number(head, 0x1c)?;
    let sectors = number(head, 0x24)?;

    if !matches!(version, 1..=3) {
        return Err(Flaw::Variant("of an unknown version"));
    }
    // qemu takes such a file for a text descriptor, and opens the extents that it names.
    if capacity == 0 {
        return Err(Flaw::Reference("a descriptor in place of a disk"));
    }
    if offset != 1 || sectors == 0 {
        return Err(Flaw::Header("has no descriptor in its second sector"));
    }

    let start = usize::try_from(SECTOR).unwrap_or(usize::MAX);
    let area = sectors
        .checked_mul(SECTOR)
        .and_then(|bytes| usize::try_from(bytes).ok())
        .and_then(|bytes| head.get(start..)?.get(..bytes))
        .ok_or(Flaw::Header("has a descriptor that ends outside of the first 64 KiB"))?;
    let text = area.split(|byte| *byte == 0).next().unwrap_or(area);
    let padding = area.get(text.len()..).unwrap_or_default();
    // What readers that stop only at a NUL would go on with.
    let after = head.get(start.saturating_add(area.len()));
    if padding.iter().any(|byte| *byte != 0) || (padding.is_empty() && after.is_some_and(|byte| *byte != 0)) {
        return Err(Flaw::Header("has more text behind its descriptor"));
    }

    let extent = descriptor(text)?;
    if extent != capacity && extent.checked_next_multiple_of(GRAIN_SECTORS) != Some(capacity) {
        return Err(Flaw::Header("has an extent of another size than its header says"));
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
            let value = value.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\"")).unwrap_or(value);
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

/// Key and value of a line that assigns one.
fn assignment(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let (key, value) = line.split_at_checked(line.iter().position(|byte| *byte == b'=')?)?;
    let key = key.trim_ascii();
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
