use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use landfall_handler_api::{Error, ErrorKind, Source};
use landfall_handler_http::Url;
use rusty_s3::Credentials;
use serde_json::{Value, json};

use super::*;
use crate::config::Config;
use crate::signature::LIFE;
use crate::test_server::{Memory, NoTrust, TestServer, answer, header, object, wait};

const ACCESS: &str = "access";
const SECRET: &str = "s3c/ret";
const REGION: &str = "us-east-1";
const START: i64 = 1_700_000_000;

/// A clock that tests set.
#[derive(Clone)]
struct Hands(Arc<Mutex<Timestamp>>);

impl Hands {
    fn new() -> Self {
        Self(Arc::new(Mutex::new(Timestamp::from_second(START).unwrap())))
    }

    fn now(&self) -> Timestamp {
        *self.0.lock().unwrap()
    }

    fn advance(&self, by: Duration) {
        let mut now = self.0.lock().unwrap();
        *now = now.checked_add(by).unwrap();
    }

    fn clock(&self) -> Clock {
        let hands = self.clone();
        Arc::new(move || hands.now())
    }
}

/// What is wrong with the signature of a request, to a store that knows one pair of keys.
fn fault(head: &str, now: Timestamp) -> Option<&'static str> {
    let target = head.split(' ').nth(1).unwrap();
    let host = header(head, "host").unwrap();
    let mut url = Url::parse(&format!("http://{host}{target}")).unwrap();
    let asked = url.clone();
    let query: BTreeMap<_, _> = asked.query_pairs().into_owned().collect();
    let Some(date) = query.get("X-Amz-Date") else { return Some("unsigned") };
    let date = DateTime::strptime("%Y%m%dT%H%M%SZ", date).unwrap().to_zoned(TimeZone::UTC).unwrap().timestamp();
    let life: u64 = query["X-Amz-Expires"].parse().unwrap();
    if now < date || date.checked_add(Duration::from_secs(life)).unwrap() <= now {
        return Some("expired");
    }
    url.set_query(None);
    let keys = Credentials::new(ACCESS, SECRET);
    let none = std::iter::empty();
    let expected = rusty_s3::signing::sign(
        &date,
        rusty_s3::Method::Get,
        url,
        keys.key(),
        keys.secret(),
        None,
        REGION,
        life,
        none.clone(),
        none,
    );
    (expected != asked).then_some("wrong")
}

/// A store with two objects, `glance/id` and `other/id`, that it shows to those who sign.
fn store(bytes: Vec<u8>, hands: &Hands) -> TestServer {
    let hands = hands.clone();
    TestServer::new(move |head| match fault(head, hands.now()) {
        Some(_) => answer("403 Forbidden", "", b"<Error><Code>AccessDenied</Code></Error>"),
        None if head.starts_with("GET /glance/id?") || head.starts_with("GET /other/id?") => {
            object(head, &bytes, "\"abc-2\"")
        }
        None => answer("404 Not Found", "", b""),
    })
}

fn settings(section: Value) -> Settings {
    serde_json::from_value::<Config>(section).unwrap().check().unwrap()
}

/// With the operator's keys for this server.
fn operator(server: &TestServer) -> Settings {
    settings(json!({"access_key": ACCESS, "secret_key": SECRET, "hosts": [server.address.to_string()]}))
}

fn opened(text: &str, settings: &Settings, named_by_caller: bool, hands: &Hands) -> Result<HttpSource> {
    let url = S3Url::parse(text, settings.secure)?;
    wait(open(&url, settings, named_by_caller, hands.clock(), &NoTrust))
}

fn failure(text: &str, settings: &Settings, named_by_caller: bool) -> Error {
    opened(text, settings, named_by_caller, &Hands::new()).err().unwrap()
}

fn read(source: &HttpSource, range: std::ops::Range<u64>) -> Result<Vec<u8>> {
    let mut memory = Memory::default();
    wait(source.read_into(range, &mut memory, &NoTrust))?;
    Ok(memory.bytes)
}

fn bytes(len: usize) -> Vec<u8> {
    (0..len).map(|at| u8::try_from(at % 251).unwrap()).collect()
}

#[test]
fn the_locations_own_credentials_are_used() {
    let hands = Hands::new();
    let all = bytes(3_000_000);
    let server = store(all.clone(), &hands);
    let url = format!("s3+http://{ACCESS}:{SECRET}@{}/other/id", server.address);
    let source = opened(&url, &settings(json!({})), true, &hands).unwrap();
    assert_eq!((source.size(), source.ranged()), (Some(3_000_000), true));
    assert_eq!(source.validator().as_deref(), Some(r#"etag:\"abc-2\""#));
    assert!(read(&source, 0..u64::MAX).unwrap() == all);
    assert!(read(&source, 2_000_000..2_000_010).unwrap() == all[2_000_000..2_000_010]);
    let heads = server.heads();
    assert!(heads[1..].iter().all(|head| head.to_lowercase().contains("if-match: \"abc-2\"")), "{heads:?}");
    assert!(heads.iter().all(|head| !head.contains(SECRET) && !head.to_lowercase().contains("authorization")));
}

#[test]
fn the_bare_scheme_is_http_as_glance_writes_it() {
    let server = store(bytes(10), &Hands::new());
    let url = format!("s3://{ACCESS}:{SECRET}@{}/glance/id", server.address);
    let source = opened(&url, &settings(json!({})), true, &Hands::new()).unwrap();
    assert_eq!(read(&source, 0..u64::MAX).unwrap(), bytes(10));
    let before = server.requests().len();
    assert!(opened(&url, &settings(json!({"secure": true})), true, &Hands::new()).is_err());
    assert_eq!(server.requests().len(), before);
}

#[test]
fn they_win_over_the_operators() {
    let server = store(bytes(10), &Hands::new());
    let operator = operator(&server);
    let with = |secret: &str| format!("s3+http://{ACCESS}:{secret}@{}/glance/id", server.address);
    assert!(opened(&with(SECRET), &operator, true, &Hands::new()).is_ok());
    let error = failure(&with("wrong"), &operator, true);
    assert_eq!((error.kind(), error.code()), (ErrorKind::Denied, "http-403"));
    assert!(error.message().contains("clock") && !error.message().contains("wrong"), "{error}");
    // Nor is the server one that the operator vouches for.
    assert_eq!(failure(&with(SECRET), &operator, false).code(), "address-refused");
}

#[test]
fn the_operators_keys_are_for_named_servers_and_buckets() {
    let server = store(bytes(10), &Hands::new());
    let elsewhere = store(bytes(10), &Hands::new());
    let operator = operator(&server);
    let url = |server: &TestServer, rest: &str| format!("s3+http://{}/{rest}", server.address);
    let source = opened(&url(&server, "glance/id"), &operator, false, &Hands::new()).unwrap();
    assert_eq!(read(&source, 0..u64::MAX).unwrap(), bytes(10));
    assert_eq!(failure(&url(&server, "glance/no"), &operator, false).code(), "http-404");

    for (url, code, setting) in [
        (url(&server, "other/id"), "bucket-not-allowed", "buckets"),
        (url(&elsewhere, "glance/id"), "login-not-for-server", "hosts"),
        (url(&elsewhere, "other/id"), "login-not-for-server", "hosts"),
    ] {
        let error = failure(&url, &operator, true);
        assert_eq!((error.kind(), error.code()), (ErrorKind::Denied, code), "{url}");
        assert!(error.message().contains(&format!("{setting} in [handler.s3]")), "{}", error.message());
    }
    assert!(elsewhere.requests().iter().all(|request| !request.contains("X-Amz")), "{:?}", elsewhere.requests());
    // A record's own host is no more trusted than any other.
    assert_eq!(failure(&url(&elsewhere, "glance/id"), &operator, false).code(), "address-refused");
    assert_eq!(failure(&url(&server, "other/id"), &operator, false).code(), "address-refused");
}

#[test]
fn public_objects_are_read_without_a_signature() {
    let server = TestServer::new(|head| match head.split(' ').nth(1) {
        Some("/glance/id" | "/other/id") => object(head, &bytes(10), "\"a\""),
        _ => answer("403 Forbidden", "", b""),
    });
    let hosts = json!({"access_key": ACCESS, "secret_key": SECRET, "hosts": ["host"]});
    for settings in [settings(json!({})), settings(hosts)] {
        let url = format!("s3+http://{}/other/id", server.address);
        let source = opened(&url, &settings, true, &Hands::new()).unwrap();
        assert_eq!(read(&source, 0..u64::MAX).unwrap(), bytes(10));
    }
    let error = failure(&format!("s3+http://{}/other/no", server.address), &settings(json!({})), true);
    assert_eq!((error.kind(), error.code()), (ErrorKind::Denied, "http-403"));
    assert!(!error.message().contains("clock"), "{error}");
}

#[test]
fn what_a_store_says_to_nobody_is_explained() {
    for (status, explained) in [
        ("400 Bad Request", true),
        ("401 Unauthorized", true),
        ("403 Forbidden", true),
        ("412 Precondition Failed", true),
        ("404 Not Found", false),
        ("503 Service Unavailable", false),
    ] {
        let server = TestServer::new(move |_| answer(status, "", b""));
        let url = format!("s3+http://{}/other/id", server.address);
        let code = format!("http-{}", &status[..3]);
        assert_eq!(failure(&url, &settings(json!({})), true).code(), code);
        let expected = if explained { "bucket-not-allowed" } else { &code };
        assert_eq!(failure(&url, &operator(&server), true).code(), expected);
    }
}

#[test]
fn a_download_may_outlast_its_signature() {
    let hands = Hands::new();
    let all = bytes(3_000_000);
    let server = store(all.clone(), &hands);
    let url = format!("s3+http://{}/glance/id", server.address);
    let source = opened(&url, &operator(&server), false, &hands).unwrap();
    for range in [0..2_000_000, 2_000_000..2_500_000, 2_500_000..3_000_000] {
        let expected = &all[usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap()];
        assert!(read(&source, range).unwrap() == expected);
        hands.advance(LIFE);
    }
    // The store does refuse what has expired: its clock is hours ahead of this one.
    let stopped = opened(&url, &operator(&server), false, &Hands::new()).err().unwrap();
    assert_eq!(stopped.code(), "http-403");
}

#[test]
fn another_version_is_found_out() {
    let version = Arc::new(Mutex::new("\"a\""));
    let told = Arc::clone(&version);
    let server = TestServer::new(move |head| object(head, &bytes(3_000_000), *told.lock().unwrap()));
    let url = format!("s3+http://{ACCESS}:{SECRET}@{}/glance/id", server.address);
    let source = opened(&url, &settings(json!({})), true, &Hands::new()).unwrap();
    assert!(read(&source, 2_000_000..2_000_001).is_ok());
    *version.lock().unwrap() = "\"b\"";
    let error = read(&source, 2_000_000..2_000_001).unwrap_err();
    assert_eq!((error.kind(), error.code()), (ErrorKind::Corrupt, "source-changed"));
}

#[test]
fn nothing_is_signed_where_a_redirect_leads() {
    let server = TestServer::new(|head| match head.split(['?', ' ']).nth(1) {
        Some("/glance/id") => answer("307 Temporary Redirect", "Location: /other/id\r\n", b""),
        _ => object(head, &bytes(10), "\"a\""),
    });
    let url = format!("s3+http://{ACCESS}:{SECRET}@{}/glance/id", server.address);
    assert_eq!(failure(&url, &settings(json!({})), true).code(), "redirect-refused");
    let source = opened(&url, &settings(json!({"redirects": 1})), true, &Hands::new()).unwrap();
    assert_eq!(read(&source, 0..u64::MAX).unwrap(), bytes(10));
    let requests = server.requests();
    assert!(requests.iter().all(|request| request.contains("X-Amz-Signature") == request.contains("/glance/id")));
    assert_eq!(requests.last().map(String::as_str), Some("GET /other/id"));
}

#[test]
fn no_message_has_a_secret_in_it() {
    let statuses = ["400 Bad Request", "401 Unauthorized", "403 Forbidden", "404 Not Found", "500 Oh", "302 Found"];
    for status in statuses {
        let server = TestServer::new(move |head| {
            let asked = head.split(' ').nth(1).unwrap();
            answer(status, &format!("Location: http://127.0.0.1:1{asked}\r\n"), head.as_bytes())
        });
        let url = format!("s3+http://{ACCESS}:{SECRET}@{}/glance/id", server.address);
        for settings in [operator(&server), settings(json!({"redirects": 3}))] {
            let error = failure(&url, &settings, true);
            let text = format!("{error} {error:?}");
            assert!(!["s3c", "access", "X-Amz", "glance"].iter().any(|part| text.contains(part)), "{text}");
            assert!(server.requests()[0].contains("X-Amz-Credential=access"));
        }
    }
    // Nobody listens there.
    let error = failure(&format!("s3+http://{ACCESS}:{SECRET}@127.0.0.1:1/glance/id"), &settings(json!({})), true);
    assert!(!format!("{error:?}").contains("s3c"), "{error:?}");
    assert_eq!(error.kind(), ErrorKind::Unavailable);
}
