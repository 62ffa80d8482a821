//! Deletes an object. What a store keeps of it beside that, parts and versions, is the store's own affair.

use jiff::Timestamp;
use landfall_handler_api::{Error, ErrorKind, Result};
use landfall_handler_http::{Connections, Exchange, Method, StatusCode, SystemTrust, refused};

use crate::access::Access;
use crate::config::Settings;
use crate::object::Object;
use crate::signature::LIFE;
use crate::url::S3Url;

/// Bytes of the answer.
const ANSWER_MAX: usize = 64 << 10;

/// Deletes the object that the URL names. S3 says of one that is not there that it is deleted.
pub(crate) async fn delete(
    url: &S3Url,
    settings: &Settings,
    named_by_caller: bool,
    system: &dyn SystemTrust,
) -> Result<()> {
    admit(url, settings)?;
    let object = Object::new(url, settings.format, &settings.region)?;
    let access = Access::of(url, settings, named_by_caller);
    let target = match &access.credentials {
        Some(credentials) => object.signed_to_delete(credentials, &Timestamp::now(), LIFE),
        None => object.url(),
    };
    let mut exchange = Exchange::get(target, ANSWER_MAX);
    exchange.method = Method::DELETE;
    exchange.trusted = access.trusted;
    let reply = Connections::new(&settings.client).exchange(exchange, system).await?;
    match reply.status {
        StatusCode::OK | StatusCode::NO_CONTENT | StatusCode::ACCEPTED => Ok(()),
        StatusCode::NOT_FOUND => Err(Error::new(ErrorKind::NotFound, "http-404", "the object is not there")),
        status => Err(access.explain(refused(status, &reply.headers))),
    }
}

/// Refuses what is in none of the buckets that the setting names.
pub(crate) fn admit(url: &S3Url, settings: &Settings) -> Result<()> {
    if settings.delete_buckets.allow(&url.bucket) {
        return Ok(());
    }
    let message = "nothing is deleted in this bucket: see delete_buckets in [handler.s3]";
    Err(Error::new(ErrorKind::Denied, "bucket-not-allowed", message))
}
