//! Grain tables of a stream, held against the grains that were seen.
//!
//! A reader of tables finds its grains through the directory; ours finds them in the stream. What either of them finds
//! must be the same, or the same bytes would be two disks.

use landfall_handler_api::{Error, ErrorKind, Result};
use landfall_unpack::StoredReader;

use crate::fingerprint::Fingerprints;
use crate::header::{Header, SECTOR};
use crate::refusal::corrupt;
use crate::tables::{ENTRY, ZEROED, entries, read_tables};

/// What the tables say, as far as it is known.
pub(crate) enum StreamTables {
    /// They came before the grains. qemu-img and open-vmdk write them there.
    InFront { fingerprints: Fingerprints, listed: u64, seen: u64 },
    /// They come between the grains, each behind its own, and the directory last. VMware and VirtualBox write them
    /// there.
    Between(Between),
}

impl StreamTables {
    /// Reads the tables that are in front, if any; the reader is behind the descriptor.
    pub(crate) fn read(reader: &mut StoredReader<'_>, header: &Header) -> Result<Self> {
        let fingerprints = Fingerprints::new();
        let first = header.descriptor_sectors.saturating_add(1);
        let Some(directory) = header.directory() else {
            if header.redundant_directory().is_some() {
                let message = "the header has a second directory, but not the first one";
                return Err(corrupt("vmdk-table-overlap", message));
            }
            return Ok(Self::Between(Between::new(fingerprints, header)));
        };
        let mut listed = 0;
        read_tables(reader, header, directory, first..header.overhead, |grain, sector| {
            listed = fingerprints.with(listed, grain, sector);
            Ok(())
        })?;
        Ok(Self::InFront { fingerprints, listed, seen: 0 })
    }

    /// A grain was seen at `sector`.
    pub(crate) fn grain(&mut self, grain: u64, sector: u32, header: &Header) {
        match self {
            Self::InFront { fingerprints, seen, .. } => *seen = fingerprints.with(*seen, grain, sector),
            Self::Between(between) => between.grain(grain, sector, header),
        }
    }
}

/// Tables between the grains: 8 bytes are held for each table of the disk, and 16 for each in the stream.
pub(crate) struct Between {
    fingerprints: Fingerprints,
    /// For each table of the disk, what was seen of its grains.
    seen: Vec<u64>,
    /// For each table in the stream, its first sector and what it lists, in order.
    listed: Vec<(u32, u64)>,
    /// First sector of the directory.
    directory: Option<u64>,
}

impl Between {
    fn new(fingerprints: Fingerprints, header: &Header) -> Self {
        let tables = usize::try_from(header.tables()).unwrap_or_default();
        Self { fingerprints, seen: vec![0; tables], listed: Vec::new(), directory: None }
    }

    fn grain(&mut self, grain: u64, sector: u32, header: &Header) {
        let entries = u64::from(header.table_entries);
        let (table, entry) = (grain.checked_div(entries), grain.checked_rem(entries));
        let seen = table.and_then(|table| self.seen.get_mut(usize::try_from(table).ok()?));
        if let (Some(seen), Some(entry)) = (seen, entry) {
            *seen = self.fingerprints.with(*seen, entry, sector);
        }
    }

    /// First sector of the directory, once that was seen.
    pub(crate) fn directory(&self) -> Option<u64> {
        self.directory
    }

    /// A table follows, at `sector`.
    pub(crate) fn read_table(&mut self, reader: &mut StoredReader<'_>, sector: u32, header: &Header) -> Result<()> {
        // One more would be one that the directory cannot lead to.
        if self.listed.len() >= self.seen.len() {
            let message = "there are more grain tables than the disk has";
            return Err(Error::new(ErrorKind::Corrupt, "vmdk-table-mismatch", message));
        }
        let len = usize::try_from(header.table_entries).unwrap_or(usize::MAX).saturating_mul(ENTRY);
        let stored = (0..).zip(entries(reader.take(len)?)).filter(|(_, grain)| *grain != 0);
        let listed = stored.filter(|(_, grain)| *grain != ZEROED || !header.zeroed_grains());
        let listed = listed.fold(0, |listed, (entry, grain)| self.fingerprints.with(listed, entry, grain));
        self.listed.push((sector, listed));
        Ok(())
    }

    /// The directory follows: each table that it leads to lists the grains that were seen, and no other.
    pub(crate) fn read_directory(&mut self, reader: &mut StoredReader<'_>) -> Result<()> {
        self.directory = Some(reader.position() / SECTOR);
        for seen in &self.seen {
            let sector = entries(reader.take(ENTRY)?).next().unwrap_or_default();
            let listed = match sector {
                0 => Some(0),
                _ => self.listed.binary_search_by_key(&sector, |(sector, _)| *sector).ok().and_then(|found| {
                    let (_, listed) = self.listed.get(found)?;
                    Some(*listed)
                }),
            };
            if listed != Some(*seen) {
                return Err(mismatch());
            }
        }
        Ok(())
    }
}

/// The tables do not list the grains that are in the stream.
pub(crate) fn mismatch() -> Error {
    corrupt("vmdk-table-mismatch", "the grain tables do not list the grains that are in the stream")
}
