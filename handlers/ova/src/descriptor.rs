//! The disks of a package and the machine that they are for: what is taken from an OVF descriptor.

use std::collections::{HashMap, HashSet};

use landfall_handler_api::{Error, ErrorKind, Result};
use serde::Serialize;

use crate::envelope::{self, Envelope, File, invalid};
use crate::hardware::{Hardware, Place};
use crate::name;
use crate::role::Role;

/// What a package says of its disks and their machine. Its JSON is that of the machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Descriptor {
    /// The virtual system's name.
    pub name: Option<String>,
    /// Virtual processors.
    pub vcpus: Option<u64>,
    /// Bytes of memory.
    pub memory_bytes: Option<u64>,
    /// What the machine boots with, where the package says so.
    pub firmware: Option<Firmware>,
    /// Networks, with the adapters that are connected to them.
    pub networks: Vec<Network>,
    /// Controllers of disks and media.
    pub controllers: Vec<Controller>,
    /// The disks in the order of the disk section, which is that of their numbers.
    #[serde(skip)]
    pub disks: Vec<DiskEntry>,
    /// Names of the package's files with their bytes, where it gives these.
    #[serde(skip)]
    pub(crate) sizes: Vec<(String, u64)>,
}

/// The firmware of a machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Firmware {
    /// A BIOS.
    Bios,
    /// UEFI.
    Efi,
}

/// A network of a package.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Network {
    /// Its name in the package.
    pub name: String,
    /// What is connected to it.
    pub adapters: Vec<Adapter>,
}

/// A network adapter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Adapter {
    /// As the package names it: `VmxNet3`, `E1000`, ...
    pub model: Option<String>,
    /// The MAC address, where the package gives one. As written, unchecked.
    pub address: Option<String>,
}

/// A controller of disks and media.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Controller {
    /// Its instance id, to which [`DiskEntry::controller`] refers.
    pub id: String,
    /// What disks are attached by.
    pub bus: Bus,
    /// As the package names it: `lsilogic`, `VirtualSCSI`, `AHCI`, ...
    pub model: Option<String>,
    /// Its number among those of its bus.
    pub number: Option<u64>,
}

/// How disks are attached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Bus {
    /// IDE.
    Ide,
    /// Parallel or serial attached SCSI.
    Scsi,
    /// SATA.
    Sata,
    /// NVMe.
    Nvme,
    /// Something else.
    Other,
}

/// The form of a disk's file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// VMware's.
    Vmdk,
    /// The disk's bytes.
    Raw,
}

impl Format {
    /// The format that the URI of a disk means. The specification defines none; VMDK's are VMware's, with `vmdk.html`
    /// in them and a fragment for the variant. Raw disks have no URI that anybody agreed on, but end in `raw`.
    pub(crate) fn of_uri(uri: &str) -> Option<Self> {
        let uri = uri.trim().to_ascii_lowercase();
        match uri.rsplit(['/', '#', ':']).next() {
            _ if uri.contains("vmdk") => Some(Self::Vmdk),
            Some("raw") => Some(Self::Raw),
            _ => None,
        }
    }
}

/// A disk of a package. Its JSON is what the output does not show by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DiskEntry {
    /// The number of its output, from 0.
    #[serde(skip)]
    pub number: u32,
    /// Its id in the package.
    #[serde(skip)]
    pub id: String,
    /// The name of the file that holds it; none for a disk that is empty.
    #[serde(rename = "member")]
    pub name: Option<String>,
    /// Its bytes once unpacked, where the descriptor gives them as a number.
    #[serde(skip)]
    pub capacity_bytes: Option<u64>,
    /// The format of its file; none for a disk that is empty.
    #[serde(rename = "stored_format")]
    pub format: Option<Format>,
    /// The instance id of its controller.
    pub controller: Option<String>,
    /// Its address at the controller.
    pub unit: Option<u64>,
    /// Its place in the order of booting, from 1.
    pub boot_order: Option<usize>,
    /// Bytes of its file, where the descriptor gives them.
    #[serde(skip)]
    pub(crate) stored_bytes: Option<u64>,
}

impl Descriptor {
    /// Parses an OVF descriptor, of which the caller limits the bytes.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        let envelope = envelope::parse(bytes)?;
        let hardware = Hardware::of(&envelope)?;
        let disks = disks(&envelope, hardware.places)?;
        let (name, firmware) = (envelope.name, envelope.firmware);
        let Hardware { vcpus, memory_bytes, networks, controllers, .. } = hardware;
        let sizes = envelope.files.into_iter().filter_map(|file| Some((file.href, file.size?))).collect();
        Ok(Self { name, vcpus, memory_bytes, firmware, networks, controllers, disks, sizes })
    }
}

/// The disks with their files. No file, nor its name, belongs to two.
fn disks(envelope: &Envelope, places: Vec<Place>) -> Result<Vec<DiskEntry>> {
    let mut files: HashMap<&str, &File> = HashMap::new();
    let mut names = HashSet::new();
    for file in &envelope.files {
        if files.insert(&file.id, file).is_some() || !names.insert(name::folded(&file.href)) {
            return Err(invalid("names a file twice"));
        }
    }
    let (mut ids, mut taken) = (HashSet::new(), HashSet::new());
    let mut entries = Vec::new();
    for (number, (disk, place)) in envelope.disks.iter().zip(places).enumerate() {
        if !ids.insert(&disk.id) {
            return Err(invalid("names a disk twice"));
        }
        let file = match &disk.file {
            Some(id) => {
                Some(files.get(id.as_str()).ok_or_else(|| dangling("has a disk in a file that it does not list"))?)
            }
            None => None,
        };
        // Such a member is taken for what it is called, and the manifest need not list a certificate.
        if file.is_some_and(|file| Role::of(&file.href) != Role::File) {
            return Err(dangling("has a disk in a descriptor, manifest or certificate"));
        }
        if file.is_some_and(|file| !taken.insert(&file.id)) {
            return Err(dangling("has two disks in one file"));
        }
        entries.push(DiskEntry {
            number: u32::try_from(number).unwrap_or(u32::MAX),
            id: disk.id.clone(),
            name: file.map(|file| file.href.clone()),
            capacity_bytes: disk.capacity,
            format: disk.format,
            controller: place.controller,
            unit: place.unit,
            boot_order: place.boot_order,
            stored_bytes: file.and_then(|file| file.size),
        });
    }
    if entries.is_empty() {
        return Err(Error::new(ErrorKind::Unsupported, "ovf-no-disks", "the OVF descriptor has no disks"));
    }
    Ok(entries)
}

fn dangling(what: &str) -> Error {
    Error::new(ErrorKind::Corrupt, "ovf-reference", format!("the OVF descriptor {what}"))
}
