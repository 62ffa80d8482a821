//! Signatures of requests, in the query (AWS Signature Version 4).
//!
//! A signature is over method, host, path and time, and lets whoever sees it read this one object until it ends. Each
//! request has its own, so that none ends in the middle of a download, however long that takes.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use landfall_handler_api::{Result, async_trait};
use landfall_handler_http::header::HeaderMap;
use landfall_handler_http::{Login, Method, SystemTrust, Url};
use rusty_s3::Credentials;

use crate::object::Object;

/// How long a signature holds: clocks differ.
pub(crate) const LIFE: Duration = Duration::from_secs(3600);

/// What time it is.
pub(crate) type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// Signs the requests for one object.
pub(crate) struct Signature {
    url: Url,
    object: Object,
    credentials: Credentials,
    clock: Clock,
}

impl Signature {
    /// Nothing is signed yet.
    pub(crate) fn new(object: Object, credentials: Credentials, clock: Clock) -> Self {
        Self { url: object.url(), object, credentials, clock }
    }
}

#[async_trait]
impl Login for Signature {
    async fn headers(&self, _: &Method, _: &Url, _: Option<&HeaderMap>, _: &dyn SystemTrust) -> Result<HeaderMap> {
        Ok(HeaderMap::new())
    }

    /// Where a redirect led, also on the same server, is another object, which nobody allowed to be read.
    fn signed(&self, method: &Method, url: &Url) -> Option<Url> {
        let is_it = *method == Method::GET && *url == self.url;
        is_it.then(|| self.object.signed(&self.credentials, &(self.clock)(), LIFE))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::BucketUrlFormat;
    use crate::url::S3Url;

    #[test]
    fn only_the_object_is_signed_for() {
        let url = S3Url::parse("s3://key:secret@host/bucket/id", true).unwrap();
        let object = Object::new(&url, BucketUrlFormat::Auto, "r").unwrap();
        let signature = Signature::new(object, url.credentials.unwrap(), Arc::new(Timestamp::now));
        let signed = |method, text| signature.signed(&method, &Url::parse(text).unwrap());
        let query = signed(Method::GET, "https://host/bucket/id").unwrap().query().unwrap().to_owned();
        assert!(query.contains("X-Amz-Expires=3600&") && query.contains("X-Amz-Credential=key%2F"), "{query}");
        assert!(!query.contains("secret"));
        assert_eq!(signed(Method::HEAD, "https://host/bucket/id"), None);
        for other in
            ["https://host/bucket/id2", "https://host/other/id", "http://host/bucket/id", "https://x/bucket/id"]
        {
            assert_eq!(signed(Method::GET, other), None, "{other}");
        }
    }
}
