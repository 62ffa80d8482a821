//! What is wrong with a login, told without what it holds.

use landfall_handler_api::{Error, ErrorKind, Scope};
use landfall_handler_http::StatusCode;
use landfall_handler_http::header::HeaderMap;

/// Sent with a 401 where another factor is wanted (Keystone's API, "Multi-Factor Authentication").
const RECEIPT: &str = "openstack-auth-receipt";
/// Characters of a name that a message shows.
const SHOWN: usize = 64;

/// Who is asked for a token.
#[derive(Clone, Copy)]
pub(crate) enum Asked {
    Keystone,
    SwiftV1,
}

impl Asked {
    fn name(self) -> &'static str {
        match self {
            Self::Keystone => "Keystone",
            Self::SwiftV1 => "Swift's login",
        }
    }

    fn error(self, kind: ErrorKind, what: &str, message: &str) -> Error {
        let prefix = match self {
            Self::Keystone => "keystone",
            Self::SwiftV1 => "swift-auth",
        };
        Error::new(kind, format!("{prefix}-{what}"), format!("{} {message}", self.name())).scoped(Scope::Location)
    }

    /// Of an answer that no token can be taken from; `what` says what is wrong with it.
    pub(crate) fn bad_answer(self, what: &str) -> Error {
        self.error(ErrorKind::Corrupt, "bad-answer", &format!("answered {what}"))
    }

    /// Of a 401 or 404 to a login by a token: so Keystone answers where the token is unknown, or has expired.
    pub(crate) fn unknown_token(self, status: StatusCode) -> Error {
        let message =
            format!("{} does not know the token, or is not where auth_url says ({})", self.name(), status.as_u16());
        Error::new(ErrorKind::Denied, "token-expired", message).scoped(Scope::Location)
    }

    /// Of a status that gives no token.
    pub(crate) fn refused(self, status: StatusCode, headers: &HeaderMap) -> Error {
        let number = status.as_u16();
        match number {
            401 if headers.contains_key(RECEIPT) => {
                let message = "wants another factor besides this login, which nobody is here to give";
                self.error(ErrorKind::Unsupported, "mfa", message)
            }
            401 => self.error(ErrorKind::Denied, "denied", "does not take this login (401)"),
            403 => self.error(ErrorKind::Denied, "forbidden", "forbids this login (403)"),
            407 => self.unreached(landfall_handler_http::refused(status, headers)),
            301 | 302 | 303 | 307 | 308 => {
                let message =
                    format!("answers with a redirect ({number}), which a login does not follow; see auth_url");
                self.error(ErrorKind::Invalid, "redirect", &message)
            }
            408 | 425 | 429 | 500..=599 => {
                let error = self.error(ErrorKind::Unavailable, "unavailable", &format!("answered with {number}"));
                match landfall_handler_http::refused(status, headers).retry_after() {
                    Some(pause) => error.retried_after(pause),
                    None => error,
                }
            }
            300 | 400..=499 => {
                let message = format!("cannot make anything of the login ({number}); see auth_url and scope");
                self.error(ErrorKind::Invalid, "refused", &message)
            }
            _ => self.bad_answer(&format!("with {number}, which answers no login")),
        }
    }

    /// Of no answer at all.
    pub(crate) fn unreached(self, error: Error) -> Error {
        let error = error.context(format_args!("ask {} for a token", self.name()));
        match error.kind() {
            ErrorKind::Unsupported => error.scoped(Scope::Location),
            _ => error,
        }
    }
}

/// A cloud's entry that nobody can log in by.
pub(crate) fn bad_login(what: impl Into<String>) -> Error {
    Error::new(ErrorKind::Invalid, "bad-login", what)
}

/// A name as a message may have it: short, and of characters that print.
pub(crate) fn shown(name: &str) -> String {
    let mut shown: String =
        name.chars().take(SHOWN).map(|c| if c.is_ascii_graphic() || c == ' ' { c } else { '?' }).collect();
    if name.chars().nth(SHOWN).is_some() {
        shown.push_str("...");
    }
    shown
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use landfall_handler_http::header::{HeaderValue, RETRY_AFTER};

    use super::*;

    #[test]
    fn every_status_has_its_name_and_rules_out_no_more_than_the_location() {
        for (number, kind, what) in [
            (400, ErrorKind::Invalid, "refused"),
            (401, ErrorKind::Denied, "denied"),
            (403, ErrorKind::Denied, "forbidden"),
            (404, ErrorKind::Invalid, "refused"),
            (410, ErrorKind::Invalid, "refused"),
            (408, ErrorKind::Unavailable, "unavailable"),
            (429, ErrorKind::Unavailable, "unavailable"),
            (500, ErrorKind::Unavailable, "unavailable"),
            (503, ErrorKind::Unavailable, "unavailable"),
            (300, ErrorKind::Invalid, "refused"),
            (301, ErrorKind::Invalid, "redirect"),
            (302, ErrorKind::Invalid, "redirect"),
            (307, ErrorKind::Invalid, "redirect"),
            (308, ErrorKind::Invalid, "redirect"),
            (202, ErrorKind::Corrupt, "bad-answer"),
            (304, ErrorKind::Corrupt, "bad-answer"),
            (999, ErrorKind::Corrupt, "bad-answer"),
        ] {
            let status = StatusCode::from_u16(number).unwrap();
            for (asked, prefix) in [(Asked::Keystone, "keystone"), (Asked::SwiftV1, "swift-auth")] {
                let error = asked.refused(status, &HeaderMap::new());
                assert_eq!((error.kind(), error.code()), (kind, &*format!("{prefix}-{what}")), "{number}");
                assert_eq!(error.scope(), Scope::Location, "{number}");
                assert!(error.code().len() <= Error::CODE_MAX);
            }
        }
        let proxy = Asked::Keystone.refused(StatusCode::PROXY_AUTHENTICATION_REQUIRED, &HeaderMap::new());
        assert_eq!((proxy.kind(), proxy.code()), (ErrorKind::Denied, "http-407"));
    }

    #[test]
    fn a_second_factor_and_a_pause_are_read_from_the_headers() {
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, HeaderValue::from_static("7"));
        headers.insert(RECEIPT, HeaderValue::from_static("CANARY"));
        let error = Asked::Keystone.refused(StatusCode::UNAUTHORIZED, &headers);
        assert_eq!((error.kind(), error.code()), (ErrorKind::Unsupported, "keystone-mfa"));
        assert_eq!(error.scope(), Scope::Location);
        assert!(!error.message().contains("CANARY"));
        for (status, expected) in [
            (StatusCode::SERVICE_UNAVAILABLE, Some(Duration::from_secs(7))),
            (StatusCode::TOO_MANY_REQUESTS, Some(Duration::from_secs(7))),
            (StatusCode::FORBIDDEN, None),
        ] {
            assert_eq!(Asked::Keystone.refused(status, &headers).retry_after(), expected);
        }
    }

    #[test]
    fn what_was_not_reached_keeps_its_name() {
        let handler = Error::new(ErrorKind::Unsupported, "tls-no-trust", "no certificates");
        let error = Asked::Keystone.unreached(handler);
        assert_eq!((error.code(), error.scope()), ("tls-no-trust", Scope::Location));
        assert!(error.message().contains("Keystone"));
        let cancelled = Asked::Keystone.unreached(Error::cancelled());
        assert_eq!((cancelled.kind(), cancelled.scope()), (ErrorKind::Cancelled, Scope::Request));
    }

    #[test]
    fn names_are_shown_short_and_plain() {
        assert_eq!(shown("Region One"), "Region One");
        assert_eq!(shown("a\n\u{1b}é"), "a???");
        assert_eq!(shown(&"x".repeat(65)), "x".repeat(64) + "...");
        assert_eq!(shown(&"x".repeat(64)), "x".repeat(64));
    }
}
