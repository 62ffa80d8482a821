//! What a qcow2 header may say. QEMU's docs/interop/qcow2; all numbers are big-endian.
//!
//! Whatever qemu reads and which is safe by itself is accepted: a dirty image, either compression, and extended L2
//! entries, which only change how a cluster is described (oslo.utils refuses them).

use crate::flaw::{Flaw, field};

/// What oslo.utils wants to see before it takes bytes for a qcow2: the smallest cluster, in which the header is.
const LEAST_BYTES: usize = 512;
/// Where the fields that version 3 added begin, and the extensions of version 2.
const VERSION_2_LENGTH: u32 = 72;
const VERSION_3_LENGTH: u32 = 104;

/// The incompatible features: an image must not be read by who does not know one that is set.
const DIRTY: u64 = 1;
const CORRUPT: u64 = 1 << 1;
const DATA_FILE: u64 = 1 << 2;
const COMPRESSION: u64 = 1 << 3;
const EXTENDED_L2: u64 = 1 << 4;

const ZLIB: u8 = 0;
const ZSTD: u8 = 1;

const END: u32 = 0;
const BACKING_FORMAT: u32 = 0xe279_2aca;
const CRYPTO_HEADER: u32 = 0x0537_be77;
const DATA_FILE_NAME: u32 = 0x4441_5441;

/// Whether the header and its extensions name no other file, hide nothing and are whole.
///
/// The extensions must end in `head`. They may have as much as a cluster, but what fills 64 KiB there is no name that
/// anyone needs.
pub(crate) fn check(head: &[u8]) -> Result<(), Flaw> {
    if head.len() < LEAST_BYTES {
        return Err(Flaw::Header("ends within its header"));
    }
    let version = number(head, 4)?;
    if !matches!(version, 2 | 3) {
        return Err(Flaw::Variant("of an unknown version"));
    }
    // Readers differ in which of the two they look at.
    if u64::from_be_bytes(field(head, 8)?) != 0 || number(head, 16)? != 0 {
        return Err(Flaw::Reference("a backing file"));
    }
    if number(head, 32)? != 0 {
        return Err(Flaw::Encrypted("an encryption method"));
    }

    let length = if version == 2 {
        VERSION_2_LENGTH
    } else {
        let length = number(head, 100)?;
        features(head, length)?;
        if length < VERSION_3_LENGTH || length.checked_rem(8) != Some(0) {
            return Err(Flaw::Header("has a header of an illegal length"));
        }
        length
    };

    let cluster_bits = number(head, 20)?;
    if !(9..=21).contains(&cluster_bits) {
        return Err(Flaw::Header("has clusters of an illegal size"));
    }
    let cluster = 1_u32.checked_shl(cluster_bits).unwrap_or_default();
    if length > cluster {
        return Err(Flaw::Header("has a header longer than a cluster"));
    }
    extensions(head, length, cluster)
}

/// The size of the disk, in bytes.
pub(crate) fn virtual_size(head: &[u8]) -> Result<u64, Flaw> {
    field(head, 24).map(u64::from_be_bytes)
}

/// Whether all features that a reader must know are known and acceptable.
fn features(head: &[u8], header_length: u32) -> Result<(), Flaw> {
    let set = u64::from_be_bytes(field(head, 72)?);
    if set & DATA_FILE != 0 {
        return Err(Flaw::Reference("an external data file"));
    }
    if set & CORRUPT != 0 {
        return Err(Flaw::Feature("the mark of a corrupt image"));
    }
    if set & !(DIRTY | COMPRESSION | EXTENDED_L2) != 0 {
        return Err(Flaw::Feature("an unknown incompatible feature"));
    }

    // The field follows the fields that every header of version 3 has.
    let compression = if header_length > VERSION_3_LENGTH { field::<1>(head, 104)?[0] } else { ZLIB };
    let expected = if set & COMPRESSION == 0 { ZLIB } else { ZSTD };
    if compression != expected {
        return Err(Flaw::Feature("a compression type that is unknown, or not the one of its feature bit"));
    }
    Ok(())
}

/// Whether the header extensions from `start` to `end` are whole, and none is for another file.
///
/// Each turn of the loop goes at least 8 bytes on, and the head is the limit.
fn extensions(head: &[u8], start: u32, end: u32) -> Result<(), Flaw> {
    let mut at = start;
    while at < end {
        let place = usize::try_from(at).unwrap_or(usize::MAX);
        let kind = number(head, place)?;
        let length = number(head, place.saturating_add(4))?;
        match kind {
            END => return Ok(()),
            DATA_FILE_NAME => return Err(Flaw::Reference("the name of an external data file")),
            BACKING_FORMAT => return Err(Flaw::Reference("the format of a backing file")),
            CRYPTO_HEADER => return Err(Flaw::Encrypted("an encryption header")),
            _ => {}
        }
        let next = length
            .checked_next_multiple_of(8)
            .and_then(|padded| padded.checked_add(8))
            .and_then(|whole| whole.checked_add(at))
            .filter(|next| *next <= end);
        at = next.ok_or(Flaw::Header("has a header extension that does not fit"))?;
    }
    Ok(())
}

fn number(head: &[u8], at: usize) -> Result<u32, Flaw> {
    field(head, at).map(u32::from_be_bytes)
}
