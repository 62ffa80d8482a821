//! What Glance's answers mean when they are not what was asked for.

use std::time::Duration;

use landfall_handler_api::{Error, ErrorKind, Scope};
use landfall_handler_http::StatusCode;

/// What Glance was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asked {
    /// An image's record.
    Record,
    /// Its locations.
    Locations,
    /// Its data.
    Data,
}

impl Asked {
    fn name(self) -> &'static str {
        match self {
            Self::Record => "the image's record",
            Self::Locations => "the image's locations",
            Self::Data => "the image's data",
        }
    }

    /// The error of a status. `cloud` is the login's name, `pause` that of `Retry-After`.
    pub(crate) fn refused(self, status: StatusCode, pause: Option<Duration>, cloud: &str) -> Error {
        let number = status.as_u16();
        let (kind, code, what) = match number {
            401 => (ErrorKind::Denied, "glance-denied", "it takes no token of this login".to_owned()),
            403 => (ErrorKind::Denied, "image-denied", "this login may not have it".to_owned()),
            404 | 410 => {
                (ErrorKind::NotFound, "image", "it has no such image, or none that this login may see".to_owned())
            }
            407 => (ErrorKind::Denied, "http-407", "the proxy on the way wants to be shown who asks".to_owned()),
            408 | 425 | 429 | 500..=599 => {
                (ErrorKind::Unavailable, "glance-unavailable", format!("it answered with {number}"))
            }
            _ => (ErrorKind::Invalid, "glance-refused", format!("it answered with {number}")),
        };
        let error = self.about(Error::new(kind, code, what), cloud);
        match pause {
            Some(pause) if kind == ErrorKind::Unavailable => error.retried_after(pause),
            _ => error,
        }
    }

    /// "The answer is not one."
    pub(crate) fn bad_answer(self, what: &str, cloud: &str) -> Error {
        self.about(Error::new(ErrorKind::Corrupt, "glance-bad-answer", format!("it answered with {what}")), cloud)
    }

    /// A failure of the HTTP layer: a status that it refused has Glance's code for it, and what failed on the way keeps
    /// kind and code.
    pub(crate) fn failed(self, error: Error, cloud: &str) -> Error {
        let status = error.code().strip_prefix("http-").and_then(|number| number.parse::<u16>().ok());
        if let Some(status) = status.and_then(|number| StatusCode::from_u16(number).ok()) {
            return self.refused(status, error.retry_after(), cloud);
        }
        // Of the statuses that are no refusal, Glance uses 204 alone: its store has lost the bytes.
        if self == Self::Data && error.code() == "bad-status" {
            let message = format!("it has none to give: {}", error.message());
            return self.about(Error::new(ErrorKind::NotFound, "image-data", message), cloud);
        }
        self.about(error, cloud)
    }

    /// A record that this login may not have, or that is none, is not to be had by other attempts either.
    fn about(self, error: Error, cloud: &str) -> Error {
        let error = error.context(format_args!("ask Glance for {} with the login {cloud:?}", self.name()));
        match error.kind() {
            ErrorKind::NotFound | ErrorKind::Denied | ErrorKind::Corrupt if self == Self::Record => {
                error.scoped(Scope::Request)
            }
            _ => error,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_has_its_name() {
        let pause = Some(Duration::from_secs(7));
        for (number, kind, code) in [
            (401, ErrorKind::Denied, "glance-denied"),
            (403, ErrorKind::Denied, "image-denied"),
            (404, ErrorKind::NotFound, "image"),
            (410, ErrorKind::NotFound, "image"),
            (407, ErrorKind::Denied, "http-407"),
            (408, ErrorKind::Unavailable, "glance-unavailable"),
            (429, ErrorKind::Unavailable, "glance-unavailable"),
            (500, ErrorKind::Unavailable, "glance-unavailable"),
            (503, ErrorKind::Unavailable, "glance-unavailable"),
            (300, ErrorKind::Invalid, "glance-refused"),
            (400, ErrorKind::Invalid, "glance-refused"),
        ] {
            for asked in [Asked::Record, Asked::Locations, Asked::Data] {
                let error = asked.refused(StatusCode::from_u16(number).unwrap(), pause, "site");
                assert_eq!((error.kind(), error.code()), (kind, code), "{number}");
                assert_eq!(error.retry_after().is_some(), kind == ErrorKind::Unavailable, "{number}");
                let final_for_request =
                    asked == Asked::Record && matches!(kind, ErrorKind::NotFound | ErrorKind::Denied);
                let scope = if final_for_request { Scope::Request } else { Scope::Location };
                assert_eq!(error.scope(), scope, "{number} {asked:?}");
            }
        }
    }

    #[test]
    fn what_failed_on_the_way_keeps_its_code() {
        let of = |kind, code: &'static str| {
            let error = Error::new(kind, code, "so it was").retried_after(Duration::from_secs(3));
            Asked::Data.failed(error, "site")
        };
        for (kind, code, expected_kind, expected_code) in [
            (ErrorKind::Unavailable, "connect-refused", ErrorKind::Unavailable, "connect-refused"),
            (ErrorKind::Denied, "tls-certificate", ErrorKind::Denied, "tls-certificate"),
            (ErrorKind::Denied, "redirect-refused", ErrorKind::Denied, "redirect-refused"),
            (ErrorKind::Unavailable, "short-body", ErrorKind::Unavailable, "short-body"),
            (ErrorKind::Internal, "http-client", ErrorKind::Internal, "http-client"),
            (ErrorKind::Denied, "http-403", ErrorKind::Denied, "image-denied"),
            (ErrorKind::Unavailable, "http-503", ErrorKind::Unavailable, "glance-unavailable"),
            (ErrorKind::Unsupported, "http-501", ErrorKind::Unavailable, "glance-unavailable"),
            (ErrorKind::Corrupt, "bad-status", ErrorKind::NotFound, "image-data"),
        ] {
            let error = of(kind, code);
            assert_eq!((error.kind(), error.code()), (expected_kind, expected_code), "{code}");
            assert!(
                error.message().starts_with("ask Glance for the image's data with the login \"site\": "),
                "{error}"
            );
            assert!(expected_kind != ErrorKind::Unavailable || error.retry_after().is_some(), "{code}");
        }
    }
}
