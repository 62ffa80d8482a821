//! Who is shown what, against a server that is login and store at once.

use std::sync::Mutex;

use landfall_handler_api::{CloudLogin, ErrorKind};
use serde_json::{Value, json};

use super::*;
use crate::config::Config;
use crate::open::{Opened, open};
use crate::test_server::{Memory, NoTrust, TestServer, answer, header, object, wait};

const MIB: usize = 1 << 20;
const SECRET: &str = "canary-secret";

/// A store whose container `public` anybody may read, and every other who shows the token of the last login. Tokens
/// hold for `uses` requests.
fn store(uses: usize) -> TestServer {
    let tokens = Mutex::new((0, 0));
    TestServer::new(move |head| {
        let (issued, used) = &mut *tokens.lock().unwrap();
        if head.starts_with("GET /auth/v1.0 ") {
            let good = header(head, "x-auth-user") == Some("test:tester") && header(head, "x-auth-key") == Some(SECRET);
            (*issued, *used) = (*issued + 1, 0);
            let host = header(head, "host").unwrap();
            let lines = format!("X-Auth-Token: token-{issued}\r\nX-Storage-Url: http://{host}/v1/AUTH_test\r\n");
            return if good { answer("200 OK", &lines, b"") } else { answer("401 Unauthorized", "", b"") };
        }
        let token = format!("token-{issued}");
        let shown = header(head, "x-auth-token") == Some(token.as_str()) && *used < uses;
        *used += 1;
        let signed = head.contains("?temp_url_sig=");
        if !shown && !signed && !head.starts_with("GET /v1/AUTH_test/public/") {
            return answer("401 Unauthorized", "", b"");
        }
        object(head, &[7; 3 * MIB], "0cc175b9c0f1b6a831c399e269772661", "")
    })
}

fn settings(section: Value) -> Settings {
    serde_json::from_value::<Config>(section).unwrap().check().unwrap()
}

fn node_login(server: &TestServer) -> Cloud {
    let mut cloud = Cloud::default();
    cloud.auth_url = Some(format!("http://{}/auth/v1.0", server.address));
    cloud.login = CloudLogin::V1 { user: "test:tester".to_owned(), key: SECRET.to_owned() };
    cloud
}

/// Opens and reads; how it ended.
fn place(
    settings: &Settings,
    url: &str,
    cloud: Option<Cloud>,
    named_by_caller: bool,
) -> std::result::Result<usize, String> {
    let outcome = wait(async {
        let url = SwiftUrl::parse(url)?;
        let account = settings.account(&url, cloud, named_by_caller, &NoTrust).await?;
        let mut memory = Memory::default();
        match open(account, url.name, &NoTrust).await? {
            Opened::Whole(source) => source.read_into(0..u64::MAX, &mut memory, &NoTrust).await?,
            Opened::Segmented(source) => source.read_into(0..u64::MAX, &mut memory, &NoTrust).await?,
        }
        Ok::<_, Error>(memory.bytes.len())
    });
    outcome.map_err(|error| {
        assert!(!error.message().contains(SECRET) && !format!("{error:?}").contains(SECRET), "{error:?}");
        error.code().to_owned()
    })
}

fn refused(code: &str) -> std::result::Result<usize, String> {
    Err(code.to_owned())
}

fn tokens(server: &TestServer) -> Vec<Option<String>> {
    server.heads().iter().map(|head| header(head, "x-auth-token").map(str::to_owned)).collect()
}

#[test]
fn credentials_of_a_location_log_in() {
    let server = store(usize::MAX);
    let bare = settings(json!({}));
    let url = format!("swift+http://test:tester:{SECRET}@{}/auth/v1.0/anything/o", server.address);
    assert_eq!(place(&bare, &url, None, true), Ok(3 * MIB));
    assert_eq!(server.requests(), ["GET /auth/v1.0", "GET /v1/AUTH_test/anything/o", "GET /v1/AUTH_test/anything/o"]);
    let wrong = url.replace(SECRET, "wrong");
    assert!(place(&bare, &wrong, None, true).is_err());
    // A record leads nowhere where it must not, neither to log in nor to read.
    let count = server.requests().len();
    assert_eq!(place(&bare, &url, None, false), refused("address-refused"));
    assert_eq!(server.requests().len(), count);
    let lenient = settings(json!({"allow_addresses": ["loopback"]}));
    assert_eq!(place(&lenient, &url, None, false), Ok(3 * MIB));
}

#[test]
fn a_login_that_a_record_names_leads_nowhere_else() {
    // The login is at an address that the operator allows, what it names at one that nobody did.
    let server = TestServer::new(|head| {
        let port = header(head, "host").unwrap().rsplit_once(':').unwrap().1;
        answer("200 OK", &format!("X-Auth-Token: t\r\nX-Storage-Url: http://127.0.0.2:{port}/v1/AUTH_test\r\n"), b"")
    });
    let allowed = settings(json!({"allow_addresses": ["127.0.0.1"]}));
    let url = format!("swift+http://test:tester:x@{}/auth/v1.0/c/o", server.address);
    assert_eq!(place(&allowed, &url, None, false), refused("address-refused"));
    assert_eq!(server.requests(), ["GET /auth/v1.0"]);
}

#[test]
fn a_token_that_ends_in_the_middle_is_renewed() {
    let server = store(1);
    let url = format!("swift+http://test:tester:{SECRET}@{}/auth/v1.0/c/o", server.address);
    assert_eq!(place(&settings(json!({})), &url, None, true), Ok(3 * MIB));
    assert_eq!(server.requests().iter().filter(|line| line.contains("/auth/")).count(), 2);
    let never = store(0);
    let url = format!("swift+http://test:tester:{SECRET}@{}/auth/v1.0/c/o", never.address);
    assert_eq!(place(&settings(json!({})), &url, None, true), refused("http-401"));
    assert_eq!(never.requests().len(), 4);
}

#[test]
fn references_are_for_the_operators_containers() {
    let server = store(usize::MAX);
    let file =
        format!("[ref1]\nuser = test:tester\nkey = '{SECRET}'\nauth_address = http://{}/auth/v1.0\n", server.address);
    let section = json!({"store_config": file, "containers": ["glance", "img-*"]});
    let known = settings(section);
    // The operator named it: any address will do.
    assert_eq!(place(&known, "swift+config://ref1/glance/o", None, false), Ok(3 * MIB));
    assert_eq!(place(&known, "swift+config://ref1/img-1/a/b", None, false), Ok(3 * MIB));
    let count = server.requests().len();
    assert_eq!(place(&known, "swift+config://ref1/backups/o", None, false), refused("container-not-allowed"));
    assert_eq!(place(&known, "swift+config://ref1/backups/o", None, true), refused("container-not-allowed"));
    assert_eq!(place(&known, "swift+config://Ref1/glance/o", None, false), refused("no-reference"));
    assert_eq!(place(&settings(json!({})), "swift+config://ref1/glance/o", None, false), refused("no-reference"));
    assert_eq!(server.requests().len(), count);
}

#[test]
fn the_nodes_login_is_for_its_own_cloud_and_containers() {
    let server = store(usize::MAX);
    let strict = settings(json!({}));
    let url = |server: &TestServer, path: &str| format!("swift+http://{}/v1/AUTH_test/{path}", server.address);
    // In the cloud's catalog: the operator named it, and the token is shown.
    assert_eq!(place(&strict, &url(&server, "glance/o"), Some(node_login(&server)), false), Ok(3 * MIB));
    assert_eq!(tokens(&server).last().unwrap().as_deref(), Some("token-1"));
    // A container of somebody else's is read as nobody would.
    let other = place(&strict, &url(&server, "backups/o"), Some(node_login(&server)), true);
    assert_eq!(other, refused("container-not-allowed"));
    assert_eq!(place(&strict, &url(&server, "public/o"), Some(node_login(&server)), true), Ok(3 * MIB));
    assert_eq!(tokens(&server)[3..].iter().flatten().count(), 0);
    // Without a login nothing is to be explained.
    assert_eq!(place(&strict, &url(&server, "glance/o"), None, true), refused("http-401"));
    assert_eq!(place(&strict, &url(&server, "public/o"), None, true), Ok(3 * MIB));
    assert_eq!(place(&strict, &url(&server, "public/o"), None, false), refused("address-refused"));
}

#[test]
fn the_nodes_login_is_not_shown_elsewhere() {
    let (server, stranger) = (store(usize::MAX), store(usize::MAX));
    let strict = settings(json!({}));
    let url = |path: &str| format!("swift+http://{}/v1/AUTH_test/{path}", stranger.address);
    assert_eq!(place(&strict, &url("glance/o"), Some(node_login(&server)), true), refused("login-not-for-server"));
    assert_eq!(place(&strict, &url("public/o"), Some(node_login(&server)), true), Ok(3 * MIB));
    let nobodys = place(&strict, &url("public/o"), Some(node_login(&server)), false);
    assert_eq!(nobodys, refused("container-not-allowed"), "what keeps the login back is told before the address");
    assert_eq!(tokens(&stranger).iter().flatten().count(), 0);
    assert!(stranger.heads().iter().all(|head| !head.contains(SECRET)));
}

#[test]
fn the_nodes_login_is_for_its_own_account_or_listed_ones() {
    let own = Url::parse("https://host/swift/v1/AUTH_own").unwrap();
    let listed = settings(json!({"accounts": ["AUTH_a", "KEY_*"]})).accounts;
    let none = settings(json!({})).accounts;
    for (url, expected) in [
        ("https://host/swift/v1/AUTH_own", true),
        ("https://host/swift/v1/AUTH_a", true),
        ("https://host/swift/v1/KEY_b.c~d:e", true),
        ("https://host/swift/v1/AUTH_b", false),
        ("https://host/swift/v1/KEY_%2Fc", false),
        ("https://host/swift/v1/KEY_%252Fc", false),
        ("https://host/swift/v1/KEY_;x", false),
        ("https://host/swift/v1/AUTH_own/AUTH_a", false),
        ("https://host/swift/AUTH_a", false),
        ("https://host/v1/AUTH_a", false),
        ("http://host/swift/v1/AUTH_a", false),
        ("https://host:444/swift/v1/AUTH_own", false),
        ("https://other/swift/v1/AUTH_own", false),
        ("https://user@host/swift/v1/AUTH_a", false),
        ("https://host/swift/v1/AUTH_a?x", false),
        ("https://host/swift/v1/", false),
    ] {
        let url = Url::parse(url).unwrap();
        assert_eq!(listed.allow(&own, &url), expected, "{url}");
        assert_eq!(none.allow(&own, &url), url == own, "{url}");
    }
    // A gateway that has the account in no URL: what follows is a container.
    let gateway = Url::parse("https://host/swift/v1").unwrap();
    let any = settings(json!({"accounts": ["*"]})).accounts;
    assert!(any.allow(&gateway, &gateway));
    assert!(!any.allow(&gateway, &Url::parse("https://host/swift/private").unwrap()));
    assert!(!any.allow(&gateway, &Url::parse("https://host/swift/v1/private").unwrap()));

    let server = store(usize::MAX);
    let strict = settings(json!({}));
    for account in ["AUTH_other", "AUTH_test%2Fprivate"] {
        let url = format!("swift+http://{}/v1/{account}/glance/o", server.address);
        assert_eq!(place(&strict, &url, Some(node_login(&server)), true), refused("login-not-for-server"), "{account}");
    }
    assert_eq!(tokens(&server).iter().flatten().count(), 0);
}

#[test]
fn without_a_login_what_is_public_is_read() {
    let server = store(usize::MAX);
    let any = settings(json!({"containers": ["*"]}));
    let url = |path: &str| format!("swift+http://{}/v1/AUTH_test/{path}", server.address);
    let mut down = node_login(&server);
    down.auth_url = Some("http://127.0.0.1:1/auth/v1.0".to_owned());
    assert_eq!(place(&any, &url("public/o"), Some(down.clone()), true), Ok(3 * MIB));
    assert_eq!(place(&any, &url("glance/o"), Some(down), true), refused("connect-refused"));
}

/// A link, or a manifest, that somebody made who may write to the container, and may not read what it leads to.
#[test]
fn the_operators_credentials_follow_nothing_out_of_their_containers() {
    let link = "Content-Location: /v1/AUTH_test/private/secret\r\n";
    let itself = "Content-Location: /v1/AUTH_test/glance/o?version-id=1\r\n";
    for (lines, expected) in [
        ("", Ok(3 * MIB)),
        (itself, Ok(3 * MIB)),
        (link, refused("content-elsewhere")),
        ("X-Object-Manifest: private/secret-\r\n", refused("container-not-allowed")),
    ] {
        let server = TestServer::new(move |head| {
            if head.starts_with("GET /auth/v1.0 ") {
                let host = header(head, "host").unwrap();
                let lines = format!("X-Auth-Token: t\r\nX-Storage-Url: http://{host}/v1/AUTH_test\r\n");
                return answer("200 OK", &lines, b"");
            }
            object(head, &[7; 3 * MIB], "\"x\"", lines)
        });
        let storage = format!("http://{}/v1/AUTH_test", server.address);
        let file = format!("[r]\nuser = a:b\nkey = c\nauth_address = http://{}/auth/v1.0\n", server.address);
        let login = settings(json!({}));
        let signed = settings(json!({"temp_url_key": SECRET, "temp_url_storage": [storage]}));
        let reference = settings(json!({"store_config": file}));
        let url = format!("swift+{storage}/glance/o");
        assert_eq!(place(&login, &url, Some(node_login(&server)), false), expected, "{lines}");
        assert_eq!(place(&signed, &url, None, false), expected, "{lines}");
        assert_eq!(place(&reference, "swift+config://r/glance/o", None, false), expected, "{lines}");
        // One's own credentials, and nobody's, lead where the store lets them.
        let own = format!("swift+http://a:b:c@{}/auth/v1.0/glance/o", server.address);
        if lines == link {
            assert_eq!(place(&login, &own, None, true), Ok(3 * MIB));
        }
    }
}

#[test]
fn urls_are_signed_where_the_key_holds() {
    let (server, stranger) = (store(0), store(0));
    let storage = format!("http://{}/v1/AUTH_test", server.address);
    let signing = settings(json!({"temp_url_key": SECRET, "temp_url_storage": [storage]}));
    assert_eq!(place(&signing, &format!("swift+{storage}/glance/o"), None, false), Ok(3 * MIB));
    let requests = server.requests();
    let signed = requests.iter().all(|line| line.starts_with("GET /v1/AUTH_test/glance/o?temp_url_sig="));
    assert!(signed && requests.len() == 2, "{requests:?}");
    assert_eq!(place(&signing, &format!("swift+{storage}/backups/o"), None, true), refused("container-not-allowed"));
    let other = format!("swift+http://{}/v1/AUTH_other/glance/o", server.address);
    assert_eq!(place(&signing, &other, None, true), refused("http-401"));
    let elsewhere = format!("swift+http://{}/v1/AUTH_test/glance/o", stranger.address);
    assert_eq!(place(&signing, &elsewhere, None, true), refused("http-401"));
    assert!(server.requests()[2..].iter().chain(&stranger.requests()).all(|line| !line.contains('?')));
}

#[test]
fn what_is_signed_is_read_through_its_manifest() {
    let server = TestServer::new(|head| object(head, &[7; 3 * MIB], "\"x\"", "X-Static-Large-Object: True\r\n"));
    let storage = format!("http://{}/v1/AUTH_test", server.address);
    let signing = settings(json!({"temp_url_key": SECRET, "temp_url_storage": [storage]}));
    assert_eq!(place(&signing, &format!("swift+{storage}/glance/o"), None, false), Ok(3 * MIB));
    assert_eq!(server.requests().len(), 2);
    assert_eq!(header(&server.heads()[1], "if-match"), Some("\"x\""));
}

#[test]
fn an_endpoint_is_a_plain_url() {
    for (url, good) in [
        ("https://host/v1/AUTH_x", true),
        ("http://host:8080/v1/AUTH_x#x", true),
        ("https://user@host/v1", false),
        ("https://host/v1?x=y", false),
        ("ftp://host/v1", false),
        ("data:x", false),
    ] {
        let outcome = storage_url(Url::parse(url).unwrap());
        assert_eq!(outcome.is_ok(), good, "{url}");
        assert!(outcome.err().is_none_or(|error| (error.kind(), error.code()) == (ErrorKind::Corrupt, "bad-endpoint")));
    }
}
