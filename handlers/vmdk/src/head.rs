//! What a file begins with: the header and the descriptor, or something that is refused by name.

use landfall_handler_api::Result;
use landfall_unpack::StoredReader;

use crate::descriptor::{DESCRIPTOR_MAX, Descriptor};
use crate::header::{Header, MAGIC, SECTOR, SECTOR_LEN};
use crate::refusal::{corrupt, unsupported};

/// How ESX's copy-on-write disks begin. VMware Virtual Disk Format 1.1, "ESX Server Sparse Extents".
const COWD: &[u8] = b"COWD";
/// How space-efficient sparse disks begin, little-endian 0xcafebabe. As qemu's block/vmdk.c reads them.
const SE_SPARSE: &[u8] = &[0xbe, 0xba, 0xfe, 0xca, 0, 0, 0, 0];
/// Sectors of an embedded descriptor, so that it has at most [`DESCRIPTOR_MAX`] bytes.
const DESCRIPTOR_SECTORS: u64 = DESCRIPTOR_MAX as u64 / SECTOR;

/// The header of a sparse extent.
pub(crate) fn read_header(reader: &mut StoredReader<'_>) -> Result<Header> {
    let start = reader.take_most(MAGIC.len())?;
    if start == MAGIC {
        reader.seek(0);
        return reader.take(SECTOR_LEN)?.first_chunk().map_or_else(|| Err(no_disk()), Header::parse);
    }
    reader.seek(0);
    refuse(reader)
}

/// The descriptor behind the header of a disk that is whole in one file.
pub(crate) fn read_descriptor(reader: &mut StoredReader<'_>, header: &Header) -> Result<Descriptor> {
    let sectors = header.descriptor_sectors;
    // Anywhere else, qemu and oslo.utils would look at other bytes.
    if header.descriptor_offset != 1 || sectors == 0 || sectors > DESCRIPTOR_SECTORS {
        let message = format!("the descriptor has {sectors} sectors from sector {} on", header.descriptor_offset);
        return Err(corrupt("vmdk-descriptor", message));
    }
    if header.overhead <= sectors {
        return Err(corrupt("vmdk-overhead", "grains begin before the descriptor ends"));
    }
    let bytes = usize::try_from(sectors.saturating_mul(SECTOR)).unwrap_or(DESCRIPTOR_MAX);
    reader.seek(SECTOR);
    Descriptor::parse_embedded(reader.take(bytes)?, header.capacity)
}

/// Says why what does not begin like a sparse extent is not unpacked.
fn refuse(reader: &mut StoredReader<'_>) -> Result<Header> {
    let head = reader.take_most(DESCRIPTOR_MAX.saturating_add(1))?;
    if head.starts_with(COWD) {
        return Err(unsupported("vmdk-cowd", "ESX's copy-on-write disks (COWD) are not unpacked"));
    }
    if head.starts_with(SE_SPARSE) {
        return Err(unsupported("vmdk-se-sparse", "space-efficient sparse disks (seSparse) are not unpacked"));
    }
    if !Descriptor::is_meant_by(head) {
        return Err(no_disk());
    }
    Descriptor::parse(head)?;
    Err(unsupported("vmdk-other-files", "this is a descriptor alone: the disk's bytes are in other files"))
}

fn no_disk() -> landfall_handler_api::Error {
    corrupt("vmdk-magic", "neither a sparse extent (KDMV) nor a descriptor")
}
