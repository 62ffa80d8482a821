//! The least of a client: one request on a connection of its own, with a bound on each wait.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::Value;

/// Longer than a service takes for any answer of a test on a busy machine.
const BOUND: Duration = Duration::from_secs(60);

/// What a service answered.
pub(crate) struct Reply {
    asked: String,
    pub(crate) status: u16,
    headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Reply {
    /// Fails unless the answer is a success.
    #[track_caller]
    pub(crate) fn ok(self) -> Self {
        assert!((200..300).contains(&self.status), "{self:?}");
        self
    }

    /// The value of a header, which must be there.
    #[track_caller]
    pub(crate) fn header(&self, name: &str) -> &str {
        let found = self.headers.iter().find(|(its, _)| its.eq_ignore_ascii_case(name));
        found.map_or_else(|| panic!("no {name}: {self:?}"), |(_, value)| value)
    }

    /// The document that the body is.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

impl std::fmt::Debug for Reply {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let body = String::from_utf8_lossy(&self.body[..self.body.len().min(2000)]);
        write!(f, "{}: status {}\n{:?}\n{body}", self.asked, self.status, self.headers)
    }
}

/// Asks for `http://HOST:PORT/...`.
#[track_caller]
pub(crate) fn request(method: &str, url: &str, headers: &[(&str, &str)], body: &[u8]) -> Reply {
    let asked = format!("{method} {url}");
    exchange(asked.clone(), method, url, headers, body).unwrap_or_else(|error| panic!("{asked}: {error}"))
}

/// The same with a document as its body.
#[track_caller]
pub(super) fn request_json(method: &str, url: &str, headers: &[(&str, &str)], body: &Value) -> Reply {
    let typed = ("Content-Type", "application/json");
    let headers: Vec<_> = headers.iter().copied().chain([typed]).collect();
    request(method, url, &headers, &serde_json::to_vec(body).unwrap())
}

fn exchange(
    asked: String,
    method: &str,
    url: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Result<Reply, std::io::Error> {
    let rest = url.strip_prefix("http://").unwrap_or_else(|| panic!("not an http URL: {url}"));
    let (host, path) = rest.find('/').map_or((rest, "/"), |at| rest.split_at(at));
    let mut stream = TcpStream::connect(host)?;
    stream.set_read_timeout(Some(BOUND))?;
    stream.set_write_timeout(Some(BOUND))?;
    let mut head = format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n");
    for (name, value) in headers {
        head += &format!("{name}: {value}\r\n");
    }
    // A client that says the length itself has its reasons.
    if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("Transfer-Encoding")) {
        head += &format!("Content-Length: {}\r\n", body.len());
    }
    stream.write_all((head + "\r\n").as_bytes())?;
    stream.write_all(body)?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    Ok(parse(asked, &answer))
}

fn parse(asked: String, answer: &[u8]) -> Reply {
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n").unwrap_or_else(|| panic!("{asked}: no answer"));
    let head = String::from_utf8_lossy(&answer[..end]);
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|line| line.split(' ').nth(1)).and_then(|word| word.parse().ok());
    let status = status.unwrap_or_else(|| panic!("{asked}: {head}"));
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
        .collect();
    let chunked =
        |(name, value): &(String, String)| name.eq_ignore_ascii_case("Transfer-Encoding") && value == "chunked";
    let body = &answer[end + 4..];
    let body = if headers.iter().any(chunked) { joined(body) } else { body.to_vec() };
    Reply { asked, status, headers, body }
}

/// What chunks hold.
fn joined(mut chunks: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    while let Some(line) = chunks.windows(2).position(|two| two == b"\r\n") {
        let digits = String::from_utf8_lossy(&chunks[..line]);
        let size =
            usize::from_str_radix(digits.split(';').next().unwrap_or_default(), 16).expect("the size of a chunk");
        if size == 0 {
            break;
        }
        body.extend_from_slice(&chunks[line + 2..line + 2 + size]);
        chunks = &chunks[line + 4 + size..];
    }
    body
}

/// These bytes as one chunk, for a service that is not told their number beforehand.
pub(super) fn one_chunk(bytes: &[u8]) -> Vec<u8> {
    [format!("{:x}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n0\r\n\r\n"].concat()
}
