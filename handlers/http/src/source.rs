//! An HTTP resource as a source.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use landfall_handler_api::{Call, Error, ErrorKind, Result, Scope, Sink, Source, async_trait};
use reqwest::header::HeaderMap;
use reqwest::{Response, StatusCode};

use crate::answer::{bad_framing, length_of};
use crate::body::{Body, Room};
use crate::chain::{Ask, Chain, Target};
use crate::client::Client;
use crate::connections::Connections;
use crate::content_range::{ContentRange, part_of};
use crate::resource::Resource;
use crate::status;
use crate::tls::SystemTrust;
use crate::version::{Version, changed};

/// Bytes that are asked for when the source is opened. The host's first range is as long.
const FIRST: u64 = 1 << 20;

/// An HTTP resource, opened.
///
/// The answer that told its size is kept, and its body serves the first read that begins at 0.
pub struct HttpSource {
    chain: Chain,
    /// The headers of the first answer.
    head: HeaderMap,
    /// Where the redirects led.
    target: Mutex<Arc<Target>>,
    version: Version,
    size: Option<u64>,
    ranged: bool,
    /// The server stopped to heed ranges.
    ignores_ranges: AtomicBool,
    held: Mutex<Option<Body>>,
}

impl HttpSource {
    /// Bytes that the answer has with which it is opened, or all if there are fewer. They are kept for the first read.
    pub const FIRST_BYTES: u64 = FIRST;

    /// Opens a resource: asks for its beginning, and follows its redirects.
    pub async fn open(client: &Client, resource: Resource, call: &Call) -> Result<Self> {
        Self::open_with(client, resource, call).await
    }

    pub(crate) async fn open_with(client: &Client, resource: Resource, system: &dyn SystemTrust) -> Result<Self> {
        Self::open_over(Arc::new(Connections::new(client)), resource, system).await
    }

    /// One whose size and ETag are known: nothing is asked before the first read, and what is read must have both.
    pub async fn known(
        connections: Arc<Connections>,
        resource: Resource,
        size: u64,
        etag: &str,
        system: &dyn SystemTrust,
    ) -> Result<Self> {
        let bare = resource.bare_etags;
        let chain = Chain::new(connections, resource, system)?;
        let target = Mutex::new(Arc::new(chain.admit().await?));
        let version = Version::known(etag)?;
        Ok(Self {
            chain,
            head: HeaderMap::new(),
            target,
            version: if bare { version.with_bare_etag() } else { version },
            size: Some(size),
            ranged: true,
            ignores_ranges: AtomicBool::new(false),
            held: Mutex::new(None),
        })
    }

    /// Opens a resource over connections that it shares with others.
    pub async fn open_over(
        connections: Arc<Connections>,
        resource: Resource,
        system: &dyn SystemTrust,
    ) -> Result<Self> {
        let bare = resource.bare_etags;
        let chain = Chain::new(connections, resource, system)?;
        let (target, response) = chain.follow(&Ask::new(Some(0..FIRST), HeaderMap::new()), system).await?;
        let (response, part) = match response.status() {
            StatusCode::PARTIAL_CONTENT => {
                let (end, total) = part_of(response.headers(), 0, FIRST)?;
                (response, Some((end, total)))
            }
            StatusCode::OK => (response, None),
            StatusCode::RANGE_NOT_SATISFIABLE => match ContentRange::of(response.headers()) {
                Some(ContentRange::Nothing { total: 0 }) => (response, Some((0, 0))),
                // It may dislike ranges as such.
                _ => (chain.ask(&target, &Ask::new(None, HeaderMap::new()), system).await?, None),
            },
            other => return Err(status::refused(other, response.headers())),
        };
        if part.is_none() && response.status() != StatusCode::OK {
            return Err(status::refused(response.status(), response.headers()));
        }
        let version = Version::of(response.headers())?;
        let version = if bare { version.with_bare_etag() } else { version };
        let head = response.headers().clone();
        let (size, held) = match part {
            Some((0, total)) => (Some(total), None),
            Some((end, total)) => {
                promises(response.headers(), end)?;
                (Some(total), Some(Body::new(response, Some(end))))
            }
            None => {
                let length = length_of(response.headers())?;
                (length, Some(Body::new(response, length)))
            }
        };
        Ok(Self {
            chain,
            head,
            target: Mutex::new(Arc::new(target)),
            version,
            size,
            ranged: part.is_some(),
            ignores_ranges: AtomicBool::new(false),
            held: Mutex::new(held),
        })
    }

    /// Opens a resource of which ranges are not to be asked for: it is read from its start, once or again.
    pub async fn open_whole(
        connections: Arc<Connections>,
        resource: Resource,
        system: &dyn SystemTrust,
    ) -> Result<Self> {
        let bare = resource.bare_etags;
        let chain = Chain::new(connections, resource, system)?;
        let (target, response) = chain.follow(&Ask::new(None, HeaderMap::new()), system).await?;
        if response.status() != StatusCode::OK {
            return Err(status::refused(response.status(), response.headers()));
        }
        let version = Version::of(response.headers())?;
        let size = length_of(response.headers())?;
        Ok(Self {
            chain,
            head: response.headers().clone(),
            target: Mutex::new(Arc::new(target)),
            version: if bare { version.with_bare_etag() } else { version },
            size,
            ranged: false,
            ignores_ranges: AtomicBool::new(false),
            held: Mutex::new(Some(Body::new(response, size))),
        })
    }

    /// The headers of the answer that it was opened with; none of a source that was known.
    pub fn head(&self) -> &HeaderMap {
        &self.head
    }

    /// Fails with `source-changed` unless an answer with these headers is of the version that was opened.
    pub fn check_version(&self, headers: &HeaderMap) -> Result<()> {
        self.version.check(headers)
    }

    /// As [`Source::read`], to anywhere.
    pub async fn read_into(
        &self,
        range: Range<u64>,
        room: &mut (impl Room + ?Sized),
        system: &dyn SystemTrust,
    ) -> Result<()> {
        let end = self.size.map_or(range.end, |size| size.min(range.end));
        if range.start >= end {
            return Ok(());
        }
        let whole = !self.ranged || self.ignores_ranges.load(Ordering::Relaxed);
        if whole && range.start > 0 {
            return Err(range_ignored());
        }
        let mut start = range.start;
        // Whoever begins elsewhere goes on with an earlier download, and nobody will ask for the beginning; and a part is
        // of no use where only the whole can follow. The answer is then given up, and its connection with it.
        if let Some(mut held) = self.take_held()
            && start == 0
            && (!whole || !self.ranged)
        {
            match held.pour(end, room).await {
                Ok(()) if whole => return Ok(()),
                Ok(()) => start = held.passed(),
                // It may have waited for longer than the server does.
                Err(error) if held.passed() == 0 && error.kind() == ErrorKind::Unavailable => {}
                Err(error) => return Err(error),
            }
        }
        if whole {
            return self.whole(end, room, system).await;
        }
        if start >= end {
            return Ok(());
        }
        self.part(start..end, room, system).await
    }

    /// Asks for one range.
    async fn part(&self, range: Range<u64>, room: &mut (impl Room + ?Sized), system: &dyn SystemTrust) -> Result<()> {
        let response = self.ask(Some(range.clone()), system).await?;
        match response.status() {
            StatusCode::PARTIAL_CONTENT => {}
            StatusCode::OK => {
                self.version.check(response.headers())?;
                self.ignores_ranges.store(true, Ordering::Relaxed);
                return Err(range_ignored());
            }
            StatusCode::RANGE_NOT_SATISFIABLE => return Err(changed("the server says that it is shorter now")),
            other => return Err(self.refused(other, response.headers())),
        }
        self.version.check(response.headers())?;
        let (end, total) = part_of(response.headers(), range.start, range.end)?;
        if Some(total) != self.size {
            return Err(crate::content_range::mismatch(format_args!(
                "a total of {total} bytes, which was another at first"
            )));
        }
        let promised = end.saturating_sub(range.start);
        promises(response.headers(), promised)?;
        Body::new(response, Some(promised)).pour(promised, room).await
    }

    /// Asks for everything.
    async fn whole(&self, end: u64, room: &mut (impl Room + ?Sized), system: &dyn SystemTrust) -> Result<()> {
        let response = self.ask(None, system).await?;
        if response.status() != StatusCode::OK {
            return Err(self.refused(response.status(), response.headers()));
        }
        self.version.check(response.headers())?;
        let length = length_of(response.headers())?;
        if let (Some(size), Some(length)) = (self.size, length)
            && size != length
        {
            return Err(changed("it has another length than at first"));
        }
        Body::new(response, length.or(self.size)).pour(end, room).await
    }

    /// Asks where the redirects led; once more from the beginning where that is not allowed any longer, since signed URLs
    /// expire.
    async fn ask(&self, range: Option<Range<u64>>, system: &dyn SystemTrust) -> Result<Response> {
        let mut conditions = HeaderMap::new();
        self.version.require(&mut conditions);
        let ask = Ask::new(range, conditions);
        let target = Arc::clone(&self.target());
        let response = self.chain.ask(&target, &ask, system).await?;
        if !self.chain.led_to(&target) || !matches!(response.status().as_u16(), 401 | 403 | 404 | 410) {
            return Ok(response);
        }
        drop(response);
        let (target, response) = self.chain.follow(&ask, system).await?;
        *self.target() = Arc::new(target);
        Ok(response)
    }

    fn refused(&self, status: StatusCode, headers: &HeaderMap) -> Error {
        match status {
            StatusCode::PRECONDITION_FAILED => changed("the server has another version now"),
            status => status::refused(status, headers),
        }
    }

    fn target(&self) -> MutexGuard<'_, Arc<Target>> {
        self.target.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take_held(&self) -> Option<Body> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// A part's length, where it is told, must be that of the range.
fn promises(headers: &HeaderMap, promised: u64) -> Result<()> {
    match length_of(headers)? {
        Some(length) if length != promised => Err(bad_framing("with another length than that of its range")),
        _ => Ok(()),
    }
}

fn range_ignored() -> Error {
    let message = "the server sends everything where a range was asked for";
    Error::new(ErrorKind::Unsupported, "range-ignored", message).scoped(Scope::Location)
}

#[async_trait]
impl Source for HttpSource {
    fn size(&self) -> Option<u64> {
        self.size
    }

    fn ranged(&self) -> bool {
        self.ranged
    }

    fn validator(&self) -> Option<String> {
        self.version.text()
    }

    async fn read(&self, call: &Call, range: Range<u64>, sink: &mut Sink) -> Result<()> {
        self.read_into(range, sink, call).await
    }
}

#[cfg(test)]
mod tests;
