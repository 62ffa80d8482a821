//! What fuzz targets call: a whole package with its disks in memory, and two of the parsers alone.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use landfall_handler_api::{Error, ErrorKind, OutputMeta, Result};
use landfall_handler_vmdk::Means;
use landfall_unpack::{Disk, Stored};
use serde_json::{Map, Value};

use crate::config::ManifestPolicy;
use crate::manifest::Manifest;
use crate::operation::{Operation, Terms};
use crate::tar::Archive;

/// How a package is to be unpacked.
#[derive(Debug, Clone, Copy)]
pub struct Conditions {
    /// Threads that inflate and write.
    pub threads: usize,
    /// Bytes that a disk may have.
    pub disk_bytes: u64,
    /// Disks that the package may have.
    pub disks: u32,
    /// What is asked of its manifest.
    pub manifest: ManifestPolicy,
    /// Whether any byte can be read at any time.
    pub ranged: bool,
}

/// Unpacks a package; gives its disks by their numbers. Those are made by `new`, for a number of bytes.
pub fn unpack<D: Disk>(
    stored: &dyn Stored,
    conditions: &Conditions,
    new: impl Fn(u64) -> D + Sync,
) -> Result<BTreeMap<u32, D>> {
    let Conditions { threads, disk_bytes, disks, manifest, ranged } = *conditions;
    let host = Host { new, finished: Mutex::default() };
    let terms = Terms { means: Means { threads, disk_bytes }, disks, manifest, ranged };
    crate::unpack::unpack(stored, &terms, &host)?;
    Ok(host.finished.into_inner().unwrap_or_else(PoisonError::into_inner))
}

/// The members of a tar archive: name, offset and bytes of each.
pub fn members(stored: &dyn Stored) -> Result<Vec<(String, u64, u64)>> {
    let mut archive = Archive::new(stored);
    let mut members = Vec::new();
    while let Some(member) = archive.next_member()? {
        members.push((member.name, member.offset, member.size));
    }
    Ok(members)
}

/// The lines of a manifest: name, algorithm and digest of each.
pub fn manifest(bytes: &[u8]) -> Result<Vec<(String, &'static str, Vec<u8>)>> {
    let manifest = Manifest::parse(bytes)?;
    let line =
        |name: &str| manifest.get(name).map(|line| (name.to_owned(), line.algorithm.name(), line.digest.clone()));
    Ok(manifest.names().filter_map(line).collect())
}

struct Host<D, N> {
    new: N,
    finished: Mutex<BTreeMap<u32, D>>,
}

struct Numbered<D> {
    number: u32,
    disk: D,
}

impl<D: Disk> Disk for Numbered<D> {
    fn write_at(&self, bytes: &[u8], offset: u64) -> Result<()> {
        self.disk.write_at(bytes, offset)
    }
}

impl<D: Disk, N: Fn(u64) -> D + Sync> Operation for Host<D, N> {
    type Disk = Numbered<D>;

    fn pulse(&self, _: u64) -> Result<()> {
        Ok(())
    }

    fn note(&self, _: &str) {}

    fn describe(&self, _: &Map<String, Value>) -> Result<()> {
        Ok(())
    }

    fn open(&self, number: u32, size: u64, _: &OutputMeta) -> Result<Self::Disk> {
        Ok(Numbered { number, disk: (self.new)(size) })
    }

    fn finish(&self, Numbered { number, disk }: Self::Disk) -> Result<()> {
        let mut finished = self.finished.lock().unwrap_or_else(PoisonError::into_inner);
        match finished.insert(number, disk) {
            None => Ok(()),
            Some(_) => Err(Error::new(ErrorKind::Internal, "output-twice", "a disk was finished twice")),
        }
    }

    fn vmdk(
        &self,
        stored: &dyn Stored,
        means: &Means,
        open: &mut dyn FnMut(u64) -> Result<Self::Disk>,
    ) -> Result<Self::Disk> {
        landfall_handler_vmdk::unpack(stored, means, open)
    }
}
