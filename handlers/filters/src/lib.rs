//! Filters that inflate compressed images on their way: gzip, zstd, xz, bzip2.
//!
//! A filter makes a source of an [`Input`](landfall_handler_api::Input): not ranged, of unknown size, read once. The
//! input is read front to back, and what it inflates to goes straight into the host's buffers. Several members, frames or
//! streams one after the other are one image; anything else after the last is refused.
//!
//! | code | kind | what it says |
//! | --- | --- | --- |
//! | `bad-magic` | corrupt | the input does not begin as the compression does |
//! | `bad-stream` | corrupt | the compressed bytes contradict themselves |
//! | `checksum-mismatch` | corrupt | a checksum or length of gzip, or a checksum of zstd, is not that of the bytes |
//! | `unexpected-end` | corrupt | the input is empty or cut short |
//! | `trailing-data` | corrupt | something follows the end that does not belong there |
//! | `window-too-large` | limit | the stream asks for a larger window or dictionary than the setting `window_bytes` |
//! | `disk-bytes` | limit | it inflates to more than the request's limit |
//! | `no-memory` | limit | no memory was left for the window |
//! | `dictionary` | unsupported | zstd with a dictionary |
//! | `unsupported-options` | unsupported | xz with a filter, check or flag that liblzma does not know |
//!
//! The code for given bytes is the same however they are cut into chunks and whatever room the host has. liblzma and
//! libbz2 do not tell a wrong check from other damage: there both are `bad-stream`. Of damaged xz that also inflates to more
//! than the limit, either may be said.

#![cfg_attr(
    not(test),
    warn(clippy::arithmetic_side_effects, clippy::cast_possible_truncation, clippy::indexing_slicing)
)]

mod bzip2;
mod config;
mod decoder;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod gzip;
mod handler;
mod inflate;
mod prefix;
mod source;
mod xz;
mod zstd;

#[cfg(test)]
mod test_support;
#[cfg(test)]
mod tests;

pub use config::{XzConfig, ZstdConfig};
pub use handler::{Bzip2Handler, GzipHandler, XzHandler, ZstdHandler};
