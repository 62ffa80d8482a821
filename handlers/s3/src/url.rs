//! Locations of the S3 driver, in the form of `glance_store/_drivers/s3.py`:
//! `s3[+http[s]]://[ACCESS:SECRET@]HOST[:PORT][/PATH]/BUCKET/KEY`. Glance writes `s3` for HTTP and `s3+https` for HTTPS.
//!
//! Nothing in it is percent-encoded: Glance writes and reads all of it as it is, and a secret may have slashes in it. So
//! credentials are what stands before the one `@`, the key is the last part of the path, and the bucket the one before.
//! Of several colons the last one ends the access key: Swift's own users are access keys with a colon, and no store
//! hands out a secret with one.

use landfall_handler_api::{Error, ErrorKind, Result};
use landfall_handler_http::Url;
use rusty_s3::Credentials;

/// Bytes of a URL, of a bucket's name (the longest that Amazon has ever allowed, and Swift without DNS names does) and
/// of a key.
const URL_MAX: usize = 16 << 10;
const BUCKET_MAX: usize = 255;
const KEY_MAX: usize = 1024;

/// A location.
///
/// Not `Debug`: it may hold a secret.
#[derive(Clone, PartialEq, Eq)]
#[cfg_attr(test, derive(Debug))]
pub(crate) struct S3Url {
    pub(crate) credentials: Option<Credentials>,
    /// The store's URL, `http` or `https`.
    pub(crate) endpoint: Url,
    pub(crate) bucket: String,
    pub(crate) key: String,
}

impl S3Url {
    /// Of a URL as a record or a person writes it. `secure`: whether the scheme `s3` is HTTPS. Fails with `bad-url`, and
    /// with `other-scheme` where it is no S3 URL.
    pub(crate) fn parse(text: &str, secure: bool) -> Result<Self> {
        let protocol = protocol_of(text, secure).ok_or_else(|| {
            let message = "the location is no s3:// URL, nor one of s3+http and s3+https";
            Error::new(ErrorKind::Unsupported, "other-scheme", message)
        })?;
        let rest = text.split_once("://").map_or("", |(_, rest)| rest);
        if text.len() > URL_MAX {
            return Err(bad_url("is too long"));
        }
        if rest.contains("://") {
            return Err(bad_url("has another URL in it"));
        }
        if rest.contains(|c: char| c.is_whitespace() || c.is_control() || matches!(c, '\\' | '?' | '#')) {
            return Err(bad_url("has white space, control characters, a backslash, a query or a fragment in it"));
        }
        let (credentials, place) = match rest.split_once('@') {
            None => (None, rest),
            Some((credentials, place)) => (Some(credentials_of(credentials)?), place),
        };
        if place.contains('@') {
            return Err(bad_url("has more than one @ in it"));
        }
        let parts: Vec<_> = place.split('/').collect();
        let &[host, ref path @ .., bucket, key] = parts.as_slice() else {
            return Err(bad_url("has no bucket and key"));
        };
        if !is_bucket(bucket) || !is_key(key) {
            return Err(bad_url("has a bucket or key that is empty, too long, or a dot or two"));
        }
        let endpoint = endpoint(protocol, host, path)?;
        Ok(Self { credentials, endpoint, bucket: bucket.to_owned(), key: key.to_owned() })
    }
}

fn protocol_of(text: &str, secure: bool) -> Option<&'static str> {
    let (scheme, _) = text.split_once("://")?;
    Some(match scheme.to_ascii_lowercase().as_str() {
        "s3" if secure => "https",
        "s3" => "http",
        "s3+https" => "https",
        "s3+http" => "http",
        _ => return None,
    })
}

fn credentials_of(text: &str) -> Result<Credentials> {
    let pair = text.rsplit_once(':').filter(|(access, secret)| {
        // A slash would end the access key where a signature names it.
        !access.is_empty() && !access.contains('/') && !secret.is_empty()
    });
    let (access, secret) = pair.ok_or_else(|| bad_url("has credentials that are not ACCESS:SECRET"))?;
    Ok(Credentials::new(access, secret))
}

fn endpoint(protocol: &str, host: &str, path: &[&str]) -> Result<Url> {
    if host.is_empty() {
        return Err(bad_url("has no host"));
    }
    let mut text = format!("{protocol}://{host}");
    for part in path {
        // `%2e` is a dot to whoever resolves the path.
        if matches!(part.to_ascii_lowercase().replace("%2e", ".").as_str(), "" | "." | "..") {
            return Err(bad_url("has empty parts or dots for parts in its path"));
        }
        text.push('/');
        text.push_str(part);
    }
    Url::parse(&text).map_err(|error| bad_url(&format!("cannot be read: {error}")))
}

/// Whether a bucket can have this name. Stores differ in what else they ask of it.
pub(crate) fn is_bucket(name: &str) -> bool {
    is_part(name, BUCKET_MAX)
}

fn is_key(name: &str) -> bool {
    is_part(name, KEY_MAX)
}

/// What stays one part of a path.
fn is_part(name: &str, most: usize) -> bool {
    (1..=most).contains(&name.len())
        && !matches!(name, "." | "..")
        && !name.contains(|c: char| c == '/' || c.is_control())
}

/// A URL that cannot be right; what it is stays unsaid.
pub(crate) fn bad_url(what: &str) -> Error {
    Error::new(ErrorKind::Invalid, "bad-url", format!("the URL {what}"))
}

#[cfg(test)]
mod tests;
