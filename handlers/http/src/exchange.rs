//! One small question and its answer: listings, logins, records.

use landfall_handler_api::{Error, ErrorKind, Result};
use reqwest::header::{ACCEPT_ENCODING, HeaderMap, HeaderValue};
use reqwest::{Method, StatusCode, Url};

use crate::answer::length_of;
use crate::body::{Body, Room};
use crate::connections::Connections;
use crate::fault;
use crate::tls::SystemTrust;

/// A question whose answer is held in memory.
///
/// Not `Debug`: headers and body may hold secrets.
pub struct Exchange {
    /// What is done; `GET`, mostly.
    pub method: Method,
    /// Where; without a user and password, which belong into the headers.
    pub url: Url,
    /// Sent along. They are shown nowhere.
    pub headers: HeaderMap,
    /// Sent as the body.
    pub body: Option<Vec<u8>>,
    /// Bytes that the answer's body may have.
    pub most: usize,
    /// Whether the operator or the calling person named the URL's host; it may then be any address.
    pub trusted: bool,
}

impl Exchange {
    /// A `GET` of a URL that a record or a server named.
    pub fn get(url: Url, most: usize) -> Self {
        Self { method: Method::GET, url, headers: HeaderMap::new(), body: None, most, trusted: false }
    }
}

/// An answer of any status; a redirect is an answer like others.
///
/// Not `Debug`: it may hold secrets.
pub struct Reply {
    /// How it was answered.
    pub status: StatusCode,
    /// The answer's headers.
    pub headers: HeaderMap,
    /// The whole body.
    pub body: Vec<u8>,
}

impl Connections {
    /// Asks, once. Fails with `reply-too-long` where the body has more bytes than the question allows.
    pub async fn exchange(&self, exchange: Exchange, system: &dyn SystemTrust) -> Result<Reply> {
        let Exchange { method, url, mut headers, body, most, trusted } = exchange;
        self.names().admit(&url, trusted).await?;
        headers.values_mut().for_each(|value| value.set_sensitive(true));
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        let is_head = method == Method::HEAD;
        let client = self.to(&url, system)?;
        let mut request = client.request(method, url).headers(headers);
        if let Some(body) = body {
            request = request.body(body);
        }
        let response = request.send().await.map_err(fault::in_request)?;
        let (status, headers) = (response.status(), response.headers().clone());
        let mut text = Bounded { bytes: Vec::new(), filled: 0, most };
        if !is_head {
            let length = length_of(&headers)?;
            let wanted = u64::try_from(most).unwrap_or(u64::MAX).saturating_add(1);
            if length.is_some_and(|length| length >= wanted) {
                return Err(too_long(most));
            }
            Body::new(response, length).pour(wanted, &mut text).await?;
        }
        Ok(Reply { status, headers, body: text.into_bytes() })
    }
}

fn too_long(most: usize) -> Error {
    Error::new(ErrorKind::Limit, "reply-too-long", format!("the server's answer has more than {most} bytes"))
}

/// Memory for an answer, and no more of it.
struct Bounded {
    bytes: Vec<u8>,
    filled: usize,
    most: usize,
}

/// Bytes by which it grows at least.
const STEP: usize = 16 << 10;

impl Bounded {
    fn into_bytes(mut self) -> Vec<u8> {
        self.bytes.truncate(self.filled);
        self.bytes
    }
}

impl Room for Bounded {
    fn reserve(&mut self, want: usize) -> Result<&mut [u8]> {
        if self.filled >= self.most {
            return Err(too_long(self.most));
        }
        let grown = self.bytes.len().saturating_mul(2).max(self.filled.saturating_add(want.min(STEP)));
        self.bytes.resize(grown.min(self.most).max(self.filled), 0);
        let end = self.filled.saturating_add(want).min(self.bytes.len());
        Ok(self.bytes.get_mut(self.filled..end).unwrap_or_default())
    }

    fn commit(&mut self, filled: usize) -> Result<()> {
        self.filled = self.filled.saturating_add(filled).min(self.bytes.len());
        Ok(())
    }
}
