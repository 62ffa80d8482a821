use std::sync::atomic::{AtomicU32, Ordering};

use landfall_handler_api::{CloudLogin, CloudUser, ErrorKind, Scope, Source};
use serde_json::json;

use super::*;
use crate::test_server::{NoTrust, TestServer, images, token, wait};

const ID: &str = "9f8b7c0e-53a2-4f0b-9c53-6f1c1f7d2a10";
const TOKEN: &str = "CANARY";

fn answering(status: &'static str, lines: &'static str, body: String) -> TestServer {
    TestServer::new(move |_, _| (status.to_owned(), lines.to_owned(), body.clone()))
}

#[test]
fn a_record_is_asked_for_with_the_token() {
    let server = TestServer::new(|_, head| {
        let status = if token(head) == Some(TOKEN) { "200 OK" } else { "404 Not Found" };
        (status.to_owned(), String::new(), json!({"id": ID, "size": 7}).to_string())
    });
    for end in ["", "/", "/v2", "/v2/"] {
        let record = wait(images(&format!("{}{end}", server.url()), TOKEN).record(ID, &NoTrust)).unwrap();
        assert_eq!(record["size"], 7);
    }
    assert!(server.asked().iter().all(|line| *line == format!("GET /v2/images/{ID} HTTP/1.1")), "{:?}", server.asked());
    assert_eq!(server.asked().len(), 4);
    let stranger = wait(images(&server.url(), "STRANGER").record(ID, &NoTrust)).unwrap_err();
    assert_eq!((stranger.kind(), stranger.code()), (ErrorKind::NotFound, "image"));
}

#[test]
fn every_refusal_of_a_record_has_its_name() {
    let good = json!({"id": ID}).to_string();
    for (status, lines, body, kind, code) in [
        ("404 Not Found", "", good.clone(), ErrorKind::NotFound, "image"),
        ("403 Forbidden", "", good.clone(), ErrorKind::Denied, "image-denied"),
        // Nobody can get another one.
        ("401 Unauthorized", "", good.clone(), ErrorKind::Denied, "token-expired"),
        ("503 Busy", "Retry-After: 7\r\n", good.clone(), ErrorKind::Unavailable, "glance-unavailable"),
        ("500 Oh", "", good.clone(), ErrorKind::Unavailable, "glance-unavailable"),
        ("429 Slow", "", good.clone(), ErrorKind::Unavailable, "glance-unavailable"),
        ("302 Found", "Location: http://elsewhere/\r\n", good.clone(), ErrorKind::Invalid, "glance-refused"),
        ("300 Choose", "", good.clone(), ErrorKind::Invalid, "glance-refused"),
        ("204 No Content", "", String::new(), ErrorKind::Invalid, "glance-refused"),
        ("200 OK", "", "[]".to_owned(), ErrorKind::Corrupt, "glance-bad-answer"),
        ("200 OK", "", "{".to_owned(), ErrorKind::Corrupt, "glance-bad-answer"),
        ("200 OK", "", "{}".to_owned(), ErrorKind::Corrupt, "glance-bad-answer"),
        ("200 OK", "", "<html>CANARY</html>".to_owned(), ErrorKind::Corrupt, "glance-bad-answer"),
        ("200 OK", "", json!({"id": "other"}).to_string(), ErrorKind::Corrupt, "glance-bad-answer"),
        ("200 OK", "", json!({"id": [ID]}).to_string(), ErrorKind::Corrupt, "glance-bad-answer"),
        ("200 OK", "", "[".repeat(1 << 19), ErrorKind::Corrupt, "glance-bad-answer"),
        ("200 OK", "", "x".repeat(REPLY_MAX + 1), ErrorKind::Limit, "reply-too-long"),
    ] {
        let server = answering(status, lines, body);
        let error = wait(images(&server.url(), TOKEN).record(ID, &NoTrust)).unwrap_err();
        assert_eq!((error.kind(), error.code()), (kind, code), "{status}");
        assert!(!format!("{error:?}").contains(TOKEN) && !error.message().contains("elsewhere"), "{error:?}");
        assert!(error.message().starts_with("ask Glance for the image's record with the login \"site\": "), "{error}");
        assert_eq!(error.retry_after().is_some(), lines.starts_with("Retry"), "{status}");
        let is_final = matches!(kind, ErrorKind::NotFound | ErrorKind::Denied | ErrorKind::Corrupt);
        assert_eq!(error.scope() == Scope::Request, is_final, "{status}");
    }
    let error = wait(images("http://127.0.0.1:1", TOKEN).record(ID, &NoTrust)).unwrap_err();
    assert_eq!((error.kind(), error.code()), (ErrorKind::Unavailable, "connect-refused"));
    assert!(error.message().contains("Glance"), "{error}");
}

/// A Keystone and a Glance at once: logins give the tokens `T1`, `T2`, and Glance takes those that `takes` says.
fn cloud(takes: fn(&str) -> bool) -> (TestServer, Images) {
    let logins = AtomicU32::new(0);
    let server = TestServer::new(move |first, head| {
        if first.starts_with("POST /v3/auth/tokens") {
            let number = logins.fetch_add(1, Ordering::Relaxed) + 1;
            return ("201 Created".to_owned(), format!("X-Subject-Token: T{number}\r\n"), "{\"token\":{}}".to_owned());
        }
        let status = if token(head).is_some_and(takes) { "200 OK" } else { "401 Unauthorized" };
        (status.to_owned(), String::new(), json!({"id": ID}).to_string())
    });
    let mut cloud = Cloud::default();
    cloud.auth_url = Some(server.url());
    cloud.endpoints.insert("image".to_owned(), server.url());
    let user = CloudUser { user_id: Some("u".to_owned()), ..CloudUser::default() };
    cloud.login = CloudLogin::Password { user, password: "secret".to_owned() };
    let images = Images::new(&Config::default(), cloud).unwrap();
    (server, images)
}

#[test]
fn a_token_is_renewed_once() {
    let (server, images) = cloud(|token| token == "T2");
    assert_eq!(wait(images.record(ID, &NoTrust)).unwrap()["id"], ID);
    assert_eq!(server.asked().len(), 4);
    let (server, images) = cloud(|_| false);
    let error = wait(images.record(ID, &NoTrust)).unwrap_err();
    assert_eq!((error.kind(), error.code(), error.scope()), (ErrorKind::Denied, "glance-denied", Scope::Request));
    assert_eq!(server.asked().len(), 4);
    let error = wait(images.data(ID, &NoTrust)).err().unwrap();
    assert_eq!((error.kind(), error.code(), error.scope()), (ErrorKind::Denied, "glance-denied", Scope::Location));
}

#[test]
fn locations_are_listed_or_not_for_this_login() {
    let listed = |status, body: String| {
        let server = answering(status, "", body);
        let found = wait(images(&server.url(), TOKEN).locations(ID, &NoTrust));
        assert_eq!(server.asked()[0], format!("GET /v2/images/{ID}/locations HTTP/1.1"));
        found.map_err(|error| error.code().to_owned())
    };
    let one = json!([{"url": "file:///a"}]).to_string();
    assert_eq!(listed("200 OK", one.clone()), Ok(Some(vec![json!({"url": "file:///a"})])));
    for status in ["404 Not Found", "405 Not Allowed", "500 Oops"] {
        assert_eq!(listed(status, one.clone()), Ok(None), "{status}");
    }
    for (status, body, code) in [
        ("200 OK", "{}".to_owned(), "glance-bad-answer"),
        ("200 OK", "[{]".to_owned(), "glance-bad-answer"),
        ("200 OK", " ".repeat(REPLY_MAX + 1), "reply-too-long"),
        ("403 Forbidden", one.clone(), "image-denied"),
        ("400 Bad Request", one.clone(), "glance-refused"),
        ("503 Busy", one.clone(), "glance-unavailable"),
        ("429 Slow", one, "glance-unavailable"),
    ] {
        assert_eq!(listed(status, body), Err(code.to_owned()), "{status}");
    }
}

#[test]
fn data_is_one_stream_of_a_known_size() {
    let server = TestServer::new(|_, head| {
        let bad = head.to_ascii_lowercase().contains("range:") || token(head) != Some(TOKEN);
        let status = if bad { "400 Bad Request" } else { "200 OK" };
        (status.to_owned(), "Content-MD5: x\r\n".to_owned(), "bytes".to_owned())
    });
    let source = wait(images(&server.url(), TOKEN).data(ID, &NoTrust)).unwrap();
    assert_eq!((source.size(), source.ranged(), source.validator()), (Some(5), false, None));
    assert_eq!(server.asked(), [format!("GET /v2/images/{ID}/file HTTP/1.1")]);
}

#[test]
fn every_refusal_of_data_has_its_name() {
    for (status, lines, kind, code) in [
        ("404 Not Found", "", ErrorKind::NotFound, "image"),
        ("403 Forbidden", "", ErrorKind::Denied, "image-denied"),
        ("401 Unauthorized", "", ErrorKind::Denied, "token-expired"),
        ("204 No Content", "", ErrorKind::NotFound, "image-data"),
        ("400 Bad Request", "", ErrorKind::Invalid, "glance-refused"),
        ("500 Oh", "", ErrorKind::Unavailable, "glance-unavailable"),
        ("503 Busy", "Retry-After: 7\r\n", ErrorKind::Unavailable, "glance-unavailable"),
        ("302 Found", "Location: http://elsewhere/\r\n", ErrorKind::Denied, "redirect-refused"),
    ] {
        let server = answering(status, lines, String::new());
        let error = wait(images(&server.url(), TOKEN).data(ID, &NoTrust)).err().unwrap();
        assert_eq!((error.kind(), error.code(), error.scope()), (kind, code, Scope::Location), "{status}");
        assert!(!format!("{error:?}").contains(TOKEN), "{error:?}");
        assert!(error.message().starts_with("ask Glance for the image's data with the login \"site\": "), "{error}");
        assert_eq!(error.retry_after().is_some(), lines.starts_with("Retry"), "{status}");
    }
    let error = wait(images("http://127.0.0.1:1", TOKEN).data(ID, &NoTrust)).err().unwrap();
    assert_eq!((error.kind(), error.code()), (ErrorKind::Unavailable, "connect-refused"));
}
