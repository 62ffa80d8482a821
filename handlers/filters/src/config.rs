//! The settings of a filter.

use landfall_handler_api::{Error, ErrorKind, Result};
use serde::Deserialize;

/// The window of `zstd --ultra -22` and of `zstd -d` without `--long`: 128 MiB. Enough for `xz -9`, whose dictionary is
/// 64 MiB.
const WINDOW_USUAL: u64 = 128 << 20;
const WINDOW_LEAST: u64 = 1 << 20;
/// A worker's memory is bounded as well.
const WINDOW_MOST: u64 = 2 << 30;

/// The settings of a filter: `[handler.gzip]` and so on.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The most bytes of memory that a stream may want for its window or dictionary, 1 MiB to 2 GiB. Default: 128 MiB.
    pub window_bytes: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self { window_bytes: WINDOW_USUAL }
    }
}

impl Config {
    /// Refuses what is out of range, code `bad-window`.
    pub(crate) fn check(&self) -> Result<()> {
        if (WINDOW_LEAST..=WINDOW_MOST).contains(&self.window_bytes) {
            return Ok(());
        }
        let message = format!("window_bytes must be {WINDOW_LEAST} to {WINDOW_MOST}");
        Err(Error::new(ErrorKind::Invalid, "bad-window", message))
    }
}
