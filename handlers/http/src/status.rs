//! What a status means to the host: try again, elsewhere, or not at all. The body of such an answer is never read.

use landfall_handler_api::{Error, ErrorKind, Scope};
use reqwest::StatusCode;
use reqwest::header::HeaderMap;

use crate::retry_after;

/// The error of an answer that is not what was asked for, by its status.
pub fn refused(status: StatusCode, headers: &HeaderMap) -> Error {
    let number = status.as_u16();
    let kind = match number {
        401 | 403 | 407 => ErrorKind::Denied,
        404 | 410 => ErrorKind::NotFound,
        408 | 425 | 429 => ErrorKind::Unavailable,
        501 | 505 => ErrorKind::Unsupported,
        400..=499 => ErrorKind::Invalid,
        500..=599 => ErrorKind::Unavailable,
        _ => {
            let message = format!("the server answered with {number}, which does not answer the question");
            return Error::new(ErrorKind::Corrupt, "bad-status", message);
        }
    };
    let reason = status.canonical_reason().unwrap_or("no known status").to_ascii_lowercase();
    let error = Error::new(kind, format!("http-{number}"), format!("the server answered with {number}, {reason}"))
        .scoped(Scope::Location);
    match retry_after::pause(headers) {
        Some(pause) if kind == ErrorKind::Unavailable => error.retried_after(pause),
        _ => error,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use reqwest::header::{HeaderValue, RETRY_AFTER};

    use super::*;

    #[test]
    fn every_status_has_its_kind() {
        for (number, kind, code) in [
            (401, ErrorKind::Denied, "http-401"),
            (403, ErrorKind::Denied, "http-403"),
            (407, ErrorKind::Denied, "http-407"),
            (404, ErrorKind::NotFound, "http-404"),
            (410, ErrorKind::NotFound, "http-410"),
            (408, ErrorKind::Unavailable, "http-408"),
            (425, ErrorKind::Unavailable, "http-425"),
            (429, ErrorKind::Unavailable, "http-429"),
            (500, ErrorKind::Unavailable, "http-500"),
            (503, ErrorKind::Unavailable, "http-503"),
            (599, ErrorKind::Unavailable, "http-599"),
            (501, ErrorKind::Unsupported, "http-501"),
            (505, ErrorKind::Unsupported, "http-505"),
            (400, ErrorKind::Invalid, "http-400"),
            (499, ErrorKind::Invalid, "http-499"),
            (204, ErrorKind::Corrupt, "bad-status"),
            (304, ErrorKind::Corrupt, "bad-status"),
            (600, ErrorKind::Corrupt, "bad-status"),
            (999, ErrorKind::Corrupt, "bad-status"),
        ] {
            let error = refused(StatusCode::from_u16(number).unwrap(), &HeaderMap::new());
            assert_eq!((error.kind(), error.code(), error.scope()), (kind, code, Scope::Location), "{number}");
        }
    }

    #[test]
    fn only_a_passing_fault_has_a_time_to_try_again() {
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, HeaderValue::from_static("9"));
        let pause = |status| refused(status, &headers).retry_after();
        assert_eq!(pause(StatusCode::SERVICE_UNAVAILABLE), Some(Duration::from_secs(9)));
        assert_eq!(pause(StatusCode::FORBIDDEN), None);
    }
}
