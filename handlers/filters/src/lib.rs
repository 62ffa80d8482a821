//! Filters that inflate compressed images on their way: gzip, zstd, xz, bzip2.
//!
//! Each is a handler of kind `filter`: the stored bytes go in front to back, and what they inflate to comes out, once, as a
//! source whose size nobody knows. Several members, frames or streams one after the other are one image, as the formats and
//! their programs have it. Memory is bounded before it is allocated (`window_bytes`), and what comes out ends at the
//! request's `disk_bytes`.
//!
//! | code | kind | what it means |
//! | --- | --- | --- |
//! | `unexpected-end` | corrupt | the bytes end inside a stream, or there are none |
//! | `bad-stream` | corrupt | a stream contradicts itself: a checksum, a length, a block, a header |
//! | `trailing-data` | corrupt | something else follows the last stream |
//! | `window-too-large` | limit | a stream wants more memory than `window_bytes` |
//! | `disk-bytes` | limit | it inflates to more than a disk may have |

#![warn(clippy::arithmetic_side_effects, clippy::cast_possible_truncation, clippy::indexing_slicing)]

mod bzip2;
mod codec;
mod config;
mod front;
mod gzip;
mod handler;
mod inflated;
#[cfg(test)]
mod tests;
mod xz;
mod zstd;

pub use bzip2::Bzip2;
pub use config::Config;
pub use gzip::Gzip;
pub use handler::FilterHandler;
pub use xz::Xz;
pub use zstd::Zstd;

/// The filter `gzip`.
pub type GzipHandler = FilterHandler<Gzip>;
/// The filter `zstd`.
pub type ZstdHandler = FilterHandler<Zstd>;
/// The filter `xz`.
pub type XzHandler = FilterHandler<Xz>;
/// The filter `bzip2`.
pub type Bzip2Handler = FilterHandler<Bzip2>;
