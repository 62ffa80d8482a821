//! Tells which disk format bytes are, and whether that is what an image record claims.
//!
//! Nobody here guesses a format: the record names it, and the bytes must agree. So there is no best match and no
//! score. [`detect`] reports *every* format whose mark is in the bytes, and [`agree`] lets the bytes pass only if
//! that set is the one which the record's `disk_format` and `container_format` allow.
//!
//! ```
//! use landfall_inspect::{Window, agree};
//!
//! let bytes = b"vhdxfile and the rest of a VHDX, cut short";
//! let window = Window::of(bytes);
//!
//! assert_eq!(agree(&window, "raw", "bare").unwrap_err().code(), "format-mismatch");
//! assert_eq!(agree(&window, "vhdx", "bare").unwrap_err().code(), "format-header");
//! ```
//!
//! # What it looks at
//!
//! A [`Window`]: the first [`HEAD_BYTES`] and the last [`TAIL_BYTES`] of any image; of a VMDK also the rest of its
//! descriptor, of a VHDX its headers, region tables, metadata table and two metadata items. An [`Inspector`] keeps them
//! from bytes that pass once, in chunks of any size; [`inspect_at`] reads them where they are; both make the same
//! window. That is at most [`Inspector::MOST_BYTES`] of memory, whatever numbers are in the bytes. Nothing is followed.
//!
//! The marks and the checks are those of oslo.utils' `format_inspector` (which Nova and Glance ask) and, where that one
//! is blind, also those by which qemu, VMware and Virtual PC recognise their files. [`Mark`] has the list with the
//! source of each, [`agree`] that of the checks.
//!
//! # What it does not look at
//!
//! A mark says what a file would be taken for. Of the inside [`agree`] sees what is in the window: enough to refuse
//! what names another file, is encrypted, or says one thing at its start and another at its end; but no proof that a
//! file is sound. Tables and the data behind them are for the code which parses the format.
//!
//! # Why not ask `qemu-img info`
//!
//! It opens what a hostile header refers to, it can be made to abort or to run for minutes, and it knows neither
//! several marks at once nor the rule that a record's word counts.

#![forbid(unsafe_code)]
#![warn(clippy::arithmetic_side_effects, clippy::cast_possible_truncation, clippy::indexing_slicing)]

mod agree;
mod compression;
mod container;
mod descriptor;
mod detect;
mod disagreement;
mod flaw;
mod format;
mod inspector;
mod iso;
mod luks;
mod mark;
mod mbr;
mod plan;
mod qcow2;
mod size;
mod vdi;
mod vhd;
mod vhdx;
mod vmdk;
mod window;

pub use agree::{agree, agree_compressed, agree_foreign, agree_unpacked};
pub use compression::Compression;
pub use container::{ContainerFormat, is_tar};
pub use detect::{Detected, detect};
pub use disagreement::{Claim, Disagreement, WindowPart};
pub use format::DiskFormat;
pub use inspector::{Inspector, inspect_at};
pub use mark::Mark;
pub use window::{HEAD_BYTES, TAIL_BYTES, Window};

/// The version of the rules, to be kept beside a remembered verdict.
///
/// It grows whenever [`agree`] may answer differently for some bytes and claims; a verdict remembered under another
/// number has to be asked for again.
pub const RULES_VERSION: u32 = 3;
