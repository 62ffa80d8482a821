//! Grain directories and grain tables that are at known places: in front of the grains, as all writers put them where
//! they can go back.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::ops::Range;

use landfall_handler_api::Result;
use landfall_unpack::StoredReader;

use crate::fingerprint::Fingerprints;
use crate::header::{Header, SECTOR};
use crate::refusal::corrupt;

/// Bytes of an entry of a directory or table: the number of a sector.
pub(crate) const ENTRY: usize = 4;
/// The entry of a grain of zeros, where the header allows that.
pub(crate) const ZEROED: u32 = 1;
/// Entries of a directory that are read at a time.
const ENTRIES_AT_A_TIME: u64 = 16 << 10;

/// Something that is to be read, ordered by where it is.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    sector: u64,
    redundant: bool,
    /// Number of a grain table; none for the directory.
    table: Option<u32>,
}

/// Reads both directories and their tables, in the order of the file, and lets `grain` have the number of each stored
/// grain and its first sector; gives the sectors that all of this fills, in order.
///
/// Refused: what is not within these sectors of the file, or overlaps (`vmdk-table-overlap`), entries beyond the disk's
/// end (`vmdk-grain-out-of-range`), a second directory that leads to other grains (`vmdk-table-mismatch`).
pub(crate) fn read_tables(
    reader: &mut StoredReader<'_>,
    header: &Header,
    directory: u64,
    within: Range<u64>,
    mut grain: impl FnMut(u64, u32) -> Result<()>,
) -> Result<Vec<Range<u64>>> {
    let fingerprints = Fingerprints::new();
    let (mut primary, mut redundant) = (0, 0);
    let mut regions: Vec<Range<u64>> = Vec::new();
    let mut places = BinaryHeap::from([Reverse(Place { sector: directory, redundant: false, table: None })]);
    if let Some(sector) = header.redundant_directory() {
        places.push(Reverse(Place { sector, redundant: true, table: None }));
    }

    while let Some(Reverse(place)) = places.pop() {
        let sectors = if place.table.is_some() { header.table_sectors() } else { header.directory_sectors() };
        let region = place.sector..place.sector.checked_add(sectors).ok_or_else(overlap)?;
        // Offsets are those of files, which are signed.
        let start =
            place.sector.checked_mul(SECTOR).filter(|start| i64::try_from(*start).is_ok()).ok_or_else(overlap)?;
        if region.start < within.start || region.end > within.end {
            return Err(overlap());
        }
        match regions.last_mut() {
            Some(last) if region.start < last.end && last.start < region.end => return Err(overlap()),
            Some(last) if last.end == region.start => last.end = region.end,
            _ => regions.push(region),
        }
        reader.seek(start);

        let Some(table) = place.table else {
            read_directory(reader, header, |table, sector| {
                places.push(Reverse(Place {
                    sector: u64::from(sector),
                    redundant: place.redundant,
                    table: Some(table),
                }));
            })?;
            continue;
        };
        read_table(reader, header, table, |number, sector| {
            let set = if place.redundant { &mut redundant } else { &mut primary };
            *set = fingerprints.with(*set, number, sector);
            let zeros = sector == ZEROED && header.zeroed_grains();
            if place.redundant || zeros { Ok(()) } else { grain(number, sector) }
        })?;
    }

    if header.redundant_directory().is_some() && primary != redundant {
        return Err(corrupt("vmdk-table-mismatch", "the two grain directories do not lead to the same grains"));
    }
    regions.sort_unstable_by_key(|region| region.start);
    if regions.is_sorted_by(|one, next| one.end <= next.start) { Ok(regions) } else { Err(overlap()) }
}

/// Reads a directory; gives number and first sector of each table that there is.
fn read_directory(reader: &mut StoredReader<'_>, header: &Header, mut table: impl FnMut(u32, u32)) -> Result<()> {
    let (mut number, mut left) = (0_u32, header.tables());
    while left > 0 {
        let now = left.min(ENTRIES_AT_A_TIME);
        let bytes = usize::try_from(now).unwrap_or(usize::MAX).saturating_mul(ENTRY);
        for sector in entries(reader.take(bytes)?) {
            if sector != 0 {
                table(number, sector);
            }
            number = number.saturating_add(1);
        }
        left = left.saturating_sub(now);
    }
    Ok(())
}

/// Reads a table; gives number and entry of each grain whose entry is not zero.
fn read_table(
    reader: &mut StoredReader<'_>,
    header: &Header,
    table: u32,
    mut grain: impl FnMut(u64, u32) -> Result<()>,
) -> Result<()> {
    let len = usize::try_from(header.table_entries).unwrap_or(usize::MAX).saturating_mul(ENTRY);
    let first = u64::from(table).saturating_mul(u64::from(header.table_entries));
    for (sector, number) in entries(reader.take(len)?).zip(first..) {
        if sector == 0 {
            continue;
        }
        if number >= header.grains() {
            return Err(corrupt("vmdk-grain-out-of-range", "a table has a grain beyond the end of the disk"));
        }
        grain(number, sector)?;
    }
    Ok(())
}

/// The entries in the bytes of a directory or table.
pub(crate) fn entries(bytes: &[u8]) -> impl Iterator<Item = u32> {
    let (entries, _) = bytes.as_chunks::<ENTRY>();
    entries.iter().map(|entry| u32::from_le_bytes(*entry))
}

fn overlap() -> landfall_handler_api::Error {
    corrupt("vmdk-table-overlap", "a directory or table is where something else is")
}
