//! Whole packages, from their bytes to their disks.

#![allow(clippy::arithmetic_side_effects, clippy::cast_possible_truncation)]

mod archives;
mod attacks;
mod descriptors;
mod extents;
pub(crate) mod host;
mod manifests;
mod orders;
pub(crate) mod package;
