//! The header of a hosted sparse extent: one sector, little-endian. VMware Virtual Disk Format 5.0, "Hosted Sparse
//! Extents" and "Stream-Optimized Compressed".

use landfall_handler_api::{Error, ErrorKind, Result};

use crate::refusal::{corrupt, unsupported};

/// Bytes of a sector, in which the format counts.
pub const SECTOR: u64 = 512;
/// The same, as a length.
pub(crate) const SECTOR_LEN: usize = 512;

/// The first four bytes.
pub(crate) const MAGIC: &[u8; 4] = b"KDMV";
/// A header whose directory is not known yet: the footer gives it.
const DIRECTORY_AT_END: u64 = u64::MAX;
/// Sectors of a grain, a power of two within these bounds; every writer that we know of takes 128.
const GRAIN_SECTORS: std::ops::RangeInclusive<u64> = 8..=2048;
/// Entries of a grain table, a power of two within these bounds; every writer that we know of takes 512.
const TABLE_ENTRIES: std::ops::RangeInclusive<u32> = 128..=512;
/// Grain tables of a disk, for 16 TiB at the usual sizes. Bounds what is held of two directories: 80 bytes each.
const TABLES: u64 = 1 << 19;
/// What mail and FTP in text mode would change.
const NEWLINES: [u8; 4] = *b"\n \r\n";

const NEWLINES_VALID: u32 = 1;
const REDUNDANT_DIRECTORY: u32 = 1 << 1;
const ZEROED_GRAINS: u32 = 1 << 2;
const COMPRESSED: u32 = 1 << 16;
const MARKERS: u32 = 1 << 17;
const KNOWN_FLAGS: u32 = NEWLINES_VALID | REDUNDANT_DIRECTORY | ZEROED_GRAINS | COMPRESSED | MARKERS;

/// A header, checked for itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Header {
    version: u32,
    flags: u32,
    /// Sectors of the disk.
    pub(crate) capacity: u64,
    /// Sectors of a grain.
    pub(crate) grain_sectors: u64,
    /// First sector and sectors of the descriptor; both 0 where there is none.
    pub(crate) descriptor_offset: u64,
    pub(crate) descriptor_sectors: u64,
    pub(crate) table_entries: u32,
    redundant_directory: u64,
    directory: u64,
    /// First sector that may hold grains.
    pub(crate) overhead: u64,
    newlines: [u8; 4],
    compression: u16,
}

impl Header {
    /// The first sector of a file that begins with [`MAGIC`].
    pub(crate) fn parse(sector: &[u8; SECTOR_LEN]) -> Result<Self> {
        let header = Self {
            version: number32(sector, 0x04),
            flags: number32(sector, 0x08),
            capacity: number64(sector, 0x0c),
            grain_sectors: number64(sector, 0x14),
            descriptor_offset: number64(sector, 0x1c),
            descriptor_sectors: number64(sector, 0x24),
            table_entries: number32(sector, 0x2c),
            redundant_directory: number64(sector, 0x30),
            directory: number64(sector, 0x38),
            overhead: number64(sector, 0x40),
            // 0x48 says whether the last writer was cut off, which changes nothing for a reader.
            newlines: field(sector, 0x49),
            compression: u16::from_le_bytes(field(sector, 0x4d)),
        };
        header.check(field(sector, 0))?;
        Ok(header)
    }

    fn check(&self, magic: [u8; 4]) -> Result<()> {
        if magic != *MAGIC {
            return Err(corrupt("vmdk-magic", "a header does not begin with KDMV"));
        }
        if !matches!(self.version, 1..=3) {
            return Err(unsupported("vmdk-version", format!("version {} is none of 1 to 3", self.version)));
        }
        if self.flags & !KNOWN_FLAGS != 0 {
            return Err(unsupported("vmdk-flags", format!("of the flags {:#x} some are unknown", self.flags)));
        }
        if self.flags & NEWLINES_VALID != 0 && self.newlines != NEWLINES {
            return Err(corrupt(
                "vmdk-newlines",
                "the header's line ends were changed on the way, and so was the rest",
            ));
        }
        if self.capacity == 0 {
            return Err(corrupt("vmdk-capacity", "the header gives the disk no sectors"));
        }
        if !(self.grain_sectors.is_power_of_two() && GRAIN_SECTORS.contains(&self.grain_sectors)) {
            let message = format!("a grain of {} sectors is no power of two from 8 to 2048", self.grain_sectors);
            return Err(unsupported("vmdk-grain-sectors", message));
        }
        if !(self.table_entries.is_power_of_two() && TABLE_ENTRIES.contains(&self.table_entries)) {
            let message = format!("a table of {} entries is no power of two from 128 to 512", self.table_entries);
            return Err(unsupported("vmdk-table-entries", message));
        }
        match (self.compressed(), self.compression) {
            (false, 0) | (true, 1) => {}
            (true, 2..) => return Err(unsupported("vmdk-compression", "compressed with something else than deflate")),
            _ => return Err(corrupt("vmdk-compression", "flags and compression of the header contradict each other")),
        }
        if self.compressed() != (self.flags & MARKERS != 0) {
            return Err(unsupported("vmdk-flags", "compressed without markers, or markers without compression"));
        }
        if self.tables() > TABLES {
            let message = format!("{} grain tables are more than {TABLES}", self.tables());
            return Err(Error::new(ErrorKind::Limit, "vmdk-too-many-tables", message));
        }
        Ok(())
    }

    /// Whether grains are compressed and have markers.
    pub(crate) fn compressed(&self) -> bool {
        self.flags & COMPRESSED != 0
    }

    /// Whether a table entry of 1 stands for a grain of zeros.
    pub(crate) fn zeroed_grains(&self) -> bool {
        self.flags & ZEROED_GRAINS != 0
    }

    /// First sector of the grain directory; none where the footer gives it.
    pub(crate) fn directory(&self) -> Option<u64> {
        (self.directory != DIRECTORY_AT_END).then_some(self.directory)
    }

    /// First sector of the second grain directory, where there is one.
    pub(crate) fn redundant_directory(&self) -> Option<u64> {
        (self.flags & REDUNDANT_DIRECTORY != 0).then_some(self.redundant_directory)
    }

    /// Bytes of the disk.
    pub(crate) fn disk_bytes(&self) -> Result<u64> {
        let too_large =
            || corrupt("vmdk-capacity", format!("{} sectors are more bytes than there can be", self.capacity));
        self.capacity.checked_mul(SECTOR).filter(|bytes| i64::try_from(*bytes).is_ok()).ok_or_else(too_large)
    }

    /// Bytes of a grain: at most 1 MiB.
    pub(crate) fn grain_bytes(&self) -> u64 {
        self.grain_sectors.saturating_mul(SECTOR)
    }

    /// Grains of the disk, the last of which may be cut short.
    pub(crate) fn grains(&self) -> u64 {
        self.capacity.div_ceil(self.grain_sectors)
    }

    /// Grain tables of the disk; at most [`TABLES`].
    pub(crate) fn tables(&self) -> u64 {
        self.grains().div_ceil(u64::from(self.table_entries))
    }

    /// Sectors of one grain table.
    pub(crate) fn table_sectors(&self) -> u64 {
        u64::from(self.table_entries).saturating_mul(4).div_ceil(SECTOR)
    }

    /// Sectors of a grain directory.
    pub(crate) fn directory_sectors(&self) -> u64 {
        self.tables().saturating_mul(4).div_ceil(SECTOR)
    }

    /// Whether `footer` says what this header says, and where the directory is, which the header leaves to it.
    pub(crate) fn agrees_with(&self, footer: &Self) -> bool {
        *self == Self { directory: self.directory, ..footer.clone() }
    }
}

fn number32(sector: &[u8; SECTOR_LEN], at: usize) -> u32 {
    u32::from_le_bytes(field(sector, at))
}

fn number64(sector: &[u8; SECTOR_LEN], at: usize) -> u64 {
    u64::from_le_bytes(field(sector, at))
}

/// `N` bytes at `at`, which lie within the sector.
fn field<const N: usize>(sector: &[u8; SECTOR_LEN], at: usize) -> [u8; N] {
    sector.get(at..).and_then(|rest| rest.first_chunk()).copied().unwrap_or([0; N])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sector(version: u32, flags: u32, numbers: [u64; 7], table_entries: u32, compression: u16) -> [u8; SECTOR_LEN] {
        let [capacity, grain, descriptor, descriptor_sectors, redundant, directory, overhead] = numbers;
        let fields: [&[u8]; 12] = [
            MAGIC,
            &version.to_le_bytes(),
            &flags.to_le_bytes(),
            &capacity.to_le_bytes(),
            &grain.to_le_bytes(),
            &descriptor.to_le_bytes(),
            &descriptor_sectors.to_le_bytes(),
            &table_entries.to_le_bytes(),
            &redundant.to_le_bytes(),
            &directory.to_le_bytes(),
            &overhead.to_le_bytes(),
            &[0, b'\n', b' ', b'\r', b'\n'],
        ];
        let mut sector = [0; SECTOR_LEN];
        let fields = fields.concat();
        sector[..fields.len()].copy_from_slice(&fields);
        sector[fields.len()..][..2].copy_from_slice(&compression.to_le_bytes());
        sector
    }

    /// Small, as far as a disk can be large, around there, and any.
    fn sectors() -> impl Strategy<Value = u64> {
        prop_oneof![1..5000_u64, (0..64_u32, 0..3_u64).prop_map(|(bit, more)| (1 << bit) | more), any::<u64>()]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(512))]

        #[test]
        fn counts_are_those_of_wider_numbers(
            capacity in sectors(),
            grain in prop_oneof![(3..12_u32).prop_map(|bit| 1 << bit), any::<u64>()],
            entries in prop_oneof![(7..10_u32).prop_map(|bit| 1 << bit), any::<u32>()],
            others: [u64; 5],
            compressed: bool,
        ) {
            let [descriptor, descriptor_sectors, redundant, directory, overhead] = others;
            let numbers = [capacity, grain, descriptor, descriptor_sectors, redundant, directory, overhead];
            let flags = NEWLINES_VALID | if compressed { COMPRESSED | MARKERS } else { 0 };
            let wide = u128::from;
            let tables = wide(capacity).div_ceil(wide(grain).max(1)).div_ceil(wide(entries.into()).max(1));
            let legal = (8..=2048).contains(&grain) && grain.is_power_of_two()
                && (128..=512).contains(&entries) && entries.is_power_of_two()
                && capacity > 0 && tables <= wide(TABLES);
            let parsed = Header::parse(&sector(1, flags, numbers, entries, compressed.into()));
            prop_assert_eq!(parsed.is_ok(), legal);
            let Ok(header) = parsed else { return Ok(()) };

            prop_assert_eq!(wide(header.grains()), wide(capacity).div_ceil(wide(grain)));
            prop_assert_eq!(wide(header.tables()), tables);
            prop_assert_eq!(wide(header.grain_bytes()), wide(grain) * 512);
            prop_assert_eq!(wide(header.table_sectors()) * 512, wide(entries.into()) * 4);
            prop_assert_eq!(wide(header.directory_sectors()), (tables * 4).div_ceil(512));
            let bytes = wide(capacity) * 512;
            prop_assert_eq!(header.disk_bytes().ok().map(wide), Some(bytes).filter(|bytes| *bytes < 1 << 63));
            // The last grain is in the last table, and of a sector at least.
            prop_assert!((header.grains() - 1) * grain < capacity);
            prop_assert!((header.grains() - 1) / u64::from(entries) == header.tables() - 1);
        }

        #[test]
        fn any_sector_is_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), SECTOR_LEN), marked: bool) {
            let mut sector: [u8; SECTOR_LEN] = bytes.try_into().unwrap();
            if marked {
                sector[..4].copy_from_slice(MAGIC);
            }
            prop_assert!(Header::parse(&sector).is_ok_and(|_| marked) || Header::parse(&sector).is_err());
        }
    }
}
