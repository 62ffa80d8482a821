//! One package: its members in turn, and what becomes of each.
//!
//! Where any byte can be read at any time, all headers are read first, then the descriptor and the manifest, then what
//! may be the descriptor of a disk. A stream's members are taken as they come.

use std::collections::HashMap;

use landfall_handler_api::{Error, ErrorKind, Result};
use landfall_handler_vmdk::DESCRIPTOR_MAX;
use landfall_unpack::Stored;

use crate::config::ManifestPolicy;
use crate::contents::Contents;
use crate::descriptor::{Descriptor, DiskEntry, Format};
use crate::digest::{Algorithm, Digests};
use crate::manifest::{MANIFEST_MAX, Manifest};
use crate::operation::{Opening, Operation, Terms, members};
use crate::role::Role;
use crate::split::{self, SplitDisk};
use crate::tar::{Archive, HEADERS_MAX, Member};
use crate::vmdk::{self, Vmdk};
use crate::xml::DOCUMENT_MAX;
use crate::{manifest, raw};

/// Members up to this size are hashed in every way while the manifest is not known: the descriptor, above all.
const SMALL: u64 = 1 << 20;
/// How the others are: what manifests have. SHA-512 takes longer than the two together, and VMware's tool, the only one
/// that offers it, writes the manifest in front of the disks.
const USUAL: [Algorithm; 2] = [Algorithm::Sha1, Algorithm::Sha256];

/// Unpacks the package in `stored`.
pub(crate) fn unpack<O: Operation>(stored: &dyn Stored, terms: &Terms, operation: &O) -> Result<()> {
    std::thread::scope(|scope| {
        let algorithms = match terms.manifest {
            ManifestPolicy::Ignore => &[][..],
            ManifestPolicy::Require | ManifestPolicy::Enforce => &Algorithm::ALL,
        };
        let digests = Digests::start(scope, algorithms)?;
        let package = Package {
            stored,
            terms,
            operation,
            digests,
            members: Vec::new(),
            descriptor: None,
            manifest: None,
            unpacked: Vec::new(),
            split: Vec::new(),
        };
        package.unpack()
    })
}

/// A member whose header was read.
struct Listed {
    role: Role,
    member: Member,
    fate: Fate,
    /// How its bytes were hashed, once they were read.
    hashed: Option<Vec<Algorithm>>,
}

/// What has become of a member.
#[derive(PartialEq, Eq)]
enum Fate {
    Waits,
    /// It was read as one that belongs to no disk that is known.
    WentBy,
    /// It was read as a disk, or as an extent of one.
    Unpacked,
}

struct Package<'a, 'scope, O: Operation> {
    stored: &'a dyn Stored,
    terms: &'a Terms,
    operation: &'a O,
    digests: Digests<'scope>,
    /// All members so far, in the archive's order.
    members: Vec<Listed>,
    descriptor: Option<Descriptor>,
    manifest: Option<Manifest>,
    /// For each disk, whether it was written.
    unpacked: Vec<bool>,
    /// Disks of which extents are missing.
    split: Vec<SplitDisk<O::Disk>>,
}

impl<'a, O: Operation> Package<'a, '_, O> {
    fn unpack(mut self) -> Result<()> {
        let mut archive = Archive::new(self.stored);
        while let Some(member) = archive.next_member()? {
            let index = self.list(member)?;
            if !self.terms.ranged {
                self.take(index)?;
            }
        }
        if self.terms.ranged {
            let mut order: Vec<usize> = (0..self.members.len()).collect();
            order.sort_by_key(|index| match self.members.get(*index) {
                Some(Listed { role: Role::Descriptor, .. }) => 0,
                Some(Listed { role: Role::Manifest, .. }) => 1,
                Some(Listed { member, .. }) if member.size <= DESCRIPTOR_MAX as u64 => 2,
                _ => 3,
            });
            for index in order {
                self.take(index)?;
            }
        }
        self.check_disks()?;
        self.check_sizes()?;
        self.check_manifest()
    }

    /// Adds a member to the list and gives its index. There is one descriptor and one manifest.
    fn list(&mut self, member: Member) -> Result<usize> {
        let role = Role::of(&member.name);
        let second = self.members.iter().any(|listed| listed.role == role);
        match role {
            Role::Descriptor if second => return Err(corrupt("ova-several-descriptors", "has two OVF descriptors")),
            Role::Manifest if second => return Err(corrupt("ova-several-manifests", "has two manifests")),
            _ => {}
        }
        self.members.push(Listed { role, member, fate: Fate::Waits, hashed: None });
        Ok(self.members.len().saturating_sub(1))
    }

    /// Does with a member what is to be done with it.
    fn take(&mut self, index: usize) -> Result<()> {
        let Some(Listed { role, member, .. }) = self.members.get(index) else { return Ok(()) };
        match role {
            Role::Descriptor => self.take_descriptor(index),
            Role::Manifest if self.terms.manifest == ManifestPolicy::Ignore => Ok(()),
            Role::Manifest => self.take_manifest(index),
            Role::Certificate | Role::File => match self.disk_in(&member.name) {
                Some(disk) => self.take_disk(index, &disk.clone()),
                None if self.split.iter().any(|split| split.lacks(&member.name)) => self.take_extent(index),
                None => {
                    self.set_fate(index, Fate::WentBy);
                    self.with_contents(index, |_| Ok(()))
                }
            },
        }
    }

    /// Each file that the descriptor gives a size for has it.
    fn check_sizes(&self) -> Result<()> {
        let sizes = self.descriptor.iter().flat_map(|descriptor| &descriptor.sizes);
        let sizes: HashMap<&str, u64> = sizes.map(|(name, size)| (name.as_str(), *size)).collect();
        let differs = |listed: &Listed| sizes.get(&*listed.member.name).is_some_and(|size| *size != listed.member.size);
        if self.members.iter().any(differs) { Err(size_mismatch()) } else { Ok(()) }
    }

    /// The disk that is in the member `name`, as the descriptor says.
    fn disk_in(&self, name: &str) -> Option<&DiskEntry> {
        let mut disks = self.descriptor.iter().flat_map(|descriptor| &descriptor.disks);
        disks.find(|disk| disk.name.as_deref() == Some(name))
    }

    fn take_descriptor(&mut self, index: usize) -> Result<()> {
        let descriptor = self.with_contents(index, |contents| {
            let bytes = contents.read_all(DOCUMENT_MAX, "ovf-too-large", "the OVF descriptor")?;
            Descriptor::parse(&bytes)
        })?;
        if u64::try_from(descriptor.disks.len()).is_ok_and(|disks| disks > u64::from(self.terms.disks)) {
            let message = format!("the package has more than {} disks", self.terms.disks);
            return Err(Error::new(ErrorKind::Limit, "ovf-too-many-disks", message));
        }
        for disk in &descriptor.disks {
            self.terms.means.check(disk.capacity_bytes.unwrap_or_default())?;
        }
        let disks = descriptor.disks.clone();
        self.unpacked = vec![false; disks.len()];
        self.operation.describe(&members(&descriptor)?)?;
        self.descriptor = Some(descriptor);
        for disk in &disks {
            if disk.name.is_none() {
                let output = self.opening(disk).open(disk.capacity_bytes.unwrap_or_default())?;
                self.close(disk, output)?;
            }
        }
        // Where the bytes are a stream, reading a disk that went by fails, and the host makes it possible to read
        // anything.
        let gone: Vec<_> = disks.iter().filter_map(|disk| Some((self.gone_by(disk.name.as_deref()?)?, disk))).collect();
        gone.into_iter().try_for_each(|(index, disk)| self.take_disk(index, disk))
    }

    /// The index of the member `name`, where that went by before it was known to be wanted.
    fn gone_by(&self, name: &str) -> Option<usize> {
        self.members.iter().position(|listed| listed.fate == Fate::WentBy && listed.member.name == name)
    }

    fn take_manifest(&mut self, index: usize) -> Result<()> {
        let manifest = self.with_contents(index, |contents| {
            let bytes = contents.read_all(MANIFEST_MAX, "manifest-too-large", "the manifest")?;
            Manifest::parse(&bytes)
        })?;
        let lacks = |listed: &Listed| match (&listed.hashed, manifest.get(&listed.member.name)) {
            (Some(hashed), Some(line)) => !hashed.contains(&line.algorithm),
            _ => false,
        };
        let again: Vec<usize> =
            self.members.iter().enumerate().filter(|(_, listed)| lacks(listed)).map(|(index, _)| index).collect();
        self.manifest = Some(manifest);
        // As with a disk that has gone by: of a stream, this fails, and the host makes it possible.
        for index in again {
            if let Some(listed) = self.members.get_mut(index) {
                listed.hashed = None;
            }
            self.with_contents(index, |_| Ok(()))?;
        }
        Ok(())
    }

    fn take_disk(&mut self, index: usize, disk: &DiskEntry) -> Result<()> {
        let size = self.members.get(index).map(|listed| listed.member.size);
        if disk.stored_bytes.is_some_and(|stored| Some(stored) != size) {
            return Err(size_mismatch());
        }
        self.set_fate(index, Fate::Unpacked);
        let (operation, terms, opening) = (self.operation, self.terms, self.opening(disk));
        let outcome = self.with_contents(index, |contents| match disk.format {
            Some(Format::Raw) => raw::unpack(contents, &terms.means, |size| opening.open(size)).map(Vmdk::Disk),
            Some(Format::Vmdk) | None => vmdk::unpack(contents, operation, &terms.means, &opening),
        })?;
        match outcome {
            Vmdk::Disk(output) => self.close(disk, output),
            Vmdk::Descriptor(descriptor) => {
                let bytes = descriptor.disk_bytes()?;
                // All that are missing are members, each another one.
                let missing = self.split.iter().map(SplitDisk::missing).sum();
                let parts = split::parts(descriptor, HEADERS_MAX.saturating_sub(missing), |name| self.is_used(name))?;
                let output = self.opening(disk).open(bytes)?;
                let gone: Vec<usize> = parts.iter().filter_map(|part| self.gone_by(part.name())).collect();
                self.split.push(SplitDisk::new(disk.clone(), output, parts));
                gone.into_iter().try_for_each(|index| self.take_extent(index))
            }
        }
    }

    /// Whether the member `name` is a disk, or an extent of one.
    fn is_used(&self, name: &str) -> bool {
        let used = |listed: &Listed| listed.fate == Fate::Unpacked && listed.member.name == name;
        self.disk_in(name).is_some()
            || self.split.iter().any(|split| split.lacks(name))
            || self.members.iter().any(used)
    }

    /// Unpacks an extent that is missing.
    fn take_extent(&mut self, index: usize) -> Result<()> {
        let Some(name) = self.members.get(index).map(|listed| listed.member.name.clone()) else { return Ok(()) };
        let Some(number) = self.split.iter().position(|split| split.lacks(&name)) else { return Ok(()) };
        let mut split = self.split.swap_remove(number);
        self.set_fate(index, Fate::Unpacked);
        let means = self.terms.means;
        self.with_contents(index, |contents| split.unpack(&name, contents, &means))?;
        if split.missing() == 0 {
            let SplitDisk { entry, output, .. } = split;
            return self.close(&entry, output);
        }
        self.split.push(split);
        Ok(())
    }

    fn set_fate(&mut self, index: usize, fate: Fate) {
        if let Some(listed) = self.members.get_mut(index) {
            listed.fate = fate;
        }
    }

    /// What the output of `disk` is opened with.
    fn opening(&self, disk: &DiskEntry) -> Opening<'a, O> {
        Opening { operation: self.operation, terms: self.terms, disk: disk.clone() }
    }

    fn close(&mut self, disk: &DiskEntry, output: O::Disk) -> Result<()> {
        self.operation.finish(output)?;
        if let Some(unpacked) = usize::try_from(disk.number).ok().and_then(|number| self.unpacked.get_mut(number)) {
            *unpacked = true;
        }
        Ok(())
    }

    /// Lets `use_them` have a member's bytes. They are hashed as the manifest wants them, all of them, and once.
    fn with_contents<T>(&mut self, index: usize, use_them: impl FnOnce(&Contents<'_, '_>) -> Result<T>) -> Result<T> {
        let algorithms = self.algorithms(index)?;
        let listed = self.members.get_mut(index).expect("a member is taken after it was listed");
        let hashing = listed.hashed.is_none() && self.digests.begin(&algorithms);
        listed.hashed.get_or_insert(algorithms);
        let digests = hashing.then_some(&mut self.digests);
        let operation = self.operation;
        let pulse = |done| operation.pulse(done);
        let contents = Contents::new(self.stored, &listed.member, digests, &pulse);
        let outcome = use_them(&contents)?;
        contents.finish(index)?;
        Ok(outcome)
    }

    /// The algorithms by which a member is to be hashed: the manifest's, or those that it may have while there is none yet.
    fn algorithms(&self, index: usize) -> Result<Vec<Algorithm>> {
        let Some(Listed { role, member, .. }) = self.members.get(index) else { return Ok(Vec::new()) };
        match &self.manifest {
            _ if *role == Role::Manifest || self.terms.manifest == ManifestPolicy::Ignore => Ok(Vec::new()),
            Some(manifest) => match manifest.get(&member.name) {
                Some(listed) => Ok(vec![listed.algorithm]),
                None if *role == Role::Certificate => Ok(Vec::new()),
                None => Err(unlisted()),
            },
            None if self.terms.ranged && self.members.iter().all(|listed| listed.role != Role::Manifest) => {
                Ok(Vec::new())
            }
            None if member.size <= SMALL => Ok(Algorithm::ALL.to_vec()),
            None => Ok(USUAL.to_vec()),
        }
    }

    fn check_disks(&self) -> Result<()> {
        if self.descriptor.is_none() {
            return Err(corrupt("ova-no-descriptor", "has no OVF descriptor"));
        }
        if !self.split.is_empty() {
            return Err(split::missing());
        }
        if self.unpacked.contains(&false) {
            return Err(corrupt("ova-disk-missing", "has no member for a disk that the OVF descriptor lists"));
        }
        Ok(())
    }

    /// Compares the manifest with the members: each is listed, each line has its member, all digests are right.
    fn check_manifest(self) -> Result<()> {
        let found = self.digests.finish()?;
        let Some(manifest) = self.manifest else {
            return match self.terms.manifest {
                ManifestPolicy::Require => {
                    let message = "the package has no manifest, and this node asks for one";
                    Err(Error::new(ErrorKind::Denied, "manifest-required", message))
                }
                ManifestPolicy::Enforce => {
                    self.operation
                        .note("the package has no manifest: nothing vouches for its files but the digest of the whole");
                    Ok(())
                }
                ManifestPolicy::Ignore => Ok(()),
            };
        };
        for Listed { role, member, .. } in &self.members {
            if matches!(role, Role::Descriptor | Role::File) && manifest.get(&member.name).is_none() {
                return Err(unlisted());
            }
        }
        for name in manifest.names() {
            let member = self.members.iter().position(|listed| listed.member.name == name);
            if member.and_then(|member| self.members.get(member)).is_some_and(|listed| listed.role == Role::Manifest) {
                return Err(manifest::invalid("lists itself"));
            }
            let member =
                member.ok_or_else(|| corrupt("manifest-missing-file", "lacks a member that its manifest lists"))?;
            let right = found.iter().any(|found| {
                let line = manifest.get(name);
                found.member == member
                    && line.is_some_and(|line| line.algorithm == found.algorithm && line.digest == found.digest)
            });
            if !right {
                let message = "has a member whose digest is not the one in its manifest";
                return Err(corrupt("manifest-digest-mismatch", message));
            }
        }
        Ok(())
    }
}

fn corrupt(code: &'static str, what: &str) -> Error {
    Error::new(ErrorKind::Corrupt, code, format!("the package {what}"))
}

fn unlisted() -> Error {
    corrupt("manifest-unlisted-file", "has a member that its manifest does not list")
}

fn size_mismatch() -> Error {
    let message = "the OVF descriptor gives another size for a file than the archive does";
    Error::new(ErrorKind::Corrupt, "ovf-size-mismatch", message)
}
