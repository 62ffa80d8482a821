//! The operation that unpacking is part of, and the outputs that it gives.

use landfall_handler_api::{Error, ErrorKind, OutputMeta, Result};
use landfall_handler_vmdk::Means;
use landfall_unpack::{Disk, Stored};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::config::ManifestPolicy;
use crate::descriptor::DiskEntry;

/// The host, or a test.
pub(crate) trait Operation: Sync {
    /// What a disk is written to.
    type Disk: Disk;

    /// A sign of life, with the bytes that were read; fails once the operation must stop.
    fn pulse(&self, done: u64) -> Result<()>;
    /// One line for the operator.
    fn note(&self, line: &str);
    /// Tells of the machine that the disks are for, once.
    fn describe(&self, machine: &Map<String, Value>) -> Result<()>;
    /// Opens the output of a disk.
    fn open(&self, number: u32, size: u64, meta: &OutputMeta) -> Result<Self::Disk>;
    /// Ends it.
    fn finish(&self, disk: Self::Disk) -> Result<()>;
    /// Unpacks a VMDK: [`landfall_handler_vmdk::unpack`].
    fn vmdk(
        &self,
        stored: &dyn Stored,
        means: &Means,
        open: &mut dyn FnMut(u64) -> Result<Self::Disk>,
    ) -> Result<Self::Disk>;
}

/// How a package is to be unpacked.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Terms {
    pub(crate) means: Means,
    /// Disks that a package may have.
    pub(crate) disks: u32,
    pub(crate) manifest: ManifestPolicy,
    /// Whether any byte can be read at any time. Then the descriptor and the manifest are read first wherever they are.
    pub(crate) ranged: bool,
}

/// The output of one disk, before it is opened.
pub(crate) struct Opening<'a, O> {
    pub(crate) operation: &'a O,
    pub(crate) terms: &'a Terms,
    pub(crate) disk: DiskEntry,
}

impl<O: Operation> Opening<'_, O> {
    /// Opens it for the size that the disk's file gives, which the descriptor must give as well.
    pub(crate) fn open(&self, size: u64) -> Result<O::Disk> {
        if self.disk.capacity_bytes.is_some_and(|capacity| capacity != size) {
            let message = "the OVF descriptor gives another capacity for a disk than the disk's file has";
            return Err(Error::new(ErrorKind::Corrupt, "ovf-capacity-mismatch", message));
        }
        self.terms.means.check(size)?;
        let mut meta = OutputMeta::default();
        meta.name = Some(self.disk.id.clone());
        meta.extra = members(&self.disk)?;
        self.operation.open(self.disk.number, size, &meta)
    }
}

/// The JSON object of a value.
pub(crate) fn members(value: &impl Serialize) -> Result<Map<String, Value>> {
    let wrong = |why: &str| Error::new(ErrorKind::Internal, "bad-meta", format!("describe a package: {why}"));
    match serde_json::to_value(value).map_err(|error| wrong(&error.to_string()))? {
        Value::Object(members) => Ok(members),
        _ => Err(wrong("it has no members")),
    }
}
