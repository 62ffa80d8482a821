//! The handler `glance`.

use std::ops::Range;

use landfall_handler_api::{
    Call, Error, ErrorKind, HandlerInfo, HandlerKind, ImageHandler, Probe, Request, Result, Sink, Source, async_trait,
};
use landfall_handler_http::{Config, SystemTrust};
use landfall_keystone::cloud;

use crate::images::Images;
use crate::refusal::bad_answer;

/// The login that an image is asked for with, and so that decides whether it may be placed.
const CLOUD: &str = "catalog.cloud";
/// The one that locations are asked for with.
const SERVICE: &str = "catalog.service";
const SCHEME: &str = "glance://";
const ID_MAX: usize = 128;

/// Records and data of Glance's images.
pub struct GlanceHandler {
    config: Config,
}

#[async_trait]
impl ImageHandler for GlanceHandler {
    type Config = Config;

    fn info() -> HandlerInfo {
        HandlerInfo::new("glance")
            .description("Glance's own download, for when no location works")
            .kinds(&[HandlerKind::Source])
            .needs_network()
            .file_settings(&["ca", "client_certificate", "client_key", "proxy"])
            .logins(&[CLOUD, SERVICE])
    }

    fn new(mut config: Config) -> Result<Self> {
        landfall_handler_http::Client::new(&config)?;
        // Glance has no reason to send anybody elsewhere, least of all with a token.
        config.redirects = 0;
        Ok(Self { config })
    }

    fn probe(&self, request: &Request) -> Probe {
        if !request.secrets.iter().any(|name| name == CLOUD) {
            return Probe::no("the image is not from a Glance");
        }
        match request.image.id.as_deref().map(image_id) {
            Some(Ok(_)) => Probe::yes(),
            Some(Err(error)) => Probe::no(error.message().to_owned()),
            None => Probe::no("the record has no id"),
        }
    }

    async fn open(&self, call: &Call, request: &Request) -> Result<Box<dyn Source>> {
        let no_login = || Error::new(ErrorKind::Invalid, "no-login", "there is no login to a Glance");
        let login = cloud(call, request, CLOUD)?.ok_or_else(no_login)?;
        let images = Images::new(&self.config, login)?;
        let Some(location) = &request.location else {
            let id = image_id(request.image.id.as_deref().unwrap_or_default())?;
            return Ok(Box::new(images.data(id, call).await?));
        };
        let named = location.url.strip_prefix(SCHEME).and_then(|rest| rest.split_once('/'));
        let id = image_id(named.map(|(_, id)| id).unwrap_or_default())?;
        let service = cloud(call, request, SERVICE)?.map(|login| Images::new(&self.config, login)).transpose()?;
        let bytes = record(&images, service.as_ref(), id, call).await?;
        Ok(Box::new(Text { bytes }))
    }
}

/// The record, its locations as the better of both logins sees them.
async fn record(images: &Images, service: Option<&Images>, id: &str, system: &dyn SystemTrust) -> Result<Vec<u8>> {
    let image = images.record(id, system).await?;
    let listed = service.unwrap_or(images).locations(id, system).await?;
    let merged = crate::record::merge(image, listed);
    serde_json::to_vec(&merged).map_err(|_| bad_answer("a record that cannot be written again"))
}

/// An id, as it stands in a URL: nothing in it means anything there.
fn image_id(id: &str) -> Result<&str> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    if !id.is_empty() && id.len() <= ID_MAX && id.bytes().all(plain) {
        return Ok(id);
    }
    Err(Error::new(ErrorKind::Invalid, "image-id", "this is no image id: letters, digits, '-' and '_'"))
}

/// A record in memory.
struct Text {
    bytes: Vec<u8>,
}

#[async_trait]
impl Source for Text {
    fn size(&self) -> Option<u64> {
        u64::try_from(self.bytes.len()).ok()
    }

    fn ranged(&self) -> bool {
        true
    }

    async fn read(&self, _: &Call, range: Range<u64>, sink: &mut Sink) -> Result<()> {
        let at = |offset: u64| usize::try_from(offset).unwrap_or(usize::MAX).min(self.bytes.len());
        sink.write_all(self.bytes.get(at(range.start)..at(range.end)).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use landfall_handler_api::ImageRecord;

    use super::*;

    #[test]
    fn it_takes_images_of_a_glance_alone() {
        let handler = GlanceHandler::new(Config::default()).unwrap();
        let reason = |id: Option<&str>, secrets: &[&str]| {
            let mut request = Request::default();
            let mut image = ImageRecord::default();
            image.id = id.map(str::to_owned);
            request.image = Arc::new(image);
            request.secrets = secrets.iter().map(|&name| name.to_owned()).collect();
            handler.probe(&request).reason
        };
        assert_eq!(reason(Some("0c0f0e0a-6d0b"), &[CLOUD]), None);
        assert!(reason(Some("0c0f0e0a-6d0b"), &[SERVICE]).is_some());
        assert!(reason(None, &[CLOUD]).is_some());
        assert!(reason(Some("../x"), &[CLOUD]).is_some());
        let info = GlanceHandler::info();
        assert!(info.schemes.is_empty() && info.needs_network);
        assert_eq!(info.logins, [CLOUD, SERVICE]);
    }

    #[test]
    fn an_id_cannot_lead_anywhere() {
        for good in ["9f8b7c0e-53a2-4f0b-9c53-6f1c1f7d2a10", "a", "A_1"] {
            assert_eq!(image_id(good).unwrap(), good);
        }
        for bad in ["", "..", "a/b", "a?b", "a%2fb", "a b", "a\n", "\u{e9}", "a#", &"x".repeat(ID_MAX + 1)] {
            assert_eq!(image_id(bad).unwrap_err().code(), "image-id", "{bad:?}");
        }
    }
}
