use landfall_handler_api::{CloudLogin, ErrorKind, Scope, Source};
use serde_json::json;

use super::*;
use crate::test_server::TestServer;

const ID: &str = "9f8b7c0e-53a2-4f0b-9c53-6f1c1f7d2a10";

struct NoTrust;

impl SystemTrust for NoTrust {
    fn roots(&self) -> Result<Option<Vec<u8>>> {
        Ok(None)
    }
}

fn wait<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

fn images(endpoint: &str) -> Images {
    let mut cloud = Cloud::default();
    cloud.name = "site".to_owned();
    cloud.login = CloudLogin::Token { token: "CANARY".to_owned() };
    cloud.endpoints.insert("image".to_owned(), endpoint.to_owned());
    Images::new(&Config::default(), cloud).unwrap()
}

fn answering(status: &'static str, lines: &'static str, body: String) -> TestServer {
    TestServer::new(move |_, _| (status.to_owned(), lines.to_owned(), body.clone()))
}

#[test]
fn a_record_is_asked_for_with_the_token() {
    let server = TestServer::new(|_, head| {
        let knows = head.to_ascii_lowercase().contains("x-auth-token: canary");
        let status = if knows { "200 OK" } else { "404 Not Found" };
        (status.to_owned(), String::new(), json!({"id": ID, "size": 7}).to_string())
    });
    for end in ["", "/", "/v2", "/v2/"] {
        let record = wait(images(&format!("{}{end}", server.url())).record(ID, &NoTrust)).unwrap();
        assert_eq!(record["size"], 7);
    }
    assert!(server.asked().iter().all(|line| *line == format!("GET /v2/images/{ID} HTTP/1.1")), "{:?}", server.asked());
}

#[test]
fn every_refusal_of_a_record_has_its_name() {
    let good = json!({"id": ID}).to_string();
    for (status, lines, body, kind, code) in [
        ("404 Not Found", "", good.clone(), ErrorKind::NotFound, "image"),
        ("403 Forbidden", "", good.clone(), ErrorKind::Denied, "image-denied"),
        ("401 Unauthorized", "", good.clone(), ErrorKind::Denied, "token-expired"),
        ("503 Busy", "Retry-After: 7\r\n", good.clone(), ErrorKind::Unavailable, "glance-unavailable"),
        ("429 Slow", "", good.clone(), ErrorKind::Unavailable, "glance-unavailable"),
        ("302 Found", "Location: http://elsewhere/\r\n", good.clone(), ErrorKind::Invalid, "glance-refused"),
        ("300 Choose", "", good.clone(), ErrorKind::Invalid, "glance-refused"),
        ("200 OK", "", "[]".to_owned(), ErrorKind::Corrupt, "glance-bad-answer"),
        ("200 OK", "", "{".to_owned(), ErrorKind::Corrupt, "glance-bad-answer"),
        ("200 OK", "", "{}".to_owned(), ErrorKind::Corrupt, "glance-bad-answer"),
        ("200 OK", "", json!({"id": "other"}).to_string(), ErrorKind::Corrupt, "glance-bad-answer"),
        ("200 OK", "", "[".repeat(1 << 19), ErrorKind::Corrupt, "glance-bad-answer"),
        ("200 OK", "", "x".repeat(REPLY_MAX + 1), ErrorKind::Limit, "reply-too-long"),
    ] {
        let server = answering(status, lines, body);
        let error = wait(images(&server.url()).record(ID, &NoTrust)).unwrap_err();
        assert_eq!((error.kind(), error.code()), (kind, code), "{status}");
        assert!(!error.message().contains("CANARY"), "{error}");
        assert_eq!(error.retry_after().is_some(), lines.starts_with("Retry"), "{status}");
        assert!(code != "image" || error.scope() == Scope::Request);
    }
    let gone = images("http://127.0.0.1:1");
    let error = wait(gone.record(ID, &NoTrust)).unwrap_err();
    assert_eq!((error.kind(), error.code()), (ErrorKind::Unavailable, "connect-refused"));
}

#[test]
fn locations_are_listed_or_not_for_this_login() {
    let listed = |status, body: serde_json::Value| {
        let server = answering(status, "", body.to_string());
        wait(images(&server.url()).locations(ID, &NoTrust)).map_err(|error| error.code().to_owned())
    };
    assert_eq!(listed("200 OK", json!([{"url": "file:///a"}])), Ok(Some(vec![json!({"url": "file:///a"})])));
    for status in ["403 Forbidden", "404 Not Found", "405 Not Allowed", "500 Oops"] {
        assert_eq!(listed(status, json!([])), Ok(None), "{status}");
    }
    assert_eq!(listed("200 OK", json!({})), Err("glance-bad-answer".to_owned()));
}

#[test]
fn data_is_one_stream_of_a_known_size() {
    let server = TestServer::new(|_, head| {
        assert!(!head.to_ascii_lowercase().contains("range:"), "{head}");
        ("200 OK".to_owned(), "Content-MD5: x\r\n".to_owned(), "bytes".to_owned())
    });
    let source = wait(images(&server.url()).data(ID, &NoTrust)).unwrap();
    assert_eq!((source.size(), source.ranged(), source.validator()), (Some(5), false, None));
    assert_eq!(server.asked(), [format!("GET /v2/images/{ID}/file HTTP/1.1")]);
    for (status, lines, code) in [
        ("204 No Content", "", "bad-status"),
        ("403 Forbidden", "", "http-403"),
        ("302 Found", "Location: http://elsewhere/\r\n", "redirect-refused"),
    ] {
        let mut config = Config::default();
        config.redirects = 0;
        let server = answering(status, lines, String::new());
        let mut cloud = images(&server.url()).identity.cloud().clone();
        cloud.name = "site".to_owned();
        let error = wait(Images::new(&config, cloud).unwrap().data(ID, &NoTrust)).err().unwrap();
        assert_eq!(error.code(), code, "{status}");
    }
}
