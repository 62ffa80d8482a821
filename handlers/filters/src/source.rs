//! The source that a filter makes.

use std::ops::Range;

use landfall_handler_api::{Call, Error, Input, Request, Result, Sink, Source, async_trait};

use crate::bzip2::Bzip2Decoder;
use crate::config::{XzConfig, ZstdConfig};
use crate::decoder::Decoder;
use crate::gzip::GzipDecoder;
use crate::inflate::{Bounds, Stream, inflate};
use crate::xz::XzDecoder;
use crate::zstd::ZstdDecoder;

/// Compressed bytes that are read at once.
const CHUNK: usize = 256 << 10;

/// A compression, with what bounds it.
#[derive(Debug, Clone)]
pub(crate) enum Compression {
    Gzip,
    Zstd(ZstdConfig),
    Xz(XzConfig),
    Bzip2,
}

impl Compression {
    pub(crate) fn decoder(&self) -> Result<Box<dyn Decoder>> {
        Ok(match self {
            Self::Gzip => Box::new(GzipDecoder::new()),
            Self::Zstd(config) => Box::new(ZstdDecoder::new(config.window_bytes)?),
            Self::Xz(config) => Box::new(XzDecoder::new(config.window_bytes, config.threads)),
            Self::Bzip2 => Box::new(Bzip2Decoder::new()),
        })
    }
}

/// What an input inflates to: from its start, once.
#[derive(Debug)]
pub(crate) struct Inflated {
    compression: Compression,
    disk_bytes: u64,
    input: Input,
}

impl Inflated {
    pub(crate) fn new(compression: Compression, request: &Request, input: Input) -> Self {
        Self { compression, disk_bytes: request.limits.disk_bytes, input }
    }
}

#[async_trait]
impl Source for Inflated {
    fn size(&self) -> Option<u64> {
        None
    }

    async fn read(&self, call: &Call, range: Range<u64>, sink: &mut Sink) -> Result<()> {
        if range.start != 0 {
            return Err(Error::unsupported("ranges of an inflated image"));
        }
        let mut decoder = self.compression.decoder()?;
        let bounds = Bounds { wanted: range.end, disk_bytes: self.disk_bytes };
        let mut chunk = vec![0; CHUNK];
        inflate(&mut *decoder, &mut Stream::new(&self.input), &mut chunk, sink, call, bounds)
    }
}
