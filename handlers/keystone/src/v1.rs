//! Swift's own login (`/auth/v1.0`, of tempauth and Ceph's object gateway): the token and the storage URL are headers.

use std::time::{Duration, Instant};

use landfall_handler_api::{Cloud, Result};
use landfall_handler_http::header::{HeaderMap, HeaderName, HeaderValue};
use landfall_handler_http::{Connections, Exchange, SystemTrust};

use crate::answer::{Service, ServiceEndpoint};
use crate::auth_url;
use crate::endpoint;
use crate::endpoints::Endpoints;
use crate::refusal::{Asked, bad_login};
use crate::session::{Session, TOKEN_HEADER, token};

/// Bytes of an answer's body, which says nothing of interest.
const ANSWER_MAX: usize = 64 << 10;
const USER: HeaderName = HeaderName::from_static("x-auth-user");
const KEY: HeaderName = HeaderName::from_static("x-auth-key");
const STORAGE_URL: &str = "x-storage-url";
const EXPIRES: &str = "x-auth-token-expires";
/// The type of service that the storage URL is of.
const OBJECT_STORE: &str = "object-store";

/// Logs in, once.
pub(crate) async fn log_in(
    cloud: &Cloud,
    (user, key): (&str, &str),
    connections: &Connections,
    trusted: bool,
    system: &dyn SystemTrust,
) -> Result<Session> {
    let url = auth_url::swift_v1(cloud.auth_url.as_deref())?;
    let header = |name: &str, value: &str| {
        HeaderValue::from_str(value)
            .map_err(|_| bad_login(format!("the login's {name} has characters that no header has")))
    };
    let headers = HeaderMap::from_iter([(USER, header("user", user)?), (KEY, header("key", key)?)]);
    let exchange = Exchange { headers, trusted, ..Exchange::get(url, ANSWER_MAX) };
    let asked = Instant::now();
    let reply = connections.exchange(exchange, system).await.map_err(|error| Asked::SwiftV1.unreached(error))?;
    if !matches!(reply.status.as_u16(), 200 | 204) {
        return Err(Asked::SwiftV1.refused(reply.status, &reply.headers));
    }
    let token = reply.headers.get(TOKEN_HEADER).and_then(|value| token(value.as_bytes()));
    let token = token.ok_or_else(|| Asked::SwiftV1.bad_answer("without a token that can be used"))?;
    let url = reply.headers.get(STORAGE_URL).and_then(|value| value.to_str().ok());
    let url = url
        .filter(|url| endpoint::parse(url).is_some())
        .ok_or_else(|| Asked::SwiftV1.bad_answer("without a storage URL that can be used"))?;
    let life = match reply.headers.get(EXPIRES) {
        Some(seconds) => {
            Some(seconds_of(seconds).ok_or_else(|| Asked::SwiftV1.bad_answer("with a time that is none"))?)
        }
        None => None,
    };
    Ok(Session::new(Some(token), Endpoints::new(cloud, vec![everywhere(cloud, url)]), asked, life))
}

/// The storage URL as the catalog of a cloud that has one region and one interface.
fn everywhere(cloud: &Cloud, url: &str) -> Service {
    let interface = if cloud.interface.is_empty() { "public" } else { &cloud.interface };
    let region = cloud.region.clone();
    let endpoint = ServiceEndpoint { interface: interface.to_owned(), url: url.to_owned(), region, region_id: None };
    Service { kind: OBJECT_STORE.to_owned(), endpoints: vec![endpoint] }
}

/// Whole seconds; a fraction is cut off.
fn seconds_of(value: &HeaderValue) -> Option<Duration> {
    let text = value.to_str().ok()?;
    let whole = text.split_once('.').map_or(text, |(whole, _)| whole);
    let is_number = !whole.is_empty() && whole.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| Duration::from_secs(whole.parse().unwrap_or(u64::MAX)))
}

#[cfg(test)]
mod tests {
    use landfall_handler_api::{CloudLogin, ErrorKind, Scope};

    use crate::test_server::{NoTrust, TestServer, answer, cloud, identity, wait};

    fn login() -> CloudLogin {
        CloudLogin::V1 { user: "test:tester".to_owned(), key: "CANARY".to_owned() }
    }

    const GOOD: &str =
        "X-Auth-Token: AUTH_tk1\r\nX-Storage-Token: AUTH_tk1\r\nX-Storage-Url: http://swift:8080/v1/AUTH_test/\r\n";

    #[test]
    fn token_and_storage_url_are_headers() {
        for (status, expires, uses) in [
            ("200 OK", "X-Auth-Token-Expires: 86400\r\n", 1),
            ("204 No Content", "X-Auth-Token-Expires: 86399.5\r\n", 1),
            ("200 OK", "", 1),
            ("200 OK", "X-Auth-Token-Expires: 99999999999999999999999\r\n", 1),
            ("200 OK", "X-Auth-Token-Expires: 0\r\n", 2),
        ] {
            let bytes = answer(status, &format!("{GOOD}{expires}"), "");
            let server = TestServer::new(move |_, _| Some(bytes.clone()));
            let mut cloud = cloud(&server.url("/auth/v1.0"), login());
            (cloud.region, cloud.interface) = (Some("Anywhere".to_owned()), "internal".to_owned());
            let identity = identity(cloud, true);
            wait(async {
                let session = identity.session(&NoTrust).await.unwrap();
                assert_eq!(session.headers()["x-auth-token"], "AUTH_tk1");
                assert_eq!(session.endpoint("object-store").unwrap().as_str(), "http://swift:8080/v1/AUTH_test");
                assert_eq!(session.endpoint("image").unwrap_err().code(), "no-endpoint");
                assert!(session.may_see("object-store", &"http://swift:8080/v1/AUTH_test/c/o".parse().unwrap()));
                assert!(!session.may_see("object-store", &"http://evil:8080/v1/AUTH_test/c/o".parse().unwrap()));
                identity.session(&NoTrust).await.unwrap();
            });
            let asked = server.asked();
            assert!(asked[0].head.starts_with("GET /auth/v1.0 HTTP/1.1\r\n"));
            assert_eq!(
                (asked[0].header("x-auth-user"), asked[0].header("x-auth-key")),
                (Some("test:tester"), Some("CANARY"))
            );
            assert_eq!(asked.len(), uses, "{status} {expires}");
        }
    }

    #[test]
    fn every_failure_has_its_name_and_no_secret() {
        let storage = "X-Storage-Url: http://swift/v1/AUTH_test\r\n";
        for (status, lines, kind, code) in [
            ("401 Unauthorized", "Www-Authenticate: CANARY\r\n".to_owned(), ErrorKind::Denied, "swift-auth-denied"),
            ("403 Forbidden", String::new(), ErrorKind::Denied, "swift-auth-forbidden"),
            ("404 Not Found", String::new(), ErrorKind::Invalid, "swift-auth-refused"),
            ("301 Moved", "Location: http://CANARY\r\n".to_owned(), ErrorKind::Invalid, "swift-auth-redirect"),
            ("500 Oops", String::new(), ErrorKind::Unavailable, "swift-auth-unavailable"),
            ("200 OK", storage.to_owned(), ErrorKind::Corrupt, "swift-auth-bad-answer"),
            ("200 OK", "X-Auth-Token: CANARY\r\n".to_owned(), ErrorKind::Corrupt, "swift-auth-bad-answer"),
            (
                "200 OK",
                "X-Auth-Token: CANARY\r\nX-Storage-Url: ftp://CANARY\r\n".to_owned(),
                ErrorKind::Corrupt,
                "swift-auth-bad-answer",
            ),
            ("200 OK", format!("{GOOD}X-Auth-Token-Expires: CANARY\r\n"), ErrorKind::Corrupt, "swift-auth-bad-answer"),
        ] {
            let bytes = answer(status, &lines, "CANARY");
            let server = TestServer::new(move |_, _| Some(bytes.clone()));
            let identity = identity(cloud(&server.url("/auth/v1.0"), login()), true);
            let error = wait(identity.session(&NoTrust)).err().unwrap();
            assert_eq!((error.kind(), error.code(), error.scope()), (kind, code, Scope::Location), "{status} {lines}");
            assert!(!format!("{error:?}").contains("CANARY"), "{error:?}");
            assert!(server.asked()[0].head.contains("CANARY"));
        }
        let login = CloudLogin::V1 { user: "test:tester".to_owned(), key: "CANARY\r\nX: y".to_owned() };
        let error = wait(identity(cloud("http://127.0.0.1:1/", login), true).session(&NoTrust)).err().unwrap();
        assert_eq!(error.code(), "bad-login");
        assert!(!error.message().contains("CANARY"));
    }
}
