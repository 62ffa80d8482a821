//! What a server that follows the rules answers.

use std::ops::Range;

use super::lie::Lie;
use super::reply::{Act, Reply};
use super::request::Request;
use super::site::{Site, Validators};

pub(super) const ETAG: &str = "\"5eeded-1\"";
pub(super) const LAST_MODIFIED: &str = "Tue, 03 Mar 2026 10:00:00 GMT";

/// The honest reply, and what it is made of.
pub(super) struct Honest {
    pub(super) status: Status,
    /// Of the body.
    pub(super) range: Range<u64>,
    pub(super) size: u64,
    validators: Validators,
    head: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Status {
    Whole,
    Part,
    NotThere,
    Changed,
    BadMethod,
}

impl Honest {
    pub(super) fn of(request: &Request, site: &Site, bytes: &[u8]) -> Self {
        let size = bytes.len() as u64;
        let strong = site.validators == Validators::Strong;
        // A weak validator never matches here, and what is not there cannot be asked for.
        let is_changed = request
            .header("if-match")
            .is_some_and(|asked| asked != "*" && !(strong && asked.split(',').any(|tag| tag.trim() == ETAG)))
            || request.header("if-unmodified-since").is_some_and(|asked| asked != LAST_MODIFIED);
        let if_range = request.header("if-range");
        let wants_part = site.ranges && if_range.is_none_or(|tag| strong && tag == ETAG || tag == LAST_MODIFIED);
        let (status, range) = match (request.method.as_str(), request.range(size).filter(|_| wants_part)) {
            ("GET" | "HEAD", _) if is_changed => (Status::Changed, 0..0),
            ("GET" | "HEAD", Some(Some(range))) => (Status::Part, range),
            ("GET" | "HEAD", Some(None)) => (Status::NotThere, 0..0),
            ("GET" | "HEAD", None) => (Status::Whole, 0..size),
            _ => (Status::BadMethod, 0..0),
        };
        Self { status, range, size, validators: site.validators, head: request.is_head() }
    }

    /// Whether it has bytes of the content.
    pub(super) fn is_good(&self) -> bool {
        matches!(self.status, Status::Whole | Status::Part)
    }

    pub(super) fn length(&self) -> u64 {
        self.range.end - self.range.start
    }

    pub(super) fn content_range(&self) -> String {
        format!("bytes {}-{}/{}", self.range.start, self.range.end.saturating_sub(1), self.size)
    }

    /// Status and headers.
    pub(super) fn headed(&self) -> Reply {
        let status = match self.status {
            Status::Whole => "200 OK",
            Status::Part => "206 Partial Content",
            Status::NotThere => "416 Range Not Satisfiable",
            Status::Changed => "412 Precondition Failed",
            Status::BadMethod => "405 Method Not Allowed",
        };
        let mut reply = Reply::new(status).header("Content-Length", self.length());
        match self.status {
            Status::Part => reply = reply.header("Content-Range", self.content_range()),
            Status::NotThere => reply = reply.header("Content-Range", format!("bytes */{}", self.size)),
            _ => {}
        }
        if self.is_good() {
            reply = reply.header("Accept-Ranges", "bytes").header("Content-Type", "application/octet-stream");
            reply = match self.validators {
                Validators::Strong => reply.header("ETag", ETAG).header("Last-Modified", LAST_MODIFIED),
                Validators::Weak => reply.header("ETag", format!("W/{ETAG}")).header("Last-Modified", LAST_MODIFIED),
                Validators::Date => reply.header("Last-Modified", LAST_MODIFIED),
                Validators::None => reply,
            };
        }
        reply
    }

    pub(super) fn reply(&self) -> Reply {
        if self.head || self.length() == 0 {
            return self.headed();
        }
        self.headed().act(Act::Content(self.range.clone()))
    }

    /// The same, breaking off at this offset; none where that is not in the middle of the body.
    pub(super) fn cut_at(&self, offset: u64) -> Option<Reply> {
        let inside = self.is_good() && self.range.start < offset && offset < self.range.end;
        inside.then(|| self.headed().broken_off([Act::Content(self.range.start..offset), Act::Close]))
    }

    /// What is answered before a late lie begins: the truth, or as much of it as fits the lie.
    pub(super) fn first_of(&self, lie: Lie, request: &Request) -> Reply {
        match lie {
            Lie::Redirect(_) => super::misguide::before(self, lie, request),
            _ => self.reply(),
        }
    }
}
