use landfall_handler_api::ErrorKind;
use serde_json::json;

use super::*;
use crate::test_server::{NoTrust, TestServer, images, token, wait};

const ID: &str = "bf4d4a8e-849b-4bf7-a6c6-ea70348645a0";
const CALLER: &str = "CALLER";
const SERVICE: &str = "SERVICE";

/// A Glance that answers each question with a status and a body.
fn glance(record: (&'static str, Value), locations: (&'static str, Value)) -> TestServer {
    TestServer::new(move |first, _| {
        let is_list = first.contains("/locations ");
        let (status, body) = if is_list { &locations } else { &record };
        (status.to_string(), String::new(), body.to_string())
    })
}

fn found(server: &TestServer, with_service: bool) -> Result<Found> {
    let service = with_service.then(|| images(&server.url(), SERVICE));
    wait(Catalog::new(images(&server.url(), CALLER), service).record(ID, &NoTrust))
}

/// Who asked for what.
fn asked(server: &TestServer) -> Vec<(String, &'static str)> {
    let of = |head: &String| match token(head) {
        Some(CALLER) => CALLER,
        Some(SERVICE) => SERVICE,
        _ => "nobody",
    };
    server.heads().iter().map(|head| (head.split(' ').nth(1).unwrap().to_owned(), of(head))).collect()
}

/// As Glance shows an image of two stores to those who may see locations, and to others.
fn record(shows: bool) -> Value {
    let mut record = json!({
        "id": ID, "name": "two", "disk_format": "raw", "container_format": "bare", "status": "active", "size": 268_435_456,
        "virtual_size": null, "checksum": null, "tags": [], "stores": "fs,sw", "os_hidden": false, "hw_disk_bus": "virtio",
        "self": format!("/v2/images/{ID}"), "file": format!("/v2/images/{ID}/file"), "schema": "/v2/schemas/image",
    });
    if shows {
        record["locations"] = locations();
        record["direct_url"] = locations()[0]["url"].clone();
    }
    record
}

fn locations() -> Value {
    json!([
        {"url": format!("file:///var/lib/glance/{ID}"), "metadata": {"store": "fs"}},
        {"url": format!("swift+config://ref1/glance/{ID}"), "metadata": {"store": "sw"}},
    ])
}

#[test]
fn the_service_lists_what_the_caller_may_see() {
    let server = glance(("200 OK", record(false)), ("200 OK", locations()));
    let whole = found(&server, true).unwrap();
    let mut expected = record(true);
    expected.as_object_mut().unwrap().remove("direct_url");
    assert_eq!(Value::Object(whole.record), expected);
    assert!(whole.unlisted.is_none());
    let paths = [format!("/v2/images/{ID}"), format!("/v2/images/{ID}/locations")];
    assert_eq!(asked(&server), [(paths[0].clone(), CALLER), (paths[1].clone(), SERVICE)]);
    let server = glance(("200 OK", record(false)), ("200 OK", locations()));
    assert_eq!(found(&server, false).unwrap().record["locations"], locations());
    assert_eq!(asked(&server), [(paths[0].clone(), CALLER), (paths[1].clone(), CALLER)]);
}

#[test]
fn nobody_asks_for_locations_of_what_the_caller_may_not_see() {
    for (status, body, kind) in [
        ("404 Not Found", record(true), ErrorKind::NotFound),
        ("403 Forbidden", record(true), ErrorKind::Denied),
        ("401 Unauthorized", record(true), ErrorKind::Denied),
        ("503 Busy", record(true), ErrorKind::Unavailable),
        ("200 OK", json!({"id": "another"}), ErrorKind::Corrupt),
    ] {
        let server = glance((status, body), ("200 OK", locations()));
        assert_eq!(found(&server, true).err().unwrap().kind(), kind, "{status}");
        assert_eq!(asked(&server), [(format!("/v2/images/{ID}"), CALLER)], "{status}");
    }
}

#[test]
fn without_a_list_the_record_has_its_own() {
    for (status, list, told) in [
        ("403 Forbidden", json!([]), Some("image-denied")),
        ("401 Unauthorized", json!([]), Some("token-expired")),
        ("400 Bad Request", json!([]), Some("glance-refused")),
        ("200 OK", json!({"locations": []}), Some("glance-bad-answer")),
        ("404 Not Found", json!([]), None),
        ("405 Not Allowed", json!([]), None),
        ("500 Oops", json!([]), None),
        ("200 OK", json!([]), None),
    ] {
        for with_service in [true, false] {
            let server = glance(("200 OK", record(true)), (status, list.clone()));
            let found = found(&server, with_service).unwrap();
            assert_eq!(found.record["locations"], locations(), "{status}");
            assert!(!found.record.contains_key("direct_url"));
            // Of others than the service it is not expected.
            let unlisted = found.unlisted.as_ref().map(Error::code);
            assert_eq!(unlisted, told.filter(|_| with_service), "{status}");
        }
    }
    let server = glance(("200 OK", record(false)), ("403 Forbidden", json!([])));
    assert_eq!(found(&server, false).unwrap().record["locations"], json!([]));
}

#[test]
fn a_list_that_may_come_later_is_waited_for() {
    for status in ["429 Slow", "502 Bad Gateway", "503 Busy", "504 Gateway Timeout"] {
        let server = glance(("200 OK", record(true)), (status, json!([])));
        let error = found(&server, true).err().unwrap();
        assert_eq!((error.kind(), error.code()), (ErrorKind::Unavailable, "glance-unavailable"), "{status}");
    }
    let server = glance(("200 OK", record(true)), ("200 OK", json!([])));
    let gone = Some(images("http://127.0.0.1:1", SERVICE));
    let error = wait(Catalog::new(images(&server.url(), CALLER), gone).record(ID, &NoTrust)).err().unwrap();
    assert_eq!((error.kind(), error.code()), (ErrorKind::Unavailable, "connect-refused"));
}
