//! The handler `http`.

use landfall_handler_api::{
    Call, Error, ErrorKind, HandlerInfo, HandlerKind, ImageHandler, Probe, Request, Result, Source, async_trait,
};

use crate::client::Client;
use crate::config::Config;
use crate::resource::Resource;
use crate::source::HttpSource;

/// The secret that has the location's whole URL.
const LOCATION_URL: &str = "location.url";
const SCHEMES: [&str; 2] = ["http", "https"];

/// Locations of HTTP servers.
pub struct HttpHandler {
    client: Client,
}

#[async_trait]
impl ImageHandler for HttpHandler {
    type Config = Config;

    fn info() -> HandlerInfo {
        HandlerInfo::new("http")
            .description("HTTP servers, read in ranges where they can")
            .kinds(&[HandlerKind::Source])
            .schemes(&SCHEMES)
            .needs_network()
            .file_settings(&["ca", "client_certificate", "client_key", "proxy"])
    }

    fn new(config: Config) -> Result<Self> {
        Ok(Self { client: Client::new(&config)? })
    }

    fn probe(&self, request: &Request) -> Probe {
        match &request.location {
            None => Probe::no("the request has no location"),
            Some(location) if !SCHEMES.contains(&location.scheme().as_str()) => {
                Probe::no("the location is neither an http:// nor an https:// URL")
            }
            Some(_) => Probe::yes(),
        }
    }

    async fn open(&self, call: &Call, request: &Request) -> Result<Box<dyn Source>> {
        let resource = resource(call, request)?;
        Ok(Box::new(HttpSource::open(&self.client, resource, call).await?))
    }
}

fn resource(call: &Call, request: &Request) -> Result<Resource> {
    let Some(location) = &request.location else {
        return Err(Error::new(ErrorKind::Invalid, "no-location", "the request has no location"));
    };
    if !request.secrets.iter().any(|name| name == LOCATION_URL) {
        return Resource::parse(&location.url, request.named_by_caller);
    }
    let url = call.secret(LOCATION_URL)?;
    let url = url.text().ok_or_else(|| Error::new(ErrorKind::Invalid, "bad-url", "the URL is no text"))?;
    Resource::parse(url, request.named_by_caller)
}
