//! The rules as a caller sees them: marks, claims, containers, and that no bytes upset them.

mod any_bytes;
mod claims;
mod containers;
mod descriptors;
mod image;
mod marks;
mod qcow2;
mod qemu_images;
mod raw_disks;
mod vdi;
mod vhd;
mod vmdk;
