//! The handler's section of the configuration.

use landfall_handler_api::{Error, ErrorKind, Result};
use serde::Deserialize;

/// Threads that may be asked for.
const THREADS_MAX: usize = 64;

/// The section `[handler.ova]`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Threads that inflate and write, 1 to 64. Without it, as many as the node has processors for the handler.
    pub threads: Option<usize>,
    /// What is asked of the package's manifest.
    pub manifest: ManifestPolicy,
}

/// What is asked of a package's manifest.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ManifestPolicy {
    /// There must be one, and it must be right.
    Require,
    /// One that is there must be right. The specification leaves it to the author whether there is one.
    #[default]
    Enforce,
    /// It is not looked at.
    Ignore,
}

impl Config {
    /// The number of threads, within its bounds.
    pub(crate) fn threads(&self) -> Result<usize> {
        match self.threads {
            Some(threads @ 1..=THREADS_MAX) => Ok(threads),
            Some(threads) => {
                let message = format!("threads = {threads}: it is 1 to {THREADS_MAX}");
                Err(Error::new(ErrorKind::Invalid, "bad-threads", message))
            }
            None => Ok(std::thread::available_parallelism().map_or(1, usize::from).min(THREADS_MAX)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_are_one_to_sixty_four() {
        let config = |threads| Config { threads, ..Config::default() };
        assert_eq!(config(Some(1)).threads().unwrap(), 1);
        assert_eq!(config(Some(64)).threads().unwrap(), 64);
        assert!((1..=64).contains(&config(None).threads().unwrap()));
        for threads in [0, 65, usize::MAX] {
            let error = config(Some(threads)).threads().unwrap_err();
            assert_eq!((error.kind(), error.code()), (ErrorKind::Invalid, "bad-threads"));
        }
    }

    #[test]
    fn keys_and_values_that_are_unknown_are_refused() {
        let config = |json: &str| serde_json::from_str::<Config>(json).ok();
        assert_eq!(config("{}"), Some(Config::default()));
        for (word, manifest) in [
            ("require", ManifestPolicy::Require),
            ("enforce", ManifestPolicy::Enforce),
            ("ignore", ManifestPolicy::Ignore),
        ] {
            let expected = Config { threads: Some(2), manifest };
            assert_eq!(config(&format!(r#"{{"threads": 2, "manifest": "{word}"}}"#)), Some(expected));
        }
        assert_eq!(config(r#"{"manifest": "warn"}"#), None);
        assert_eq!(config(r#"{"thread": 2}"#), None);
    }
}
