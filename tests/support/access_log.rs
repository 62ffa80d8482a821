//! What a server saw and served, as its access log has it.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use serde_json::Value;

/// One request that has ended, well or not.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) status: u16,
    pub(crate) method: String,
    pub(crate) uri: String,
    /// What was asked for, from where on if it was a range.
    pub(crate) range: Option<String>,
    /// Bytes of the body that were sent, if the client was there to take them.
    pub(crate) sent: u64,
    pub(crate) connection: u64,
    /// Everything of the request that the log has, for searches.
    pub(crate) text: String,
}

impl Request {
    /// The bytes of the file that the answer held. Of an answer that is no part of the file, none.
    fn bytes(&self) -> Range<u64> {
        let start = match self.status {
            200 => 0,
            206 => self.start().unwrap_or_else(|| panic!("which bytes? {self:#?}")),
            _ => return 0..0,
        };
        start..start + self.sent
    }

    fn start(&self) -> Option<u64> {
        self.range.as_ref()?.strip_prefix("bytes=")?.split('-').next()?.parse().ok()
    }
}

/// Requests in the order in which they ended.
#[derive(Debug, Clone)]
pub(crate) struct AccessLog(Vec<Request>);

impl AccessLog {
    /// What the server is to write of each request, in the words of its configuration.
    pub(crate) const FORMAT: &str = "'{\"status\":\"$status\",\"method\":\"$request_method\",\"uri\":\"$request_uri\",\
         \"range\":\"$http_range\",\"sent\":\"$body_bytes_sent\",\"connection\":\"$connection\",\"if_match\":\"$http_if_match\",\
         \"authorization\":\"$http_authorization\",\"proxy\":\"$http_proxy_authorization\",\"cookie\":\"$http_cookie\",\
         \"referer\":\"$http_referer\",\"host\":\"$http_host\",\"agent\":\"$http_user_agent\"}'";

    pub(crate) fn parse(text: &str) -> Self {
        let request = |line: &str| {
            let value: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{line}: {error}"));
            let member = |name: &str| value[name].as_str().unwrap_or_else(|| panic!("no {name}: {line}")).to_owned();
            Request {
                status: member("status").parse().unwrap(),
                method: member("method"),
                uri: member("uri"),
                range: Some(member("range")).filter(|range| !range.is_empty()),
                sent: member("sent").parse().unwrap(),
                connection: member("connection").parse().unwrap(),
                text: line.to_owned(),
            }
        };
        Self(text.lines().map(request).collect())
    }

    pub(crate) fn requests(&self) -> &[Request] {
        &self.0
    }

    /// Only the requests whose path begins so.
    pub(crate) fn of(&self, prefix: &str) -> Self {
        Self(self.0.iter().filter(|request| request.uri.starts_with(prefix)).cloned().collect())
    }

    /// How many requests ended with this status.
    pub(crate) fn with_status(&self, status: u16) -> usize {
        self.0.iter().filter(|request| request.status == status).count()
    }

    /// Bytes of the file that were sent.
    pub(crate) fn bytes(&self) -> u64 {
        self.0.iter().map(|request| request.bytes()).map(|bytes| bytes.end - bytes.start).sum()
    }

    /// Bytes of the file that were sent and had been before.
    pub(crate) fn again(&self) -> u64 {
        let mut pieces: Vec<Range<u64>> = self.0.iter().map(Request::bytes).collect();
        pieces.sort_by_key(|piece| piece.start);
        let (mut distinct, mut reached) = (0, 0);
        for piece in pieces {
            distinct += piece.end.saturating_sub(piece.start.max(reached));
            reached = reached.max(piece.end);
        }
        self.bytes() - distinct
    }

    /// On how many connections bytes of the file were sent.
    pub(crate) fn connections(&self) -> usize {
        let sent = self.0.iter().filter(|request| !request.bytes().is_empty());
        sent.map(|request| request.connection).collect::<BTreeSet<_>>().len()
    }

    /// How many requests there were of each method and status, for messages.
    pub(crate) fn summary(&self) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        for request in &self.0 {
            *counts.entry(format!("{} {}", request.method, request.status)).or_default() += 1;
        }
        counts
    }
}
