//! What precedes each grain and each table in a stream. VMware Virtual Disk Format 5.0, "Stream-Optimized Compressed".

use landfall_handler_api::Result;

use crate::header::SECTOR_LEN;
use crate::refusal::corrupt;

/// Bytes of a grain's marker; the grain follows at once, and is padded to a whole sector.
pub(crate) const GRAIN_MARKER: usize = 12;

const END_OF_STREAM: u32 = 0;
const GRAIN_TABLE: u32 = 1;
const GRAIN_DIRECTORY: u32 = 2;
const FOOTER: u32 = 3;
/// Without a name in the specification. vSphere writes some; their content is passed over, as VirtualBox does
/// (VMDK.cpp, `VMDK_MARKER_UNSPECIFIED`).
const UNSPECIFIED: u32 = 4;
/// Sectors of what follows such a marker.
const UNSPECIFIED_SECTORS: u64 = 2048;

/// The first bytes of a marker: a number, and the bytes of a compressed grain.
pub(crate) enum Marker {
    /// A grain of so many stored bytes, at sector `lba` of the disk.
    Grain { lba: u64, stored: u32 },
    /// Something that fills `sectors` sectors, the next bytes saying what.
    Metadata { sectors: u64 },
}

impl Marker {
    pub(crate) fn parse(bytes: &[u8; GRAIN_MARKER]) -> Self {
        let (number, stored) = bytes.split_first_chunk().unwrap_or((&[0; 8], &[]));
        let number = u64::from_le_bytes(*number);
        match u32::from_le_bytes(stored.first_chunk().copied().unwrap_or_default()) {
            0 => Self::Metadata { sectors: number },
            stored => Self::Grain { lba: number, stored },
        }
    }
}

/// What a metadata marker announces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Metadata {
    EndOfStream,
    GrainTable,
    GrainDirectory,
    Footer,
    Unspecified,
}

impl Metadata {
    /// From the rest of the marker's sector. `sectors` is what the marker says; `usual` gives what tables and
    /// directories have.
    pub(crate) fn parse(
        rest: &[u8; SECTOR_LEN - GRAIN_MARKER],
        sectors: u64,
        usual: impl FnOnce(Self) -> u64,
    ) -> Result<Self> {
        let (kind, padding) = rest.split_first_chunk().unwrap_or((&[0; 4], &[]));
        let metadata = match u32::from_le_bytes(*kind) {
            END_OF_STREAM => Self::EndOfStream,
            GRAIN_TABLE => Self::GrainTable,
            GRAIN_DIRECTORY => Self::GrainDirectory,
            FOOTER => Self::Footer,
            UNSPECIFIED if sectors <= UNSPECIFIED_SECTORS => Self::Unspecified,
            _ => return Err(corrupt("vmdk-marker", "a marker announces nothing that is known")),
        };
        if padding.iter().any(|byte| *byte != 0) {
            return Err(corrupt("vmdk-marker", "a marker is followed by something in its sector"));
        }
        if metadata != Self::Unspecified && sectors != usual(metadata) {
            return Err(corrupt("vmdk-marker", format!("a marker gives what it announces {sectors} sectors")));
        }
        Ok(metadata)
    }
}
