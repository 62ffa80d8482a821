//! What a VDI header may say. VirtualBox's VDICore and QEMU's block/vdi; little-endian numbers.

use crate::flaw::{Flaw, field};

/// The length that the header gives of itself, counted from that field on: at least up to the parent's UUID.
const LEAST_HEADER_BYTES: u32 = 0x180;
/// Version 1.1, the minor number first. The header of version 0.1 has another layout.
const VERSION: u32 = 0x0001_0001;

const DYNAMIC: u32 = 1;
const STATIC: u32 = 2;
const UNDO: u32 = 3;
const DIFFERENCING: u32 = 4;

/// Whether the image is dynamic or static and has no parent.
pub(crate) fn check(head: &[u8]) -> Result<(), Flaw> {
    if number(head, 0x44)? != VERSION {
        return Err(Flaw::Variant("of another version than 1.1"));
    }
    if number(head, 0x48)? < LEAST_HEADER_BYTES {
        return Err(Flaw::Header("has a header of an illegal length"));
    }
    match number(head, 0x4c)? {
        DYNAMIC | STATIC => {}
        UNDO | DIFFERENCING => return Err(Flaw::Reference("a parent, as every differencing image")),
        _ => return Err(Flaw::Header("is of an unknown image type")),
    }
    let (link, parent): ([u8; 16], [u8; 16]) = (field(head, 0x1a8)?, field(head, 0x1b8)?);
    if link != [0; 16] || parent != [0; 16] {
        return Err(Flaw::Reference("the UUID of a parent"));
    }
    Ok(())
}

/// The size of the disk, in bytes.
pub(crate) fn virtual_size(head: &[u8]) -> Result<u64, Flaw> {
    field(head, 0x170).map(u64::from_le_bytes)
}

fn number(head: &[u8], at: usize) -> Result<u32, Flaw> {
    field(head, at).map(u32::from_le_bytes)
}
