//! Another reader of VMDKs: as simple as can be, by the tables alone, for files that were accepted.

use std::io::Read;

use flate2::read::ZlibDecoder;

const SECTOR: usize = 512;
const ZEROED_GRAINS: u32 = 1 << 2;
const COMPRESSED: u32 = 1 << 16;
/// What precedes a compressed grain: its sector on the disk and its bytes.
const MARKER: usize = 12;

/// The disk; nothing where a table leads out of the file, or a grain cannot be inflated.
pub(crate) fn disk(file: &[u8]) -> Option<Vec<u8>> {
    let mut header = file.get(..SECTOR)?;
    if long(header, 0x38)? == u64::MAX {
        // The footer, which one sector follows.
        header = file.get(file.len().checked_sub(2 * SECTOR)?..)?;
    }
    let flags = word(header, 0x08)?;
    let capacity = usize::try_from(long(header, 0x0c)?).ok()?.checked_mul(SECTOR)?;
    let grain = usize::try_from(long(header, 0x14)?).ok()?.checked_mul(SECTOR)?;
    let entries = usize::try_from(word(header, 0x2c)?).ok()?;
    let directory = sector(long(header, 0x38)?)?;

    let mut disk = vec![0; capacity];
    for (number, room) in disk.chunks_mut(grain).enumerate() {
        let table = word(file, directory.checked_add(number / entries * 4)?)?;
        if table == 0 {
            continue;
        }
        let entry = word(file, sector(table.into())?.checked_add(number % entries * 4)?)?;
        if entry == 0 || (entry == 1 && flags & ZEROED_GRAINS != 0) {
            continue;
        }
        let at = sector(entry.into())?;
        if flags & COMPRESSED == 0 {
            room.copy_from_slice(file.get(at..)?.get(..room.len())?);
            continue;
        }
        let stored = usize::try_from(word(file, at.checked_add(8)?)?).ok()?;
        let stored = file.get(at.checked_add(MARKER)?..)?.get(..stored)?;
        ZlibDecoder::new(stored).read_exact(room).ok()?;
    }
    Some(disk)
}

fn sector(number: u64) -> Option<usize> {
    usize::try_from(number).ok()?.checked_mul(SECTOR)
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|field| u32::from_le_bytes(*field))
}

fn long(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..)?.first_chunk().map(|field| u64::from_le_bytes(*field))
}
