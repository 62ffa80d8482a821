//! What is to be read: a URL, and what is sent along to it.

use std::sync::Arc;

use landfall_handler_api::{Error, ErrorKind, Result};
use reqwest::Url;
use reqwest::header::HeaderMap;

use crate::login::Login;

/// A URL to be read, with the headers that only its own server may see.
///
/// Not `Debug`: both may hold secrets.
#[derive(Clone)]
pub struct Resource {
    /// `http` or `https`. A user and password in it are sent as `Authorization: Basic`.
    pub url: Url,
    /// Sent with every request to the URL's own origin, and to no other.
    pub headers: HeaderMap,
    /// Whether the calling person named this very URL; its host may then be any address.
    pub named_by_caller: bool,
    /// Who knows headers that expire.
    pub login: Option<Arc<dyn Login>>,
    /// Whether an answer that has its bytes from another path of the server (`Content-Location`) is refused, as
    /// `content-elsewhere`: the server would follow a link that somebody else made, with the rights of whoever asks.
    pub stays: bool,
    /// Whether the server compares ETags that have no quotes around them, as Swift does.
    pub bare_etags: bool,
}

impl Resource {
    /// Of a URL as a record or a person writes it.
    pub fn parse(text: &str, named_by_caller: bool) -> Result<Self> {
        let scheme = text.split_once("://").map(|(scheme, _)| scheme);
        if !scheme.is_some_and(|scheme| ["http", "https"].iter().any(|ours| scheme.eq_ignore_ascii_case(ours))) {
            return Err(Error::new(ErrorKind::Unsupported, "other-scheme", "the URL is neither http:// nor https://"));
        }
        // The parser would mend these, and others who read the same URL would not.
        if text.contains(|c: char| c.is_whitespace() || c.is_control() || c == '\\') {
            return Err(bad_url("has white space, control characters or a backslash in it"));
        }
        let after = text.split_once("://").map_or("", |(_, after)| after);
        if after.starts_with(['/', '?', '#']) {
            return Err(bad_url("has no host"));
        }
        let mut url = Url::parse(text).map_err(|error| bad_url(&format!("cannot be read: {error}")))?;
        url.set_fragment(None);
        Ok(Self { url, headers: HeaderMap::new(), named_by_caller, login: None, stays: false, bare_etags: false })
    }
}

/// A URL that cannot be right; what it is stays unsaid.
pub(crate) fn bad_url(what: &str) -> Error {
    Error::new(ErrorKind::Invalid, "bad-url", format!("the URL {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_urls_are_read() {
        for (text, expected) in [
            ("http://host/x", Ok("http://host/x")),
            ("HTTPS://HOST:443/x?a=b#c", Ok("https://host/x?a=b")),
            ("http://2130706433/", Ok("http://127.0.0.1/")),
            ("http://0x7f.1", Ok("http://127.0.0.1/")),
            ("http://[::ffff:127.0.0.1]/", Ok("http://[::ffff:7f00:1]/")),
            ("ftp://host/x", Err("other-scheme")),
            ("file:///x", Err("other-scheme")),
            ("http:/host/x", Err("other-scheme")),
            ("/x", Err("other-scheme")),
            ("http://host/a b", Err("bad-url")),
            (" http://host/", Err("other-scheme")),
            ("http://host/\u{7f}", Err("bad-url")),
            ("http://ho\tst/", Err("bad-url")),
            ("http://host\\@other/", Err("bad-url")),
            ("http://", Err("bad-url")),
            ("http:///host/x", Err("bad-url")),
            ("http://?host", Err("bad-url")),
            ("http://host:99999/", Err("bad-url")),
            ("http://[::1", Err("bad-url")),
        ] {
            let resource = Resource::parse(text, false);
            let found = resource.as_ref().map(|resource| resource.url.as_str()).map_err(|error| error.code());
            assert_eq!(found, expected, "{text:?}");
        }
    }
}
