//! Opening and reading, against a server that lies in one way each.

use std::future::Future;
use std::sync::atomic::AtomicUsize;

use super::*;
use crate::config::Config;
use crate::test_certificates::{CERTIFICATE, ISSUER, KEY, OTHER_CERTIFICATE, OTHER_KEY};
use crate::test_server::{TestServer, answer, header, honest, range};

const MIB: usize = 1 << 20;

/// A node without certificates.
struct Nobody;

impl SystemTrust for Nobody {
    fn roots(&self) -> Result<Option<Vec<u8>>> {
        Ok(None)
    }
}

/// Gives small pieces, so that they end everywhere.
#[derive(Default)]
struct Buffer {
    bytes: Vec<u8>,
    piece: Vec<u8>,
}

impl Room for Buffer {
    fn reserve(&mut self, want: usize) -> Result<&mut [u8]> {
        self.piece = vec![0; want.min(50_000)];
        Ok(&mut self.piece)
    }

    fn commit(&mut self, filled: usize) -> Result<()> {
        self.bytes.extend_from_slice(&self.piece[..filled]);
        Ok(())
    }
}

fn wait<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

async fn open(url: &str) -> Result<HttpSource> {
    open_as(url, true, Config::default()).await
}

async fn open_as(url: &str, named_by_caller: bool, config: Config) -> Result<HttpSource> {
    let resource = Resource::parse(url, named_by_caller)?;
    HttpSource::open_with(&Client::new(&config).unwrap(), resource, &Nobody).await
}

async fn read(source: &HttpSource, range: Range<u64>) -> Result<Vec<u8>> {
    let mut buffer = Buffer::default();
    source.read_into(range, &mut buffer, &Nobody).await.map(|()| buffer.bytes)
}

/// Opens, reads everything and gives the error's kind and code.
fn failure(server: &TestServer) -> (ErrorKind, String) {
    let outcome = wait(async { read(&open(&server.url("/disk")).await?, 0..u64::MAX).await });
    let error = outcome.unwrap_err();
    (error.kind(), error.code().to_owned())
}

fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at % 251) as u8).collect()
}

fn answering(fixed: Vec<u8>) -> TestServer {
    TestServer::new(move |_| Some(fixed.clone()))
}

#[test]
fn ranges_are_read_and_the_first_answer_is_used() {
    let bytes = pattern(3 * MIB);
    let served = bytes.clone();
    let server = TestServer::new(move |head| Some(honest(head, &served, "ETag: \"v1\"\r\n")));
    wait(async {
        let source = open(&server.url("/disk?key=1#part")).await.unwrap();
        assert_eq!((source.size(), source.ranged()), (Some(3 * MIB as u64), true));
        assert_eq!(source.validator().unwrap(), r#"etag:\"v1\""#);
        assert!(read(&source, 0..MIB as u64).await.unwrap() == bytes[..MIB]);
        assert_eq!(server.requests().len(), 1);
        assert!(read(&source, 0..u64::MAX).await.unwrap() == bytes);
        assert_eq!(read(&source, 3_000_000..3_000_001).await.unwrap(), bytes[3_000_000..3_000_001]);
        assert_eq!(read(&source, 3 * MIB as u64..u64::MAX).await.unwrap(), b"");
    });
    let requests = server.requests();
    assert_eq!(requests.len(), 3);
    assert!(requests[0].starts_with("GET /disk?key=1 HTTP/1.1\r\n"), "{}", requests[0]);
    for (name, value) in [("accept", "*/*"), ("accept-encoding", "identity"), ("range", "bytes=0-1048575")] {
        assert_eq!(header(&requests[0], name), Some(value));
    }
    assert!(header(&requests[0], "user-agent").unwrap().starts_with("landfall/"));
    assert_eq!(header(&requests[0], "if-match"), None);
    assert_eq!(header(&requests[1], "if-match"), Some("\"v1\""));
    assert_eq!(header(&requests[1], "range"), Some("bytes=0-3145727"));
}

#[test]
fn a_short_first_read_and_a_long_one_both_begin_with_the_first_answer() {
    let bytes = pattern(2 * MIB);
    for end in [10, MIB + 10] {
        let served = bytes.clone();
        let server = TestServer::new(move |head| Some(honest(head, &served, "")));
        wait(async {
            let source = open(&server.url("/")).await.unwrap();
            assert!(read(&source, 0..end as u64).await.unwrap() == bytes[..end]);
        });
        assert_eq!(server.requests().len(), if end > MIB { 2 } else { 1 });
    }
}

#[test]
fn a_server_without_ranges_is_read_whole_and_again() {
    let bytes = pattern(MIB + 7);
    let served = bytes.clone();
    let server = TestServer::new(move |_| Some(answer("200 OK", "Last-Modified: x\r\n", &served)));
    wait(async {
        let source = open(&server.url("/")).await.unwrap();
        assert_eq!((source.size(), source.ranged()), (Some(bytes.len() as u64), false));
        assert_eq!(source.validator().unwrap(), "modified:x");
        assert!(read(&source, 0..u64::MAX).await.unwrap() == bytes);
        assert!(read(&source, 0..bytes.len() as u64).await.unwrap() == bytes);
        assert_eq!(read(&source, 1..2).await.unwrap_err().code(), "range-ignored");
    });
    assert_eq!(header(&server.requests()[1], "range"), None);
    assert_eq!(header(&server.requests()[1], "if-unmodified-since"), Some("x"));
}

#[test]
fn bodies_without_a_length_are_read_to_their_end() {
    for (answer, expected) in [
        ("HTTP/1.1 200 OK\r\n\r\n12345", Ok("12345")),
        ("HTTP/1.0 200 OK\r\n\r\n12345", Ok("12345")),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n123\r\n2\r\n45\r\n0\r\n\r\n", Ok("12345")),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n123\r\n2\r\n4", Err("short-body")),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n123\r\n", Err("short-body")),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n123\r\n", Err("bad-framing")),
    ] {
        let server = answering(answer.as_bytes().to_vec());
        let outcome = wait(async {
            let source = open(&server.url("/")).await?;
            assert_eq!(source.size(), None);
            read(&source, 0..u64::MAX).await
        });
        let outcome = outcome.as_ref().map(Vec::as_slice).map_err(|error| error.code());
        assert_eq!(outcome, expected.map(str::as_bytes), "{answer}");
    }
}

#[test]
fn an_empty_object_is_empty() {
    let server = TestServer::new(|head| Some(honest(head, b"", "")));
    wait(async {
        let source = open(&server.url("/")).await.unwrap();
        assert_eq!(source.size(), Some(0));
        assert_eq!(read(&source, 0..u64::MAX).await.unwrap(), b"");
    });
}

#[test]
fn a_server_that_dislikes_ranges_is_asked_for_everything() {
    let server = TestServer::new(|head| {
        Some(match range(head) {
            Some(_) => answer("416 Range Not Satisfiable", "", b""),
            None => answer("200 OK", "", b"12345"),
        })
    });
    wait(async {
        let source = open(&server.url("/")).await.unwrap();
        assert!(!source.ranged());
        assert_eq!(read(&source, 0..u64::MAX).await.unwrap(), b"12345");
    });
}

#[test]
fn first_answers_that_cannot_be_right() {
    let part =
        |lines: &str, body: &str| format!("HTTP/1.1 206 Partial Content\r\nConnection: close\r\n{lines}\r\n{body}");
    for (answer, kind, code) in [
        (part("Content-Range: bytes 0-4/5\r\nContent-Length: 5\r\n", "123"), ErrorKind::Unavailable, "short-body"),
        (part("Content-Range: bytes 0-4/5\r\n", "123"), ErrorKind::Unavailable, "short-body"),
        (part("Content-Range: bytes 0-4/5\r\n", "1234567"), ErrorKind::Corrupt, "long-body"),
        (part("Content-Range: bytes 0-4/5\r\nContent-Length: 7\r\n", "1234567"), ErrorKind::Corrupt, "bad-framing"),
        (part("Content-Range: bytes 1-4/5\r\n", "2345"), ErrorKind::Corrupt, "range-mismatch"),
        (part("Content-Range: bytes 0-4/*\r\n", "12345"), ErrorKind::Corrupt, "range-mismatch"),
        (part("Content-Range: bytes 0-3/5\r\n", "1234"), ErrorKind::Corrupt, "range-mismatch"),
        (part("Content-Type: multipart/byteranges; boundary=x\r\n", "--x"), ErrorKind::Corrupt, "range-mismatch"),
        (
            part("Content-Range: bytes 0-4/5\r\nContent-Encoding: gzip\r\n", "12345"),
            ErrorKind::Corrupt,
            "unexpected-encoding",
        ),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n".to_owned(),
            ErrorKind::Corrupt,
            "bad-framing",
        ),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n123456".to_owned(),
            ErrorKind::Corrupt,
            "bad-framing",
        ),
        ("HTTP/1.1 204 No Content\r\n\r\n".to_owned(), ErrorKind::Corrupt, "bad-status"),
        ("HTTP/1.1 300 Choices\r\nContent-Length: 0\r\n\r\n".to_owned(), ErrorKind::Corrupt, "bad-status"),
        ("HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n".to_owned(), ErrorKind::NotFound, "http-404"),
        ("220 mail.example ESMTP\r\n\r\n".to_owned(), ErrorKind::Corrupt, "bad-response"),
        ("HTTP/1.1 200 OK\r\nbad header\r\n\r\n".to_owned(), ErrorKind::Corrupt, "bad-response"),
        (format!("HTTP/1.1 200 OK\r\n{}\r\n", "X: y\r\n".repeat(1000)), ErrorKind::Limit, "headers-too-large"),
        (format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "y".repeat(MIB)), ErrorKind::Limit, "headers-too-large"),
        ("HTTP/1.1 200".to_owned(), ErrorKind::Unavailable, "connection-lost"),
        (String::new(), ErrorKind::Unavailable, "connection-lost"),
    ] {
        let server = answering(answer.clone().into_bytes());
        let shown = answer.get(..200).unwrap_or(&answer);
        assert_eq!(failure(&server), (kind, code.to_owned()), "{shown}");
    }
}

/// A server that is honest until it was opened, and then answers like `lie`.
fn later(lie: impl Fn(&str) -> Vec<u8> + Send + 'static) -> TestServer {
    let asked = AtomicUsize::new(0);
    TestServer::new(move |head| match asked.fetch_add(1, Ordering::Relaxed) {
        0 => Some(honest(head, &pattern(2 * MIB), "ETag: \"v1\"\r\n")),
        _ => Some(lie(head)),
    })
}

#[test]
fn later_answers_are_held_against_the_first() {
    let part = |range: &str, etag: &str| {
        let lines = format!("Content-Range: bytes {range}\r\nETag: {etag}\r\n");
        answer("206 Partial Content", &lines, &[0; MIB])
    };
    for (lie, kind, code) in [
        (part("1048576-2097151/2097152", "\"v2\""), ErrorKind::Corrupt, "source-changed"),
        (part("1048576-2097151/2097152", "W/\"v1\""), ErrorKind::Corrupt, "source-changed"),
        (part("1048576-2097151/2097153", "\"v1\""), ErrorKind::Corrupt, "range-mismatch"),
        (part("0-1048575/2097152", "\"v1\""), ErrorKind::Corrupt, "range-mismatch"),
        (answer("412 Precondition Failed", "", b""), ErrorKind::Corrupt, "source-changed"),
        (answer("416 Range Not Satisfiable", "", b""), ErrorKind::Corrupt, "source-changed"),
        (answer("200 OK", "ETag: \"v2\"\r\n", b"x"), ErrorKind::Corrupt, "source-changed"),
        (answer("200 OK", "ETag: \"v1\"\r\n", b"x"), ErrorKind::Unsupported, "range-ignored"),
        (answer("503 Busy", "Retry-After: 3\r\n", b"x"), ErrorKind::Unavailable, "http-503"),
        (answer("403 No", "", b""), ErrorKind::Denied, "http-403"),
        (answer("302 Found", "Location: /\r\n", b""), ErrorKind::Corrupt, "bad-status"),
    ] {
        let shown = String::from_utf8_lossy(&lie[..80.min(lie.len())]).into_owned();
        let server = later(move |_| lie.clone());
        assert_eq!(failure(&server), (kind, code.to_owned()), "{shown}");
    }
}

#[test]
fn once_ranges_are_ignored_only_the_whole_is_read() {
    let server = later(|_| answer("200 OK", "ETag: \"v1\"\r\n", &pattern(2 * MIB)));
    wait(async {
        let source = open(&server.url("/")).await.unwrap();
        for start in [1 << 20, 5] {
            assert_eq!(read(&source, start..2 << 20).await.unwrap_err().code(), "range-ignored");
        }
        assert_eq!(server.requests().len(), 2);
        assert!(read(&source, 0..u64::MAX).await.unwrap() == pattern(2 * MIB));
        assert!(read(&source, 0..u64::MAX).await.unwrap() == pattern(2 * MIB));
    });
    assert_eq!(header(server.requests().last().unwrap(), "range"), None);
}

#[test]
fn a_redirect_elsewhere_gets_no_credentials() {
    let store = TestServer::new(|head| Some(honest(head, b"12345", "")));
    let elsewhere = store.url("/signed?sig=secret");
    let server = TestServer::new(move |head| {
        let to = if head.starts_with("GET /disk ") { "/same" } else { elsewhere.as_str() };
        Some(answer("302 Found", &format!("Location: {to}\r\n"), b"body"))
    });
    let config = Config { allow_addresses: vec!["loopback".to_owned()], ..Config::default() };
    let mut resource = Resource::parse(&format!("http://us%40er:p%3Aw@{}/disk", server.address), false).unwrap();
    resource.headers.insert("x-auth-token", "token".parse().unwrap());
    wait(async {
        let client = Client::new(&config).unwrap();
        let source = HttpSource::open_with(&client, resource, &Nobody).await.unwrap();
        assert_eq!(read(&source, 0..5).await.unwrap(), b"12345");
        assert_eq!(read(&source, 1..5).await.unwrap(), b"2345");
    });
    // us@er:p:w
    for head in server.requests() {
        assert_eq!(header(&head, "authorization"), Some("Basic dXNAZXI6cDp3"));
        assert_eq!(header(&head, "x-auth-token"), Some("token"));
    }
    assert_eq!((server.requests().len(), store.requests().len()), (2, 2));
    for head in store.requests() {
        assert_eq!((header(&head, "authorization"), header(&head, "x-auth-token")), (None, None));
        assert_eq!(header(&head, "referer"), None);
    }
}

#[test]
fn redirects_that_are_not_followed() {
    let server = TestServer::new(|head| {
        let to = match head.split(' ').nth(1).unwrap() {
            "/circle" => "/circle2",
            "/circle2" => "/circle",
            "/metadata" => "http://169.254.169.254/latest",
            "/other-port" => "http://127.0.0.1:1/",
            "/file" => "file:///etc/passwd",
            "/credentials" => "http://user:secret@10.0.0.1/",
            deep => &format!("{deep}x"),
        };
        Some(answer("302 Found", &format!("Location: {to}\r\n"), b""))
    });
    for path in ["/circle", "/metadata", "/other-port", "/file", "/credentials", "/x"] {
        let error = wait(open(&server.url(path))).err().unwrap();
        assert_eq!((error.kind(), error.code()), (ErrorKind::Denied, "redirect-refused"), "{path}");
        assert!(!error.message().contains("secret"));
    }
    assert_eq!(server.requests().iter().filter(|head| head.starts_with("GET /x")).count(), 6);
}

#[test]
fn an_expired_redirect_is_asked_for_again() {
    let tokens = Arc::new(AtomicUsize::new(1));
    let valid = Arc::clone(&tokens);
    let server = TestServer::new(move |head| {
        let now = valid.load(Ordering::Relaxed);
        if head.starts_with("GET /disk ") {
            return Some(answer("307 Temporary Redirect", &format!("Location: /signed/{now}\r\n"), b""));
        }
        if head.starts_with(&format!("GET /signed/{now} ")) {
            return Some(honest(head, &pattern(2 * MIB), "ETag: \"v1\"\r\n"));
        }
        Some(answer("403 Forbidden", "", b""))
    });
    wait(async {
        let source = open(&server.url("/disk")).await.unwrap();
        tokens.store(2, Ordering::Relaxed);
        assert_eq!(read(&source, 1 << 20..u64::MAX).await.unwrap().len(), MIB);
        assert_eq!(read(&source, 2_000_000..2_000_001).await.unwrap().len(), 1);
    });
    let paths: Vec<_> = server.requests().iter().map(|head| head.split(' ').nth(1).unwrap().to_owned()).collect();
    assert_eq!(paths, ["/disk", "/signed/1", "/signed/1", "/disk", "/signed/2", "/signed/2"]);
}

#[test]
fn a_record_does_not_lead_to_this_machine() {
    let server = answering(answer("200 OK", "", b""));
    let error = wait(open_as(&server.url("/"), false, Config::default())).err().unwrap();
    assert_eq!((error.kind(), error.code(), error.scope()), (ErrorKind::Denied, "address-refused", Scope::Location));
    assert!(server.requests().is_empty());
}

#[test]
fn nobody_there_and_nobody_trusted() {
    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let error = wait(open(&format!("http://{gone}/"))).err().unwrap();
    assert_eq!((error.kind(), error.code()), (ErrorKind::Unavailable, "connect-refused"));
    let error = wait(open(&format!("https://{gone}/"))).err().unwrap();
    assert_eq!((error.kind(), error.code()), (ErrorKind::Unsupported, "tls-no-trust"));
}

/// Opens and reads over TLS, trusting `ISSUER` alone.
fn over_tls(server: &TestServer, host: &str) -> Result<Vec<u8>> {
    let config = Config { ca: Some(ISSUER.to_owned()), ..Config::default() };
    let url = format!("https://{host}:{}/", server.address.port());
    wait(async { read(&open_as(&url, true, config).await?, 0..u64::MAX).await })
}

#[test]
fn servers_prove_who_they_are() {
    let honest = |head: &str| Some(honest(head, b"12345", ""));
    let server = TestServer::with_tls(CERTIFICATE, KEY, honest);
    assert_eq!(over_tls(&server, "127.0.0.1").unwrap(), b"12345");
    let other = TestServer::with_tls(OTHER_CERTIFICATE, OTHER_KEY, honest);
    let hangs_up = TestServer::hanging_up();
    for (server, host, kind, code) in [
        (&server, "localhost", ErrorKind::Denied, "tls-certificate"),
        (&other, "127.0.0.1", ErrorKind::Denied, "tls-certificate"),
        (&hangs_up, "127.0.0.1", ErrorKind::Unavailable, "tls-handshake"),
    ] {
        let error = over_tls(server, host).unwrap_err();
        assert_eq!((error.kind(), error.code()), (kind, code), "{error}");
    }
}

/// Knows a token, another one once that is refused, and, where it signs, where URLs lead.
struct Tokens {
    next: Option<&'static str>,
    signed: Option<String>,
}

#[landfall_handler_api::async_trait]
impl crate::Login for Tokens {
    async fn headers(
        &self,
        _: &reqwest::Method,
        _: &reqwest::Url,
        refused: Option<&HeaderMap>,
        _: &dyn SystemTrust,
    ) -> Result<HeaderMap> {
        let token = refused.and(self.next).unwrap_or("first");
        Ok(HeaderMap::from_iter([(reqwest::header::HeaderName::from_static("x-auth-token"), token.parse().unwrap())]))
    }

    fn signed(&self, _: &reqwest::Method, _: &reqwest::Url) -> Option<reqwest::Url> {
        self.signed.as_ref().map(|url| url.parse().unwrap())
    }
}

async fn open_for(url: &str, login: Tokens) -> Result<HttpSource> {
    let mut resource = Resource::parse(url, true)?;
    resource.login = Some(Arc::new(login));
    HttpSource::open_with(&Client::new(&Config::default()).unwrap(), resource, &Nobody).await
}

#[test]
fn a_refused_token_is_renewed_once() {
    for (next, valid, requests) in [(Some("second"), "second", 2), (Some("second"), "third", 2), (None, "second", 1)] {
        let server = TestServer::new(move |head| {
            Some(match header(head, "x-auth-token") == Some(valid) {
                true => honest(head, b"12345", ""),
                false => answer("401 Unauthorized", "", b""),
            })
        });
        let opened = wait(open_for(&server.url("/"), Tokens { next, signed: None }));
        let code = opened.map(|_| ()).map_err(|error| error.code().to_owned());
        assert_eq!(code, if valid == "second" && next.is_some() { Ok(()) } else { Err("http-401".to_owned()) });
        assert_eq!(server.requests().len(), requests);
    }
}

#[test]
fn a_signed_url_is_asked_instead_and_stays_with_its_server() {
    let server = TestServer::new(|head| Some(honest(head, b"12345", "")));
    let elsewhere = TestServer::new(|head| Some(honest(head, b"12345", "")));
    for (to, expected) in [(&server, "GET /disk?sig=1 HTTP/1.1"), (&elsewhere, "GET /disk HTTP/1.1")] {
        let login = Tokens { next: None, signed: Some(to.url("/disk?sig=1")) };
        wait(async {
            let source = open_for(&server.url("/disk"), login).await.unwrap();
            assert_eq!(read(&source, 1..5).await.unwrap(), b"2345");
        });
        let requests = server.requests();
        assert!(requests.iter().rev().take(2).all(|head| head.starts_with(expected)), "{requests:?}");
    }
    assert_eq!(elsewhere.requests().len(), 0);
}
