//! The body of an answer, poured into the host's buffers.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;

use bytes::{Buf, Bytes};
use landfall_handler_api::{Error, ErrorKind, Result, Sink};
use reqwest::Response;

use crate::answer::bad_framing;
use crate::fault;

/// Asked for at once. The host gives what it has.
const RESERVE: u64 = 1 << 20;

/// A body that comes in more pieces than this, of fewer bytes each, is not read on.
const CRUMBS: u64 = 4096;
const CRUMB: u64 = 64;

/// Where bytes go: the host's sink, or memory.
pub trait Room: Send {
    /// As [`Sink::reserve`].
    fn reserve(&mut self, want: usize) -> Result<&mut [u8]>;
    /// As [`Sink::commit`].
    fn commit(&mut self, filled: usize) -> Result<()>;
}

impl Room for Sink {
    fn reserve(&mut self, want: usize) -> Result<&mut [u8]> {
        Sink::reserve(self, want)
    }

    fn commit(&mut self, filled: usize) -> Result<()> {
        Sink::commit(self, filled)
    }
}

/// An answer whose head was checked.
pub(crate) struct Body {
    response: Response,
    /// As many bytes as its head promised.
    promised: Option<u64>,
    passed: u64,
    pieces: u64,
}

impl Body {
    pub(crate) fn new(response: Response, promised: Option<u64>) -> Self {
        Self { response, promised, passed: 0, pieces: 0 }
    }

    /// Bytes that went to the host.
    pub(crate) fn passed(&self) -> u64 {
        self.passed
    }

    /// Passes on the first `wanted` bytes, or fewer if the body is done. One that is read to its end must have what it
    /// promised, neither more nor less.
    pub(crate) async fn pour(&mut self, wanted: u64, room: &mut (impl Room + ?Sized)) -> Result<()> {
        let to_the_end = self.promised.is_none_or(|promised| promised <= wanted);
        let wanted = self.promised.map_or(wanted, |promised| promised.min(wanted));
        let mut chunk = Bytes::new();
        loop {
            let left = wanted.saturating_sub(self.passed);
            if chunk.is_empty() {
                if left == 0 && !(to_the_end && self.promised.is_some()) {
                    return Ok(());
                }
                match self.response.chunk().await.map_err(fault::in_body)? {
                    Some(next) => {
                        chunk = next;
                        self.pieces = self.pieces.saturating_add(1);
                    }
                    None => return self.ended(),
                }
                continue;
            }
            if left == 0 {
                return if to_the_end && self.promised.is_some() { Err(self.too_long()) } else { Ok(()) };
            }
            let reserved = room.reserve(usize::try_from(left.min(RESERVE)).unwrap_or(usize::MAX))?;
            let (filled, failure) = fill(reserved, &mut chunk, &mut self.response, &mut self.pieces).await;
            room.commit(filled)?;
            self.passed = self.passed.saturating_add(u64::try_from(filled).unwrap_or(u64::MAX));
            failure?;
            self.refuse_crumbs()?;
        }
    }

    /// Each piece costs about as much as some thousand bytes of a larger one.
    fn refuse_crumbs(&self) -> Result<()> {
        if self.pieces > CRUMBS && self.passed.checked_div(self.pieces).is_some_and(|bytes| bytes < CRUMB) {
            return Err(bad_framing("in pieces of a few bytes each"));
        }
        Ok(())
    }

    fn ended(&self) -> Result<()> {
        match self.promised {
            Some(promised) if self.passed < promised => {
                let message = format!("the answer ended after {} of {promised} bytes", self.passed);
                Err(Error::new(ErrorKind::Unavailable, "short-body", message))
            }
            _ => Ok(()),
        }
    }

    fn too_long(&self) -> Error {
        let message = format!("the answer has more than the {} bytes that it promised", self.passed);
        Error::new(ErrorKind::Corrupt, "long-body", message)
    }
}

/// Fills `room` with `chunk` and with whatever else is there already, so that the host gets few large pieces of a fast
/// server, and the bytes of a slow one as they come. How much it was, and whether the body failed after that.
async fn fill(room: &mut [u8], chunk: &mut Bytes, response: &mut Response, pieces: &mut u64) -> (usize, Result<()>) {
    let mut filled: usize = 0;
    while let Some(rest) = room.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        if chunk.is_empty() {
            match ready_chunk(response).await {
                Poll::Ready(Ok(Some(next))) => {
                    *chunk = next;
                    *pieces = pieces.saturating_add(1);
                }
                Poll::Ready(Err(error)) => return (filled, Err(fault::in_body(error))),
                Poll::Ready(Ok(None)) | Poll::Pending => break,
            }
            continue;
        }
        let now = rest.len().min(chunk.len());
        if let (Some(to), Some(from)) = (rest.get_mut(..now), chunk.get(..now)) {
            to.copy_from_slice(from);
        }
        chunk.advance(now);
        filled = filled.saturating_add(now);
    }
    (filled, Ok(()))
}

/// The next chunk if it is there already. The end of a body can be asked for again.
async fn ready_chunk(response: &mut Response) -> Poll<reqwest::Result<Option<Bytes>>> {
    let mut next = pin!(response.chunk());
    poll_fn(|context| Poll::Ready(next.as_mut().poll(context))).await
}
