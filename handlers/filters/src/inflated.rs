//! The inflated bytes of all streams, one after the other.

use std::io::{self, BufRead, ErrorKind as IoKind, Read};

use landfall_handler_api::{Error, ErrorKind, Result};

use crate::codec::{Fault, Padding, Streams};
use crate::front::Front;

/// What is at hand: between two streams, or in one.
enum State<C: Streams, R: Read + Send> {
    Between(Front<R>),
    Inside(C::Stream<R>),
    /// At the end, or behind a failure.
    Over,
}

/// Inflates.
pub(crate) struct Inflated<C: Streams, R: Read + Send> {
    state: State<C, R>,
    window_bytes: u64,
    /// Streams that were begun.
    streams: u64,
}

impl<C: Streams, R: Read + Send> Inflated<C, R> {
    pub(crate) fn new(stored: R, window_bytes: u64) -> Self {
        Self { state: State::Between(Front::new(stored)), window_bytes, streams: 0 }
    }

    /// Fills `room`; fewer bytes only at the end.
    pub(crate) fn fill(&mut self, room: &mut [u8]) -> Result<usize> {
        let mut filled = 0_usize;
        while let Some(rest) = room.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match self.next(rest)? {
                Next::Bytes(bytes) => filled = filled.saturating_add(bytes),
                Next::Stream => {}
                Next::End => break,
            }
        }
        Ok(filled)
    }

    fn next(&mut self, room: &mut [u8]) -> Result<Next> {
        match std::mem::replace(&mut self.state, State::Over) {
            State::Between(front) => self.begin(front),
            State::Inside(mut stream) => match stream.read(room) {
                Ok(0) => {
                    self.state = State::Between(C::end(stream));
                    Ok(Next::Stream)
                }
                Ok(bytes) => {
                    self.state = State::Inside(stream);
                    Ok(Next::Bytes(bytes))
                }
                Err(error) => Err(self.failed::<C>(&error)),
            },
            State::Over => Ok(Next::End),
        }
    }

    /// Begins the next stream, if there is one.
    fn begin(&mut self, mut front: Front<R>) -> Result<Next> {
        if self.streams > 0 {
            skip_padding(&mut front, C::PADDING)?;
        }
        let head = front.peek(C::MAGIC_BYTES).map_err(|error| stored(&error))?;
        if head.is_empty() && self.streams > 0 {
            return Ok(Next::End);
        }
        if head.is_empty() {
            return Err(corrupt("unexpected-end", format!("there are no bytes of {}", C::NAME)));
        }
        if !C::begins(head) {
            return Err(match self.streams {
                0 => corrupt("bad-stream", format!("the bytes do not begin as {}", C::NAME)),
                _ => trailing_data(),
            });
        }
        self.streams = self.streams.saturating_add(1);
        let begun = C::begin(front, self.window_bytes);
        self.state = State::Inside(begun.map_err(|error| self.failed::<C>(&error))?);
        Ok(Next::Stream)
    }

    fn failed<T: Streams>(&self, error: &io::Error) -> Error {
        let is_ours = error.get_ref().is_some_and(|inner| inner.is::<Error>());
        match error.kind() {
            _ if is_ours => stored(error),
            IoKind::UnexpectedEof => corrupt("unexpected-end", format!("the bytes end inside a stream of {}", T::NAME)),
            _ if T::fault(error) == Fault::Window => {
                let message = format!("a stream wants more memory than {} bytes (window_bytes)", self.window_bytes);
                Error::new(ErrorKind::Limit, "window-too-large", message)
            }
            _ => corrupt("bad-stream", format!("a stream of {} contradicts itself", T::NAME)),
        }
    }
}

/// What came next.
enum Next {
    Bytes(usize),
    /// A stream began or ended.
    Stream,
    End,
}

/// Reads zeros, which must be a whole number of units.
fn skip_padding<R: Read + Send>(front: &mut Front<R>, padding: Padding) -> Result<()> {
    let Padding::Zeros(unit) = padding else { return Ok(()) };
    let mut zeros = 0_u64;
    loop {
        let ready = front.fill_buf().map_err(|error| stored(&error))?;
        let here = ready.iter().take_while(|&&byte| byte == 0).count();
        let goes_on = here > 0 && here == ready.len();
        front.consume(here);
        zeros = zeros.saturating_add(here as u64);
        if !goes_on {
            return if zeros.is_multiple_of(unit) { Ok(()) } else { Err(trailing_data()) };
        }
    }
}

fn trailing_data() -> Error {
    corrupt("trailing-data", "something else follows the last stream".to_owned())
}

fn corrupt(code: &'static str, message: String) -> Error {
    Error::new(ErrorKind::Corrupt, code, message)
}

/// A failure to read the stored bytes.
fn stored(error: &io::Error) -> Error {
    Error::os(error, "read the stored bytes")
}
