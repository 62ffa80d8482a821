use std::future::poll_fn;
use std::sync::mpsc;
use std::task::Poll;
use std::time::Duration;

use landfall_handler_api::Scope;
use serde_json::json;
use tokio::task::JoinSet;

use super::*;
use crate::test_server::{NoTrust, TestServer, answer, cloud, granted, identity, password, wait};

const CATALOG: &str = r#"[{"type":"object-store","endpoints":[
    {"interface":"public","region":"One","url":"http://swift:8080/v1/AUTH_x/"}]}]"#;
const ONE_HOUR: u32 = 3600;

fn token_of(session: &Session) -> String {
    session.headers()["x-auth-token"].to_str().unwrap().to_owned()
}

/// Grants tokens `token-0`, `token-1` and so on, all of which live as long.
fn granting(life: u32) -> TestServer {
    TestServer::new(move |number, _| Some(granted(&format!("token-{number}"), life, CATALOG)))
}

#[test]
fn a_password_gives_a_token_and_a_catalog() {
    let server = granting(ONE_HOUR);
    for path in ["", "/", "/v3", "/identity"] {
        let identity = identity(cloud(&server.url(path), password()), true);
        let session = wait(identity.session(&NoTrust)).unwrap();
        assert_eq!(session.endpoint("object-store").unwrap().as_str(), "http://swift:8080/v1/AUTH_x");
        assert!(session.may_see("object-store", &"http://swift:8080/v1/AUTH_y/c/o".parse().unwrap()));
        assert!(!session.may_see("object-store", &"http://evil:8080/v1/AUTH_x/c/o".parse().unwrap()));
        assert!(!session.may_see("image", &"http://swift:8080/v1/AUTH_x/c/o".parse().unwrap()));
    }
    let asked = server.asked();
    assert!(asked[0].head.starts_with("POST /v3/auth/tokens HTTP/1.1\r\n"));
    assert!(asked[3].head.starts_with("POST /identity/v3/auth/tokens HTTP/1.1\r\n"));
    assert_eq!(asked[0].header("content-type"), Some("application/json"));
    let body: serde_json::Value = serde_json::from_str(&asked[0].body).unwrap();
    let user = json!({"id": "u", "password": "CANARY"});
    assert_eq!(body, json!({"auth": {"identity": {"methods": ["password"], "password": {"user": user}}}}));
}

#[test]
fn a_token_is_kept_until_it_is_about_to_expire() {
    for (life, expected) in [(ONE_HOUR, ["token-0", "token-0", "token-0"]), (0, ["token-0", "token-1", "token-2"])] {
        let server = granting(life);
        let identity = identity(cloud(&server.url("/v3"), password()), true);
        wait(async {
            for expected in expected {
                assert_eq!(token_of(&identity.session(&NoTrust).await.unwrap()), expected);
            }
        });
    }
}

#[test]
fn a_refused_token_is_renewed_once() {
    let server = granting(ONE_HOUR);
    let identity = identity(cloud(&server.url("/v3"), password()), true);
    let url: Url = "http://swift:8080/v1/AUTH_x/c/o".parse().unwrap();
    wait(async {
        let shown = |refused: Option<HeaderMap>| {
            let (identity, url) = (&identity, &url);
            async move { identity.headers(&Method::GET, url, refused.as_ref(), &NoTrust).await.unwrap() }
        };
        let first = shown(None).await;
        assert_eq!(first["x-auth-token"], "token-0");
        let second = shown(Some(first.clone())).await;
        assert_eq!(second["x-auth-token"], "token-1");
        // Whoever comes with the old one gets what there is by now.
        assert_eq!(shown(Some(first)).await["x-auth-token"], "token-1");
        assert_eq!(shown(None).await["x-auth-token"], "token-1");
        assert_eq!(server.asked().len(), 2);
    });
}

#[test]
fn a_token_is_shown_to_the_clouds_own_services_alone() {
    let server = granting(ONE_HOUR);
    let known = identity(cloud(&server.url("/v3"), password()), true);
    let headers = |identity: &Arc<Identity>, url: &str| {
        let url: Url = url.parse().unwrap();
        wait(identity.headers(&Method::GET, &url, None, &NoTrust))
    };
    assert!(headers(&known, "http://swift:8080/v1/AUTH_x/c/o").is_ok());
    for url in ["http://swift:8081/v1/AUTH_x/c/o", "https://swift:8080/v1/AUTH_x", "http://swift:8080/other"] {
        let error = headers(&known, url).unwrap_err();
        assert_eq!((error.kind(), error.code()), (ErrorKind::Denied, "token-not-for-url"), "{url}");
        assert_eq!(error.scope(), Scope::Location);
        assert!(!error.message().contains("token-0"));
    }
    // Where there is no token nothing is shown to anybody.
    let nobody = identity(Cloud::default(), true);
    assert!(headers(&nobody, "http://anywhere/").unwrap().is_empty());
}

/// As many callers at once as the engine has lanes; the server answers once all of them wait.
fn sixteen<T: Send + 'static>(
    identity: &Arc<Identity>,
    release: mpsc::Sender<()>,
    call: impl AsyncFn(Arc<Identity>) -> T + Clone + 'static,
) -> Vec<T> {
    let identity = Arc::clone(identity);
    wait(tokio::task::LocalSet::new().run_until(async move {
        let mut callers = JoinSet::new();
        for _ in 0..16 {
            let (identity, call) = (Arc::clone(&identity), call.clone());
            callers.spawn_local(async move { call(identity).await });
        }
        callers.spawn_local(async move {
            release.send(()).unwrap();
            std::future::pending().await
        });
        let mut results = Vec::new();
        while results.len() < 16 {
            results.push(callers.join_next().await.unwrap().unwrap());
        }
        results
    }))
}

#[test]
fn sixteen_callers_make_one_login() {
    for life in [ONE_HOUR, 0] {
        let (release, released) = mpsc::channel();
        let server = TestServer::new(move |number, _| {
            released.recv().unwrap();
            Some(granted(&format!("token-{number}"), life, CATALOG))
        });
        let identity = identity(cloud(&server.url("/v3"), password()), true);
        let tokens =
            sixteen(&identity, release.clone(), async |identity| token_of(&identity.session(&NoTrust).await.unwrap()));
        assert_eq!(tokens, vec!["token-0"; 16]);
        let tokens = sixteen(&identity, release.clone(), async |identity| {
            let stale =
                Session::new(token(b"token-0"), Endpoints::new(&Cloud::default(), Vec::new()), Instant::now(), None);
            token_of(&identity.renewed(&stale, &NoTrust).await.unwrap())
        });
        assert_eq!(tokens, vec!["token-1"; 16]);
        assert_eq!(server.asked().len(), 2);
    }
}

#[test]
fn sixteen_callers_share_a_failure_and_who_comes_later_tries_again() {
    let (release, released) = mpsc::channel();
    let server = TestServer::new(move |number, _| {
        released.recv().unwrap();
        Some(match number {
            0 | 1 => answer("503 Service Unavailable", "Retry-After: 3\r\n", ""),
            _ => granted("token", ONE_HOUR, CATALOG),
        })
    });
    let identity = identity(cloud(&server.url("/v3"), password()), true);
    for wave in 1..=2 {
        let errors =
            sixteen(&identity, release.clone(), async |identity| identity.session(&NoTrust).await.err().unwrap());
        for error in errors {
            assert_eq!((error.code(), error.retry_after()), ("keystone-unavailable", Some(Duration::from_secs(3))));
        }
        assert_eq!(server.asked().len(), wave);
    }
    let tokens = sixteen(&identity, release, async |identity| token_of(&identity.session(&NoTrust).await.unwrap()));
    assert_eq!(tokens, vec!["token"; 16]);
    assert_eq!(server.asked().len(), 3);
}

#[test]
fn a_caller_that_goes_away_holds_nobody_up() {
    let server = granting(ONE_HOUR);
    let identity = identity(cloud(&server.url("/v3"), password()), true);
    wait(async {
        let mut leaving = Box::pin(identity.session(&NoTrust));
        let once = poll_fn(|context| {
            assert!(leaving.as_mut().poll(context).is_pending());
            Poll::Ready(())
        });
        once.await;
        drop(leaving);
        assert!(identity.session(&NoTrust).await.is_ok());
    });
}

#[test]
fn a_failed_renewal_leaves_the_session_to_those_who_can_use_it() {
    let server = TestServer::new(|number, _| {
        Some(if number == 0 { granted("token-0", ONE_HOUR, CATALOG) } else { answer("401 Unauthorized", "", "") })
    });
    let identity = identity(cloud(&server.url("/v3"), password()), true);
    wait(async {
        let session = identity.session(&NoTrust).await.unwrap();
        assert_eq!(identity.renewed(&session, &NoTrust).await.err().unwrap().code(), "keystone-denied");
        assert_eq!(token_of(&identity.session(&NoTrust).await.unwrap()), "token-0");
        assert_eq!(server.asked().len(), 2);
    });
}

#[test]
fn every_failure_has_its_name_and_no_secret() {
    let good = r#"{"token":{"catalog":[]}}"#;
    let subject = "X-Subject-Token: CANARY\r\n";
    let long = "x".repeat((2 << 20) + 1);
    for (status, lines, body, kind, code) in [
        ("401 Unauthorized", "", "CANARY", ErrorKind::Denied, "keystone-denied"),
        ("401 Unauthorized", "Openstack-Auth-Receipt: CANARY\r\n", "{}", ErrorKind::Unsupported, "keystone-mfa"),
        ("403 Forbidden", "", "CANARY", ErrorKind::Denied, "keystone-forbidden"),
        ("400 CANARY", "", "CANARY", ErrorKind::Invalid, "keystone-refused"),
        ("404 Not Found", "", "CANARY", ErrorKind::Invalid, "keystone-refused"),
        ("300 Multiple Choices", "", "{}", ErrorKind::Invalid, "keystone-refused"),
        ("302 Found", "Location: http://CANARY/\r\n", "", ErrorKind::Invalid, "keystone-redirect"),
        ("503 Service Unavailable", "", "CANARY", ErrorKind::Unavailable, "keystone-unavailable"),
        ("201 Created", "", good, ErrorKind::Corrupt, "keystone-bad-answer"),
        ("201 Created", "X-Subject-Token: \r\n", good, ErrorKind::Corrupt, "keystone-bad-answer"),
        ("201 Created", "X-Subject-Token: a CANARY\r\n", good, ErrorKind::Corrupt, "keystone-bad-answer"),
        ("201 Created", subject, "<CANARY>", ErrorKind::Corrupt, "keystone-bad-answer"),
        ("201 Created", subject, "{\"token\":{\"catalog\":\"CANARY\"}}", ErrorKind::Corrupt, "keystone-bad-answer"),
        ("201 Created", subject, "{\"token\":{\"expires_at\":\"CANARY\"}}", ErrorKind::Corrupt, "keystone-bad-answer"),
        ("201 Created", subject, "", ErrorKind::Corrupt, "keystone-bad-answer"),
        ("204 No Content", subject, "", ErrorKind::Corrupt, "keystone-bad-answer"),
        ("201 Created", subject, &long, ErrorKind::Limit, "reply-too-long"),
    ] {
        let bytes = answer(status, lines, body);
        let server = TestServer::new(move |_, _| Some(bytes.clone()));
        let error = wait(identity(cloud(&server.url("/v3"), password()), true).session(&NoTrust)).err().unwrap();
        assert_eq!((error.kind(), error.code(), error.scope()), (kind, code, Scope::Location), "{status} {error}");
        assert!(error.message().starts_with("cloud site: ") && error.message().contains("Keystone"), "{error}");
        assert!(!format!("{error:?}").contains("CANARY"), "{error:?}");
        // The secret was there to be found.
        assert!(server.asked()[0].body.contains("CANARY"));
        assert_eq!(server.asked().len(), 1);
    }
    let bytes = answer("201 Created", subject, good);
    let server = TestServer::new(move |_, _| Some(bytes.clone()));
    assert_eq!(
        token_of(&wait(identity(cloud(&server.url(""), password()), true).session(&NoTrust)).unwrap()),
        "CANARY"
    );
}

#[test]
fn who_is_not_reached_is_told_to_be_keystone() {
    let server = TestServer::new(|_, _| None);
    let error = wait(identity(cloud(&server.url("/v3"), password()), true).session(&NoTrust)).err().unwrap();
    assert_eq!((error.kind(), error.code()), (ErrorKind::Unavailable, "connection-lost"));
    assert!(error.message().contains("Keystone"));
    let tls = wait(identity(cloud("https://127.0.0.1:1/v3", password()), true).session(&NoTrust)).err().unwrap();
    assert_eq!((tls.code(), tls.scope()), ("tls-no-trust", Scope::Location));
    for (url, code) in [("http://u:CANARY@127.0.0.1/", "bad-auth-url"), ("http://127.0.0.1:1/v2.0", "keystone-v2")] {
        let error = wait(identity(cloud(url, password()), true).session(&NoTrust)).err().unwrap();
        assert_eq!((error.kind(), error.code(), error.scope()), (ErrorKind::Invalid, code, Scope::Location));
        assert!(!error.message().contains("CANARY"));
    }
}

#[test]
fn where_a_record_names_keystone_its_address_is_checked() {
    let server = granting(ONE_HOUR);
    let error = wait(identity(cloud(&server.url("/v3"), password()), false).session(&NoTrust)).err().unwrap();
    assert_eq!((error.kind(), error.code()), (ErrorKind::Denied, "address-refused"));
    assert!(server.asked().is_empty());
    assert!(wait(identity(cloud(&server.url("/v3"), password()), true).session(&NoTrust)).is_ok());
}

#[test]
fn a_ready_token_is_used_as_it_is_and_cannot_be_renewed() {
    let mut ready = Cloud::default();
    ready.login = CloudLogin::Token { token: "CANARY".to_owned(), keep: false };
    ready.endpoints.insert("image".to_owned(), "http://glance:9292/".to_owned());
    let ready = identity(ready, true);
    let url: Url = "http://glance:9292/v2/images".parse().unwrap();
    wait(async {
        let session = ready.session(&NoTrust).await.unwrap();
        assert_eq!(session.endpoint("image").unwrap().as_str(), "http://glance:9292/");
        assert_eq!(session.endpoint("object-store").unwrap_err().code(), "no-endpoint");
        let shown = ready.headers(&Method::GET, &url, None, &NoTrust).await.unwrap();
        assert_eq!(shown["x-auth-token"], "CANARY");
        let error = ready.headers(&Method::GET, &url, Some(&shown), &NoTrust).await.unwrap_err();
        assert_eq!((error.kind(), error.code()), (ErrorKind::Denied, "token-expired"));
        assert!(!error.message().contains("CANARY"));
    });
    let mut bad = Cloud::default();
    bad.login = CloudLogin::Token { token: "CANARY\n".to_owned(), keep: false };
    let error = wait(identity(bad, true).session(&NoTrust)).err().unwrap();
    assert_eq!(error.code(), "bad-login");
    assert!(!error.message().contains("CANARY"));
}

#[test]
fn a_token_with_a_keystone_is_exchanged_for_another() {
    let server = granting(ONE_HOUR);
    let mut cloud = cloud(&server.url("/v3"), CloudLogin::Token { token: "first".to_owned(), keep: false });
    cloud.scope.project_id = Some("p".to_owned());
    let identity = identity(cloud, true);
    wait(async {
        let session = identity.session(&NoTrust).await.unwrap();
        assert_eq!(token_of(&session), "token-0");
        assert_eq!(token_of(&identity.renewed(&session, &NoTrust).await.unwrap()), "token-1");
    });
    let body: serde_json::Value = serde_json::from_str(&server.asked()[0].body).unwrap();
    assert_eq!(body["auth"]["identity"], json!({"methods": ["token"], "token": {"id": "first"}}));
    assert_eq!(body["auth"]["scope"], json!({"project": {"id": "p"}}));
}

#[test]
fn a_kept_token_is_asked_about_and_used_as_it_is() {
    let kept = || CloudLogin::Token { token: "CANARY".to_owned(), keep: true };
    let valid = granted("another", ONE_HOUR, CATALOG).strip_prefix(b"HTTP/1.1 201 Created").unwrap().to_vec();
    let valid = [b"HTTP/1.1 200 OK".as_slice(), &valid].concat();
    let server = TestServer::new(move |_, _| Some(valid.clone()));
    let mut cloud_of = cloud(&server.url("/v3"), kept());
    // Its scope is its own.
    cloud_of.scope.project_id = Some("p".to_owned());
    let identity_of = identity(cloud_of, true);
    wait(async {
        let session = identity_of.session(&NoTrust).await.unwrap();
        assert_eq!(token_of(&session), "CANARY");
        assert_eq!(session.endpoint("object-store").unwrap().as_str(), "http://swift:8080/v1/AUTH_x");
        let error = identity_of.renewed(&session, &NoTrust).await.err().unwrap();
        assert_eq!((error.kind(), error.code()), (ErrorKind::Denied, "token-expired"));
    });
    let asked = server.asked();
    assert_eq!(asked.len(), 1);
    assert!(asked[0].head.starts_with("GET /v3/auth/tokens HTTP/1.1\r\n") && asked[0].body.is_empty());
    assert_eq!((asked[0].header("x-auth-token"), asked[0].header("x-subject-token")), (Some("CANARY"), Some("CANARY")));
    let refusals = [
        ("404 Not Found", "CANARY", "token-expired"),
        ("401 Unauthorized", "CANARY", "token-expired"),
        ("403 Forbidden", "CANARY", "keystone-forbidden"),
        ("200 OK", "CANARY", "keystone-bad-answer"),
        ("200 OK", "{\"token\":{\"expires_at\":\"CANARY\"}}", "keystone-bad-answer"),
    ];
    for (status, body, code) in refusals {
        let bytes = answer(status, "", body);
        let server = TestServer::new(move |_, _| Some(bytes.clone()));
        let error = wait(identity(cloud(&server.url("/v3"), kept()), true).session(&NoTrust)).err().unwrap();
        assert_eq!((error.code(), error.scope()), (code, Scope::Location), "{status} {body}");
        assert!(!error.message().contains("CANARY"), "{}", error.message());
    }
    let bad = CloudLogin::Token { token: "CANARY\n".to_owned(), keep: true };
    assert_eq!(
        wait(identity(cloud("http://127.0.0.1:1/v3", bad), true).session(&NoTrust)).err().unwrap().code(),
        "bad-login"
    );
}

#[test]
fn keystone_knows_no_expired_token() {
    for (status, code) in [("404 Not Found", "token-expired"), ("401 Unauthorized", "keystone-denied")] {
        let bytes = answer(status, "", "CANARY");
        let server = TestServer::new(move |_, _| Some(bytes.clone()));
        let login = CloudLogin::Token { token: "CANARY".to_owned(), keep: false };
        let error = wait(identity(cloud(&server.url("/v3"), login), true).session(&NoTrust)).err().unwrap();
        assert_eq!((error.kind(), error.code(), error.scope()), (ErrorKind::Denied, code, Scope::Location));
        assert!(!error.message().contains("CANARY"));
        assert!(server.asked()[0].body.contains("CANARY"));
    }
}

#[test]
fn nobody_logs_in_where_there_is_no_login() {
    let mut open = Cloud::default();
    open.endpoints.insert("image".to_owned(), "http://glance:9292".to_owned());
    let open = identity(open, true);
    let url: Url = "http://glance:9292/v2/images".parse().unwrap();
    wait(async {
        let session = open.session(&NoTrust).await.unwrap();
        assert!(session.headers().is_empty() && session.endpoint("image").is_ok());
        let shown = open.headers(&Method::GET, &url, None, &NoTrust).await.unwrap();
        let error = open.headers(&Method::GET, &url, Some(&shown), &NoTrust).await.unwrap_err();
        assert_eq!((error.kind(), error.code()), (ErrorKind::Denied, "no-login"));
    });
    let mut lost = Cloud::default();
    lost.login = password();
    assert_eq!(wait(identity(lost, true).session(&NoTrust)).err().unwrap().code(), "bad-login");
}

#[test]
fn certificates_of_the_cloud_replace_the_handlers() {
    let mut own = Config::default();
    own.ca = Some("own".to_owned());
    let mut cloud = Cloud::default();
    assert_eq!(Identity::config(&own, &cloud).ca.as_deref(), Some("own"));
    (cloud.ca, cloud.client_certificate, cloud.client_key) =
        (Some("ca".to_owned()), Some("certificate".to_owned()), Some("key".to_owned()));
    let config = Identity::config(&own, &cloud);
    assert_eq!(config.ca.as_deref(), Some("ca"));
    assert_eq!(config.client_certificate.as_deref(), Some("certificate"));
    assert_eq!(config.client_key.as_deref(), Some("key"));
    assert_eq!(client(&Config::default(), &cloud).err().unwrap().code(), "config-ca");
    assert!(client(&Config::default(), &Cloud::default()).is_ok());
}
