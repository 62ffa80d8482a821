//! The URL that a login is asked for at.

use landfall_handler_api::{Error, ErrorKind, Result};
use landfall_handler_http::Url;

use crate::endpoint::plain;
use crate::refusal::bad_login;

/// What follows Keystone's versioned URL (Identity API v3, "Authentication and token management").
const TOKENS: &str = "/auth/tokens";

/// Where tokens are made, of an `auth_url` with or without its `/v3`.
pub(crate) fn keystone(auth_url: Option<&str>) -> Result<Url> {
    let mut url = parse(auth_url)?;
    let path = url.path().trim_end_matches('/');
    let path = match path.rsplit('/').next() {
        Some("v2.0" | "v2") => {
            let message = "auth_url is that of Keystone's version 2.0; only version 3 is spoken";
            return Err(Error::new(ErrorKind::Invalid, "keystone-v2", message));
        }
        Some("v3") => format!("{path}{TOKENS}"),
        _ => format!("{path}/v3{TOKENS}"),
    };
    url.set_path(&path);
    Ok(url)
}

/// Where Swift's v1 login is asked for: the URL as it is.
pub(crate) fn swift_v1(auth_url: Option<&str>) -> Result<Url> {
    parse(auth_url)
}

fn parse(auth_url: Option<&str>) -> Result<Url> {
    let text = auth_url.filter(|text| !text.is_empty()).ok_or_else(|| bad_login("the login has no auth_url"))?;
    plain(text).ok_or_else(|| {
        let message = "auth_url is no http:// or https:// URL without a user, a query and a fragment";
        Error::new(ErrorKind::Invalid, "bad-auth-url", message)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keystone_is_found_by_each_way_to_write_it() {
        for (text, expected) in [
            ("http://host:5000", Ok("http://host:5000/v3/auth/tokens")),
            ("http://host:5000/", Ok("http://host:5000/v3/auth/tokens")),
            ("http://host:5000/v3", Ok("http://host:5000/v3/auth/tokens")),
            ("http://host:5000/v3//", Ok("http://host:5000/v3/auth/tokens")),
            ("https://host/identity", Ok("https://host/identity/v3/auth/tokens")),
            ("https://host/identity/v3/", Ok("https://host/identity/v3/auth/tokens")),
            ("https://host/v30", Ok("https://host/v30/v3/auth/tokens")),
            ("http://host:5000/v2.0", Err("keystone-v2")),
            ("http://host:5000/v2.0/", Err("keystone-v2")),
            ("https://host/identity/v2", Err("keystone-v2")),
            ("", Err("bad-login")),
            ("host:5000", Err("bad-auth-url")),
            ("ftp://host", Err("bad-auth-url")),
            ("http://CANARY@host", Err("bad-auth-url")),
            ("http://u:CANARY@host", Err("bad-auth-url")),
            ("http://host/v3?x=CANARY", Err("bad-auth-url")),
            ("http://host/v3#CANARY", Err("bad-auth-url")),
            ("http://host/ CANARY", Err("bad-auth-url")),
        ] {
            let found = keystone(Some(text));
            if let Err(error) = &found {
                assert_eq!(error.kind(), ErrorKind::Invalid);
                assert!(!error.message().contains("CANARY"));
            }
            assert_eq!(found.as_ref().map(Url::as_str).map_err(Error::code), expected, "{text:?}");
        }
        assert_eq!(keystone(None).unwrap_err().code(), "bad-login");
    }

    #[test]
    fn swift_is_asked_where_it_says() {
        assert_eq!(swift_v1(Some("http://host/auth/v1.0")).unwrap().as_str(), "http://host/auth/v1.0");
        assert_eq!(swift_v1(Some("http://host/auth/v1.0?a")).unwrap_err().code(), "bad-auth-url");
    }
}
