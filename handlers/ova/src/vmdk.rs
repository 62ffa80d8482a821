//! A member that is a VMDK: the disk, or the descriptor of one whose extents are other members.

use landfall_handler_api::{Error, ErrorKind, Result};
use landfall_handler_vmdk::{DESCRIPTOR_MAX, Descriptor, Means};
use landfall_unpack::Stored;

use crate::contents::Contents;
use crate::operation::{Opening, Operation};

/// What a member turned out to be.
pub(crate) enum Vmdk<D> {
    /// A disk in one file, which was unpacked.
    Disk(D),
    /// What names the files of one.
    Descriptor(Descriptor),
}

/// Unpacks the disk that is in one file, or reads the descriptor that is one.
pub(crate) fn unpack<O: Operation>(
    contents: &Contents<'_, '_>,
    operation: &O,
    means: &Means,
    opening: &Opening<'_, O>,
) -> Result<Vmdk<O::Disk>> {
    let open = &mut |size| opening.open(size);
    if contents.size().is_none_or(|size| size > DESCRIPTOR_MAX as u64) {
        return operation.vmdk(contents, means, open).map(Vmdk::Disk);
    }
    let bytes = contents.read_all(DESCRIPTOR_MAX as u64, "vmdk-descriptor", "a disk's descriptor")?;
    if !Descriptor::is_meant_by(&bytes) {
        return operation.vmdk(&Small(&bytes), means, open).map(Vmdk::Disk);
    }
    let descriptor = Descriptor::parse_split(&bytes)?;
    if descriptor.create_type.is_one_file() {
        let message = "a disk's descriptor is alone, and says that it is within the disk";
        return Err(Error::new(ErrorKind::Corrupt, "ova-extent-reference", message));
    }
    Ok(Vmdk::Descriptor(descriptor))
}

/// The bytes of a member, once they were read.
struct Small<'a>(&'a [u8]);

impl Stored for Small<'_> {
    fn size(&self) -> Option<u64> {
        Some(self.0.len() as u64)
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<usize> {
        let rest = usize::try_from(offset).ok().and_then(|offset| self.0.get(offset..)).unwrap_or_default();
        let got = buffer.len().min(rest.len());
        if let (Some(room), Some(bytes)) = (buffer.get_mut(..got), rest.get(..got)) {
            room.copy_from_slice(bytes);
        }
        Ok(got)
    }
}
