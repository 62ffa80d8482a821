//! Tells which disk format bytes are, and whether that is what an image record claims.
//!
//! Nobody here guesses a format: the record names it, and the bytes must agree. So there is no best match and no
//! score. [`detect`] reports *every* format whose mark is in the bytes, and [`agree`] lets the bytes pass only if
//! that set is the one which the record's `disk_format` and `container_format` allow.
//!
//! ```
//! use landfall_inspect::{Window, agree};
//!
//! let bytes = b"vhdxfile and the rest of a VHDX";
//! let window = Window::of(bytes);
//!
//! assert!(agree(&window, "vhdx", "bare").is_ok());
//! assert_eq!(agree(&window, "raw", "bare").unwrap_err().code(), "format-mismatch");
//! ```
//!
//! # What it looks at
//!
//! The first [`HEAD_BYTES`] and the last [`TAIL_BYTES`] of the bytes: a [`Window`]. Nothing is read, allocated by a
//! number in the bytes, or followed. The marks are those of oslo.utils' `format_inspector` (which Nova and Glance ask)
//! and, where that one is blind, also those by which qemu, VMware and Virtual PC recognise their files. [`Mark`] has
//! the list with the source of each.
//!
//! # What it does not look at
//!
//! A mark says what a file would be taken for. Of the inside [`agree`] sees what is in the window: enough to refuse a
//! qcow2, VHD, VDI or VMDK whose header names another file or is encrypted, but no proof that a file is sound. Tables,
//! the data behind them and trailing headers are for the code which parses the format. So is a VHDX altogether: whether
//! it has a parent is written 1 MiB from the start or later, outside the window.
//!
//! # Why not ask `qemu-img info`
//!
//! It opens what a hostile header refers to, it can be made to abort or to run for minutes, and it knows neither
//! several marks at once nor the rule that a record's word counts.

#![forbid(unsafe_code)]
#![warn(clippy::arithmetic_side_effects, clippy::cast_possible_truncation, clippy::indexing_slicing)]

mod agree;
mod container;
mod descriptor;
mod detect;
mod disagreement;
mod flaw;
mod format;
mod mark;
mod qcow2;
mod vdi;
mod vhd;
mod vmdk;
mod window;

pub use agree::agree;
pub use container::{Compression, ContainerFormat, is_tar};
pub use detect::{Detected, detect};
pub use disagreement::{Claim, Disagreement, WindowPart};
pub use format::DiskFormat;
pub use mark::Mark;
pub use window::{HEAD_BYTES, TAIL_BYTES, Window};

/// The version of the rules, to be kept beside a remembered verdict.
///
/// It grows whenever [`agree`] may answer differently for some bytes and claims; a verdict remembered under another
/// number has to be asked for again.
pub const RULES_VERSION: u32 = 2;
