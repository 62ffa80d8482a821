//! The handler `glance`.

use std::ops::Range;

use landfall_handler_api::{
    Call, Error, ErrorKind, HandlerInfo, HandlerKind, ImageHandler, Level, Probe, Request, Result, Sink, Source,
    async_trait,
};
use landfall_handler_http::{Client, Config};
use landfall_keystone::cloud;
use serde_json::{Map, Value};

use crate::catalog::{Catalog, Found};
use crate::images::Images;

/// The login that an image is asked for with, and so that decides whether it may be placed.
const CLOUD: &str = "catalog.cloud";
/// The one that locations are asked for with.
const SERVICE: &str = "catalog.service";
const SCHEME: &str = "glance://";
/// Bytes of an image's id; those of Glance have 36.
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
        Client::new(&config)?;
        // Glance has no reason to send anybody elsewhere, least of all with a token.
        config.redirects = 0;
        Ok(Self { config })
    }

    fn probe(&self, request: &Request) -> Probe {
        if !request.secrets.iter().any(|name| name == CLOUD) {
            return Probe::no("the image is not from a Glance catalog");
        }
        match request.image.id.as_deref().map(image_id) {
            Some(Ok(_)) => Probe::yes(),
            Some(Err(error)) => Probe::no(error.message().to_owned()),
            None => Probe::no("the image has no id"),
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
        let id = image_id(named_by(&location.url)?)?;
        let service = cloud(call, request, SERVICE)?.map(|login| Images::new(&self.config, login)).transpose()?;
        let Found { record, unlisted } = Catalog::new(images, service).record(id, call).await?;
        if let Some(error) = unlisted {
            call.log(Level::Warn, format_args!("{error} ({}): only what its record shows is used", error.code()));
        }
        Ok(Box::new(Text::of(record)))
    }
}

/// What stands for an id in `glance://CATALOG/ID`.
fn named_by(url: &str) -> Result<&str> {
    let rest = url.strip_prefix(SCHEME).ok_or_else(|| {
        let message = "the location is no glance:// URL, and Glance's own download needs none";
        Error::new(ErrorKind::Unsupported, "other-scheme", message)
    })?;
    Ok(rest.split_once('/').map_or("", |(_, id)| id))
}

/// An id, as it stands in a URL: nothing in it means anything there.
fn image_id(id: &str) -> Result<&str> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    if !id.is_empty() && id.len() <= ID_MAX && id.bytes().all(plain) {
        return Ok(id);
    }
    Err(Error::new(ErrorKind::Invalid, "image-id", "this is no image id: letters, digits and '-'"))
}

/// A record in memory.
struct Text {
    bytes: Vec<u8>,
}

impl Text {
    fn of(record: Map<String, Value>) -> Self {
        Self { bytes: Value::Object(record).to_string().into_bytes() }
    }
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
        for good in ["9f8b7c0e-53a2-4f0b-9c53-6f1c1f7d2a10", "a", "A-1"] {
            assert_eq!(image_id(good).unwrap(), good);
        }
        for bad in
            ["", "..", "a/b", "a?b", "a%2fb", "a b", "a\n", "\u{e9}", "a#", "a_b", "a.b", &"x".repeat(ID_MAX + 1)]
        {
            assert_eq!(image_id(bad).unwrap_err().code(), "image-id", "{bad:?}");
        }
    }
    #[test]
    fn a_record_is_named_by_its_url() {
        let id = |url| named_by(url).and_then(image_id).map_err(|error| error.code().to_owned());
        assert_eq!(id("glance://site/0c0f0e0a-6d0b"), Ok("0c0f0e0a-6d0b"));
        for url in ["glance://", "glance://site", "glance://site/", "glance://site/a/b", "glance://site/../a"] {
            assert_eq!(id(url), Err("image-id".to_owned()), "{url}");
        }
        for url in ["http://site/a", "GLANCE://site/a", "/site/a", ""] {
            assert_eq!(id(url), Err("other-scheme".to_owned()), "{url}");
        }
    }

    #[test]
    fn settings_are_those_of_http() {
        let config = |text| serde_json::from_str::<Config>(text);
        assert!(GlanceHandler::new(config(r#"{"redirects": 3, "connect_seconds": 5}"#).unwrap()).is_ok());
        assert!(config(r#"{"cloud": "x"}"#).is_err());
        let error = GlanceHandler::new(config(r#"{"redirects": 21}"#).unwrap()).err().unwrap();
        assert_eq!((error.kind(), error.code()), (ErrorKind::Invalid, "config-redirects"));
    }
}
