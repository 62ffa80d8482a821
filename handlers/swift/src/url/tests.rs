use proptest::prelude::*;

use super::*;

fn shown(url: &SwiftUrl) -> String {
    let account = match &url.account {
        AccountUrl::Credentials { user, key, auth_url } => format!("{user} {key} {auth_url}"),
        AccountUrl::Storage(storage) => storage.to_string(),
        AccountUrl::Reference(reference) => format!("[{reference}]"),
    };
    format!("{account} {} {}", url.name.container(), url.name.object())
}

#[test]
fn every_form_is_read() {
    for (text, expected) in [
        ("swift://u:k@host/c/o", "u k https://host/ c o"),
        ("swift+https://u:k@host:5000/v3/c/o", "u k https://host:5000/v3 c o"),
        ("swift+http://t:u:k@host:5000/v3/c/o", "t:u k http://host:5000/v3 c o"),
        ("swift+http://t%3Au:k@host/v3/c/o", "t:u k http://host/v3 c o"),
        ("swift+http://t%3Au:k%2F%40%25@host/c/o", "t:u k/@% http://host/ c o"),
        ("swift+http://u:a%3Ab@host/c/o", "u:a b http://host/ c o"),
        (
            "SWIFT+HTTP://test:tester:testing@127.0.0.1:8080/auth/v1.0/c/o",
            "test:tester testing http://127.0.0.1:8080/auth/v1.0 c o",
        ),
        ("swift://u:k@host/identity/v3/c/o", "u k https://host/identity/v3 c o"),
        ("swift://u:k@host/v3/a/b/c", "u k https://host/v3/a b c"),
        ("swift://u:k%zz@host/c/o", "u k%zz https://host/ c o"),
        ("swift+https://host/v1/AUTH_x/c/o", "https://host/v1/AUTH_x c o"),
        ("swift://host/v1/AUTH_x/c/o", "https://host/v1/AUTH_x c o"),
        ("swift+http://host:8080/v1/AUTH_x/c/a/b", "http://host:8080/v1/AUTH_x c a/b"),
        ("swift+https://host/v1/AUTH_x/v1/v1", "https://host/v1/AUTH_x v1 v1"),
        ("swift+https://host/swift/v1/c/o", "https://host/swift/v1 c o"),
        ("swift+https://host/swift/v1/AUTH_x/c/o", "https://host/swift/v1/AUTH_x c o"),
        ("swift+https://host/c/o", "https://host/ c o"),
        ("swift+https://host/a/b/c/o", "https://host/a/b c o"),
        ("swift+https://host/v1/AUTH_x/c%20d/o%2Fp", "https://host/v1/AUTH_x c%20d o%2Fp"),
        ("swift+https://host/v1/AUTH_x/c/o@2", "https://host/v1/AUTH_x c o@2"),
        ("swift+https://[::1]:8080/v1/AUTH_x/c/o", "https://[::1]:8080/v1/AUTH_x c o"),
        ("swift+config://ref1/glance/id", "[ref1] glance id"),
        ("swift+config://Ref_1.x/c/a/b", "[Ref_1.x] c a/b"),
    ] {
        let url = SwiftUrl::parse(text);
        assert_eq!(url.as_ref().map(shown).map_err(Error::code), Ok(expected.to_owned()), "{text}");
    }
}

#[test]
fn what_is_none_is_refused() {
    let long = "x".repeat(1025);
    for text in [
        "swift://",
        "swift:///c/o",
        "swift://host",
        "swift://host/",
        "swift://host/o",
        "swift://host//o",
        "swift://host/c/",
        "swift://host/c/o/",
        "swift://host/v1/AUTH_x/c//o",
        "swift://host/v1/AUTH_x/c/../o",
        "swift://host/v1/AUTH_x/../o",
        "swift://host/v1/AUTH_x/c/.",
        "swift://host/v1/../c/o",
        "swift://host/v1/%2e%2E/c/o",
        "swift://host/v1//c/o",
        "swift://host/v1/AUTH_x/c/o?x=y",
        "swift://host/v1/AUTH_x/c/o#x",
        "swift://host/v1/AUTH_x/c/a b",
        "swift://host/v1/AUTH_x/c/a\u{7f}",
        "swift://host/v1/AUTH_x/c/a\nb",
        "swift://host\\@x/c/o",
        "swift://u:k@http://host/c/o",
        "swift://u:k@/c/o",
        "swift://u:k@a@host/c/o",
        "swift://u@host/c/o",
        "swift://u%3Ak@host/c/o",
        "swift://:k@host/c/o",
        "swift://u:@host/c/o",
        "swift://u%0a:k@host/c/o",
        "swift://u:k%ff@host/c/o",
        "swift://u:k@host/o",
        "swift://u:k/k@host/c/o",
        "swift://u:80/k@host/v1/AUTH_x/c/o",
        "swift://host:99999/c/o",
        "swift+config://u:k@ref/c/o",
        "swift+config:///c/o",
        "swift+config://ref/c",
        "swift+config://ref//o",
        &format!("swift://host/v1/AUTH_x/c/{long}"),
        &format!("swift://host/v1/AUTH_x/{}/o", &long[..257]),
        &format!("swift+config://{}/c/o", &long[..257]),
        &format!("swift://host/{}/c/o", "x/".repeat(9000)),
    ] {
        let error = SwiftUrl::parse(text).err().unwrap_or_else(|| panic!("{text:?} was read"));
        assert_eq!((error.kind(), error.code()), (ErrorKind::Invalid, "bad-url"), "{text:?}");
        assert!(!error.message().contains("AUTH_x") && !error.message().contains("u:k"), "{}", error.message());
    }
    for text in
        ["", "swift", "swift:/host/c/o", "http://host/c/o", "swift+ftp://host/c/o", "swift+config", " swift://h/c/o"]
    {
        assert_eq!(SwiftUrl::parse(text).err().unwrap().code(), "other-scheme", "{text:?}");
    }
}

/// The bytes of a text, each as an escape.
fn quoted(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

fn written(url: &SwiftUrl) -> String {
    let name = format!("{}/{}", url.name.container(), url.name.object());
    let plain = |url: &Url| url.to_string().trim_end_matches('/').to_owned();
    match &url.account {
        AccountUrl::Credentials { user, key, auth_url } => {
            let auth_url = plain(auth_url).split_once("://").unwrap().1.to_owned();
            format!("swift+http://{}:{}@{auth_url}/{name}", quoted(user), quoted(key))
        }
        AccountUrl::Storage(storage) => format!("swift+{}/{name}", plain(storage)),
        AccountUrl::Reference(reference) => format!("swift+config://{reference}/{name}"),
    }
}

fn account() -> impl Strategy<Value = AccountUrl> {
    let credentials =
        ("[^:\\pC]{1,9}(:[^:\\pC]{1,9})?", "[^:\\pC]{1,20}", "(/[a-z0-9]{1,9}){0,3}").prop_map(|(user, key, path)| {
            AccountUrl::Credentials { user, key, auth_url: Url::parse(&format!("http://host:5000{path}")).unwrap() }
        });
    let storage = ("http", "(/[a-z0-9]{1,4})?/v1/[A-Za-z0-9_]{1,40}");
    let storage = storage.prop_filter_map("only one version", |(scheme, path)| {
        let url = Url::parse(&format!("{scheme}s://host{path}")).unwrap();
        (path.matches("/v1").count() == 1).then_some(AccountUrl::Storage(url))
    });
    prop_oneof![credentials, storage, "[a-zA-Z0-9_.-]{1,40}".prop_map(AccountUrl::Reference)]
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(rest in ".{0,200}", scheme in "(swift(\\+http|\\+https|\\+config)?://)?") {
        let _ = SwiftUrl::parse(&format!("{scheme}{rest}"));
    }

    #[test]
    fn anything_like_a_url_is_read_or_refused(text in "swift(\\+http|\\+config)?://[a-z:@%/.0-9-]{0,60}") {
        if let Ok(url) = SwiftUrl::parse(&text) {
            let storage = Url::parse("https://host/v1/AUTH_x").unwrap();
            prop_assert!(url.name.within(&storage).path().starts_with("/v1/AUTH_x/"));
        }
    }

    #[test]
    fn what_is_written_is_read(
        account in account(),
        container in "[^/\\pC\\pZ\\\\?#:]{1,40}",
        object in "[^/\\pC\\pZ\\\\?#:]{1,80}",
    ) {
        let Some(name) = ObjectName::new(&container, &object) else { return Ok(()) };
        let url = SwiftUrl { account, name };
        let text = written(&url);
        let read = SwiftUrl::parse(&text);
        prop_assert!(read.as_ref().is_ok_and(|read| *read == url), "{text}");
    }
}
