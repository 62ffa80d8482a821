//! What a LUKS header may say. LUKS1 On-Disk Format Specification 1.2.3, 2.1; big-endian numbers.

use crate::flaw::{Flaw, field};
use crate::window::Window;

/// The header with its eight key slots.
const HEADER_BYTES: usize = 592;
const SECTOR: u64 = 512;

/// Whether it is the version that qemu reads, with data behind the header.
///
/// What is encrypted cannot be seen: who holds the key has to inspect what comes out.
pub(crate) fn check(window: &Window) -> Result<(), Flaw> {
    if u16::from_be_bytes(field(window.head(), 6)?) != 1 {
        return Err(Flaw::Variant("of another version than 1"));
    }
    virtual_size(window).map(|_| ())
}

/// What follows the header and its keys.
pub(crate) fn virtual_size(window: &Window) -> Result<u64, Flaw> {
    if window.head().len() < HEADER_BYTES {
        return Err(Flaw::Header("ends within its header"));
    }
    let payload = u64::from(u32::from_be_bytes(field(window.head(), 104)?)).saturating_mul(SECTOR);
    if usize::try_from(payload).is_ok_and(|at| at < HEADER_BYTES) {
        return Err(Flaw::Header("has its data within its header"));
    }
    window.size.checked_sub(payload).ok_or(Flaw::Header("ends before its data"))
}
