//! Where a service is, and what lies beneath it: the gate that a token passes, or does not.

use landfall_handler_http::{Resource, Url};
use percent_encoding::percent_decode;

/// How often a path is decoded to see what it may come to on its way through proxies.
const DECODINGS: usize = 4;

/// The URL of a service as a catalog or an operator writes it: `http` or `https`, without user, password, query or
/// fragment. Slashes at its end are cut off; only where there is no path at all does the URL have its one slash.
pub(crate) fn parse(text: &str) -> Option<Url> {
    let mut url = plain(text)?;
    let path = url.path().trim_end_matches('/').to_owned();
    url.set_path(&path);
    is_plain(url.path()).then_some(url)
}

/// A URL of a server that a secret goes to, and nothing else in it.
pub(crate) fn plain(text: &str) -> Option<Url> {
    let url = Resource::parse(text, false).ok()?.url;
    (!text.contains(['?', '#']) && is_nobodys(&url)).then_some(url)
}

fn is_nobodys(url: &Url) -> bool {
    url.username().is_empty() && url.password().is_none()
}

/// Whether `url` is of the service at `endpoint`: same scheme, host and port, and beneath the endpoint's path up to its
/// last version (`/v1`), since what follows that is the account. An endpoint without a version is taken whole.
pub(crate) fn covers(endpoint: &Url, url: &Url) -> bool {
    let root = root(endpoint.path());
    endpoint.origin() == url.origin()
        && is_nobodys(url)
        && is_plain(url.path())
        && url.path().strip_prefix(root).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// The path up to its last version, without a slash at its end.
fn root(path: &str) -> &str {
    let path = path.trim_end_matches('/');
    let mut rest = path;
    while let Some((before, last)) = rest.rsplit_once('/') {
        if is_version(last) {
            return rest;
        }
        rest = before;
    }
    path
}

/// `v1`, `v1.0`, `v2.15`.
fn is_version(segment: &str) -> bool {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    segment.strip_prefix('v').is_some_and(|number| match number.split_once('.') {
        Some((major, minor)) => is_number(major) && is_number(minor),
        None => is_number(number),
    })
}

/// Whether the path stays where it is, whoever decodes it on the way: no `.` and `..`, no control characters, however
/// often they are encoded.
fn is_plain(path: &str) -> bool {
    let mut bytes = path.as_bytes().to_vec();
    for _ in 0..DECODINGS {
        let leads_away = |segment: &[u8]| segment == b"." || segment == b"..";
        if bytes.iter().any(u8::is_ascii_control) || bytes.split(|&byte| byte == b'/' || byte == b'\\').any(leads_away)
        {
            return false;
        }
        let decoded = percent_decode(&bytes).collect::<Vec<u8>>();
        if decoded == bytes {
            return true;
        }
        bytes = decoded;
    }
    false
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_plain_urls_are_endpoints() {
        for (text, expected) in [
            ("http://host:8080/v1/AUTH_x", Some("http://host:8080/v1/AUTH_x")),
            ("https://host/v1/AUTH_x///", Some("https://host/v1/AUTH_x")),
            ("https://HOST:443/image/", Some("https://host/image")),
            ("http://host:9292", Some("http://host:9292/")),
            ("http://host:9292//", Some("http://host:9292/")),
            ("http://[::1]:80/v1", Some("http://[::1]/v1")),
            ("http://host/v1/a%20b", Some("http://host/v1/a%20b")),
            ("ftp://host/v1", None),
            ("file:///v1", None),
            ("host/v1", None),
            ("", None),
            ("http://user@host/v1", None),
            ("http://user:key@host/v1", None),
            ("http://:key@host/v1", None),
            ("http://host/v1?a=b", None),
            ("http://host/v1?", None),
            ("http://host/v1#a", None),
            ("http://host/v1/%2e%2e%2f", None),
            ("http://host/v1/a%00", None),
            ("http://host/v1/$(tenant_id)s x", None),
            ("http://host\\@evil/v1", None),
        ] {
            assert_eq!(parse(text).as_ref().map(Url::as_str), expected, "{text:?}");
        }
    }

    #[test]
    fn a_token_is_shown_beneath_its_endpoint_alone() {
        let swift = "https://swift.example/v1/AUTH_x";
        for (endpoint, url, expected) in [
            (swift, "https://swift.example/v1/AUTH_x/c/o", true),
            (swift, "https://swift.example:443/v1/AUTH_x/c/o", true),
            (swift, "https://SWIFT.example/v1/AUTH_x/c/o", true),
            (swift, "https://swift.example/v1/AUTH_other/c/o?multipart-manifest=get", true),
            (swift, "https://swift.example/v1/AUTH_x/c/a%20b%C3%A4%25", true),
            (swift, "https://swift.example/v1/AUTH_x/c/a%2Fb", true),
            (swift, "https://swift.example/v1/AUTH_x/c/a//b..c/...", true),
            (swift, "https://swift.example/v1", true),
            ("https://swift.example:443/v1/AUTH_x/", "https://swift.example/v1/AUTH_x", true),
            ("http://swift.example:80/v1/AUTH_x", "http://swift.example/v1/AUTH_x/c", true),
            ("http://host/swift/v1", "http://host/swift/v1/c/o", true),
            ("http://host/swift/v1", "http://host/v1/c/o", false),
            ("http://host/v1/v1", "http://host/v1/AUTH_x/c", false),
            ("http://host/store", "http://host/store/AUTH_x/c", true),
            ("http://host/store/AUTH_x", "http://host/store/AUTH_y/c", false),
            ("http://host:9292", "http://host:9292/v2/images/x/file", true),
            ("http://host:9292/v2.15", "http://host:9292/v2.15/images", true),
            ("http://host:9292/v2.15", "http://host:9292/v2/images", false),
            ("http://host/vx/AUTH_x", "http://host/vx/AUTH_y", false),
            (swift, "http://swift.example/v1/AUTH_x/c/o", false),
            (swift, "http://swift.example:443/v1/AUTH_x/c/o", false),
            (swift, "https://swift.example:8443/v1/AUTH_x/c/o", false),
            (swift, "https://evil.example/v1/AUTH_x/c/o", false),
            (swift, "https://swift.example.evil.example/v1/AUTH_x", false),
            (swift, "https://swift.example./v1/AUTH_x", false),
            (swift, "https://evil.example\\swift.example/v1/AUTH_x", false),
            (swift, "https://swift.example@evil.example/v1/AUTH_x", false),
            (swift, "https://user@swift.example/v1/AUTH_x", false),
            (swift, "https://user:key@swift.example/v1/AUTH_x", false),
            (swift, "https://swift.example/v10/AUTH_x", false),
            (swift, "https://swift.example/v1.0/AUTH_x", false),
            (swift, "https://swift.example/V1/AUTH_x", false),
            (swift, "https://swift.example/", false),
            (swift, "https://swift.example//v1/AUTH_x", false),
            (swift, "https://swift.example/x/v1/AUTH_x", false),
            (swift, "https://swift.example/v1/../x", false),
            (swift, "https://swift.example/v1/%2e%2e/x", false),
            (swift, "https://swift.example/v1/..%2fx", false),
            (swift, "https://swift.example/v1/AUTH_x%2f..%2f..%2fx", false),
            (swift, "https://swift.example/v1/%252e%252e/x", false),
            (swift, "https://swift.example/v1/%25252e%25252e/x", false),
            (swift, "https://swift.example/v1/a%2525252520b", false),
            (swift, "https://swift.example/v1/..%5cx", false),
            (swift, "https://swift.example/v1\\..\\x", false),
            (swift, "https://swift.example/%76%31/AUTH_x", false),
            (swift, "https://swift.example/v1%2fAUTH_x", false),
            (swift, "https://swift.example/v1/AUTH_x/%00", false),
            (swift, "https://swift.example/v1/AUTH_x/%0d%0aX:%20y", false),
            (swift, "ftp://swift.example/v1/AUTH_x", false),
            (swift, "data:x", false),
        ] {
            let url: Url = url.parse().unwrap();
            assert_eq!(covers(&parse(endpoint).unwrap(), &url), expected, "{endpoint} {url}");
        }
    }

    proptest! {
        #[test]
        fn whatever_passes_is_of_the_same_origin_and_root(
            text in "(https?://[a-z@:./\\\\%]{0,12})?[/v1.%2eEfF5cC\\\\?#]{0,24}",
        ) {
            let endpoint = parse("https://host/a/v1/AUTH_x").unwrap();
            for text in [text.clone(), format!("https://host/a/v1{text}")] {
                let Ok(url) = text.parse::<Url>() else { continue };
                if covers(&endpoint, &url) {
                    prop_assert_eq!((url.scheme(), url.host_str(), url.port()), ("https", Some("host"), None));
                    prop_assert!(url.path() == "/a/v1" || url.path().starts_with("/a/v1/"));
                    prop_assert!(!url.path().to_ascii_lowercase().contains("%2e%2e"));
                }
            }
        }

        #[test]
        fn any_text_is_an_endpoint_or_none(text: String) {
            if let Some(url) = parse(&text) {
                prop_assert!(covers(&url, &url));
            }
        }
    }
}
