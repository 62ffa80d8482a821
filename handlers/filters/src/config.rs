//! `[handler.zstd]` and `[handler.xz]`.

use std::fmt::Display;
use std::thread;

use landfall_handler_api::{Error, ErrorKind, Result};
use serde::Deserialize;

/// With less than this, what even low levels make would be refused.
const LEAST_WINDOW: u64 = 1 << 20;
/// What the library takes on 64 bits: `ZSTD_WINDOWLOG_MAX` is 31.
const MOST_ZSTD_WINDOW: u64 = 1 << 31;
/// The largest LZMA2 dictionary is 4 GiB - 1 (xz file format 1.2.1, 5.3.1).
const MOST_XZ_WINDOW: u64 = 1 << 32;

/// Threads where the operator names no number: each takes memory, which a worker has 1 GiB of.
const USUAL_THREADS: u32 = 4;
const MOST_THREADS: u32 = 64;

/// The section of zstd.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct ZstdConfig {
    /// The largest window in bytes, 1 MiB to 2 GiB: so much memory one image may take. The default is that of the program
    /// `zstd`; an image made with `--long=31` needs all of it.
    pub window_bytes: u64,
}

impl Default for ZstdConfig {
    fn default() -> Self {
        Self { window_bytes: 128 << 20 }
    }
}

impl ZstdConfig {
    pub(crate) fn check(&self) -> Result<()> {
        bounded("window_bytes", self.window_bytes, LEAST_WINDOW, MOST_ZSTD_WINDOW)
    }
}

/// The section of xz.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct XzConfig {
    /// The largest dictionary in bytes, 1 MiB to 4 GiB: so much memory one thread may take. The default is what `xz -9`
    /// makes.
    pub window_bytes: u64,
    /// Threads that inflate blocks, 1 to 64, where an image has several that say how long they are, as `xz -T` makes them.
    /// By default as many as there are processors, at most 4. More than one hold up to 256 MiB together.
    pub threads: u32,
}

impl Default for XzConfig {
    fn default() -> Self {
        let processors = thread::available_parallelism().map_or(1, usize::from);
        Self {
            window_bytes: 64 << 20,
            threads: u32::try_from(processors).map_or(USUAL_THREADS, |it| it.min(USUAL_THREADS)),
        }
    }
}

impl XzConfig {
    pub(crate) fn check(&self) -> Result<()> {
        bounded("window_bytes", self.window_bytes, LEAST_WINDOW, MOST_XZ_WINDOW)?;
        bounded("threads", self.threads, 1, MOST_THREADS)
    }
}

fn bounded<T: PartialOrd + Display>(key: &str, value: T, least: T, most: T) -> Result<()> {
    if (&least..=&most).contains(&&value) {
        return Ok(());
    }
    let code = format!("config-{}", key.replace('_', "-"));
    Err(Error::new(ErrorKind::Invalid, code, format!("{key} is {value}, and may be {least} to {most}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_held_against_their_range() {
        for (window, right) in [(1 << 20, true), (1 << 31, true), ((1 << 20) - 1, false), ((1 << 31) + 1, false)] {
            assert_eq!(ZstdConfig { window_bytes: window }.check().is_ok(), right, "zstd {window}");
        }
        for (window, threads, wrong) in [
            (1 << 20, 1, None),
            (1 << 32, 64, None),
            ((1 << 20) - 1, 1, Some("config-window-bytes")),
            ((1 << 32) + 1, 1, Some("config-window-bytes")),
            (1 << 20, 0, Some("config-threads")),
            (1 << 20, 65, Some("config-threads")),
        ] {
            let outcome = XzConfig { window_bytes: window, threads }.check();
            assert_eq!(outcome.err().map(|error| error.code().to_owned()).as_deref(), wrong, "xz {window} {threads}");
        }
        ZstdConfig::default().check().unwrap();
        XzConfig::default().check().unwrap();
    }
}
