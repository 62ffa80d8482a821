//! The compressed bytes, front to back, with a look ahead.

use std::io::{self, BufRead, Read};

/// Bytes that are read at once.
const CHUNK: usize = 256 * 1024;

/// A buffered reader that can look at the next few bytes.
#[derive(Debug)]
pub(crate) struct Front<R> {
    inner: R,
    buffer: Vec<u8>,
    from: usize,
    to: usize,
}

impl<R: Read> Front<R> {
    pub(crate) fn new(inner: R) -> Self {
        Self { inner, buffer: vec![0; CHUNK], from: 0, to: 0 }
    }

    fn ready(&self) -> &[u8] {
        self.buffer.get(self.from..self.to).unwrap_or_default()
    }

    /// The next `count` bytes, of which there are at most [`CHUNK`]; fewer at the end.
    pub(crate) fn peek(&mut self, count: usize) -> io::Result<&[u8]> {
        if self.from > 0 && self.ready().len() < count {
            self.buffer.copy_within(self.from..self.to, 0);
            (self.from, self.to) = (0, self.to.saturating_sub(self.from));
        }
        while self.ready().len() < count.min(CHUNK) {
            let room = self.buffer.get_mut(self.to..).unwrap_or_default();
            match self.inner.read(room)? {
                0 => break,
                read => self.to = self.to.saturating_add(read).min(CHUNK),
            }
        }
        Ok(self.ready().get(..count).unwrap_or_else(|| self.ready()))
    }
}

impl<R: Read> Read for Front<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.fill_buf()?.read(into)?;
        self.consume(read);
        Ok(read)
    }
}

impl<R: Read> BufRead for Front<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.peek(1)?;
        Ok(self.ready())
    }

    fn consume(&mut self, amount: usize) {
        self.from = self.from.saturating_add(amount).min(self.to);
    }
}
