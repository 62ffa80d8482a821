//! TempURLs: signatures that let whoever has them read one object for a while (Swift's middleware `tempurl`).
//!
//! A signature is over the method, the time it ends and the object's path, and not over the host: whoever sees one can
//! use it where the key holds. So URLs are signed only beneath the storage URLs that the operator says the key belongs
//! to.
//!
//! Swift answers a signed request with the object as the proxy puts it together, and drops every other query: neither a
//! manifest nor a listing can be had so.

use std::fmt::Write;

use aws_lc_rs::hmac;
use jiff::Timestamp;
use landfall_handler_api::{Result, async_trait};
use landfall_handler_http::header::HeaderMap;
use landfall_handler_http::{Login, Method, SystemTrust, Url};

use crate::percent;

/// Seconds that a signature holds: clocks differ, and each request has its own.
const LIFE: i64 = 3600;

/// A key to sign with.
pub(crate) struct TempUrlKey {
    key: hmac::Key,
}

impl TempUrlKey {
    /// `digest` is `sha1`, `sha256` or `sha512`; `None` for others.
    pub(crate) fn new(digest: &str, key: &str) -> Option<Self> {
        let algorithm = match digest {
            "sha1" => hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
            "sha256" => hmac::HMAC_SHA256,
            "sha512" => hmac::HMAC_SHA512,
            _ => return None,
        };
        Some(Self { key: hmac::Key::new(algorithm, key.as_bytes()) })
    }

    fn sign(&self, method: &Method, url: &Url, expires: i64) -> Url {
        let mut text = format!("{method}\n{expires}\n").into_bytes();
        text.extend(percent::decode(url.path()));
        let tag = hmac::sign(&self.key, &text);
        let mut signature = String::new();
        for byte in tag.as_ref() {
            // Writing to a string cannot fail.
            let _ = write!(signature, "{byte:02x}");
        }
        let mut signed = url.clone();
        signed
            .query_pairs_mut()
            .append_pair("temp_url_sig", &signature)
            .append_pair("temp_url_expires", &expires.to_string());
        signed
    }
}

#[async_trait]
impl Login for TempUrlKey {
    async fn headers(&self, _: &Method, _: &Url, _: Option<&HeaderMap>, _: &dyn SystemTrust) -> Result<HeaderMap> {
        Ok(HeaderMap::new())
    }

    fn signed(&self, method: &Method, url: &Url) -> Option<Url> {
        Some(self.sign(method, url, Timestamp::now().as_second().saturating_add(LIFE)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Computed with Python's `hmac`, as Swift's documentation does.
    #[test]
    fn signatures_are_those_of_other_clients() {
        let url = Url::parse("https://host/v1/AUTH_x/c%20d/%C3%BC/o").unwrap();
        for (digest, expected) in [("sha1", SHA1), ("sha256", SHA256), ("sha512", SHA512)] {
            let signed = TempUrlKey::new(digest, "secret").unwrap().sign(&Method::GET, &url, 1_700_000_000);
            assert_eq!(signed.query(), Some(format!("temp_url_sig={expected}&temp_url_expires=1700000000").as_str()));
            assert_eq!(signed.path(), url.path());
        }
        assert!(TempUrlKey::new("md5", "secret").is_none());
    }

    #[test]
    fn each_request_has_a_signature_of_its_own() {
        let url = Url::parse("https://host/v1/AUTH_x/c/o").unwrap();
        let key = TempUrlKey::new("sha256", "secret").unwrap();
        let signed = key.signed(&Method::HEAD, &url).unwrap();
        let expires: i64 = signed.query().unwrap().rsplit_once('=').unwrap().1.parse().unwrap();
        let left = expires - Timestamp::now().as_second();
        assert!((LIFE - 60..=LIFE).contains(&left), "{left}");
        assert_eq!(signed, key.sign(&Method::HEAD, &url, expires));
        assert_ne!(signed, key.sign(&Method::GET, &url, expires));
    }

    const SHA1: &str = "0ec8de370c6e06d1a86e6852b823ff5b8cefb262";
    const SHA256: &str = "a331ced3f29e81127d5558fc7884fac7a56c0c2b12b108d1faa54e0e72bb6498";
    const SHA512: &str = "cea16b8e78ac14be7ca0e97cad5a4e90693fcf58a0f03e828878f2afe4581d3e\
        e542b5e6007c17b43c373e81063d0af82dec7e72c94d0b8c565e6d4a98387438";
}
