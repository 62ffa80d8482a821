//! An image as the logins of a catalog see it.

use landfall_handler_api::{Error, ErrorKind, Result};
use landfall_handler_http::SystemTrust;
use serde_json::{Map, Value};

use crate::images::Images;
use crate::record::merge;

/// A Glance, as whoever asks for images sees it, and as the service that may list locations does.
pub(crate) struct Catalog {
    images: Images,
    service: Option<Images>,
}

/// A record with its locations.
pub(crate) struct Found {
    pub(crate) record: Map<String, Value>,
    /// Why the service could not list them, which is what it is for: they are those that the record shows.
    pub(crate) unlisted: Option<Error>,
}

impl Catalog {
    /// Nothing is sent yet.
    pub(crate) fn new(images: Images, service: Option<Images>) -> Self {
        Self { images, service }
    }

    /// The record of an image. Whoever asks must be allowed to see it: only then are its locations asked for, with
    /// whatever login.
    pub(crate) async fn record(&self, id: &str, system: &dyn SystemTrust) -> Result<Found> {
        let image = self.images.record(id, system).await?;
        let lister = self.service.as_ref().unwrap_or(&self.images);
        let (listed, unlisted) = match lister.locations(id, system).await {
            Ok(listed) => (listed.unwrap_or_default(), None),
            Err(error) if is_final(&error) => (Vec::new(), self.service.is_some().then_some(error)),
            // Without its locations an image would be read through Glance, by many nodes at once, while Glance has
            // trouble already.
            Err(error) => return Err(error),
        };
        Ok(Found { record: merge(image, listed), unlisted })
    }
}

/// Whether asking again gives the same.
fn is_final(error: &Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::Denied
            | ErrorKind::NotFound
            | ErrorKind::Invalid
            | ErrorKind::Corrupt
            | ErrorKind::Limit
            | ErrorKind::Unsupported
    )
}

#[cfg(test)]
mod tests;
