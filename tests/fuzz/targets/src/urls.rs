//! URLs of locations, by the grammars of the handlers: what they lead to is where the URL's own words are, and nowhere
//! else.

use landfall_handler_file::fuzzing as file;
use landfall_handler_http::Url;
use landfall_handler_s3::fuzzing as s3;
use landfall_handler_swift::fuzzing as swift;

use crate::verdict::verdict;

pub(crate) fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(path) = verdict(file::location(text)) {
        assert!(path.starts_with('/') && !path.contains(char::is_control) && text.ends_with(path), "{path:?}");
        assert!(!path.split('/').any(|part| part == "." || part == ".."), "{path:?}");
    }
    for secure in [false, true] {
        let Ok((endpoint, bucket, key, _)) = verdict(s3::location(text, secure)) else { continue };
        assert!(matches!(endpoint.scheme(), "http" | "https") && endpoint.has_host(), "{endpoint}");
        assert!(endpoint.query().is_none() && endpoint.fragment().is_none(), "{endpoint}");
        assert!(endpoint.username().is_empty() && endpoint.password().is_none(), "credentials are left");
        assert!(text.ends_with(&format!("/{bucket}/{key}")), "{bucket:?} {key:?}");
    }
    let account = Url::parse("http://proxy/v1/AUTH_a").expect("it is a URL");
    if let Ok(object) = verdict(swift::location(text, &account)) {
        assert!(matches!(object.scheme(), "http" | "https") && object.has_host(), "{object}");
        assert!(object.query().is_none() && object.fragment().is_none(), "{object}");
        assert!(object.username().is_empty() && object.password().is_none(), "credentials are left");
        assert!(object.path_segments().is_some_and(|parts| parts.count() >= 2), "{object}");
    }
    if let Some(segment) = swift::segment(text, &account) {
        assert!(segment.as_str().starts_with("http://proxy/v1/AUTH_a/"), "{segment}");
        let decoded: usize = segment.path_segments().map_or(0, Iterator::count);
        assert_eq!(decoded, 2 + text.matches('/').count(), "{segment}");
    }
    let _ = verdict(swift::references(text));
}
