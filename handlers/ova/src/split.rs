//! A disk in several members: its VMDK is a descriptor that names the others. The archive's members are all that these
//! names can lead to.

use std::collections::HashSet;

use landfall_handler_api::{Error, ErrorKind, Result};
use landfall_handler_vmdk::{Descriptor, Extent, ExtentKind, Means, SECTOR, unpack_extent};
use landfall_unpack::{Disk, Stored};

use crate::descriptor::DiskEntry;
use crate::role::Role;

/// A disk of which extents are missing.
pub(crate) struct SplitDisk<D> {
    pub(crate) entry: DiskEntry,
    pub(crate) output: D,
    /// Those that were not unpacked yet.
    parts: Vec<Part>,
}

/// An extent that a member of its own holds.
pub(crate) struct Part {
    extent: Extent,
    /// Where it begins on the disk.
    at: u64,
}

impl Part {
    /// The name of the member.
    pub(crate) fn name(&self) -> &str {
        &self.extent.name
    }
}

/// The extents of `descriptor` that members hold, of which there can be `most`. `taken` says of a name whether something
/// else is in that member.
pub(crate) fn parts(descriptor: Descriptor, most: usize, taken: impl Fn(&str) -> bool) -> Result<Vec<Part>> {
    let mut parts: Vec<Part> = Vec::new();
    let mut names = HashSet::new();
    let mut next = 0_u64;
    for extent in descriptor.extents {
        let at = next;
        // Their sum is known to be the number of the disk's bytes.
        next = next.saturating_add(extent.sectors.saturating_mul(SECTOR));
        if parts.len() >= most {
            return Err(missing());
        }
        if Role::of(&extent.name) != Role::File || taken(&extent.name) || !names.insert(extent.name.clone()) {
            let message = "a disk's descriptor names a member that is something else as well, or names it twice";
            return Err(Error::new(ErrorKind::Corrupt, "ova-extent-reference", message));
        }
        parts.push(Part { extent, at });
    }
    Ok(parts)
}

/// The error of an extent that no member holds.
pub(crate) fn missing() -> Error {
    let message = "the package has no member for an extent that a disk's descriptor names";
    Error::new(ErrorKind::Corrupt, "ova-extent-missing", message)
}

impl<D: Disk> SplitDisk<D> {
    pub(crate) fn new(entry: DiskEntry, output: D, parts: Vec<Part>) -> Self {
        Self { entry, output, parts }
    }

    /// Whether the member `name` is missing.
    pub(crate) fn lacks(&self, name: &str) -> bool {
        self.parts.iter().any(|part| part.name() == name)
    }

    /// How many members are missing.
    pub(crate) fn missing(&self) -> usize {
        self.parts.len()
    }

    /// Unpacks the member `name`, which is then no longer missing.
    pub(crate) fn unpack(&mut self, name: &str, contents: &dyn Stored, means: &Means) -> Result<()> {
        let Some(number) = self.parts.iter().position(|part| part.name() == name) else { return Ok(()) };
        let Part { extent, at } = self.parts.swap_remove(number);
        let whole = extent.offset == 0 && contents.size() == extent.sectors.checked_mul(SECTOR);
        if extent.kind == ExtentKind::Flat && !whole {
            let message = "a member is not exactly the flat extent that a disk's descriptor says";
            return Err(Error::new(ErrorKind::Corrupt, "ova-extent-size", message));
        }
        unpack_extent(contents, &extent, at, means, &self.output)
    }
}
