//! A request as it came.

use std::io::{BufRead, Read};
use std::ops::Range;

/// Longer than any request that is meant honestly.
const HEAD_MOST: u64 = 64 << 10;

/// Method, path and headers of one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Request {
    /// The number of the connection that it came on.
    pub(crate) connection: usize,
    pub(crate) method: String,
    /// With the query.
    pub(crate) path: String,
    /// Names in lower case.
    pub(crate) headers: Vec<(String, String)>,
}

impl Request {
    /// The next one of a connection; none at its end.
    pub(super) fn read(reader: &mut impl BufRead, connection: usize) -> Option<Self> {
        let mut lines = reader.take(HEAD_MOST);
        let mut line = || {
            let mut line = String::new();
            let read = lines.read_line(&mut line);
            read.ok().filter(|&read| read > 0).map(|_| line.trim_end().to_owned())
        };
        let first = line()?;
        let mut words = first.split(' ');
        let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
        let mut headers = Vec::new();
        loop {
            let line = line()?;
            if line.is_empty() {
                return Some(Self { connection, method, path, headers });
            }
            let (name, value) = line.split_once(':')?;
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(its, _)| its == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn is_head(&self) -> bool {
        self.method == "HEAD"
    }

    /// The range that is asked for, of a content of `size` bytes. The outer none: no range; the inner: none of its bytes is
    /// there.
    pub(crate) fn range(&self, size: u64) -> Option<Option<Range<u64>>> {
        let (first, last) = self.header("range")?.strip_prefix("bytes=")?.split_once('-')?;
        let range = match (first.parse::<u64>(), last.parse::<u64>()) {
            (Ok(first), Ok(last)) => first..last.saturating_add(1).min(size),
            (Ok(first), Err(_)) => first..size,
            (Err(_), Ok(last)) => size.saturating_sub(last)..size,
            (Err(_), Err(_)) => return None,
        };
        Some((range.start < range.end).then_some(range))
    }
}
