//! Serves `hello://TEXT`: a location whose bytes are its own text.

use std::ops::Range;

use landfall_handler_api::{Call, Error, ErrorKind, HandlerInfo, HandlerKind, ImageHandler, NoConfig};
use landfall_handler_api::{Request, Result, Sink, Source, async_trait, export};

struct Hello;

#[async_trait]
impl ImageHandler for Hello {
    type Config = NoConfig;

    fn info() -> HandlerInfo {
        HandlerInfo::new("hello").kinds(&[HandlerKind::Source]).schemes(&["hello"])
    }

    fn new(_: NoConfig) -> Result<Self> {
        Ok(Self)
    }

    async fn open(&self, _: &Call, request: &Request) -> Result<Box<dyn Source>> {
        match &request.location {
            Some(location) => Ok(Box::new(Text(location.after_scheme().to_owned()))),
            None => Err(Error::new(ErrorKind::Invalid, "no-text", "there is no hello://TEXT in the request")),
        }
    }
}

struct Text(String);

#[async_trait]
impl Source for Text {
    fn size(&self) -> Option<u64> {
        Some(self.0.len() as u64)
    }

    /// The host may ask for more than there is: a source that ends earlier simply stops.
    async fn read(&self, _: &Call, range: Range<u64>, sink: &mut Sink) -> Result<()> {
        let bytes = self.0.as_bytes().iter().skip(range.start as usize).take((range.end - range.start) as usize);
        sink.write_all(&bytes.copied().collect::<Vec<_>>())
    }
}

export! { name: "hello", handlers: [Hello] }
