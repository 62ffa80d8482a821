//! From a location to a source of its bytes.

use std::sync::Arc;

use landfall_handler_api::Result;
use landfall_handler_http::header::HeaderMap;
use landfall_handler_http::{Connections, HttpSource, Login, Resource, SystemTrust};

use crate::access::Access;
use crate::config::Settings;
use crate::object::Object;
use crate::signature::{Clock, Signature};
use crate::url::S3Url;

/// Asks for the object's beginning.
pub(crate) async fn open(
    url: &S3Url,
    settings: &Settings,
    named_by_caller: bool,
    clock: Clock,
    system: &dyn SystemTrust,
) -> Result<HttpSource> {
    let object = Object::new(url, settings.format, &settings.region)?;
    let access = Access::of(url, settings, named_by_caller);
    let resource = Resource {
        url: object.url(),
        headers: HeaderMap::new(),
        named_by_caller: access.trusted,
        login: access
            .credentials
            .clone()
            .map(|credentials| -> Arc<dyn Login> { Arc::new(Signature::new(object, credentials, clock)) }),
        stays: false,
        bare_etags: false,
    };
    let connections = Arc::new(Connections::new(&settings.client));
    HttpSource::open_over(connections, resource, system).await.map_err(|error| access.explain(error))
}

#[cfg(test)]
mod tests;
