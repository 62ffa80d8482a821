//! What a login gave: a token, and where the services are.

use std::time::{Duration, Instant};

use landfall_handler_api::Result;
use landfall_handler_http::Url;
use landfall_handler_http::header::{HeaderMap, HeaderName, HeaderValue};

use crate::endpoints::Endpoints;

/// The header of a token, for Keystone's services and for Swift.
pub(crate) const TOKEN_HEADER: HeaderName = HeaderName::from_static("x-auth-token");
/// Bytes of a token; servers take fewer in a header.
const TOKEN_MAX: usize = 16 << 10;
/// A token is renewed so long before it expires, or a tenth of its life where that is less.
const MARGIN: Duration = Duration::from_secs(30);

/// A login that was made.
///
/// Not `Debug`: it has a token.
pub struct Session {
    token: Option<HeaderValue>,
    endpoints: Endpoints,
    /// `None`: never.
    renew_at: Option<Instant>,
}

impl Session {
    /// Of a token that was asked for at `asked`, and lives for `life` since.
    pub(crate) fn new(
        token: Option<HeaderValue>,
        endpoints: Endpoints,
        asked: Instant,
        life: Option<Duration>,
    ) -> Self {
        let renew_at = life.and_then(|life| asked.checked_add(used_for(life)));
        Self { token, endpoints, renew_at }
    }

    /// The endpoint of a type of service (`image`, `object-store`): the one that the cloud's entry sets, else the
    /// catalog's, by region and interface; of Swift's v1 login the storage URL. Of several that fit, the first.
    ///
    /// It is `http` or `https`, and has neither user nor query. Its path does not end with a slash, unless it is
    /// nothing but one; `path_segments_mut` with `pop_if_empty` appends to either. It deserves as much trust as the
    /// cloud ([`Identity::is_trusted`](crate::Identity::is_trusted)): where a record named that, check its address.
    ///
    /// Fails with `no-endpoint` (`invalid`: region, interface or login do not fit the cloud), or with `bad-endpoint`
    /// where it is no such URL.
    pub fn endpoint(&self, service: &str) -> Result<Url> {
        self.endpoints.find(service)
    }

    /// Whether the token may be shown at `url`: it lies beneath an endpoint of this type of service, of any interface
    /// and region. Same scheme, host, port, and the endpoint's path up to its last `/v1/` or version; an account in it
    /// may differ. A path with `.` or `..` in it, however encoded, and one with control characters, is beneath nothing.
    pub fn may_see(&self, service: &str, url: &Url) -> bool {
        self.endpoints.cover(Some(service), url)
    }

    /// [`Session::may_see`] for services of any type.
    pub(crate) fn may_be_seen_by(&self, url: &Url) -> bool {
        self.endpoints.cover(None, url)
    }

    /// `X-Auth-Token`, where there is a token.
    pub fn headers(&self) -> HeaderMap {
        self.token.iter().map(|token| (TOKEN_HEADER, token.clone())).collect()
    }

    /// Whether these headers have this session's token.
    pub fn has_shown(&self, headers: &HeaderMap) -> bool {
        self.token.as_ref().is_some_and(|token| headers.get(TOKEN_HEADER) == Some(token))
    }

    /// Whether there is a token at all.
    pub(crate) fn has_token(&self) -> bool {
        self.token.is_some()
    }

    /// Whether both have the same token.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        self.token == other.token
    }

    /// Whether the token has a while to live.
    pub(crate) fn is_fresh(&self) -> bool {
        self.renew_at.is_none_or(|at| Instant::now() < at)
    }
}

/// How long a token of this life is used.
fn used_for(life: Duration) -> Duration {
    life.saturating_sub(MARGIN.min(life / 10))
}

/// A token as a header has it; `None` where it is too long, or no token.
pub(crate) fn token(bytes: &[u8]) -> Option<HeaderValue> {
    if bytes.is_empty() || bytes.len() > TOKEN_MAX || !bytes.iter().all(u8::is_ascii_graphic) {
        return None;
    }
    let mut token = HeaderValue::from_bytes(bytes).ok()?;
    token.set_sensitive(true);
    Some(token)
}

#[cfg(test)]
mod tests {
    use landfall_handler_api::Cloud;

    use super::*;

    fn session(text: &str, life: Option<Duration>) -> Session {
        Session::new(token(text.as_bytes()), Endpoints::new(&Cloud::default(), Vec::new()), Instant::now(), life)
    }

    #[test]
    fn a_token_is_renewed_a_while_before_it_expires() {
        for (life, expected) in [(3600, 3570), (300, 270), (100, 90), (10, 9), (0, 0)] {
            assert_eq!(used_for(Duration::from_secs(life)), Duration::from_secs(expected));
        }
        assert!(session("x", None).is_fresh());
        assert!(session("x", Some(Duration::from_secs(3600))).is_fresh());
        assert!(session("x", Some(Duration::MAX)).is_fresh());
        assert!(!session("x", Some(Duration::ZERO)).is_fresh());
    }

    #[test]
    fn only_tokens_are_tokens_and_they_do_not_show() {
        for text in ["", "a b", "a\nb", "\u{e9}", "a\0"] {
            assert!(token(text.as_bytes()).is_none(), "{text:?}");
        }
        assert!(token("x".repeat(TOKEN_MAX + 1).as_bytes()).is_none());
        assert!(token("x".repeat(TOKEN_MAX).as_bytes()).is_some());
        let canary = session("gAAAA-CANARY_=", None);
        assert_eq!(canary.headers()[TOKEN_HEADER], "gAAAA-CANARY_=");
        assert!(!format!("{:?}", canary.headers()).contains("CANARY"));
    }

    #[test]
    fn a_session_knows_its_own_token() {
        let (one, other, none) = (session("one", None), session("other", None), session("", None));
        assert!(one.has_shown(&one.headers()) && one.is_same(&session("one", None)));
        assert!(!one.has_shown(&other.headers()) && !one.is_same(&other));
        assert!(none.headers().is_empty() && !none.has_shown(&none.headers()) && !none.has_token());
    }
}
