//! What fuzz targets call: the grammar of locations.

use landfall_handler_api::Result;
use landfall_handler_http::Url;

use crate::url::S3Url;

/// The endpoint, bucket and key of a URL, and whether it has credentials.
pub fn location(text: &str, secure: bool) -> Result<(Url, String, String, bool)> {
    let S3Url { credentials, endpoint, bucket, key } = S3Url::parse(text, secure)?;
    Ok((endpoint, bucket, key, credentials.is_some()))
}
