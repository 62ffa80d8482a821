//! `[handler.vmdk]`.

use std::thread::available_parallelism;

use landfall_handler_api::{Error, ErrorKind, Result};
use serde::Deserialize;

/// Each thread has some MiB of its own, and a worker's memory has an end.
const THREADS_MAX: usize = 64;

/// The section.
///
/// - `threads`: threads that inflate and write, 1 to 64. One for each core unless it is set; more than there are cores
///   may help where writing waits for a disk.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    threads: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self { threads: available_parallelism().map_or(1, usize::from).min(THREADS_MAX) }
    }
}

impl Config {
    /// Threads to work with; `invalid`, code `bad-threads`, for too few or too many.
    pub(crate) fn threads(&self) -> Result<usize> {
        if (1..=THREADS_MAX).contains(&self.threads) {
            return Ok(self.threads);
        }
        let message = format!("threads is {}, and 1 to {THREADS_MAX} are allowed", self.threads);
        Err(Error::new(ErrorKind::Invalid, "bad-threads", message))
    }
}

#[cfg(test)]
mod tests {
    use serde::de::value::{Error as Refused, MapDeserializer};

    use super::*;

    fn config(section: &[(&str, usize)]) -> std::result::Result<Config, Refused> {
        Config::deserialize(MapDeserializer::new(section.iter().copied()))
    }

    #[test]
    fn threads_have_bounds() {
        assert!((1..=THREADS_MAX).contains(&config(&[]).unwrap().threads().unwrap()));
        for threads in [1, 3, 64] {
            assert_eq!(config(&[("threads", threads)]).unwrap().threads().unwrap(), threads);
        }
        for threads in [0, 65, usize::MAX] {
            assert_eq!(config(&[("threads", threads)]).unwrap().threads().unwrap_err().code(), "bad-threads");
        }
        assert!(config(&[("thread", 1)]).is_err());
    }
}
