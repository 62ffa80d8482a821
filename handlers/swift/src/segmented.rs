//! A large object as a source.
//!
//! Each segment is asked for by itself, with `If-Match` and the hash that the manifest or listing tells: no mixture of
//! versions is ever read, and one that was replaced or removed is noticed when it is read. That the object itself is
//! still the same, so that nothing was added to a dynamic one, is asked once more by the read that comes to its end,
//! before the last segment.
//!
//! The proxy hashes each segment of a large object again that it reads from its start to its end; read straight, only
//! the object server does. Where segments may not be read, or are so small that asking for each would cost more than
//! that, the object is read as the proxy puts it together.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use landfall_handler_api::{Call, Error, Result, Sink, Source, async_trait};
use landfall_handler_http::{HttpSource, Method, Room, StatusCode, SystemTrust, refused};

use crate::account::{Account, is_denied};
use crate::name::ObjectName;
use crate::segment::{Layout, Piece, Segment, changed};

/// Segments of fewer bytes on the average are left to the proxy.
const STRAIGHT_MIN: u64 = 1 << 20;

/// A large object, opened.
pub(crate) struct SegmentedSource {
    account: Account,
    name: ObjectName,
    /// As the proxy puts it together. Its first answer serves the first read.
    whole: HttpSource,
    layout: Layout,
    size: u64,
    /// Whether it is left to the proxy.
    through: AtomicBool,
}

impl SegmentedSource {
    /// `layout` is that of the version that `whole` is of, which has `size` bytes.
    pub(crate) fn new(account: Account, name: ObjectName, whole: HttpSource, layout: Layout, size: u64) -> Self {
        let through = AtomicBool::new(layout.average() < STRAIGHT_MIN);
        Self { account, name, whole, layout, size, through }
    }

    /// As [`Source::read`], to anywhere.
    pub(crate) async fn read_into(
        &self,
        range: Range<u64>,
        room: &mut (impl Room + ?Sized),
        system: &dyn SystemTrust,
    ) -> Result<()> {
        let end = range.end.min(self.size);
        let mut start = range.start;
        if start == 0 && !self.through() {
            start = end.min(HttpSource::FIRST_BYTES);
            self.whole.read_into(0..start, room, system).await?;
        }
        while start < end {
            let Some((segment, place)) = self.layout.at(start).filter(|_| !self.through()) else {
                return self.whole.read_into(start..end, room, system).await;
            };
            if place.end == self.size && end == self.size {
                self.check_whole(system).await?;
            }
            let until = place.end.min(end);
            let within = start.saturating_sub(place.start)..until.saturating_sub(place.start);
            match self.read_segment(segment, within, room, system).await {
                Ok(()) => start = until,
                // Nothing of it has come.
                Err(error) if is_denied(&error) => self.through.store(true, Ordering::Relaxed),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn through(&self) -> bool {
        self.through.load(Ordering::Relaxed)
    }

    async fn read_segment(
        &self,
        segment: &Segment,
        within: Range<u64>,
        room: &mut (impl Room + ?Sized),
        system: &dyn SystemTrust,
    ) -> Result<()> {
        match &segment.piece {
            Piece::Held(bytes) => fill(held(bytes, &within), room),
            Piece::Object { name, hash, size, start } => {
                let connections = Arc::clone(&self.account.connections);
                let resource = self.account.resource(name);
                let source = HttpSource::known(connections, resource, *size, hash, system).await?;
                let range = start.saturating_add(within.start)..start.saturating_add(within.end);
                source.read_into(range, room, system).await.map_err(as_segment)
            }
        }
    }

    /// Whether it is still the version that was opened.
    async fn check_whole(&self, system: &dyn SystemTrust) -> Result<()> {
        let url = self.name.within(&self.account.url);
        let reply = self.account.ask(Method::HEAD, &url, 0, system).await?;
        match reply.status {
            StatusCode::OK => self.whole.check_version(&reply.headers),
            StatusCode::NOT_FOUND => Err(changed("it is no longer there")),
            status => Err(refused(status, &reply.headers)),
        }
    }
}

/// The bytes of a segment that is held.
fn held<'a>(bytes: &'a [u8], within: &Range<u64>) -> &'a [u8] {
    let index = |offset: u64| usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
    bytes.get(index(within.start)..index(within.end)).unwrap_or_default()
}

fn fill(mut bytes: &[u8], room: &mut (impl Room + ?Sized)) -> Result<()> {
    while !bytes.is_empty() {
        let reserved = room.reserve(bytes.len())?;
        let (now, later) = bytes.split_at(reserved.len().min(bytes.len()));
        if let Some(reserved) = reserved.get_mut(..now.len()) {
            reserved.copy_from_slice(now);
        }
        room.commit(now.len())?;
        bytes = later;
    }
    Ok(())
}

/// The manifest named it a moment ago.
fn as_segment(error: Error) -> Error {
    match error.code() {
        "http-404" | "http-410" => changed("one of its segments is no longer there"),
        _ => error,
    }
}

#[async_trait]
impl Source for SegmentedSource {
    fn size(&self) -> Option<u64> {
        Some(self.size)
    }

    fn ranged(&self) -> bool {
        true
    }

    fn validator(&self) -> Option<String> {
        self.whole.validator()
    }

    async fn read(&self, call: &Call, range: Range<u64>, sink: &mut Sink) -> Result<()> {
        self.read_into(range, sink, call).await
    }
}
