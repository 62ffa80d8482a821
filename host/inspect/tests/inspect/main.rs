//! The rules as a caller sees them: marks, claims, containers, and that no bytes upset them.

mod any_bytes;
mod claims;
mod compressions;
mod containers;
mod descriptors;
mod early;
mod image;
mod iso;
mod luks;
mod marks;
mod mbr;
mod qcow2;
mod qemu_images;
mod raw_disks;
mod streams;
mod vdi;
mod vhd;
mod vhdx;
mod vmdk;
