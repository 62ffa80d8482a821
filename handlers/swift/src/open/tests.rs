//! Opening and reading objects of every kind, against a store that is honest but for what a test changes.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, Mutex};

use landfall_handler_api::{Error, ErrorKind};
use landfall_handler_http::{Client, Config, Connections, Url};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::segment::md5_of;
use crate::test_server::{Memory, NoTrust, TestServer, answer, header, object, wait};

const MIB: usize = 1 << 20;
const ACCOUNT: &str = "/v1/AUTH_x";

/// What a store has, by container and name.
#[derive(Clone)]
struct Stored {
    bytes: Vec<u8>,
    etag: String,
    lines: String,
}

impl Stored {
    fn plain(bytes: &[u8]) -> Self {
        Self { bytes: bytes.to_vec(), etag: md5_of(bytes), lines: String::new() }
    }
}

#[derive(Default)]
struct State {
    objects: BTreeMap<String, Stored>,
    manifests: BTreeMap<String, Value>,
    /// Names that a listing gives at once.
    page: usize,
    /// What is answered to requests whose first line begins so, instead of the truth.
    lies: Vec<(String, Vec<u8>)>,
    /// What changes once a request was answered whose first line begins so.
    then: Option<(String, Change)>,
}

type Change = fn(&mut State);
type Shared = Arc<Mutex<State>>;

fn store() -> (TestServer, Shared) {
    let state = Shared::default();
    state.lock().unwrap().page = 10_000;
    let served = Arc::clone(&state);
    (TestServer::new(move |head| respond(&mut served.lock().unwrap(), head)), state)
}

fn respond(state: &mut State, head: &str) -> Vec<u8> {
    let answered = truth_or_lie(state, head);
    if let Some((_, change)) = state.then.take_if(|(start, _)| head.starts_with(start.as_str())) {
        change(state);
    }
    answered
}

fn truth_or_lie(state: &State, head: &str) -> Vec<u8> {
    if let Some((_, lie)) = state.lies.iter().find(|(start, _)| head.starts_with(start)) {
        return lie.clone();
    }
    let target = head.split(' ').nth(1).unwrap();
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let name = String::from_utf8(crate::percent::decode(path.strip_prefix(ACCOUNT).unwrap())).unwrap();
    if query.contains("multipart-manifest=get") {
        return answer("200 OK", "X-Static-Large-Object: True\r\n", state.manifests[&name].to_string().as_bytes());
    }
    if query.contains("format=json") {
        return answer("200 OK", "", listing(state, &name, query).to_string().as_bytes());
    }
    match state.objects.get(&name) {
        Some(found) => object(head, &found.bytes, &found.etag, &found.lines),
        None => answer("404 Not Found", "", b""),
    }
}

fn listing(state: &State, container: &str, query: &str) -> Value {
    let pairs: BTreeMap<_, _> = query.split('&').filter_map(|pair| pair.split_once('=')).collect();
    let value = |key: &str| {
        pairs.get(key).map(|value| String::from_utf8(crate::percent::decode(&value.replace('+', " "))).unwrap())
    };
    let (prefix, marker) = (value("prefix").unwrap(), value("marker").unwrap_or_default());
    let page = state.page.min(pairs["limit"].parse().unwrap());
    let names = state.objects.iter().filter_map(|(name, found)| {
        let name = name.strip_prefix(container)?.strip_prefix('/')?;
        (name.starts_with(&prefix) && name > marker.as_str())
            .then(|| json!({"name": name, "bytes": found.bytes.len(), "hash": found.etag}))
    });
    names.take(page).collect()
}

fn pattern(length: usize, seed: usize) -> Vec<u8> {
    (0..length).map(|at| ((at * 7 + seed) % 251) as u8).collect()
}

fn pieces() -> [Vec<u8>; 3] {
    [pattern(2 * MIB, 1), pattern(MIB + 7, 2), pattern(MIB, 3)]
}

/// Puts a static large object `/c/slo` of three segments there; its bytes.
fn put_slo(state: &mut State) -> Vec<u8> {
    let mut manifest = Vec::new();
    for (at, bytes) in pieces().iter().enumerate() {
        let name = format!("/segs/slo/{at}");
        let stored = Stored::plain(bytes);
        manifest.push(json!({"name": name, "bytes": bytes.len(), "hash": stored.etag, "content_type": "x/y"}));
        state.objects.insert(name, stored);
    }
    put_manifest(state, manifest, pieces().concat())
}

fn put_manifest(state: &mut State, manifest: Vec<Value>, bytes: Vec<u8>) -> Vec<u8> {
    let text: String = manifest
        .iter()
        .map(|entry| match (&entry["data"], &entry["range"]) {
            (Value::String(data), _) => md5_of(&crate::base64::decode(data).unwrap()),
            (_, Value::String(range)) => format!("{}:{range};", entry["hash"].as_str().unwrap()),
            _ => entry["hash"].as_str().unwrap().to_owned(),
        })
        .collect();
    let etag = format!("\"{}\"", md5_of(text.as_bytes()));
    let lines = "X-Static-Large-Object: True\r\n".to_owned();
    state.manifests.insert("/c/slo".to_owned(), Value::Array(manifest));
    state.objects.insert("/c/slo".to_owned(), Stored { bytes: bytes.clone(), etag, lines });
    bytes
}

/// The same as a dynamic large object `/c/dlo`.
fn put_dlo(state: &mut State) -> Vec<u8> {
    for (at, bytes) in pieces().iter().enumerate() {
        state.objects.insert(format!("/segs/dlo ü/{at}"), Stored::plain(bytes));
    }
    assemble_dlo(state)
}

fn assemble_dlo(state: &mut State) -> Vec<u8> {
    let (mut text, mut bytes) = (String::new(), Vec::new());
    for (_, found) in
        state.objects.range("/segs/dlo ü/".to_owned()..).filter(|(name, _)| name.starts_with("/segs/dlo ü/"))
    {
        text.push_str(&found.etag);
        bytes.extend_from_slice(&found.bytes);
    }
    let etag = format!("\"{}\"", md5_of(text.as_bytes()));
    let lines = "X-Object-Manifest: segs/dlo%20%C3%BC/\r\n".to_owned();
    state.objects.insert("/c/dlo".to_owned(), Stored { bytes: bytes.clone(), etag, lines });
    bytes
}

fn account(server: &TestServer) -> Account {
    Account {
        url: Url::parse(&format!("http://{}{ACCOUNT}", server.address)).unwrap(),
        connections: Arc::new(Connections::new(&Client::new(&Config::default()).unwrap())),
        login: None,
        lists: true,
        trusted: true,
        only: None,
        withheld: None,
    }
}

async fn open_at(server: &TestServer, path: &str) -> Result<Opened> {
    open(account(server), ObjectName::parse(path).unwrap(), &NoTrust).await
}

async fn read(opened: &Opened, range: Range<u64>) -> Result<Vec<u8>> {
    let mut memory = Memory::default();
    match opened {
        Opened::Whole(source) => source.read_into(range, &mut memory, &NoTrust).await,
        Opened::Segmented(source) => source.read_into(range, &mut memory, &NoTrust).await,
    }
    .map(|()| memory.bytes)
}

fn place(server: &TestServer, path: &str) -> Result<Vec<u8>> {
    wait(async { read(&open_at(server, path).await?, 0..u64::MAX).await })
}

fn failure(server: &TestServer, path: &str) -> (ErrorKind, String) {
    let error = place(server, path).unwrap_err();
    (error.kind(), error.code().to_owned())
}

fn changed() -> (ErrorKind, String) {
    (ErrorKind::Corrupt, "source-changed".to_owned())
}

fn bad_manifest() -> (ErrorKind, String) {
    (ErrorKind::Corrupt, "bad-manifest".to_owned())
}

#[test]
fn a_plain_object_takes_one_request_to_open() {
    let (server, state) = store();
    let bytes = pattern(2 * MIB, 5);
    state.lock().unwrap().objects.insert("/c/a b/ü%".to_owned(), Stored::plain(&bytes));
    wait(async {
        let opened = open_at(&server, "/c/a b/ü%").await.unwrap();
        assert!(matches!(opened, Opened::Whole(_)));
        assert_eq!(server.requests(), ["GET /v1/AUTH_x/c/a%20b/%C3%BC%25"]);
        assert!(read(&opened, 0..u64::MAX).await.unwrap() == bytes);
        assert_eq!(opened.boxed().validator().unwrap(), format!("etag:{}", md5_of(&bytes)));
    });
    let heads = server.heads();
    assert_eq!(header(&heads[1], "if-match"), Some(format!("\"{}\"", md5_of(&bytes)).as_str()));
    state.lock().unwrap().then = Some(("GET".to_owned(), |state| {
        drop(state.objects.insert("/c/a b/ü%".to_owned(), Stored::plain(&[0; 2 * MIB])))
    }));
    assert_eq!(failure(&server, "/c/a b/ü%"), changed());
    assert_eq!(failure(&server, "/c/none"), (ErrorKind::NotFound, "http-404".to_owned()));
}

#[test]
fn a_static_large_object_is_read_from_its_segments() {
    let (server, state) = store();
    let bytes = put_slo(&mut state.lock().unwrap());
    assert!(place(&server, "/c/slo").unwrap() == bytes);
    let expected = [
        "GET /v1/AUTH_x/c/slo",
        "GET /v1/AUTH_x/c/slo?multipart-manifest=get",
        "GET /v1/AUTH_x/segs/slo/0",
        "GET /v1/AUTH_x/segs/slo/1",
        "HEAD /v1/AUTH_x/c/slo",
        "GET /v1/AUTH_x/segs/slo/2",
    ];
    assert_eq!(server.requests(), expected);
    // The first answer's body waits on one while the manifest is asked for.
    assert_eq!(server.connections(), 2);
    let heads = server.heads();
    assert_eq!(header(&heads[2], "range"), Some("bytes=1048576-2097151"));
    assert_eq!(header(&heads[2], "if-match"), Some(format!("\"{}\"", md5_of(&pieces()[0])).as_str()));
    wait(async {
        let source = open_at(&server, "/c/slo").await.unwrap().boxed();
        let etag = state.lock().unwrap().objects["/c/slo"].etag.clone();
        assert_eq!((source.size(), source.ranged()), (Some(bytes.len() as u64), true));
        assert_eq!(source.validator().unwrap(), format!("etag:{}", etag.escape_default()));
    });
}

#[test]
fn any_range_is_what_it_is_of_the_whole() {
    let (server, state) = store();
    let bytes = put_slo(&mut state.lock().unwrap());
    let dlo = put_dlo(&mut state.lock().unwrap());
    assert!(bytes == dlo);
    let (slo, dlo) =
        wait(async { (open_at(&server, "/c/slo").await.unwrap(), open_at(&server, "/c/dlo").await.unwrap()) });
    assert!(matches!((&slo, &dlo), (Opened::Segmented(_), Opened::Segmented(_))));
    proptest!(ProptestConfig::with_cases(24), |(start in 0..bytes.len() as u64 + 9, length in 0..3u64 << 20)| {
        let range = start..start + length;
        let index = |offset: u64| bytes.len().min(offset as usize);
        let expected = &bytes[index(range.start)..index(range.end)];
        for opened in [&slo, &dlo] {
            prop_assert!(wait(read(opened, range.clone())).unwrap() == expected);
        }
    });
}

#[test]
fn segments_may_be_parts_large_objects_and_in_the_manifest() {
    let (server, state) = store();
    let nested = pattern(2 * MIB, 9);
    let part = pattern(3 * MIB, 4);
    let bytes = [&part[5..2 * MIB], b"foobar", &nested[..]].concat();
    {
        let mut state = state.lock().unwrap();
        let quoted = format!("\"{}\"", md5_of(b"nested"));
        state.objects.insert("/segs/part".to_owned(), Stored::plain(&part));
        state.objects.insert("/segs/empty".to_owned(), Stored::plain(b""));
        state.objects.insert(
            "/segs/nested".to_owned(),
            Stored { bytes: nested, etag: quoted, lines: "X-Static-Large-Object: True\r\n".to_owned() },
        );
        let range = format!("5-{}", 2 * MIB - 1);
        let manifest = vec![
            json!({"name": "/segs/part", "bytes": 3 * MIB, "hash": md5_of(&part), "range": range}),
            json!({"name": "/segs/empty", "bytes": 0, "hash": md5_of(b"")}),
            json!({"data": "Zm9vYmFy"}),
            json!({"name": "/segs/nested", "bytes": 2 * MIB, "hash": md5_of(b"nested"), "sub_slo": true}),
        ];
        put_manifest(&mut state, manifest, bytes.clone());
    }
    assert!(place(&server, "/c/slo").unwrap() == bytes);
    let requests = server.requests();
    assert_eq!(requests.iter().filter(|line| line.contains("/segs/")).count(), 2, "{requests:?}");
}

#[test]
fn what_changes_under_a_static_large_object_is_noticed() {
    let changes: [fn(&mut State); 5] = [
        |state| drop(state.objects.insert("/segs/slo/1".to_owned(), Stored::plain(&pattern(MIB + 7, 8)))),
        |state| drop(state.objects.insert("/segs/slo/1".to_owned(), Stored::plain(b""))),
        |state| drop(state.objects.remove("/segs/slo/1")),
        |state| drop(state.objects.remove("/c/slo")),
        |state| state.objects.get_mut("/c/slo").unwrap().etag = format!("\"{}\"", md5_of(b"other")),
    ];
    for change in changes {
        let (server, state) = store();
        put_slo(&mut state.lock().unwrap());
        state.lock().unwrap().then = Some(("GET /v1/AUTH_x/segs/slo/0".to_owned(), change));
        assert_eq!(failure(&server, "/c/slo"), changed());
    }
    // Before the manifest came: it is no longer that of what was opened.
    let (server, state) = store();
    put_slo(&mut state.lock().unwrap());
    state.lock().unwrap().then =
        Some(("GET".to_owned(), |state| state.objects.get_mut("/c/slo").unwrap().etag = "\"x\"".to_owned()));
    let replaced = json!([{"name": "/segs/slo/0", "bytes": 4 * MIB + 7, "hash": md5_of(b"other")}]);
    state.lock().unwrap().manifests.insert("/c/slo".to_owned(), replaced);
    assert_eq!(failure(&server, "/c/slo"), changed());
}

#[test]
fn a_segment_of_another_size_is_none() {
    let (server, state) = store();
    put_slo(&mut state.lock().unwrap());
    let lines = format!("Content-Range: bytes 0-1048582/9999999\r\nETag: {}\r\n", md5_of(&pieces()[1]));
    let lie = answer("206 Partial Content", &lines, &pieces()[1]);
    state.lock().unwrap().lies.push(("GET /v1/AUTH_x/segs/slo/1".to_owned(), lie));
    assert_eq!(failure(&server, "/c/slo"), (ErrorKind::Corrupt, "range-mismatch".to_owned()));
}

#[test]
fn what_may_not_be_read_straight_is_left_to_the_proxy() {
    for start in ["GET /v1/AUTH_x/segs/", "GET /v1/AUTH_x/segs/slo/1", "GET /v1/AUTH_x/c/slo?"] {
        for status in ["401 Unauthorized", "403 Forbidden"] {
            let (server, state) = store();
            let bytes = put_slo(&mut state.lock().unwrap());
            state.lock().unwrap().lies.push((start.to_owned(), answer(status, "", b"")));
            assert!(place(&server, "/c/slo").unwrap() == bytes, "{start} {status}");
            let etag = state.lock().unwrap().objects["/c/slo"].etag.clone();
            assert_eq!(header(server.heads().last().unwrap(), "if-match"), Some(etag.as_str()));
        }
    }
    let (server, state) = store();
    let bytes = put_dlo(&mut state.lock().unwrap());
    state.lock().unwrap().lies.push(("GET /v1/AUTH_x/segs?".to_owned(), answer("401 Unauthorized", "", b"")));
    assert!(place(&server, "/c/dlo").unwrap() == bytes);
    assert_eq!(server.requests().len(), 3);
}

#[test]
fn many_small_segments_are_left_to_the_proxy() {
    let (server, state) = store();
    let manifest: Vec<_> =
        (0..2000).map(|at| json!({"name": format!("/segs/{at}"), "bytes": 1000, "hash": md5_of(b"x")})).collect();
    let bytes = put_manifest(&mut state.lock().unwrap(), manifest, pattern(2_000_000, 1));
    assert!(place(&server, "/c/slo").unwrap() == bytes);
    assert_eq!(server.requests().len(), 3);
}

#[test]
fn manifests_that_lie_end_it() {
    let segment = |name: &str, bytes: usize| json!({"name": name, "bytes": bytes, "hash": md5_of(b"x")});
    for manifest in [
        json!([]),
        json!({"x": 1}),
        json!([segment("/segs/1", 2 * MIB + 1)]),
        json!([segment("/../AUTH_other/segs/1", 2 * MIB)]),
        json!([segment("/segs/../../AUTH_other/1", 2 * MIB)]),
    ] {
        let (server, state) = store();
        put_manifest(&mut state.lock().unwrap(), vec![segment("/segs/1", 2 * MIB)], pattern(2 * MIB, 1));
        state.lock().unwrap().manifests.insert("/c/slo".to_owned(), manifest.clone());
        assert_eq!(failure(&server, "/c/slo"), bad_manifest(), "{manifest}");
        assert!(server.requests().iter().all(|line| !line.contains("AUTH_other")));
    }
    for (lie, kind, code) in [
        (answer("200 OK", "", b"no JSON"), ErrorKind::Corrupt, "bad-manifest"),
        (answer("404 Not Found", "", b""), ErrorKind::Corrupt, "source-changed"),
        (answer("503 Busy", "", b""), ErrorKind::Unavailable, "http-503"),
        (answer("302 Found", "Location: http://169.254.169.254/\r\n", b""), ErrorKind::Corrupt, "bad-status"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n".to_vec(), ErrorKind::Limit, "reply-too-long"),
    ] {
        let (server, state) = store();
        put_slo(&mut state.lock().unwrap());
        state.lock().unwrap().lies.push(("GET /v1/AUTH_x/c/slo?".to_owned(), lie));
        assert_eq!(failure(&server, "/c/slo"), (kind, code.to_owned()));
    }
}

#[test]
fn a_manifest_that_names_itself_leads_nowhere() {
    let (server, state) = store();
    let itself = json!({"name": "/c/slo", "bytes": 3 * MIB, "hash": md5_of(b"x"), "sub_slo": true});
    put_manifest(&mut state.lock().unwrap(), vec![itself], pattern(3 * MIB, 1));
    assert_eq!(failure(&server, "/c/slo"), changed());
    assert_eq!(server.requests().len(), 4);
}

#[test]
fn only_the_read_that_comes_to_the_end_asks_for_the_whole_again() {
    let (server, state) = store();
    let bytes = put_slo(&mut state.lock().unwrap());
    wait(async {
        let opened = open_at(&server, "/c/slo").await.unwrap();
        let (last, size) = ((bytes.len() - MIB) as u64, bytes.len() as u64);
        for (range, heads) in [(last..size - 1, 0), (last..size, 1), (size - 1..u64::MAX, 2), (0..5, 2)] {
            read(&opened, range.clone()).await.unwrap();
            let asked = server.requests().iter().filter(|line| line.starts_with("HEAD")).count();
            assert_eq!(asked, heads, "{range:?}");
        }
    });
}

#[test]
fn a_dynamic_large_object_is_read_from_its_segments() {
    for page in [1, 2, 10_000] {
        let (server, state) = store();
        let bytes = put_dlo(&mut state.lock().unwrap());
        state.lock().unwrap().page = page;
        assert!(place(&server, "/c/dlo").unwrap() == bytes);
        let requests = server.requests();
        let listings: Vec<_> = requests.iter().filter(|line| line.starts_with("GET /v1/AUTH_x/segs?")).collect();
        assert_eq!(listings.len(), 3usize.div_ceil(page), "{requests:?}");
        assert_eq!(listings[0], "GET /v1/AUTH_x/segs?format=json&prefix=dlo+%C3%BC%2F&limit=1000");
        assert!(listings.iter().skip(1).all(|line| line.contains("&marker=dlo+%C3%BC%2F")));
        assert!(requests.contains(&"GET /v1/AUTH_x/segs/dlo%20%C3%BC/2".to_owned()), "{requests:?}");
        assert_eq!(server.connections(), 2);
    }
}

#[test]
fn what_changes_under_a_dynamic_large_object_is_noticed() {
    fn add(state: &mut State) {
        state.objects.insert("/segs/dlo ü/9".to_owned(), Stored::plain(b"more"));
        assemble_dlo(state);
    }
    fn replace(state: &mut State) {
        state.objects.insert("/segs/dlo ü/1".to_owned(), Stored::plain(&pattern(MIB + 7, 8)));
        assemble_dlo(state);
    }
    fn remove(state: &mut State) {
        state.objects.remove("/segs/dlo ü/1");
        assemble_dlo(state);
    }
    let listing = "GET /v1/AUTH_x/segs?";
    for when in ["GET /v1/AUTH_x/c/dlo ", listing, "GET /v1/AUTH_x/segs/dlo%20%C3%BC/0"] {
        for change in [add as fn(&mut State), replace, remove] {
            let (server, state) = store();
            put_dlo(&mut state.lock().unwrap());
            // The listing has two pages, between which it changes as well.
            state.lock().unwrap().page = 2;
            state.lock().unwrap().then = Some((when.to_owned(), change));
            assert_eq!(failure(&server, "/c/dlo"), changed(), "{when}");
        }
    }
}

#[test]
fn listings_that_lie_end_it() {
    let entry = |name: &str| json!({"name": name, "bytes": 0, "hash": md5_of(b"")});
    for page in [
        json!([entry("dlo ü/2"), entry("dlo ü/1")]),
        json!([entry("dlo ü/1")]),
        json!([entry("other")]),
        json!([entry("dlo ü/../../../AUTH_other/c/o")]),
        json!({}),
    ] {
        let (server, state) = store();
        put_dlo(&mut state.lock().unwrap());
        let lie = answer("200 OK", "", page.to_string().as_bytes());
        state.lock().unwrap().lies.push(("GET /v1/AUTH_x/segs?".to_owned(), lie));
        assert_eq!(failure(&server, "/c/dlo"), bad_manifest(), "{page}");
    }
    for (lie, expected) in [
        (answer("200 OK", "", b"[]"), changed()),
        (answer("204 No Content", "", b""), changed()),
        (answer("404 Not Found", "", b""), changed()),
        (answer("503 Busy", "", b""), (ErrorKind::Unavailable, "http-503".to_owned())),
    ] {
        let (server, state) = store();
        put_dlo(&mut state.lock().unwrap());
        state.lock().unwrap().lies.push(("GET /v1/AUTH_x/segs?".to_owned(), lie));
        assert_eq!(failure(&server, "/c/dlo"), expected);
    }
    let (server, state) = store();
    put_dlo(&mut state.lock().unwrap());
    state.lock().unwrap().objects.get_mut("/c/dlo").unwrap().lines =
        "X-Object-Manifest: ../AUTH_other/c/x\r\n".to_owned();
    assert_eq!(failure(&server, "/c/dlo"), bad_manifest());
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn an_endless_listing_ends() {
    let counted = Arc::new(Mutex::new(0));
    let server = TestServer::new(move |head| {
        if !head.starts_with("GET /v1/AUTH_x/segs?") {
            return object(head, &[0; 2 * MIB], "\"x\"", "X-Object-Manifest: segs/x\r\n");
        }
        let mut counted = counted.lock().unwrap();
        *counted += 1;
        let entry = json!([{"name": format!("x{counted:09}"), "bytes": 1, "hash": md5_of(b"")}]);
        answer("200 OK", "", entry.to_string().as_bytes())
    });
    assert_eq!(failure(&server, "/c/dlo"), bad_manifest());
    assert_eq!(server.requests().len(), 1001);
}

#[test]
fn empty_objects_are_empty() {
    let (server, state) = store();
    {
        let mut state = state.lock().unwrap();
        state.objects.insert("/c/plain".to_owned(), Stored::plain(b""));
        assemble_dlo(&mut state);
        put_manifest(&mut state, vec![], vec![]);
    }
    for path in ["/c/plain", "/c/dlo", "/c/slo"] {
        wait(async {
            let opened = open_at(&server, path).await.unwrap();
            assert_eq!(read(&opened, 0..u64::MAX).await.unwrap(), b"");
            assert_eq!(opened.boxed().size(), Some(0), "{path}");
        });
    }
    assert_eq!(server.requests().len(), 3);
}

#[test]
fn a_redirect_is_not_followed() {
    let server = TestServer::new(|_| answer("302 Found", "Location: /elsewhere\r\n", b""));
    let config: crate::Config = serde_json::from_value(json!({})).unwrap();
    let mut account = account(&server);
    account.connections = Arc::new(Connections::new(&config.check().unwrap().client));
    let outcome = wait(open(account, ObjectName::parse("/c/o").unwrap(), &NoTrust));
    assert_eq!(outcome.err().map(|error: Error| error.code().to_owned()).as_deref(), Some("redirect-refused"));
    assert_eq!(server.requests().len(), 1);
}
