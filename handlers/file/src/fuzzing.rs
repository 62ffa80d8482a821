//! What fuzz targets call: the grammar of locations.

use landfall_handler_api::Result;

/// The path that a URL names.
pub fn location(text: &str) -> Result<&str> {
    crate::url::path_of(text)
}
