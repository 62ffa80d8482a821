//! A reply as what is done with the socket, one act after the other.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::ops::Range;
use std::time::Duration;

use nix::sys::socket::{setsockopt, sockopt::Linger};

use super::Shared;

/// So much is written at once, and counted.
const STEP: usize = 64 << 10;
/// Even what has no end has one, lest a client that reads on fills the test's time.
const ENDLESS: u64 = 256 << 20;

/// One thing that is done with a socket.
#[derive(Debug, Clone)]
pub(super) enum Act {
    Send(Vec<u8>),
    /// These bytes of the content.
    Content(Range<u64>),
    /// The same, each of them wrong.
    Wrong(Range<u64>),
    /// Bytes one by one.
    Drip(Vec<u8>, Duration),
    /// The content, one byte at a time.
    DripContent(Range<u64>, Duration),
    /// The content in small parts, with a pause behind each.
    Leisurely(Range<u64>, Duration),
    /// The same over and over.
    Repeat(Vec<u8>),
    /// Nothing more, without an end.
    Silence,
    Close,
    Reset,
}

/// What becomes of the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum After {
    Keep,
    Close,
}

/// Status, headers and what follows them.
#[derive(Debug, Clone)]
pub(super) struct Reply {
    /// Empty where the acts are everything.
    status: String,
    headers: Vec<(String, String)>,
    pub(super) acts: Vec<Act>,
    /// Whether it is counted as a lie, and as one in the middle of a body.
    lie: bool,
    breaks_off: bool,
}

impl Reply {
    pub(super) fn new(status: impl Into<String>) -> Self {
        Self { status: status.into(), headers: Vec::new(), acts: Vec::new(), lie: false, breaks_off: false }
    }

    /// Acts alone, of which nothing needs to be HTTP.
    pub(super) fn raw(acts: impl Into<Vec<Act>>) -> Self {
        Self { acts: acts.into(), ..Self::new("") }
    }

    /// Sets a header, in the place of any that has the name.
    pub(super) fn header(mut self, name: &str, value: impl ToString) -> Self {
        self = self.without(name);
        self.headers.push((name.to_owned(), value.to_string()));
        self
    }

    /// Adds a header, whatever is there.
    pub(super) fn one_more(mut self, name: &str, value: impl ToString) -> Self {
        self.headers.push((name.to_owned(), value.to_string()));
        self
    }

    pub(super) fn without(mut self, name: &str) -> Self {
        self.headers.retain(|(its, _)| !its.eq_ignore_ascii_case(name));
        self
    }

    pub(super) fn status(mut self, status: impl Into<String>) -> Self {
        self.status = status.into();
        self
    }

    pub(super) fn act(mut self, act: Act) -> Self {
        self.acts.push(act);
        self
    }

    pub(super) fn acts(mut self, acts: impl Into<Vec<Act>>) -> Self {
        self.acts = acts.into();
        self
    }

    pub(super) fn counted_as_lie(mut self) -> Self {
        self.lie = true;
        self
    }

    /// Ends the connection after some of the body.
    pub(super) fn broken_off(mut self, acts: impl Into<Vec<Act>>) -> Self {
        self.breaks_off = true;
        self.acts(acts)
    }

    /// As a HEAD is answered: what would be done before the body.
    pub(super) fn without_body(mut self) -> Self {
        if !self.status.is_empty() {
            self.acts.retain(|act| matches!(act, Act::Close | Act::Reset));
        }
        self
    }

    /// Status line and headers with their end.
    pub(super) fn head(&self) -> Vec<u8> {
        if self.status.is_empty() {
            return Vec::new();
        }
        let headers: String = self.headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        format!("HTTP/1.1 {}\r\n{headers}\r\n", self.status).into_bytes()
    }

    /// Does all of it, or as much as the other end takes.
    pub(super) fn send(self, socket: &TcpStream, shared: &Shared, path: &str) -> After {
        {
            let mut counts = shared.counts();
            counts.lies += usize::from(self.lie);
            counts.broken_off += usize::from(self.breaks_off);
        }
        let mut to = Sending { socket, shared, path };
        let head = self.head();
        let mut after = to.bytes(&head);
        for act in self.acts {
            if after == Some(After::Close) || after.is_none() {
                break;
            }
            after = to.act(act);
        }
        after.unwrap_or(After::Close)
    }
}

struct Sending<'a> {
    socket: &'a TcpStream,
    shared: &'a Shared,
    path: &'a str,
}

impl Sending<'_> {
    /// None when the other end is gone.
    fn act(&mut self, act: Act) -> Option<After> {
        match act {
            Act::Send(bytes) => self.bytes(&bytes),
            Act::Content(range) => self.content(range, |byte| byte),
            Act::Wrong(range) => self.content(range, |byte| !byte),
            Act::Drip(bytes, pause) => self.drip(&bytes, pause, None),
            Act::DripContent(range, pause) => {
                let bytes = self.shared.bytes[as_usize(&range)].to_vec();
                self.drip(&bytes, pause, Some(range.start))
            }
            Act::Leisurely(range, pause) => {
                for start in range.clone().step_by(STEP) {
                    self.content(start..(start + STEP as u64).min(range.end), |byte| byte)?;
                    if !self.shared.pause(pause) {
                        return Some(After::Close);
                    }
                }
                Some(After::Keep)
            }
            Act::Repeat(bytes) => {
                let mut left = ENDLESS;
                while left > 0 {
                    self.bytes(&bytes)?;
                    left = left.saturating_sub(bytes.len() as u64);
                }
                Some(After::Close)
            }
            Act::Silence => {
                // Until the other end closes, or this server is dropped.
                let mut ignored = [0; 4096];
                while self.socket.read(&mut ignored).is_ok_and(|read| read > 0) {}
                Some(After::Close)
            }
            Act::Close => Some(After::Close),
            Act::Reset => {
                let at_once = nix::libc::linger { l_onoff: 1, l_linger: 0 };
                setsockopt(self.socket, Linger, &at_once).expect("a socket lingers as it is told");
                Some(After::Close)
            }
        }
    }

    fn bytes(&mut self, bytes: &[u8]) -> Option<After> {
        for part in bytes.chunks(STEP) {
            self.shared.counts().sent += part.len() as u64;
            self.socket.write_all(part).ok()?;
        }
        Some(After::Keep)
    }

    fn content(&mut self, range: Range<u64>, change: impl Fn(u8) -> u8) -> Option<After> {
        let mut at = range.start;
        let bytes = self.shared.bytes[as_usize(&range)].iter().map(|&byte| change(byte)).collect::<Vec<u8>>();
        for part in bytes.chunks(STEP) {
            let range = at..at + part.len() as u64;
            self.shared.wait_while_held();
            self.shared.wait_for_turn(part.len());
            // Before they go out: whoever has them finds them counted.
            self.shared.counts().took(self.path, range.clone());
            if self.socket.write_all(part).is_err() {
                self.shared.counts().took_not(self.path, &range);
                return None;
            }
            at = range.end;
        }
        Some(After::Keep)
    }

    fn drip(&mut self, bytes: &[u8], pause: Duration, content: Option<u64>) -> Option<After> {
        for (byte, index) in bytes.iter().zip(0_u64..) {
            match content {
                Some(start) => self.shared.counts().took(self.path, start + index..start + index + 1),
                None => self.shared.counts().sent += 1,
            }
            self.socket.write_all(&[*byte]).ok()?;
            if !self.shared.pause(pause) {
                return Some(After::Close);
            }
        }
        Some(After::Keep)
    }
}

pub(super) fn as_usize(range: &Range<u64>) -> Range<usize> {
    let number = |number: u64| usize::try_from(number).unwrap();
    number(range.start)..number(range.end)
}
