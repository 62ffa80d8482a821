//! As whom an object is read.
//!
//! A location's own credentials are the location's: they go where it says. The operator's would let whoever writes a
//! record read all that the operator may read, and be tried out at any server. So they sign for the servers of the
//! setting `hosts` and the buckets of `buckets` alone. What they do not sign for is read as nobody, as a public object
//! can be.

use landfall_handler_api::{Error, ErrorKind};
use rusty_s3::Credentials;

use crate::config::Settings;
use crate::url::S3Url;

/// How a location is read.
pub(crate) struct Access {
    /// `None`: as nobody.
    pub(crate) credentials: Option<Credentials>,
    /// Whether the operator or the calling person named the URL's host.
    pub(crate) trusted: bool,
    /// Why it is read as nobody, where this node could be somebody.
    pub(crate) withheld: Option<Withheld>,
}

/// Why the operator's credentials are not used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Withheld {
    /// The server is none of those that they are for.
    OtherServer,
    /// The bucket is none of those that the operator lets be read.
    Bucket,
}

impl Access {
    /// As whom this location is read.
    pub(crate) fn of(url: &S3Url, settings: &Settings, named_by_caller: bool) -> Self {
        if let Some(own) = &url.credentials {
            return Self { credentials: Some(own.clone()), trusted: named_by_caller, withheld: None };
        }
        let withheld = match &settings.keys {
            None => None,
            Some(keys) if !keys.hold_for(&url.endpoint) => Some(Withheld::OtherServer),
            Some(_) if !settings.buckets.allow(&url.bucket) => Some(Withheld::Bucket),
            Some(keys) => {
                return Self { credentials: Some(keys.credentials.clone()), trusted: true, withheld: None };
            }
        };
        Self { credentials: None, trusted: named_by_caller, withheld }
    }

    /// What a refusal comes to. Why a store refuses a signature stands in a body that nobody reads.
    pub(crate) fn explain(&self, error: Error) -> Error {
        match self.withheld {
            Some(withheld) if is_refusal(&error) => withheld.error(),
            None if self.credentials.is_some() && matches!(error.code(), "http-400" | "http-403") => error.context(
                "the keys may not read this, or keys, region or this node's clock are not what the store expects",
            ),
            _ => error,
        }
    }
}

impl Withheld {
    /// The error that it comes to where the object cannot be read without.
    fn error(self) -> Error {
        let (code, message) = match self {
            Self::OtherServer => (
                "login-not-for-server",
                "the object is not public, and the operator's keys are not for this server and port: see hosts in [handler.s3]",
            ),
            Self::Bucket => (
                "bucket-not-allowed",
                "the object is not public, and the operator's keys are not for this bucket: see buckets in [handler.s3]",
            ),
        };
        Error::new(ErrorKind::Denied, code, message)
    }
}

/// Whether a server wants to know who asks. Swift takes an unsigned request for one of its own protocol: its own
/// authentication answers that with 400, its proxy with 412.
fn is_refusal(error: &Error) -> bool {
    matches!(error.code(), "http-400" | "http-401" | "http-403" | "http-412")
}
