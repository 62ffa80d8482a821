//! monolithicSparse and the extents of twoGbMaxExtentSparse: tables, then plain grains at any place.

use std::ops::Range;

use landfall_handler_api::{Error, ErrorKind, Result};
use landfall_unpack::{BLOCK, Crew, StoredReader};

use crate::grains::Grains;
use crate::header::{Header, SECTOR};
use crate::refusal::{corrupt, unsupported};
use crate::tables::read_tables;

/// Grains that a file may store: 512 GiB at the usual size. Bounds what is held: 8 bytes each.
const STORED_GRAINS: usize = 8 << 20;

/// A grain that the file stores.
#[derive(Clone, Copy)]
struct StoredGrain {
    /// Its first sector in the file.
    sector: u32,
    /// Its number on the disk.
    number: u32,
}

/// The stored grains of a sparse extent, checked against each other.
pub(crate) struct GrainList {
    grains: Vec<StoredGrain>,
    /// Whether they are to be read in the order of the disk, since that of the file would cut blocks in pieces.
    by_disk: bool,
}

impl GrainList {
    /// Reads directories and tables; `first` is the first sector that is free for them.
    pub(crate) fn read(reader: &mut StoredReader<'_>, header: &Header, first: u64) -> Result<Self> {
        let Some(directory) = header.directory() else {
            return Err(unsupported("vmdk-directory-at-end", "the directory of uncompressed grains is at the end"));
        };
        if header.overhead < first {
            return Err(corrupt("vmdk-overhead", "grains begin before the descriptor ends"));
        }
        let mut grains = Vec::new();
        let regions = read_tables(reader, header, directory, first..u64::MAX, |number, sector| {
            if grains.len() >= STORED_GRAINS {
                let message = format!("the file stores more than {STORED_GRAINS} grains");
                return Err(Error::new(ErrorKind::Limit, "vmdk-too-many-grains", message));
            }
            let out_of_range = |_| corrupt("vmdk-grain-out-of-range", "a grain is beyond the end of the disk");
            grains.push(StoredGrain { sector, number: u32::try_from(number).map_err(out_of_range)? });
            Ok(())
        })?;

        grains.sort_unstable_by_key(|grain| grain.sector);
        check_places(&grains, header, &regions)?;
        let by_disk = header.grain_bytes() < BLOCK as u64 && !grains.is_sorted_by_key(|grain| grain.number);
        if by_disk {
            grains.sort_unstable_by_key(|grain| grain.number);
        }
        Ok(Self { grains, by_disk })
    }

    /// Reads the grains. They may leave gaps in the file, and need not be in the disk's order.
    pub(crate) fn feed(&self, reader: &mut StoredReader<'_>, header: &Header, at: u64, crew: &Crew<'_>) -> Result<()> {
        let mut grains = Grains::new(crew, header, at)?;
        let mut rest = self.grains.iter().peekable();
        while let Some(first) = rest.next() {
            let lba = u64::from(first.number).saturating_mul(header.grain_sectors);
            let sector = u64::from(first.sector);
            let mut count = 1_u64;
            while let Some(next) = rest.peek()
                && u64::from(next.number) == u64::from(first.number).saturating_add(count)
                && u64::from(next.sector) == sector.saturating_add(count.saturating_mul(header.grain_sectors))
                && grains.in_one_window(lba, count.saturating_add(1))
            {
                rest.next();
                count = count.saturating_add(1);
            }
            reader.seek(sector.saturating_mul(SECTOR));
            let room = grains.add_plain(lba, count)?;
            if self.by_disk { reader.read_just_into(room)? } else { reader.read_into(room)? }
        }
        grains.finish()
    }
}

/// Grains lie behind the metadata, and nothing lies in two of them.
fn check_places(grains: &[StoredGrain], header: &Header, regions: &[Range<u64>]) -> Result<()> {
    let overlap = || corrupt("vmdk-grain-overlap", "a grain is where something else is");
    let end = |grain: &StoredGrain| u64::from(grain.sector).saturating_add(header.grain_sectors);
    if grains.first().is_some_and(|first| u64::from(first.sector) < header.overhead) {
        return Err(overlap());
    }
    if !grains.is_sorted_by(|one, next| end(one) <= u64::from(next.sector)) {
        return Err(overlap());
    }
    for region in regions.iter().filter(|region| region.end > header.overhead) {
        let behind = grains.partition_point(|grain| end(grain) <= region.start);
        if grains.get(behind).is_some_and(|grain| u64::from(grain.sector) < region.end) {
            return Err(overlap());
        }
    }
    Ok(())
}
