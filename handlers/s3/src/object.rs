//! Where an object is asked for.

use std::time::Duration;

use jiff::Timestamp;
use landfall_handler_api::{Error, Result};
use landfall_handler_http::Url;
use rusty_s3::actions::{DeleteObject, GetObject};
use rusty_s3::{Bucket, Credentials, S3Action, UrlStyle};

use crate::url::{S3Url, bad_url};

/// The domain of the one store that is known to want buckets in the host's name.
const AMAZON: &str = ".amazonaws.com";

/// Bytes of a bucket's name that can stand in a host's.
const LABEL_MIN: usize = 3;
const LABEL_MAX: usize = 63;

/// Where a bucket's name stands in URLs; Glance's `s3_store_bucket_url_format`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BucketUrlFormat {
    /// In the host's name at Amazon, where it can stand there; else in the path.
    Auto,
    /// `https://HOST/BUCKET/KEY`.
    Path,
    /// `https://BUCKET.HOST/KEY`.
    Virtual,
}

impl BucketUrlFormat {
    /// Of a setting; `None` for other words.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        match text {
            "auto" => Some(Self::Auto),
            "path" => Some(Self::Path),
            "virtual" => Some(Self::Virtual),
            _ => None,
        }
    }

    fn style(self, url: &S3Url) -> UrlStyle {
        // A wildcard in a certificate stands for one label, so that a name with dots cannot be verified.
        let virtual_at_amazon = || {
            let host = url.endpoint.host_str().unwrap_or_default();
            host.ends_with(AMAZON) && is_host_name(&url.bucket) && !url.bucket.contains('.')
        };
        match self {
            Self::Virtual => UrlStyle::VirtualHost,
            Self::Auto if virtual_at_amazon() => UrlStyle::VirtualHost,
            Self::Auto | Self::Path => UrlStyle::Path,
        }
    }
}

/// An object, by the URL that it is asked for at.
pub(crate) struct Object {
    bucket: Bucket,
    key: String,
}

impl Object {
    /// Fails with `bad-url` where the bucket's name cannot stand where the format has it.
    pub(crate) fn new(url: &S3Url, format: BucketUrlFormat, region: &str) -> Result<Self> {
        let style = format.style(url);
        if matches!(style, UrlStyle::VirtualHost) && !is_host_name(&url.bucket) {
            return Err(not_in_host());
        }
        let bucket = Bucket::new(url.endpoint.clone(), style, url.bucket.clone(), region.to_owned());
        Ok(Self { bucket: bucket.map_err(|_| not_in_host())?, key: url.key.clone() })
    }

    /// Without a signature.
    pub(crate) fn url(&self) -> Url {
        self.bucket.object_url(&self.key)
    }

    /// For whoever has it, from `now` and for as long as `life`, to be asked with `GET`.
    pub(crate) fn signed(&self, credentials: &Credentials, now: &Timestamp, life: Duration) -> Url {
        GetObject::new(&self.bucket, Some(credentials), &self.key).sign_with_time(life, now)
    }
}

impl Object {
    /// As [`Object::signed`], to be asked with `DELETE`.
    pub(crate) fn signed_to_delete(&self, credentials: &Credentials, now: &Timestamp, life: Duration) -> Url {
        DeleteObject::new(&self.bucket, Some(credentials), &self.key).sign_with_time(life, now)
    }
}

/// Amazon's rules for buckets since 2018.
fn is_host_name(bucket: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (LABEL_MIN..=LABEL_MAX).contains(&bucket.len())
        && bucket.split('.').all(|label| {
            !label.is_empty() && !label.starts_with('-') && !label.ends_with('-') && label.bytes().all(inner)
        })
}

fn not_in_host() -> Error {
    bad_url("has a bucket whose name cannot stand in front of the host's: see bucket_url_format in [handler.s3]")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url_of(text: &str, format: &str) -> std::result::Result<String, String> {
        let url = S3Url::parse(text, true).unwrap();
        let object = Object::new(&url, BucketUrlFormat::parse(format).unwrap(), "r");
        object.map(|object| object.url().to_string()).map_err(|error| error.code().to_owned())
    }

    #[test]
    fn buckets_stand_in_the_path_or_in_the_host() {
        let amazon = "s3://s3.eu-west-1.amazonaws.com/glance/id";
        let own = "s3+http://k:s@store:8080/glance/id";
        for (text, format, expected) in [
            (amazon, "auto", Ok("https://glance.s3.eu-west-1.amazonaws.com/id")),
            (amazon, "virtual", Ok("https://glance.s3.eu-west-1.amazonaws.com/id")),
            (amazon, "path", Ok("https://s3.eu-west-1.amazonaws.com/glance/id")),
            (own, "auto", Ok("http://store:8080/glance/id")),
            (own, "path", Ok("http://store:8080/glance/id")),
            (own, "virtual", Ok("http://glance.store:8080/id")),
            ("s3://S3.AMAZONAWS.COM/glance/id", "auto", Ok("https://glance.s3.amazonaws.com/id")),
            ("s3://s3.amazonaws.com.evil/glance/id", "auto", Ok("https://s3.amazonaws.com.evil/glance/id")),
            ("s3://notamazonaws.com/glance/id", "auto", Ok("https://notamazonaws.com/glance/id")),
            ("s3://s3.amazonaws.com/gla.nce/id", "auto", Ok("https://s3.amazonaws.com/gla.nce/id")),
            ("s3://s3.amazonaws.com/gla.nce/id", "virtual", Ok("https://gla.nce.s3.amazonaws.com/id")),
            ("s3://s3.amazonaws.com/Glance/id", "auto", Ok("https://s3.amazonaws.com/Glance/id")),
            ("s3://host/pre/fix/glance/id", "path", Ok("https://host/pre/fix/glance/id")),
            ("s3://host/pre/glance/id", "virtual", Ok("https://glance.host/pre/id")),
            ("s3://host/b%2Fc:d/i%2e!*'(ü", "path", Ok("https://host/b%252Fc%3Ad/i%252e%21%2A%27%28%C3%BC")),
            ("s3://host/Glance/id", "virtual", Err("bad-url")),
            ("s3://host/evil.example:80/id", "virtual", Err("bad-url")),
            ("s3://host/a..b/id", "virtual", Err("bad-url")),
            ("s3://host/-ab/id", "virtual", Err("bad-url")),
            ("s3://host/ab/id", "virtual", Err("bad-url")),
            ("s3://127.0.0.1/glance/id", "virtual", Err("bad-url")),
            ("s3://[::1]/glance/id", "virtual", Err("bad-url")),
            ("s3://[::1]/glance/id", "auto", Ok("https://[::1]/glance/id")),
        ] {
            let found = url_of(text, format);
            assert_eq!(found.as_deref().map_err(String::as_str), expected, "{text} {format}");
        }
        assert_eq!(BucketUrlFormat::parse("Path"), None);
    }

    /// Amazon's example of a signature in the query.
    #[test]
    fn a_signature_is_the_published_one() {
        let url = S3Url::parse(
            "s3://AKIAIOSFODNN7EXAMPLE:wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY@s3.amazonaws.com/examplebucket/test.txt",
            true,
        )
        .unwrap();
        let object = Object::new(&url, BucketUrlFormat::Auto, "us-east-1").unwrap();
        let at = |second| {
            let now = Timestamp::from_second(second).unwrap();
            object.signed(url.credentials.as_ref().unwrap(), &now, Duration::from_secs(86_400)).to_string()
        };
        let signed = at(1_369_353_600);
        assert_eq!(
            signed,
            "https://examplebucket.s3.amazonaws.com/test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256\
             &X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request\
             &X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host\
             &X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404"
        );
        assert_ne!(at(1_369_353_601), signed);
    }
}
