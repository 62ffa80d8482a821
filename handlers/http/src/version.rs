//! Which version of the bytes an answer is of: told at the first answer, held against every other.

use landfall_handler_api::{Error, ErrorKind, Result};
use reqwest::header::{ETAG, HeaderMap, HeaderValue, IF_MATCH, IF_UNMODIFIED_SINCE, LAST_MODIFIED};

/// A longer one is no name of a version; it would be sent with every request.
const VALUE_MAX: usize = 1024;

/// The validators of the first answer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Version {
    etag: Option<HeaderValue>,
    modified: Option<HeaderValue>,
    /// What the server compares with its ETag, in quotes, which the ETag lacks.
    quoted: Option<HeaderValue>,
}

impl Version {
    /// Of the first answer.
    pub(crate) fn of(headers: &HeaderMap) -> Result<Self> {
        let (etag, modified) = (headers.get(ETAG).cloned(), headers.get(LAST_MODIFIED).cloned());
        let version = Self { etag, modified, quoted: None };
        if [&version.etag, &version.modified].into_iter().flatten().any(|value| value.len() > VALUE_MAX) {
            let message = format!("the server sent an ETag or Last-Modified of more than {VALUE_MAX} bytes");
            return Err(Error::new(ErrorKind::Corrupt, "bad-response", message));
        }
        Ok(version)
    }

    /// One that is known by its ETag before anything was asked.
    pub(crate) fn known(etag: &str) -> Result<Self> {
        let etag = HeaderValue::from_str(etag).ok().filter(|etag| !etag.is_empty() && etag.len() <= VALUE_MAX);
        let etag = etag.ok_or_else(|| Error::new(ErrorKind::Corrupt, "bad-etag", "an ETag that is none"))?;
        Ok(Self { etag: Some(etag), modified: None, quoted: None })
    }

    /// The same, of a server that compares ETags without quotes.
    pub(crate) fn with_bare_etag(mut self) -> Self {
        let bare =
            self.etag.as_ref().and_then(|etag| etag.to_str().ok()).filter(|etag| !etag.contains(['"', ',', ' ']));
        self.quoted = bare.and_then(|etag| HeaderValue::from_str(&format!("\"{etag}\"")).ok());
        self
    }

    /// Makes a later request one for this version only.
    pub(crate) fn require(&self, headers: &mut HeaderMap) {
        if let Some(quoted) = &self.quoted {
            headers.insert(IF_MATCH, quoted.clone());
        } else if let Some(etag) = self.etag.as_ref().filter(|etag| is_strong(etag)) {
            headers.insert(IF_MATCH, etag.clone());
        } else if let Some(modified) = &self.modified {
            headers.insert(IF_UNMODIFIED_SINCE, modified.clone());
        }
    }

    /// Fails unless a later answer is of this version. Of a server whose ETags are bare it does not matter if one is quoted:
    /// Swift quotes those of large objects alone, and lists all of them without.
    pub(crate) fn check(&self, headers: &HeaderMap) -> Result<()> {
        let same = match (&self.etag, &self.modified) {
            (Some(etag), _) => {
                let found = headers.get(ETAG);
                found == Some(etag) || (self.quoted.is_some() && found == self.quoted.as_ref())
            }
            (None, Some(modified)) => headers.get(LAST_MODIFIED) == Some(modified),
            (None, None) => true,
        };
        if same { Ok(()) } else { Err(changed("the server's ETag or Last-Modified is another than at first")) }
    }

    /// One text for the host to compare, when the server told a version.
    pub(crate) fn text(&self) -> Option<String> {
        let (kind, value) = match (&self.etag, &self.modified) {
            (Some(etag), _) => ("etag", etag),
            (None, Some(modified)) => ("modified", modified),
            (None, None) => return None,
        };
        Some(format!("{kind}:{}", value.as_bytes().escape_ascii()))
    }
}

/// Whether a server compares it byte by byte, so that `If-Match` can hold.
fn is_strong(etag: &HeaderValue) -> bool {
    matches!(etag.as_bytes(), [b'"', opaque @ .., b'"'] if !opaque.contains(&b'"'))
}

/// "The server has other bytes now."
pub(crate) fn changed(how: &str) -> Error {
    Error::new(ErrorKind::Corrupt, "source-changed", format!("the image was changed while it was read: {how}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(etag: Option<&'static str>, modified: Option<&'static str>) -> HeaderMap {
        let mut headers = HeaderMap::new();
        etag.map(|value| headers.insert(ETAG, HeaderValue::from_static(value)));
        modified.map(|value| headers.insert(LAST_MODIFIED, HeaderValue::from_static(value)));
        headers
    }

    fn conditions(etag: Option<&'static str>, modified: Option<&'static str>) -> (bool, bool) {
        let mut conditions = HeaderMap::new();
        Version::of(&headers(etag, modified)).unwrap().require(&mut conditions);
        (conditions.contains_key(IF_MATCH), conditions.contains_key(IF_UNMODIFIED_SINCE))
    }

    #[test]
    fn the_strongest_condition_is_sent() {
        assert_eq!(conditions(Some("\"a\""), Some("date")), (true, false));
        assert_eq!(conditions(Some("W/\"a\""), Some("date")), (false, true));
        assert_eq!(conditions(Some("unquoted"), None), (false, false));
        assert_eq!(conditions(Some("\"a\", \"b\""), None), (false, false));
        assert_eq!(conditions(None, Some("date")), (false, true));
        assert_eq!(conditions(None, None), (false, false));
    }

    #[test]
    fn another_version_is_found_out() {
        for (first, later, same) in [
            ((Some("\"a\""), None), (Some("\"a\""), None), true),
            ((Some("\"a\""), None), (Some("\"b\""), None), false),
            ((Some("\"a\""), None), (None, None), false),
            ((Some("\"a\""), None), (Some("W/\"a\""), None), false),
            ((Some("W/\"a\""), None), (Some("W/\"a\""), None), true),
            ((Some("W/\"a\""), None), (Some("W/\"b\""), None), false),
            ((Some("\"a\""), Some("x")), (Some("\"a\""), Some("y")), true),
            ((None, Some("x")), (None, Some("x")), true),
            ((None, Some("x")), (None, Some("y")), false),
            ((None, Some("x")), (None, None), false),
            ((None, None), (Some("\"a\""), Some("x")), true),
        ] {
            let version = Version::of(&headers(first.0, first.1)).unwrap();
            let outcome = version.check(&headers(later.0, later.1));
            assert_eq!(outcome.is_ok(), same, "{first:?} {later:?}");
            assert!(outcome.err().is_none_or(|error| error.code() == "source-changed"));
        }
    }

    #[test]
    fn quotes_do_not_matter_where_etags_are_bare() {
        let bare = Version::known("abc").unwrap().with_bare_etag();
        for (etag, same) in [("abc", true), ("\"abc\"", true), ("abd", false), ("\"abd\"", false), ("W/\"abc\"", false)]
        {
            assert_eq!(bare.check(&headers(Some(etag), None)).is_ok(), same, "{etag}");
        }
        let mut conditions = HeaderMap::new();
        bare.require(&mut conditions);
        assert_eq!(conditions.get(IF_MATCH).unwrap(), "\"abc\"");
        let plain = Version::known("abc").unwrap();
        assert!(plain.check(&headers(Some("\"abc\""), None)).is_err());
    }

    #[test]
    fn the_host_gets_a_text_of_what_can_be_seen() {
        let text = |etag, modified| Version::of(&headers(etag, modified)).unwrap().text();
        assert_eq!(text(Some("W/\"a\""), Some("x")).as_deref(), Some(r#"etag:W/\"a\""#));
        assert_eq!(text(None, Some("x")).as_deref(), Some("modified:x"));
        assert_eq!(text(None, None), None);
        let odd = Version { etag: Some(HeaderValue::from_bytes(b"\xff").unwrap()), modified: None, quoted: None };
        assert_eq!(odd.text().as_deref(), Some(r"etag:\xff"));
    }

    #[test]
    fn a_huge_version_is_refused() {
        let mut headers = HeaderMap::new();
        headers.insert(ETAG, HeaderValue::from_str(&"x".repeat(VALUE_MAX + 1)).unwrap());
        assert_eq!(Version::of(&headers).unwrap_err().code(), "bad-response");
    }
}
