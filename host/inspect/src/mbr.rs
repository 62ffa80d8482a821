//! What the partition table in the first sector may say. UEFI 2.10, 5.2; little-endian numbers.
//!
//! The rules are those of oslo.utils, no stricter: they keep bytes from being called a disk of partitions of which no
//! reader would find one.

use crate::flaw::{Flaw, field};

const ENTRIES: [usize; 4] = [446, 462, 478, 494];
const ENTRY_BYTES: usize = 16;
/// The type of the one partition that protects a GPT.
const PROTECTIVE: u8 = 0xee;

/// Whether there is a partition, and a protective one only as a GPT has it.
pub(crate) fn check(head: &[u8]) -> Result<(), Flaw> {
    let (mut others, mut protective_first) = (0_u32, None);
    for (nth, at) in ENTRIES.into_iter().enumerate() {
        let entry: [u8; ENTRY_BYTES] = field(head, at)?;
        let [boot, head, sector, cylinder, kind, _, _, _, lba @ .., _, _, _, _] = entry;
        if !matches!(boot, 0 | 0x80) {
            return Err(Flaw::Header("has a partition with an illegal boot flag"));
        }
        match kind {
            0 => {}
            PROTECTIVE => {
                if [head, sector, cylinder] != [0, 2, 0] || u32::from_le_bytes(lba) != 1 {
                    return Err(Flaw::Header("has a protective partition that does not begin at the second sector"));
                }
                if protective_first.is_some() || nth != 0 {
                    return Err(Flaw::Header("has a protective partition that is not the first one"));
                }
                protective_first = Some(nth);
            }
            _ => others = others.saturating_add(1),
        }
    }
    match (protective_first, others) {
        (None, 0) => Err(Flaw::Header("has a partition table without a partition")),
        (None, _) | (Some(_), 0) => Ok(()),
        (Some(_), _) => Err(Flaw::Header("has a protective partition and others beside it")),
    }
}
