//! What the footer of a VHD may say. Microsoft's Virtual Hard Disk Image Format Specification; big-endian numbers.
//!
//! A dynamic disk begins with a copy of its footer. qemu goes by the copy, others by the footer, so the two must
//! describe the same disk. A dynamic disk that has lost its footer is read from its copy by all of them.

use std::ops::Range;

use crate::flaw::{Flaw, field};
use crate::window::Window;

const COOKIE: &[u8] = b"conectix";
const FOOTER_BYTES: usize = 512;
/// Virtual PC before 2004 wrote one byte less, which is of the reserved ones.
const OLD_FOOTER_BYTES: usize = 511;

const DATA_OFFSET: Range<usize> = 0x10..0x18;
const CURRENT_SIZE: Range<usize> = 0x30..0x38;
const DISK_TYPE: usize = 0x3c;

const FIXED: u32 = 2;
const DYNAMIC: u32 = 3;
const DIFFERENCING: u32 = 4;

/// Whether footer and copy are those of one fixed or dynamic disk.
pub(crate) fn check(window: &Window<'_>) -> Result<(), Flaw> {
    let footer =
        [FOOTER_BYTES, OLD_FOOTER_BYTES].into_iter().find_map(|bytes| window.end(bytes, COOKIE)).unwrap_or_default();
    let copy = if window.starts(0, COOKIE) { window.head() } else { &[] };

    let found = [copy, footer].into_iter().filter(|it| !it.is_empty());
    for disk in found {
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
    let same = |place: Range<usize>| copy.get(place.clone()) == footer.get(place);
    if footer.is_empty() || (disk_type(footer)? == DYNAMIC && same(DATA_OFFSET) && same(CURRENT_SIZE)) {
        Ok(())
    } else {
        Err(Flaw::Header("has a footer that differs from its copy"))
    }
}

fn disk_type(footer: &[u8]) -> Result<u32, Flaw> {
    field(footer, DISK_TYPE).map(u32::from_be_bytes)
}
