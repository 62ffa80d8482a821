//! What the footer of a VHD may say. Microsoft's Virtual Hard Disk Image Format Specification; big-endian numbers.
//!
//! A dynamic disk begins with a copy of its footer. qemu goes by the copy, others by the footer, so the two must be the
//! same. A dynamic disk that has lost its footer is read from its copy by all of them.

use std::ops::Range;

use crate::flaw::{Flaw, field};
use crate::window::Window;

const COOKIE: &[u8] = b"conectix";
const FOOTER_BYTES: usize = 512;
/// Virtual PC before 2004 wrote one byte less, which is of the reserved ones.
const OLD_FOOTER_BYTES: usize = 511;
/// All that is not reserved.
const FIELDS: Range<usize> = 0..0x55;

const DATA_OFFSET: usize = 0x10;
const CURRENT_SIZE: usize = 0x30;
const CYLINDERS: usize = 0x38;
const HEADS: usize = 0x3a;
const SECTORS: usize = 0x3b;
const DISK_TYPE: usize = 0x3c;
const SECTOR: u64 = 512;
/// 65535 cylinders, 16 heads and 255 sectors: that no geometry says how large the disk is. QEMU's block/vpc.
const MOST_GEOMETRY: u64 = 65_535 * 16 * 255 * SECTOR;

const FIXED: u32 = 2;
const DYNAMIC: u32 = 3;
const DIFFERENCING: u32 = 4;

/// The header of a dynamic disk, and where it speaks of a parent: UUID; name; eight locators.
const DYNAMIC_COOKIE: &[u8] = b"cxsparse";
const DYNAMIC_BYTES: usize = 1024;
const PARENT: [Range<usize>; 2] = [0x28..0x38, 0x40..0x300];

/// Whether footer and copy are those of one fixed or dynamic disk.
pub(crate) fn check(window: &Window) -> Result<(), Flaw> {
    let (copy, footer) = (copy(window), footer(window));
    for disk in [copy, footer].into_iter().filter(|it| !it.is_empty()) {
        if disk_type(disk)? == DIFFERENCING {
            return Err(Flaw::Reference("a parent, as every differencing disk"));
        }
    }
    if copy.is_empty() {
        // Readers take all without a copy for fixed, or believe the footer.
        return if disk_type(footer)? == FIXED { Ok(()) } else { Err(Flaw::Header("has only the footer of a disk")) };
    }

    if copy.len() < OLD_FOOTER_BYTES {
        return Err(Flaw::Header("ends within its header"));
    }
    if disk_type(copy)? != DYNAMIC {
        return Err(Flaw::Header("begins as a dynamic disk, and says to be none"));
    }
    if !footer.is_empty() && copy.get(FIELDS) != footer.get(FIELDS) {
        return Err(Flaw::Header("has a footer that differs from its copy"));
    }
    dynamic_header(copy)
}

/// The size of the disk, in bytes: as it is said, or the whole cylinders that some readers make of it.
pub(crate) fn virtual_size(window: &Window) -> Result<u64, Flaw> {
    let disk = Some(copy(window)).filter(|copy| !copy.is_empty()).unwrap_or_else(|| footer(window));
    let current = u64::from_be_bytes(field(disk, CURRENT_SIZE)?);
    let cylinders = u64::from(u16::from_be_bytes(field(disk, CYLINDERS)?));
    let ([heads], [sectors]) = (field(disk, HEADS)?, field(disk, SECTORS)?);
    let geometry = [u64::from(heads), u64::from(sectors), SECTOR].into_iter().fold(cylinders, u64::saturating_mul);
    Ok(if geometry == MOST_GEOMETRY { current } else { current.max(geometry) })
}

/// Whether the header of a dynamic disk, which begins with `copy`, has no parent either.
fn dynamic_header(copy: &[u8]) -> Result<(), Flaw> {
    let header = usize::try_from(u64::from_be_bytes(field(copy, DATA_OFFSET)?))
        .ok()
        .and_then(|at| copy.get(at..)?.get(..DYNAMIC_BYTES))
        .filter(|header| header.starts_with(DYNAMIC_COOKIE))
        .ok_or(Flaw::Header("has no header of a dynamic disk in the first 64 KiB"))?;
    if PARENT.into_iter().filter_map(|place| header.get(place)).flatten().any(|byte| *byte != 0) {
        return Err(Flaw::Reference("the place of a parent"));
    }
    Ok(())
}

/// The head, if it begins with the copy of a footer.
fn copy(window: &Window) -> &[u8] {
    if window.starts(0, COOKIE) { window.head() } else { &[] }
}

/// The footer, if there is one.
fn footer(window: &Window) -> &[u8] {
    [FOOTER_BYTES, OLD_FOOTER_BYTES].into_iter().find_map(|bytes| window.end(bytes, COOKIE)).unwrap_or_default()
}

fn disk_type(footer: &[u8]) -> Result<u32, Flaw> {
    field(footer, DISK_TYPE).map(u32::from_be_bytes)
}
