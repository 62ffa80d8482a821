//! What a VHDX may say. Microsoft's MS-VHDX, 2.2 (headers), 2.3 (log), 2.6 (metadata); little-endian numbers.
//!
//! The header of a VHDX is spread: two headers and two region tables in the first 320 KiB, and a metadata region
//! anywhere from 1 MiB on, whose items lie behind the table that names them.

use std::ops::Range;

use crate::flaw::{Flaw, field};
use crate::window::Window;

/// File type identifier, both headers, and both region tables.
pub(crate) const START_BYTES: usize = 320 * 1024;
/// The start, the metadata table, and two items.
pub(crate) const MOST_BYTES: usize = START_BYTES + METADATA_TABLE_BYTES + 2 * ITEM_BYTES;

const MIB: u64 = 1 << 20;

const HEADERS: [usize; 2] = [64 * 1024, 128 * 1024];
const HEADER_BYTES: usize = 4096;
const REGION_TABLES: [usize; 2] = [192 * 1024, 256 * 1024];
const REGION_TABLE_BYTES: usize = 64 * 1024;
const METADATA_TABLE_BYTES: usize = 64 * 1024;
const ITEM_BYTES: usize = 8;

/// The most entries of a region table and of a metadata table.
const MOST_ENTRIES: usize = 2047;
const ENTRY_BYTES: usize = 32;

/// GUIDs, as they lie in the file.
const BAT: [u8; 16] = *b"\x66\x77\xc2\x2d\x23\xf6\x00\x42\x9d\x64\x11\x5e\x9b\xfd\x4a\x08";
const METADATA: [u8; 16] = *b"\x06\xa2\x7c\x8b\x90\x47\x9a\x4b\xb8\xfe\x57\x5f\x05\x0f\x88\x6e";
const FILE_PARAMETERS: [u8; 16] = *b"\x37\x67\xa1\xca\x36\xfa\x43\x4d\xb3\xb6\x33\xf0\xaa\x44\xe7\x6b";
const VIRTUAL_DISK_SIZE: [u8; 16] = *b"\x24\x42\xa5\x2f\x1b\xcd\x76\x48\xb2\x11\x5d\xbe\xd8\x3b\xf4\xb8";
const PAGE_83_DATA: [u8; 16] = *b"\xab\x12\xca\xbe\xe6\xb2\x23\x45\x93\xef\xc3\x09\xe0\x00\xc7\x46";
const LOGICAL_SECTOR_SIZE: [u8; 16] = *b"\x1d\xbf\x41\x81\x6f\xa9\x09\x47\xba\x47\xf2\x33\xa8\xfa\xab\x5f";
const PHYSICAL_SECTOR_SIZE: [u8; 16] = *b"\xc7\x48\xa3\xcd\x5d\x44\x71\x44\x9c\xc9\xe9\x88\x52\x51\xc5\x56";
const PARENT_LOCATOR: [u8; 16] = *b"\x2d\x5f\xd3\xa8\x0b\xb3\x4d\x45\xab\xf7\xd3\xd8\x48\x34\xab\x0c";

/// The flags of a metadata item, and of the file parameters.
const IS_USER: u32 = 1;
const IS_REQUIRED: u32 = 1 << 2;
const HAS_PARENT: u32 = 1 << 1;

/// The piece that is to be kept after those which are there: the metadata table, then the two items.
pub(crate) fn next_piece(window: &Window) -> Option<Range<u64>> {
    let region = metadata_region(&window.start).ok()?;
    let Some((table, items)) = window.pieces.split_first() else {
        let end = region.start.checked_add(u64::try_from(METADATA_TABLE_BYTES).ok()?)?;
        return Some(region.start..end);
    };
    Items::find(table, &region).ok()?.places().get(items.len()).cloned()
}

/// Whether the disk is whole in this file, and all readers see the same one.
pub(crate) fn check(window: &Window) -> Result<(), Flaw> {
    let start = &window.start;
    header(start)?;
    let table = region_table(start, REGION_TABLES[0])?;
    if !checksum_is_right(table) {
        return Err(Flaw::Header("has a region table with a wrong checksum"));
    }
    if table != region_table(start, REGION_TABLES[1])? {
        return Err(Flaw::Header("has two region tables that differ"));
    }

    let (parameters, _size) = values(window)?;
    let flags = u32::from_le_bytes(field(&parameters, 4)?);
    if flags & HAS_PARENT != 0 {
        return Err(Flaw::Reference("a parent, as every differencing disk"));
    }
    Ok(())
}

/// The virtual disk size, in bytes.
pub(crate) fn virtual_size(window: &Window) -> Result<u64, Flaw> {
    values(window).map(|(_parameters, size)| u64::from_le_bytes(size))
}

/// Whether the header that counts is of a version that is known, and asks for no changes to what the file says.
///
/// The log may have any sector of the file, the metadata included.
fn header(start: &[u8]) -> Result<(), Flaw> {
    let mut current: Option<(u64, &[u8])> = None;
    for at in HEADERS {
        let header = part(start, at, HEADER_BYTES)?;
        if !header.starts_with(b"head") || !checksum_is_right(header) {
            continue;
        }
        let sequence = u64::from_le_bytes(field(header, 8)?);
        match current {
            Some((other, bytes)) if other == sequence && bytes != header => {
                return Err(Flaw::Header("has two headers that differ and neither is the newer one"));
            }
            Some((other, _)) if other >= sequence => {}
            _ => current = Some((sequence, header)),
        }
    }

    let (_, header) = current.ok_or(Flaw::Header("has no valid header"))?;
    if u16::from_le_bytes(field(header, 66)?) != 1 || u16::from_le_bytes(field(header, 64)?) != 0 {
        return Err(Flaw::Variant("of an unknown version"));
    }
    if field::<16>(header, 48)? != [0; 16] {
        return Err(Flaw::Feature("a log that is to be replayed"));
    }
    Ok(())
}

fn region_table(start: &[u8], at: usize) -> Result<&[u8], Flaw> {
    part(start, at, REGION_TABLE_BYTES)
}

/// Where the metadata region is. At 1 MiB or behind it, and so behind the region tables.
fn metadata_region(start: &[u8]) -> Result<Range<u64>, Flaw> {
    let table = region_table(start, REGION_TABLES[0])?;
    if !table.starts_with(b"regi") {
        return Err(Flaw::Header("has no region table"));
    }
    let count = usize::try_from(u32::from_le_bytes(field(table, 8)?)).unwrap_or(usize::MAX);

    let mut metadata = None;
    for entry in entries(table, 16, count)? {
        let known = [BAT, METADATA].iter().any(|guid| entry.starts_with(guid));
        if !known && u32::from_le_bytes(field(entry, 28)?) & 1 != 0 {
            return Err(Flaw::Feature("an unknown region that is required"));
        }
        if entry.starts_with(&METADATA) && metadata.replace(entry).is_some() {
            return Err(Flaw::Header("has two metadata regions"));
        }
    }
    let metadata = metadata.ok_or(Flaw::Header("has no metadata region"))?;

    let (offset, length) =
        (u64::from_le_bytes(field(metadata, 16)?), u64::from(u32::from_le_bytes(field(metadata, 24)?)));
    let aligned = |number: u64| number != 0 && number.checked_rem(MIB) == Some(0);
    match offset.checked_add(length) {
        Some(end) if aligned(offset) && aligned(length) => Ok(offset..end),
        _ => Err(Flaw::Header("has its metadata region in an illegal place")),
    }
}

/// The file parameters and the virtual disk size.
fn values(window: &Window) -> Result<([u8; ITEM_BYTES], [u8; ITEM_BYTES]), Flaw> {
    let region = metadata_region(&window.start)?;
    let table = window.pieces.first().map(Vec::as_slice).unwrap_or_default();
    let items = Items::find(table, &region)?;
    let value = |piece: usize| field(window.pieces.get(piece).map(Vec::as_slice).unwrap_or_default(), 0);
    let (first, second) = (value(1)?, value(2)?);
    Ok(if items.parameters.start < items.size.start { (first, second) } else { (second, first) })
}

/// Where the items are that are looked at.
struct Items {
    parameters: Range<u64>,
    size: Range<u64>,
}

impl Items {
    /// Finds them in the metadata table; they lie behind it and apart.
    fn find(table: &[u8], region: &Range<u64>) -> Result<Self, Flaw> {
        if !table.starts_with(b"metadata") {
            return Err(Flaw::Header("has no metadata table"));
        }
        let count = usize::from(u16::from_le_bytes(field(table, 10)?));
        let (mut parameters, mut size) = (None, None);
        for entry in entries(table, 32, count)? {
            let flags = u32::from_le_bytes(field(entry, 24)?);
            let is_user = flags & IS_USER != 0;
            let place = match field(entry, 0)? {
                FILE_PARAMETERS if !is_user => &mut parameters,
                VIRTUAL_DISK_SIZE if !is_user => &mut size,
                PARENT_LOCATOR if !is_user => {
                    return Err(Flaw::Reference("the place of a parent"));
                }
                PAGE_83_DATA | LOGICAL_SECTOR_SIZE | PHYSICAL_SECTOR_SIZE if !is_user => continue,
                _ if flags & IS_REQUIRED != 0 => {
                    return Err(Flaw::Feature("an unknown metadata item that is required"));
                }
                _ => continue,
            };
            if place.replace(item(entry, region)?).is_some() {
                return Err(Flaw::Header("has a metadata item twice"));
            }
        }
        let (Some(parameters), Some(size)) = (parameters, size) else {
            return Err(Flaw::Header("does not say how large its disk and its blocks are"));
        };
        if parameters.start < size.end && size.start < parameters.end {
            return Err(Flaw::Header("has metadata items that overlap"));
        }
        Ok(Self { parameters, size })
    }

    /// In the order in which they lie.
    fn places(self) -> [Range<u64>; 2] {
        if self.parameters.start < self.size.start {
            [self.parameters, self.size]
        } else {
            [self.size, self.parameters]
        }
    }
}

/// Where an item of 8 bytes is: within the region, behind its table.
fn item(entry: &[u8], region: &Range<u64>) -> Result<Range<u64>, Flaw> {
    const PLACE: Flaw = Flaw::Header("has a metadata item in an illegal place");
    let offset = u64::from(u32::from_le_bytes(field(entry, 16)?));
    let length = u64::from(u32::from_le_bytes(field(entry, 20)?));
    if usize::try_from(length) != Ok(ITEM_BYTES) || usize::try_from(offset).is_ok_and(|at| at < METADATA_TABLE_BYTES) {
        return Err(PLACE);
    }
    let start = region.start.checked_add(offset).ok_or(PLACE)?;
    let end = start.checked_add(length).filter(|end| *end <= region.end).ok_or(PLACE)?;
    Ok(start..end)
}

/// The entries of a table, which must all be there.
fn entries(table: &[u8], header: usize, count: usize) -> Result<std::slice::ChunksExact<'_, u8>, Flaw> {
    if count > MOST_ENTRIES {
        return Err(Flaw::Header("has a table of too many entries"));
    }
    let all = count.checked_mul(ENTRY_BYTES).ok_or(Flaw::Header("has a table of too many entries"))?;
    part(table, header, all).map(|bytes| bytes.chunks_exact(ENTRY_BYTES))
}

fn part(bytes: &[u8], at: usize, count: usize) -> Result<&[u8], Flaw> {
    bytes.get(at..).and_then(|rest| rest.get(..count)).ok_or(Flaw::Header("ends within its header"))
}

/// Whether bytes 4 to 8 are the CRC-32C of the whole with zeros in their place.
fn checksum_is_right(bytes: &[u8]) -> bool {
    /// The Castagnoli polynomial, reflected. RFC 3720, B.4.
    const POLYNOMIAL: u32 = 0x82f6_3b78;
    let mut crc = u32::MAX;
    for (at, byte) in bytes.iter().enumerate() {
        crc ^= u32::from(if (4..8).contains(&at) { 0 } else { *byte });
        for _ in 0..8 {
            crc = (crc >> 1) ^ (POLYNOMIAL & 0_u32.wrapping_sub(crc & 1));
        }
    }
    field(bytes, 4).is_ok_and(|said| u32::from_le_bytes(said) == !crc)
}
