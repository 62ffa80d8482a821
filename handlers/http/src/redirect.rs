//! Where a redirect leads, and whether anybody should go there. What addresses it leads to is asked elsewhere.

use landfall_handler_api::{Error, ErrorKind, Result};
use reqwest::header::{HeaderMap, LOCATION};
use reqwest::{StatusCode, Url};

const LOCATION_MAX: usize = 8 << 10;

/// Whether an answer sends its reader elsewhere.
pub(crate) fn is_redirect(status: StatusCode) -> bool {
    matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
}

/// The URL that a redirect from `current` leads to.
pub(crate) fn target(current: &Url, headers: &HeaderMap) -> Result<Url> {
    let mut locations = headers.get_all(LOCATION).iter();
    let (Some(location), None) = (locations.next(), locations.next()) else {
        return Err(refused("does not say where to, or says it several times"));
    };
    if location.len() > LOCATION_MAX {
        return Err(refused(&format!("has a Location of more than {LOCATION_MAX} bytes")));
    }
    let location = std::str::from_utf8(location.as_bytes()).map_err(|_| refused("has a Location that is no text"))?;
    let mut next = current.join(location).map_err(|_| refused("has a Location that is no URL"))?;
    next.set_fragment(None);
    if !matches!(next.scheme(), "http" | "https") {
        return Err(refused(&format!("leads to a URL of scheme {:?}", next.scheme())));
    }
    if current.scheme() == "https" && next.scheme() == "http" {
        return Err(refused("leads from https to http"));
    }
    if !next.username().is_empty() || next.password().is_some() {
        return Err(refused("brings credentials of its own"));
    }
    Ok(next)
}

/// A redirect that is not followed. Nothing of its URL but scheme and host is ever said: the rest may be a signature.
pub(crate) fn refused(what: &str) -> Error {
    Error::new(ErrorKind::Denied, "redirect-refused", format!("the server's redirect {what}"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use reqwest::header::HeaderValue;

    use super::*;

    fn next(current: &str, location: &[u8]) -> Result<Url> {
        let mut headers = HeaderMap::new();
        headers.insert(LOCATION, HeaderValue::from_bytes(location).unwrap());
        target(&Url::parse(current).unwrap(), &headers)
    }

    #[test]
    fn locations_are_joined() {
        for (current, location, expected) in [
            ("http://a/x/y", "z", "http://a/x/z"),
            ("http://a/x/y", "/z#f", "http://a/z"),
            ("http://a/x/y", "?q=1", "http://a/x/y?q=1"),
            ("http://a/x", "//b/y", "http://b/y"),
            ("https://a/x", "//b/y", "https://b/y"),
            ("http://a/x", "https://b/y", "https://b/y"),
            ("http://a/x", "HTTP://B:80/y", "http://b/y"),
            ("http://a/x", "http://017700000001/", "http://127.0.0.1/"),
            ("http://a/x", "", "http://a/x"),
        ] {
            assert_eq!(next(current, location.as_bytes()).unwrap().as_str(), expected, "{location}");
        }
    }

    #[test]
    fn where_nobody_should_go() {
        let long = format!("http://b/{}", "x".repeat(LOCATION_MAX));
        for (current, location) in [
            ("https://a/x", "http://a/x"),
            ("http://a/x", "file:///etc/passwd"),
            ("http://a/x", "gopher://b/"),
            ("http://a/x", "javascript:alert(1)"),
            ("http://a/x", "http://user@b/"),
            ("http://a/x", "http://user:secret@b/"),
            ("http://a/x", "http://:secret@b/"),
            ("http://a/x", "http://[::1"),
            ("http://a/x", "http://b:99999/"),
            ("http://a/x", long.as_str()),
        ] {
            let error = next(current, location.as_bytes()).unwrap_err();
            assert_eq!((error.kind(), error.code()), (ErrorKind::Denied, "redirect-refused"), "{location}");
            assert!(!error.message().contains("secret"), "{error}");
        }
        assert_eq!(next("http://a/x", b"http://b/\xff").unwrap_err().code(), "redirect-refused");
        let nothing = target(&Url::parse("http://a/x").unwrap(), &HeaderMap::new());
        assert_eq!(nothing.unwrap_err().code(), "redirect-refused");
        let mut twice = HeaderMap::new();
        twice.append(LOCATION, HeaderValue::from_static("/a"));
        twice.append(LOCATION, HeaderValue::from_static("/b"));
        assert_eq!(target(&Url::parse("http://a/x").unwrap(), &twice).unwrap_err().code(), "redirect-refused");
    }

    proptest! {
        #[test]
        fn any_location_is_joined_or_refused(location in "[ -~]*") {
            if let Ok(next) = next("https://a/x", location.as_bytes()) {
                prop_assert_eq!(next.scheme(), "https");
                prop_assert!(next.username().is_empty() && next.password().is_none());
            }
        }
    }
}
