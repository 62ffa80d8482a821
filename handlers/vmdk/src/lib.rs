//! Unpacks VMware's virtual disks.
//!
//! A disk in one file, streamOptimized or monolithicSparse, is unpacked front to back ([`unpack`]); a disk of several
//! files needs somebody who has them all ([`Descriptor`], [`unpack_extent`]).
//!
//! Where a form says the same thing twice, both must agree: the header and the footer, the markers in the stream and
//! the grain tables, the first directory and the second. What is written is then what a reader of the tables would see.

#![cfg_attr(
    not(test),
    warn(clippy::arithmetic_side_effects, clippy::cast_possible_truncation, clippy::indexing_slicing)
)]

mod config;
mod descriptor;
mod extent;
mod extent_line;
mod fingerprint;
mod grains;
mod handler;
mod head;
mod header;
mod marker;
mod refusal;
mod sparse;
mod stream;
mod stream_tables;
mod tables;
#[cfg(test)]
mod tests;
mod unpack;

pub use config::Config;
pub use descriptor::{CreateType, DESCRIPTOR_MAX, Descriptor};
pub use extent::unpack_extent;
pub use extent_line::{Extent, ExtentKind};
pub use handler::VmdkHandler;
pub use header::SECTOR;
pub use unpack::{Means, unpack};
