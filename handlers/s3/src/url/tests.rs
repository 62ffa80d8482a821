use proptest::prelude::*;

use super::*;

fn shown(url: &S3Url) -> String {
    let credentials = url
        .credentials
        .as_ref()
        .map_or_else(|| "-".to_owned(), |credentials| format!("{} {}", credentials.key(), credentials.secret()));
    format!("{credentials} {} {} {}", url.endpoint, url.bucket, url.key)
}

#[test]
fn every_form_is_read() {
    let long = format!("s3://h/{}/{}", "b".repeat(255), "k".repeat(1024));
    for (text, expected) in [
        ("s3://host/b/k", "- https://host/ b k"),
        ("s3+https://host/b/k", "- https://host/ b k"),
        ("S3+HTTP://HOST:80/b/k", "- http://host/ b k"),
        ("s3+http://host:8080/pre/fix/b/k", "- http://host:8080/pre/fix b k"),
        ("s3+http://[::1]:8080/b/k", "- http://[::1]:8080/ b k"),
        ("s3://AK:sec@host/b/k", "AK sec https://host/ b k"),
        ("s3://AK:s/e+c=/@host:9/b/k", "AK s/e+c=/ https://host:9/ b k"),
        ("s3://AK:%41%2F@host/b/k", "AK %41%2F https://host/ b k"),
        ("s3://vault:keeper:pass-word@host/b/k", "vault:keeper pass-word https://host/ b k"),
        ("s3://AK:s@host/p/b/k", "AK s https://host/p b k"),
        ("s3://host/b%20c/k%2F..%2e", "- https://host/ b%20c k%2F..%2e"),
        ("s3://host/b.c_D/...", "- https://host/ b.c_D ..."),
        ("s3://host/b/k:1", "- https://host/ b k:1"),
    ] {
        let url = S3Url::parse(text, true);
        assert_eq!(url.as_ref().map(shown).map_err(Error::code), Ok(expected.to_owned()), "{text}");
    }
    assert!(S3Url::parse(&long, true).is_ok());
}

#[test]
fn only_the_bare_scheme_depends_on_the_setting() {
    for (text, secure, expected) in [
        ("s3://host/b/k", true, "https"),
        ("s3://host/b/k", false, "http"),
        ("s3+https://host/b/k", false, "https"),
        ("s3+http://host/b/k", true, "http"),
    ] {
        assert_eq!(S3Url::parse(text, secure).unwrap().endpoint.scheme(), expected, "{text} {secure}");
    }
}

#[test]
fn what_is_none_is_refused() {
    for text in [
        "s3://",
        "s3:///b/k",
        "s3://host",
        "s3://host/",
        "s3://host/k",
        "s3://host//k",
        "s3://host/b/",
        "s3://host/b/k/",
        "s3://host//b/k",
        "s3://host/b//k",
        "s3://host/b/.",
        "s3://host/b/..",
        "s3://host/../k",
        "s3://host/./k",
        "s3://host/../b/k",
        "s3://host/%2e%2E/b/k",
        "s3://host/.%2e/b/k",
        "s3://host/b/k?versionId=x",
        "s3://host/b/k#x",
        "s3://host/b/a b",
        "s3://host/b/k\u{7f}",
        "s3://host/b/k\0",
        "s3://host/b/k\r\nHost: x",
        "s3://host/b/k\u{2028}",
        "s3://host\\@x/b/k",
        "s3://AK:secret@https://host/b/k",
        "s3://AK:secret://x@host/b/k",
        "s3://AK:secret@/b/k",
        "s3://AK:secret@host/k",
        "s3://AK:secret@a@host/b/k",
        "s3://AK:secret@host/b/k@x",
        "s3://host/b/k@x",
        "s3://AK@host/b/k",
        "s3://AK%3Asecret@host/b/k",
        "s3://:secret@host/b/k",
        "s3://AK:@host/b/k",
        "s3://@host/b/k",
        "s3://A/K:secret@host/b/k",
        "s3://host/b/k:secret@host/b/k",
        "s3://host:99999/b/k",
        "s3://host:x/b/k",
        "s3://[::1/b/k",
        "s3://ho%00st/b/k",
        "s3://ho<st/b/k",
        &format!("s3://host/{}/k", "b".repeat(256)),
        &format!("s3://host/b/{}", "k".repeat(1025)),
        &format!("s3://host/{}b/k", "x/".repeat(9000)),
    ] {
        let error = S3Url::parse(text, true).err().unwrap_or_else(|| panic!("{text:?} was read"));
        assert_eq!((error.kind(), error.code()), (ErrorKind::Invalid, "bad-url"), "{text:?}");
        assert!(!error.message().contains("secret") && !error.message().contains("host/"), "{}", error.message());
    }
    for text in ["", "s3", "s3:/host/b/k", "http://host/b/k", "s3+ftp://host/b/k", "s3a://host/b/k", " s3://host/b/k"] {
        assert_eq!(S3Url::parse(text, true).err().unwrap().code(), "other-scheme", "{text:?}");
    }
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(rest in ".{0,200}", scheme in "(s3(\\+http|\\+https)?://)?") {
        let _ = S3Url::parse(&format!("{scheme}{rest}"), true);
    }

    #[test]
    fn anything_like_a_url_is_read_or_refused(text in "s3(\\+http)?://[a-z:@%/.0-9-]{0,60}") {
        if let Ok(url) = S3Url::parse(&text, true) {
            let object = crate::object::Object::new(&url, crate::object::BucketUrlFormat::Path, "r").unwrap().url();
            let prefix = url.endpoint.path().trim_end_matches('/').to_owned();
            prop_assert_eq!(object.origin(), url.endpoint.origin());
            prop_assert!(object.path().starts_with(&prefix));
            let parts = object.path()[prefix.len()..].matches('/').count();
            prop_assert_eq!(parts, 2, "{}", object);
            prop_assert!(object.username().is_empty() && object.query().is_none());
        }
    }

    #[test]
    fn what_is_written_is_read(
        pair in proptest::option::of(("[^/\\pC\\pZ\\\\?#@]{1,20}", "[^:\\pC\\pZ\\\\?#@]{1,40}")),
        path in "(/[a-z0-9]{1,9}){0,2}",
        bucket in "[^/\\pC\\pZ\\\\?#@.]{1,40}",
        key in "[^/\\pC\\pZ\\\\?#@.]{1,80}",
    ) {
        let written = pair.as_ref().map_or_else(String::new, |(access, secret)| format!("{access}:{secret}@"));
        let text = format!("s3+http://{written}host:8080{path}/{bucket}/{key}");
        prop_assume!(!text[10..].contains("://"));
        let url = S3Url::parse(&text, true);
        let expected = S3Url {
            credentials: pair.map(|(access, secret)| Credentials::new(access, secret)),
            endpoint: Url::parse(&format!("http://host:8080{path}")).unwrap(),
            bucket,
            key,
        };
        prop_assert!(url.as_ref().is_ok_and(|url| *url == expected), "{text}");
    }
}
