//! The error that crosses every boundary: handler to host, host to boot code.
//!
//! An error is a value with three machine-readable parts. The **kind** is a closed list that boot code acts on (it is
//! also the exit status). The **code** is an open, kebab-case name of the precise cause. The **scope** says what the
//! failure rules out: this location, this handler, the image, the request, or anything on this node.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What went wrong, from a closed list. The numbers are those of the C ABI (`IMGH_ERR_*` in `imgh.h`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[repr(u32)]
pub enum ErrorKind {
    /// Not something this handler, host or node can do; another handler may.
    Unsupported = 1,
    /// A URL, record, option or configuration that cannot be right.
    Invalid = 2,
    /// What was named is not there.
    NotFound = 3,
    /// It is there, and may not be used.
    Denied = 4,
    /// A passing fault: the same may work later.
    Unavailable = 5,
    /// The bytes are not what they must be.
    Corrupt = 6,
    /// A configured bound was met.
    Limit = 7,
    /// The target's file system, or a quota, is full.
    NoSpace = 8,
    /// A system call failed.
    Io = 9,
    /// The target exists and was not to be replaced.
    Exists = 10,
    /// The image has no digest to be verified against, and nobody allowed that.
    Unhashed = 11,
    /// The caller, a signal or the deadline stopped the operation.
    Cancelled = 12,
    /// A plugin died, hung or panicked.
    Crashed = 13,
    /// A bug in the host or the plugin.
    Internal = 14,
}

impl ErrorKind {
    /// Every kind, in the order of its number.
    pub const ALL: [Self; 14] = [
        Self::Unsupported,
        Self::Invalid,
        Self::NotFound,
        Self::Denied,
        Self::Unavailable,
        Self::Corrupt,
        Self::Limit,
        Self::NoSpace,
        Self::Io,
        Self::Exists,
        Self::Unhashed,
        Self::Cancelled,
        Self::Crashed,
        Self::Internal,
    ];

    /// The kind with this ABI number.
    pub fn from_number(number: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.number() == number)
    }

    /// The ABI number, never 0.
    pub fn number(self) -> u32 {
        self as u32
    }

    /// The kebab-case name, as in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Unsupported => "unsupported",
            Self::Invalid => "invalid",
            Self::NotFound => "not-found",
            Self::Denied => "denied",
            Self::Unavailable => "unavailable",
            Self::Corrupt => "corrupt",
            Self::Limit => "limit",
            Self::NoSpace => "no-space",
            Self::Io => "io",
            Self::Exists => "exists",
            Self::Unhashed => "unhashed",
            Self::Cancelled => "cancelled",
            Self::Crashed => "crashed",
            Self::Internal => "internal",
        }
    }

    /// What a failure of this kind rules out when nobody says otherwise.
    pub fn default_scope(self) -> Scope {
        match self {
            Self::Unsupported | Self::Crashed | Self::Internal => Scope::Handler,
            Self::NotFound
            | Self::Denied
            | Self::Invalid
            | Self::Unavailable
            | Self::Io
            | Self::Corrupt
            | Self::Limit => Scope::Location,
            Self::Exists | Self::Unhashed | Self::Cancelled => Scope::Request,
            Self::NoSpace => Scope::Node,
        }
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What a failure rules out, and so what is tried next. The numbers are those of the C ABI.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[repr(u32)]
pub enum Scope {
    /// This location: the next attempt is made.
    Location = 1,
    /// This handler: the attempts of other handlers are made.
    Handler = 2,
    /// The image: no other copy of it can be better. Stop.
    Image = 3,
    /// The request: it must be changed. Stop.
    Request = 4,
    /// This node: nothing can be placed here now. Stop.
    Node = 5,
}

impl Scope {
    /// Every scope, in the order of its number.
    pub const ALL: [Self; 5] = [Self::Location, Self::Handler, Self::Image, Self::Request, Self::Node];

    /// The scope with this ABI number.
    pub fn from_number(number: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|scope| scope.number() == number)
    }

    /// The ABI number, never 0 (0 stands for the kind's default there).
    pub fn number(self) -> u32 {
        self as u32
    }

    /// The kebab-case name, as in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Location => "location",
            Self::Handler => "handler",
            Self::Image => "image",
            Self::Request => "request",
            Self::Node => "node",
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A failure as a value. Its text is for people; kind, code and scope are the contract.
///
/// The message names what was tried and on what, starts in lower case, and never holds a secret. Causes are joined into
/// it, since it must cross a C boundary.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    kind: ErrorKind,
    code: Cow<'static, str>,
    scope: Option<Scope>,
    os_errno: Option<i32>,
    retry_after: Option<Duration>,
    message: String,
}

/// A result with [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// The longest code that crosses the ABI, in bytes.
    pub const CODE_MAX: usize = 47;
    /// The longest message that crosses the ABI, in bytes of UTF-8.
    pub const MESSAGE_MAX: usize = 1023;

    /// An error of this kind with its default scope. `code` is kebab-case and at most [`Error::CODE_MAX`] bytes.
    pub fn new(kind: ErrorKind, code: impl Into<Cow<'static, str>>, message: impl Into<String>) -> Self {
        Self { kind, code: code.into(), scope: None, os_errno: None, retry_after: None, message: message.into() }
    }

    /// The error for a failed system call: `what` says what was tried, on what. ENOSPC and EDQUOT become `no-space`,
    /// ENOENT `not-found`, EACCES and EPERM `denied`, anything else `io`; the code is the errno's name. An error of
    /// this type inside, as those of an [`InputReader`](crate::InputReader) have, stays what it is.
    pub fn os(error: &std::io::Error, what: impl fmt::Display) -> Self {
        if let Some(inner) = error.get_ref().and_then(|inner| inner.downcast_ref::<Self>()) {
            return inner.clone().context(what);
        }
        let errno = error.raw_os_error();
        let (kind, code) = match errno {
            Some(2) => (ErrorKind::NotFound, "enoent"),
            Some(1) => (ErrorKind::Denied, "eperm"),
            Some(13) => (ErrorKind::Denied, "eacces"),
            Some(28) => (ErrorKind::NoSpace, "enospc"),
            Some(122) => (ErrorKind::NoSpace, "edquot"),
            Some(5) => (ErrorKind::Io, "eio"),
            Some(30) => (ErrorKind::Io, "erofs"),
            Some(27) => (ErrorKind::Io, "efbig"),
            Some(20) => (ErrorKind::Io, "enotdir"),
            Some(40) => (ErrorKind::Io, "eloop"),
            Some(18) => (ErrorKind::Io, "exdev"),
            Some(24) => (ErrorKind::Io, "emfile"),
            _ => (ErrorKind::Io, "os-error"),
        };
        Self { os_errno: errno, ..Self::new(kind, code, format!("{what}: {error}")) }
    }

    /// "This handler does not do `what`."
    pub fn unsupported(what: impl fmt::Display) -> Self {
        Self::new(ErrorKind::Unsupported, "not-offered", format!("this handler does not offer {what}"))
    }

    /// "The operation was stopped."
    pub fn cancelled() -> Self {
        Self::new(ErrorKind::Cancelled, "cancelled", "the operation was cancelled")
    }

    /// The same error with another scope.
    #[must_use]
    pub fn scoped(mut self, scope: Scope) -> Self {
        self.scope = Some(scope);
        self
    }

    /// The same error with another code.
    #[must_use]
    pub fn coded(mut self, code: impl Into<Cow<'static, str>>) -> Self {
        self.code = code.into();
        self
    }

    /// The same error with the number of the system call's error.
    #[must_use]
    pub fn with_errno(mut self, errno: i32) -> Self {
        self.os_errno = Some(errno);
        self
    }

    /// The same error, saying when to try again: what the other end asks for, as an HTTP server does with `Retry-After`.
    /// Looked at where the kind is `unavailable`. Whole milliseconds cross the ABI, none of them being no word of it.
    #[must_use]
    pub fn retried_after(mut self, pause: Duration) -> Self {
        self.retry_after = Some(pause);
        self
    }

    /// The same error, its message led by what was being done: `context: message`.
    #[must_use]
    pub fn context(mut self, context: impl fmt::Display) -> Self {
        self.message = format!("{context}: {}", self.message);
        self
    }

    /// What went wrong.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The precise cause, kebab-case.
    pub fn code(&self) -> &str {
        &self.code
    }

    /// What the failure rules out: what was said, else the kind's default.
    pub fn scope(&self) -> Scope {
        self.scope.unwrap_or_else(|| self.kind.default_scope())
    }

    /// Whether a scope was said, rather than taken from the kind.
    pub fn scope_is_explicit(&self) -> bool {
        self.scope.is_some()
    }

    /// The failed system call's errno, when there was one.
    pub fn os_errno(&self) -> Option<i32> {
        self.os_errno
    }

    /// When to try again, where the other end said so.
    pub fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }

    /// The text for people, without kind and code.
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_names_go_both_ways() {
        for kind in ErrorKind::ALL {
            assert_eq!(ErrorKind::from_number(kind.number()), Some(kind));
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.name());
        }
        for scope in Scope::ALL {
            assert_eq!(Scope::from_number(scope.number()), Some(scope));
            assert_eq!(serde_json::to_value(scope).unwrap(), scope.name());
        }
        assert_eq!(ErrorKind::from_number(0), None);
        assert_eq!(ErrorKind::from_number(15), None);
        assert_eq!(Scope::from_number(0), None);
    }

    #[test]
    fn a_full_disk_stops_the_plan_and_a_missing_file_does_not() {
        let full = Error::os(&std::io::Error::from_raw_os_error(28), "write stage");
        assert_eq!((full.kind(), full.scope()), (ErrorKind::NoSpace, Scope::Node));
        let missing = Error::os(&std::io::Error::from_raw_os_error(2), "open image");
        assert_eq!((missing.kind(), missing.scope()), (ErrorKind::NotFound, Scope::Location));
        assert_eq!(missing.scoped(Scope::Request).scope(), Scope::Request);
    }

    #[test]
    fn an_error_that_went_through_a_reader_stays_what_it_is() {
        let gone = Error::new(ErrorKind::Unavailable, "reset", "read the source").scoped(Scope::Handler);
        let through = Error::os(&std::io::Error::other(gone.clone()), "inflate");
        assert_eq!(through, gone.context("inflate"));
    }
}
