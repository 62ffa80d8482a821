//! What Glance's answers mean when they are not what was asked for.

use landfall_handler_api::{Error, ErrorKind, Scope};
use landfall_handler_http::{Reply, StatusCode, refused};

/// An answer to the question for an image's record. `cloud` is the login's name.
pub(crate) fn of_record(reply: &Reply, cloud: &str) -> Error {
    let told = |kind, code: &'static str, what: &str| {
        let message = format!("Glance, asked with the login {cloud}: {what}");
        Error::new(kind, code, message).scoped(Scope::Request)
    };
    match reply.status {
        StatusCode::NOT_FOUND => told(ErrorKind::NotFound, "image", "it knows of no such image"),
        StatusCode::FORBIDDEN => told(ErrorKind::Denied, "image-denied", "this login may not see the image"),
        StatusCode::UNAUTHORIZED => told(ErrorKind::Denied, "glance-denied", "it takes no token of this login"),
        status if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS => {
            let number = status.as_u16();
            let error = told(ErrorKind::Unavailable, "glance-unavailable", &format!("it answered with {number}"));
            match refused(status, &reply.headers).retry_after() {
                Some(pause) => error.retried_after(pause),
                None => error,
            }
        }
        status => told(ErrorKind::Invalid, "glance-refused", &format!("it answered with {}", status.as_u16())),
    }
}

/// "Glance's answer is not one."
pub(crate) fn bad_answer(what: &str) -> Error {
    Error::new(ErrorKind::Corrupt, "glance-bad-answer", format!("Glance answered with {what}")).scoped(Scope::Request)
}

/// A failure on the way to Glance keeps its kind and code.
pub(crate) fn on_the_way(error: Error) -> Error {
    let message = format!("ask Glance: {}", error.message());
    let told = Error::new(error.kind(), error.code().to_owned(), message).scoped(error.scope());
    match error.retry_after() {
        Some(pause) => told.retried_after(pause),
        None => told,
    }
}
