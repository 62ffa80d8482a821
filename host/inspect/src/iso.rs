//! What the first volume descriptor of an ISO image says. ECMA-119, 8.4; numbers in both byte orders.

use crate::flaw::{Flaw, field};

const DESCRIPTOR: usize = 32 * 1024;
const DESCRIPTOR_BYTES: usize = 2048;
const PRIMARY: u8 = 1;

/// Whether the first volume descriptor is whole.
pub(crate) fn check(head: &[u8]) -> Result<(), Flaw> {
    field::<DESCRIPTOR_BYTES>(head, DESCRIPTOR).map(|_| ())
}

/// The blocks of the volume; `None` where the first descriptor is not the one that says it, as in a UDF.
pub(crate) fn virtual_size(head: &[u8]) -> Result<Option<u64>, Flaw> {
    let descriptor: [u8; DESCRIPTOR_BYTES] = field(head, DESCRIPTOR)?;
    let (name, kind): ([u8; 5], [u8; 1]) = (field(&descriptor, 1)?, field(&descriptor, 0)?);
    if &name != b"CD001" || kind != [PRIMARY] {
        return Ok(None);
    }
    let blocks = u64::from(u32::from_le_bytes(field(&descriptor, 80)?));
    let block_bytes = u64::from(u16::from_le_bytes(field(&descriptor, 128)?));
    Ok(blocks.checked_mul(block_bytes))
}
