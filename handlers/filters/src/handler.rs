//! A filter as a handler.

use std::marker::PhantomData;
use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use landfall_handler_api::{
    Call, Error, ErrorKind, HandlerInfo, HandlerKind, ImageHandler, Input, InputReader, Request, Result, Sink, Source,
};

use crate::codec::{Codec, Streams};
use crate::config::Config;
use crate::inflated::Inflated;

/// Room that is asked for at once.
const ROOM: usize = 256 * 1024;

/// The filter of one compression.
#[derive(Debug)]
pub struct FilterHandler<C: Codec> {
    config: Config,
    codec: PhantomData<C>,
}

#[async_trait]
impl<C: Streams> ImageHandler for FilterHandler<C> {
    type Config = Config;

    fn info() -> HandlerInfo {
        HandlerInfo::new(C::NAME).description(C::DESCRIPTION).kinds(&[HandlerKind::Filter]).formats(&[C::NAME])
    }

    fn new(config: Config) -> Result<Self> {
        config.check()?;
        Ok(Self { config, codec: PhantomData })
    }

    async fn filter(&self, _: &Call, request: &Request, input: Input) -> Result<Box<dyn Source>> {
        let inflated = Inflated::<C, _>::new(input.reader(), self.config.window_bytes);
        Ok(Box::new(FilterSource { inflated: Mutex::new(Some(inflated)), most: request.limits.disk_bytes }))
    }
}

/// What comes out: once, from the start.
struct FilterSource<C: Streams> {
    inflated: Mutex<Option<Inflated<C, InputReader>>>,
    /// Bytes that may come out.
    most: u64,
}

#[async_trait]
impl<C: Streams> Source for FilterSource<C> {
    fn size(&self) -> Option<u64> {
        None
    }

    async fn read(&self, call: &Call, range: Range<u64>, sink: &mut Sink) -> Result<()> {
        let inflated = self.inflated.lock().unwrap_or_else(PoisonError::into_inner).take();
        let mut inflated = inflated.filter(|_| range.start == 0).ok_or_else(|| {
            Error::new(ErrorKind::Unsupported, "read-once", "what a filter gives is read once, from its start")
        })?;
        let mut given = 0_u64;
        while given < self.most {
            call.check()?;
            let most = usize::try_from(self.most.saturating_sub(given)).unwrap_or(ROOM);
            let filled = inflated.fill(sink.reserve(most.min(ROOM))?)?;
            if filled == 0 {
                return Ok(());
            }
            given = given.saturating_add(filled as u64);
            sink.commit(filled)?;
            call.progress(given, None);
        }
        // Nobody has room for another byte; so it is seen here whether there is one.
        match inflated.fill(&mut [0])? {
            0 => Ok(()),
            _ => {
                let message = format!("it inflates to more than the {} bytes that a disk may have", self.most);
                Err(Error::new(ErrorKind::Limit, "disk-bytes", message))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Bzip2Handler, GzipHandler, XzHandler, ZstdHandler};

    #[test]
    fn each_filters_its_own_format() {
        for (info, name) in [
            (GzipHandler::info(), "gzip"),
            (ZstdHandler::info(), "zstd"),
            (XzHandler::info(), "xz"),
            (Bzip2Handler::info(), "bzip2"),
        ] {
            assert_eq!((info.id.as_str(), &info.formats[..]), (name, &[name.to_owned()][..]));
            assert_eq!(info.kinds, [HandlerKind::Filter]);
        }
    }

    #[test]
    fn a_window_has_bounds() {
        for (window_bytes, fits) in [(0, false), (1 << 20, true), (2 << 30, true), ((2 << 30) + 1, false)] {
            let made = GzipHandler::new(Config { window_bytes });
            assert_eq!(
                made.map(drop).map_err(|error| error.code().to_owned()),
                if fits { Ok(()) } else { Err("bad-window".to_owned()) }
            );
        }
    }
}
