//! The handler `s3`.

use std::sync::Arc;

use jiff::Timestamp;
use landfall_handler_api::{
    Call, Error, ErrorKind, HandlerInfo, HandlerKind, ImageHandler, Probe, Request, Result, Source, async_trait,
};

use crate::config::{Config, Settings};
use crate::delete::{admit, delete};
use crate::open::open;
use crate::url::S3Url;

/// The secret that has the location's whole URL.
const LOCATION_URL: &str = "location.url";
const SCHEMES: [&str; 3] = ["s3", "s3+http", "s3+https"];

/// Locations of S3 stores.
pub struct S3Handler {
    settings: Settings,
}

#[async_trait]
impl ImageHandler for S3Handler {
    type Config = Config;

    fn info() -> HandlerInfo {
        HandlerInfo::new("s3")
            .description("objects of S3 stores, read in ranges")
            .kinds(&[HandlerKind::Source])
            .schemes(&SCHEMES)
            .needs_network()
            .deletes()
            .file_settings(&["ca", "client_certificate", "client_key", "proxy", "secret_key"])
    }

    fn new(config: Config) -> Result<Self> {
        Ok(Self { settings: config.check()? })
    }

    fn probe(&self, request: &Request) -> Probe {
        match &request.location {
            None => Probe::no("the request has no location"),
            Some(location) if !SCHEMES.contains(&location.scheme().as_str()) => {
                Probe::no("the location is none of s3://, s3+http:// and s3+https://")
            }
            Some(location) if request.to_delete => match S3Url::parse(&location.url, self.settings.secure) {
                Ok(url) => {
                    admit(&url, &self.settings).map_or_else(|error| Probe::no(error.message()), |()| Probe::yes())
                }
                Err(_) => Probe::yes(),
            },
            // What is wrong with it can only be told of the whole URL.
            Some(_) => Probe::yes(),
        }
    }

    async fn open(&self, call: &Call, request: &Request) -> Result<Box<dyn Source>> {
        let url = whole_url(call, request, self.settings.secure)?;
        let source = open(&url, &self.settings, request.named_by_caller, Arc::new(Timestamp::now), call).await?;
        Ok(Box::new(source))
    }

    async fn delete_stored(&self, call: &Call, request: &Request) -> Result<()> {
        let url = whole_url(call, request, self.settings.secure)?;
        delete(&url, &self.settings, request.named_by_caller, call).await
    }
}

fn whole_url(call: &Call, request: &Request, secure: bool) -> Result<S3Url> {
    let Some(location) = &request.location else {
        return Err(Error::new(ErrorKind::Invalid, "no-location", "the request has no location"));
    };
    if !request.secrets.iter().any(|name| name == LOCATION_URL) {
        return S3Url::parse(&location.url, secure);
    }
    let url = call.secret(LOCATION_URL)?;
    let url = url.text().ok_or_else(|| Error::new(ErrorKind::Invalid, "bad-url", "the URL is no text"))?;
    S3Url::parse(url, secure)
}

#[cfg(test)]
mod tests {
    use landfall_handler_api::Location;
    use serde_json::json;

    use super::*;

    #[test]
    fn it_says_what_it_does_not_take() {
        let handler = S3Handler::new(serde_json::from_value(json!({})).unwrap()).unwrap();
        for (url, accepts) in [
            ("s3://host/bucket/id", true),
            ("s3+http://***@host/bucket/id", true),
            ("s3+https://host/bucket/id", true),
            ("S3://host/bucket/id", true),
            ("s3+ftp://host/bucket/id", false),
            ("swift://host/bucket/id", false),
            ("/bucket/id", false),
        ] {
            let mut request = Request::default();
            request.location = Some(Location::from_url(url));
            let probe = handler.probe(&request);
            assert_eq!((probe.accepts, probe.reason.is_none()), (accepts, accepts), "{url}");
        }
        assert!(handler.probe(&Request::default()).reason.is_some());
    }

    #[test]
    fn it_describes_itself() {
        let info = S3Handler::info();
        assert_eq!((info.id.as_str(), info.needs_network), ("s3", true));
        assert_eq!(info.schemes, SCHEMES);
        assert!(info.file_settings.iter().any(|name| name == "secret_key") && info.logins.is_empty());
    }
}
