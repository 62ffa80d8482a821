//! The four handlers.

use landfall_handler_api::{
    Call, HandlerInfo, HandlerKind, ImageHandler, Input, NoConfig, Request, Result, Source, async_trait,
};

use crate::config::{XzConfig, ZstdConfig};
use crate::source::{Compression, Inflated};

/// Inflates gzip: handler and format `gzip`. Without a configuration: its window is 32 KiB.
#[derive(Debug)]
pub struct GzipHandler;

/// Inflates zstd: handler and format `zstd`.
#[derive(Debug)]
pub struct ZstdHandler {
    config: ZstdConfig,
}

/// Inflates xz: handler and format `xz`.
#[derive(Debug)]
pub struct XzHandler {
    config: XzConfig,
}

/// Inflates bzip2: handler and format `bzip2`. Without a configuration: it takes less than 4 MiB.
#[derive(Debug)]
pub struct Bzip2Handler;

#[async_trait]
impl ImageHandler for GzipHandler {
    type Config = NoConfig;

    fn info() -> HandlerInfo {
        filter("gzip", "inflates gzip")
    }

    fn new(_: NoConfig) -> Result<Self> {
        Ok(Self)
    }

    async fn filter(&self, _: &Call, request: &Request, input: Input) -> Result<Box<dyn Source>> {
        Ok(Box::new(Inflated::new(Compression::Gzip, request, input)))
    }
}

#[async_trait]
impl ImageHandler for ZstdHandler {
    type Config = ZstdConfig;

    fn info() -> HandlerInfo {
        filter("zstd", "inflates Zstandard")
    }

    fn new(config: ZstdConfig) -> Result<Self> {
        config.check()?;
        Ok(Self { config })
    }

    async fn filter(&self, _: &Call, request: &Request, input: Input) -> Result<Box<dyn Source>> {
        Ok(Box::new(Inflated::new(Compression::Zstd(self.config.clone()), request, input)))
    }
}

#[async_trait]
impl ImageHandler for XzHandler {
    type Config = XzConfig;

    fn info() -> HandlerInfo {
        filter("xz", "inflates xz")
    }

    fn new(config: XzConfig) -> Result<Self> {
        config.check()?;
        Ok(Self { config })
    }

    async fn filter(&self, _: &Call, request: &Request, input: Input) -> Result<Box<dyn Source>> {
        Ok(Box::new(Inflated::new(Compression::Xz(self.config.clone()), request, input)))
    }
}

#[async_trait]
impl ImageHandler for Bzip2Handler {
    type Config = NoConfig;

    fn info() -> HandlerInfo {
        filter("bzip2", "inflates bzip2")
    }

    fn new(_: NoConfig) -> Result<Self> {
        Ok(Self)
    }

    async fn filter(&self, _: &Call, request: &Request, input: Input) -> Result<Box<dyn Source>> {
        Ok(Box::new(Inflated::new(Compression::Bzip2, request, input)))
    }
}

/// A filter is named as its format is.
fn filter(format: &str, description: &str) -> HandlerInfo {
    HandlerInfo::new(format).description(description).kinds(&[HandlerKind::Filter]).formats(&[format])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_a_filter_of_the_format_that_it_is_named_after() {
        for (info, name) in [
            (GzipHandler::info(), "gzip"),
            (ZstdHandler::info(), "zstd"),
            (XzHandler::info(), "xz"),
            (Bzip2Handler::info(), "bzip2"),
        ] {
            assert_eq!((info.id.as_str(), info.formats.as_slice()), (name, [name.to_owned()].as_slice()));
            assert_eq!(info.kinds, [HandlerKind::Filter]);
            assert!(!info.needs_network && !info.ranged_input);
        }
    }
}
