//! Unpacks OVA archives: packages of an OVF descriptor and disks in one tar archive.
//!
//! The archive is read once, front to back: the descriptor comes first, and each disk is unpacked while it goes by,
//! with the digests for the manifest computed beside it. Only where a disk comes before the descriptor is something
//! read again, which a stream cannot do; the host then makes the bytes readable anywhere. Disks are numbered by the
//! order of the descriptor's disk section, whatever the order of the members; one without a file is all hole. Members
//! that are no disk of the descriptor are passed over.
//!
//! | member | rule |
//! | --- | --- |
//! | `*.ovf` | exactly one, in any place |
//! | `*.mf` | at most one, in any place; [`ManifestPolicy`] |
//! | `*.cert` | not looked at: whom a signature would have to be by is not known here. Need not be in the manifest |
//! | any other | a regular file with a plain name: one component, UTF-8, unlike all others also when case is ignored. A leading `./` is left out |
//!
//! # Outputs
//!
//! Output N is disk N. Its name is the disk's id, and its description the [`DiskEntry`]; what the whole is for is told
//! as the [`Descriptor`]. The capacity that the descriptor gives is exactly that of the
//! disk's file, for raw disks the number of its bytes; where the descriptor gives none, or one that is set at
//! deployment (`${...}`), the file's counts.
//!
//! A disk's member is raw, a VMDK in one file, or the descriptor of a VMDK (monolithicFlat, twoGbMaxExtentFlat,
//! twoGbMaxExtentSparse) whose extents are members of this archive. Each belongs to one extent of one disk; a flat one is
//! exactly its extent, and each is one that every reader finds. In a stream they are unpacked in any order, behind the descriptor.
//!
//! # Errors
//!
//! Each class has one code, whatever the order of reading and the number of threads. A package with several faults may
//! show another of them first when it is read as a stream. Errors of the VMDK unpacker are passed on.
//!
//! | code | kind | what it means |
//! | --- | --- | --- |
//! | `tar-magic` | corrupt | a header neither of ustar nor of GNU tar |
//! | `tar-checksum` | corrupt | a header with a wrong checksum |
//! | `tar-number` | corrupt | a size that is malformed, negative or beyond 2^63 |
//! | `tar-name` | unsupported | a name that is not one plain component, or is continued elsewhere in the header |
//! | `tar-entry-type` | unsupported | a link, device, FIFO, directory, sparse file, long name of GNU tar, or unknown type |
//! | `tar-duplicate-name` | corrupt | two names that are the same, but for case at most |
//! | `tar-pax-record` | unsupported | a PAX record that is not known to leave names, sizes and types alone |
//! | `tar-pax-malformed` | corrupt | a malformed PAX record, or records for no member |
//! | `tar-pax-too-large` | limit | PAX records of more than 64 KiB |
//! | `tar-too-many-members` | limit | more than 1024 headers |
//! | `tar-truncated` | corrupt | the archive ends inside a member, or without two blocks of zeros |
//! | `tar-trailing-data` | corrupt | something but zeros after the end, or more than 1 MiB of these |
//! | `ova-no-descriptor`, `ova-several-descriptors`, `ova-several-manifests` | corrupt | not exactly one `*.ovf`; more than one `*.mf` |
//! | `ova-disk-missing`, `ova-extent-missing` | corrupt | no member for a disk, or for an extent of one |
//! | `ova-extent-reference` | corrupt | a VMDK's descriptor names a member that is something else as well, or names it twice |
//! | `ova-extent-size` | corrupt | a flat extent is not exactly its member |
//! | `ovf-too-large`, `ovf-too-deep`, `ovf-too-many`, `ovf-value-too-long` | limit | more than 16 MiB, 64 levels, 256 attributes of an element (and so on), 1024 bytes of a value |
//! | `ovf-encoding` | unsupported | not UTF-8 |
//! | `ovf-xml` | corrupt | not well-formed, with namespaces |
//! | `ovf-doctype` | unsupported | a document type definition |
//! | `ovf-entity` | corrupt | an entity that is none of XML's five |
//! | `ovf-version` | unsupported | an envelope of another version than 1 and 2 |
//! | `ovf-invalid` | corrupt | something that must be there is missing, there twice or malformed |
//! | `ovf-reference` | corrupt | an id that nothing or more than one thing has, or one file for two disks |
//! | `ovf-href` | unsupported | a file outside of the package |
//! | `ovf-compression`, `ovf-chunked`, `ovf-encrypted`, `ovf-parent` | unsupported | files compressed as a whole, split or encrypted; disks that are differences to others |
//! | `ovf-disk-format` | unsupported | a format that is neither VMDK nor raw |
//! | `ovf-format-mismatch` | corrupt | called raw, and a VMDK |
//! | `ovf-several-systems` | unsupported | several virtual systems, or hardware sections |
//! | `ovf-no-disks` | unsupported | no disk at all |
//! | `ovf-capacity` | corrupt | a capacity that is no number of bytes from 1 to 2^63 |
//! | `ovf-capacity-reference` | unsupported | an empty disk whose capacity is not given as a number |
//! | `ovf-capacity-mismatch`, `ovf-size-mismatch` | corrupt | the disk, or a file of the package, has another size than the descriptor says |
//! | `ovf-too-many-disks`, `disk-too-large` | limit | more than the request's limits |
//! | `manifest-too-large` | limit | more than 1 MiB |
//! | `manifest-invalid` | corrupt | a line that cannot be read, or two for one file |
//! | `manifest-unlisted-file`, `manifest-missing-file` | corrupt | members and lines do not match |
//! | `manifest-digest-mismatch` | corrupt | a wrong digest |
//! | `manifest-required` | denied | there is none, and the configuration wants one |
//! | `text-too-long` | limit | what is said of a disk or the machine is longer than the host lets pass |
//! | `bad-threads` | invalid | the configuration's `threads` is not 1 to 64 |
//! | `digest-stopped`, `bad-meta` | internal | a bug |

#![warn(clippy::arithmetic_side_effects, clippy::cast_possible_truncation, clippy::indexing_slicing)]

mod config;
mod contents;
mod descriptor;
mod digest;
mod envelope;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod handler;
mod hardware;
mod manifest;
mod name;
mod operation;
mod raw;
mod role;
mod split;
mod tar;
#[cfg(test)]
mod tests;
mod units;
mod unpack;
mod vmdk;
mod xml;

pub use config::{Config, ManifestPolicy};
pub use descriptor::{Adapter, Bus, Controller, Descriptor, DiskEntry, Firmware, Format, Network};
pub use handler::OvaHandler;
