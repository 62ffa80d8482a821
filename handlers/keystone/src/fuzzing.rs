//! What fuzz targets call: an answer of Keystone, and an endpoint of its catalog.

use std::time::Duration;

use jiff::Timestamp;
use landfall_handler_api::{Cloud, Result};
use landfall_handler_http::Url;

use crate::answer;
use crate::endpoints::Endpoints;

/// How long the token lives; the endpoint of a type of service, and whether the token may be shown beneath it.
pub type Granted = (Option<Duration>, Result<(Url, bool)>);

/// What is taken from an answer to a login; fails with what is wrong with it.
pub fn granted(body: &[u8], cloud: &Cloud, service: &str) -> Result<Granted, &'static str> {
    let answer = answer::read(body, Timestamp::UNIX_EPOCH)?;
    let endpoints = Endpoints::new(cloud, answer.catalog);
    let found = endpoints.find(service).map(|url| {
        let covered = endpoints.cover(Some(service), &url);
        (url, covered)
    });
    Ok((answer.life, found))
}
