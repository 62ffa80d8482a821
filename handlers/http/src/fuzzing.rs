//! What fuzz targets call: what is read of an answer's headers.

use std::time::Duration;

use landfall_handler_api::Result;
use reqwest::Url;
use reqwest::header::{CONTENT_RANGE, HeaderMap, HeaderValue, LOCATION, RETRY_AFTER};

use crate::content_range::part_of;
use crate::{redirect, retry_after};

/// Where the part ends that an answer with this `Content-Range` has for a request of `start..end`, and the total.
pub fn part(content_range: HeaderValue, start: u64, end: u64) -> Result<(u64, u64)> {
    part_of(&HeaderMap::from_iter([(CONTENT_RANGE, content_range)]), start, end)
}

/// The pause that an answer with this `Retry-After` asks for.
pub fn pause(retry_after: HeaderValue) -> Option<Duration> {
    retry_after::pause(&HeaderMap::from_iter([(RETRY_AFTER, retry_after)]))
}

/// Where a redirect from `current` with this `Location` leads to.
pub fn redirected(current: &Url, location: HeaderValue) -> Result<Url> {
    redirect::target(current, &HeaderMap::from_iter([(LOCATION, location)]))
}
