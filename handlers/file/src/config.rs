//! `[handler.file]`: nothing to configure, and so no key that would be ignored.

use serde::Deserialize;

/// The section, which is empty. Stores are the host's `[[store]]`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {}
