//! Glance's image API, version 2, as one login sees it.

use std::sync::Arc;

use landfall_handler_api::{Cloud, Result};
use landfall_handler_http::header::{ACCEPT, HeaderMap, HeaderValue};
use landfall_handler_http::{
    Config, Connections, Exchange, HttpSource, Login, Method, Reply, Resource, StatusCode, SystemTrust, Url,
};
use landfall_keystone::{Identity, client};
use serde_json::{Map, Value};

use crate::refusal::{bad_answer, of_record, on_the_way};

/// The type of service in a catalog.
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
        let reply = self.ask(&[id], system).await?;
        if reply.status != StatusCode::OK {
            return Err(of_record(&reply, &self.identity.cloud().name));
        }
        match serde_json::from_slice(&reply.body) {
            Ok(Value::Object(record)) if record.get("id").and_then(Value::as_str) == Some(id) => Ok(record),
            Ok(Value::Object(_)) => Err(bad_answer("the record of another image")),
            _ => Err(bad_answer("something else than a record")),
        }
    }

    /// The locations of an image, where this login may list them.
    pub(crate) async fn locations(&self, id: &str, system: &dyn SystemTrust) -> Result<Option<Vec<Value>>> {
        let reply = self.ask(&[id, "locations"], system).await?;
        // Older ones have no such list, and others show it to services alone.
        if reply.status != StatusCode::OK {
            return Ok(None);
        }
        match serde_json::from_slice(&reply.body) {
            Ok(Value::Array(listed)) => Ok(Some(listed)),
            _ => Err(bad_answer("something else than a list of locations")),
        }
    }

    /// The data of an image: one stream, since only some of Glance's stores give ranges, and none says which version they are of.
    pub(crate) async fn data(&self, id: &str, system: &dyn SystemTrust) -> Result<HttpSource> {
        let resource = Resource {
            url: self.url(&[id, "file"], system).await?,
            headers: HeaderMap::new(),
            named_by_caller: self.identity.is_trusted(),
            login: Some(Arc::clone(&self.identity) as Arc<dyn Login>),
            bare_etags: false,
        };
        let connections = Arc::clone(self.identity.connections());
        HttpSource::open_whole(connections, resource, system).await.map_err(on_the_way)
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

    async fn ask(&self, path: &[&str], system: &dyn SystemTrust) -> Result<Reply> {
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
        self.identity.connections().exchange(exchange, system).await.map_err(on_the_way)
    }
}

#[cfg(test)]
mod tests;
