//! What came of bytes, as far as different ways must agree on it.

use std::fmt::Debug;

use landfall_handler_api::{ErrorKind, Result};

/// What was made, or the kind and code of the error.
pub(crate) type Verdict<T> = std::result::Result<T, (ErrorKind, String)>;

pub(crate) fn verdict<T>(outcome: Result<T>) -> Verdict<T> {
    outcome.map_err(|error| {
        assert_ne!(error.kind(), ErrorKind::Internal, "a bug was reported: {error}");
        assert_ne!(error.kind(), ErrorKind::Crashed, "something crashed: {error}");
        (error.kind(), error.code().to_owned())
    })
}

/// Both are the same; where they are not, what they are is told without their bytes.
#[track_caller]
pub(crate) fn same<T: PartialEq>(one: &Verdict<T>, other: &Verdict<T>, way: impl Debug) {
    assert!(one == other, "{way:?}: {:?}, and not {:?}", other.as_ref().err(), one.as_ref().err());
}

/// Whether a stream was refused only since it would have to be read again.
pub(crate) fn wants_a_file<T>(verdict: &Verdict<T>) -> bool {
    verdict.as_ref().is_err_and(|(_, code)| code == "input-forward-only")
}
