//! Glance's image API, version 2, as one login sees it.

use std::sync::Arc;

use landfall_handler_api::{Cloud, Error, Result};
use landfall_handler_http::header::{ACCEPT, HeaderMap, HeaderValue};
use landfall_handler_http::{
    Config, Connections, Exchange, HttpSource, Login, Method, Reply, Resource, StatusCode, SystemTrust, Url, refused,
};
use landfall_keystone::{Identity, client};
use serde_json::{Map, Value};

use crate::data::Data;
use crate::refusal::Asked;

/// The type of service in a catalog of endpoints.
const SERVICE: &str = "image";
/// Bytes of a record, or of its locations.
const REPLY_MAX: usize = 1 << 20;

/// The images of a Glance.
pub(crate) struct Images {
    identity: Arc<Identity>,
}

impl Images {
    /// Nothing is sent yet.
    pub(crate) fn new(config: &Config, cloud: Cloud) -> Result<Self> {
        let connections = Arc::new(Connections::new(&client(config, &cloud)?));
        // The operator, or the calling person, named the cloud.
        Ok(Self { identity: Identity::new(cloud, connections, true) })
    }

    /// The record of an image.
    pub(crate) async fn record(&self, id: &str, system: &dyn SystemTrust) -> Result<Map<String, Value>> {
        let asked = Asked::Record;
        let reply = self.ask(asked, &[id], system).await?;
        if reply.status != StatusCode::OK {
            return Err(self.refused(asked, &reply));
        }
        match serde_json::from_slice(&reply.body) {
            Ok(Value::Object(record)) if record.get("id").and_then(Value::as_str) == Some(id) => Ok(record),
            Ok(Value::Object(_)) => Err(asked.bad_answer("the record of another image", self.cloud())),
            _ => Err(asked.bad_answer("something else than a record", self.cloud())),
        }
    }

    /// The locations of an image; `None` where this Glance has no such list.
    pub(crate) async fn locations(&self, id: &str, system: &dyn SystemTrust) -> Result<Option<Vec<Value>>> {
        let asked = Asked::Locations;
        let reply = self.ask(asked, &[id, "locations"], system).await?;
        match reply.status {
            StatusCode::OK => match serde_json::from_slice(&reply.body) {
                Ok(Value::Array(listed)) => Ok(Some(listed)),
                _ => Err(asked.bad_answer("something else than a list", self.cloud())),
            },
            // The first two are those of a Glance before 2.17; one that breaks over the list may still show the record's.
            StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED | StatusCode::INTERNAL_SERVER_ERROR => Ok(None),
            _ => Err(self.refused(asked, &reply)),
        }
    }

    /// The data of an image, opened.
    pub(crate) async fn data(&self, id: &str, system: &dyn SystemTrust) -> Result<Data> {
        let source = self.open(&[id, "file"], system).await;
        source.map(|source| Data::new(source, self.cloud())).map_err(|error| Asked::Data.failed(error, self.cloud()))
    }

    async fn open(&self, path: &[&str], system: &dyn SystemTrust) -> Result<HttpSource> {
        let resource = Resource {
            url: self.url(path, system).await?,
            headers: HeaderMap::new(),
            named_by_caller: self.identity.is_trusted(),
            login: Some(Arc::clone(&self.identity) as Arc<dyn Login>),
            stays: false,
            bare_etags: false,
        };
        HttpSource::open_whole(Arc::clone(self.identity.connections()), resource, system).await
    }

    fn cloud(&self) -> &str {
        &self.identity.cloud().name
    }

    fn refused(&self, asked: Asked, reply: &Reply) -> Error {
        asked.refused(reply.status, refused(reply.status, &reply.headers).retry_after(), self.cloud())
    }

    async fn url(&self, path: &[&str], system: &dyn SystemTrust) -> Result<Url> {
        let mut url = self.identity.session(system).await?.endpoint(SERVICE)?;
        let has_version = url.path().rsplit('/').next().is_some_and(|last| last == "v2");
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty();
            if has_version {
                segments.pop();
            }
            segments.extend(["v2", "images"]).extend(path);
        }
        Ok(url)
    }

    async fn ask(&self, asked: Asked, path: &[&str], system: &dyn SystemTrust) -> Result<Reply> {
        self.exchange(path, system).await.map_err(|error| asked.failed(error, self.cloud()))
    }

    /// Asks; once more with another token where this one is not taken.
    async fn exchange(&self, path: &[&str], system: &dyn SystemTrust) -> Result<Reply> {
        let url = self.url(path, system).await?;
        let shown = self.identity.headers(&Method::GET, &url, None, system).await?;
        let reply = self.send(&url, shown.clone(), system).await?;
        if reply.status != StatusCode::UNAUTHORIZED {
            return Ok(reply);
        }
        let shown = self.identity.headers(&Method::GET, &url, Some(&shown), system).await?;
        self.send(&url, shown, system).await
    }

    async fn send(&self, url: &Url, mut headers: HeaderMap, system: &dyn SystemTrust) -> Result<Reply> {
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        let exchange =
            Exchange { headers, trusted: self.identity.is_trusted(), ..Exchange::get(url.clone(), REPLY_MAX) };
        self.identity.connections().exchange(exchange, system).await
    }
}

#[cfg(test)]
mod tests;
