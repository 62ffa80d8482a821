//! What the agent answers with: documents, and a status that says no more than they do.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use hyper::body::{Bytes, Frame, SizeHint};
use landfall_handler_api::{Error, ErrorKind, Scope};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::sync::OwnedSemaphorePermit;

use super::core::Core;
use super::job::{Job, Progress};
use crate::redact::visible_json;
use crate::report::{ErrorReport, Report, moment};

/// Bytes of an answer beyond which it is a long one.
const LONG: usize = 64 << 10;
/// Long answers that are held in memory at once.
pub(super) const LONG_AT_ONCE: usize = 16;

/// Why something was not done.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct ErrorDocument {
    /// `landfall.error/0`.
    pub(crate) schema: String,
    /// False.
    pub(crate) ok: bool,
    /// Why.
    pub(crate) error: ErrorReport,
}

/// A job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct JobDocument {
    /// `landfall.job/0`.
    pub(crate) schema: String,
    /// True: the job was found. What came of it stands in `report`.
    pub(crate) ok: bool,
    /// Its id.
    pub(crate) job: String,
    /// The user that called.
    pub(crate) caller: u32,
    /// The images as they were named.
    pub(crate) image: Option<String>,
    /// The target as it was named.
    pub(crate) target: String,
    /// Among the caller's own, from 0 to 9.
    pub(crate) priority: u8,
    /// When it was called for, in UTC (RFC 3339).
    #[schemars(extend("format" = "date-time"))]
    pub(crate) at: String,
    /// How far it is.
    pub(crate) progress: Progress,
    /// What came of it; absent while it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) report: Option<Report>,
}

impl From<&Job> for JobDocument {
    fn from(job: &Job) -> Self {
        let view = job.view();
        Self {
            schema: "landfall.job/0".to_owned(),
            ok: true,
            job: job.id.clone(),
            caller: job.caller.uid,
            image: job.image.clone(),
            target: job.target.to_string_lossy().into_owned(),
            priority: job.priority,
            at: moment(job.at),
            progress: view.progress,
            report: view.outcome.map(|outcome| (*outcome.report).clone()),
        }
    }
}

/// A document with a status.
pub(crate) fn document(status: StatusCode, document: &impl Serialize) -> Response {
    match serde_json::to_string(document) {
        Ok(text) => {
            let mut response = Response::new(Body::from(visible_json(&text) + "\n"));
            *response.status_mut() = status;
            response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
            response
        }
        // Documents are made of types that have a form in JSON.
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// A document that may be long, as lists are. So many of these are held in memory at once, until they were read; beyond that the
/// caller is told to ask again.
pub(super) fn list(core: &Core, document: &impl Serialize) -> Response {
    let Ok(text) = serde_json::to_string(document) else { return StatusCode::INTERNAL_SERVER_ERROR.into_response() };
    let text = Bytes::from(visible_json(&text) + "\n");
    let body = if text.len() <= LONG {
        Body::from(text)
    } else {
        let Ok(room) = Arc::clone(&core.long_answers).try_acquire_owned() else {
            let message = format!("{LONG_AT_ONCE} long answers are being read, as many as there may be");
            let full = Error::new(ErrorKind::Unavailable, "queue-full", message).scoped(Scope::Request);
            return error(&full.retried_after(Duration::from_secs(1)));
        };
        Body::new(LongBody { rest: text, _room: room })
    };
    let mut response = Response::new(body);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// An answer in pieces, with the room that it takes.
struct LongBody {
    rest: Bytes,
    _room: OwnedSemaphorePermit,
}

impl hyper::body::Body for LongBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        if self.rest.is_empty() {
            return Poll::Ready(None);
        }
        let piece = self.rest.len().min(LONG);
        Poll::Ready(Some(Ok(Frame::data(self.rest.split_to(piece)))))
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.rest.len() as u64)
    }
}

/// The document of an error.
pub(crate) fn error(error: &Error) -> Response {
    let report = ErrorReport::from(error);
    let told = ErrorDocument { schema: "landfall.error/0".to_owned(), ok: false, error: report };
    let mut response = document(status(error.kind(), error.code()), &told);
    if let Some(seconds) = told.error.retry_after_seconds {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

/// What came of a placement.
pub(crate) fn report(report: &Report) -> Response {
    let status = report.error.as_ref().map_or(StatusCode::OK, |error| status(error.kind, &error.code));
    document(status, report)
}

/// The status for an error. A server error is a fault or an overload of the agent alone: what failed on the way to the bytes,
/// on this node's disks or in a handler is a failed dependency.
pub(crate) fn status(kind: ErrorKind, code: &str) -> StatusCode {
    match (kind, code) {
        (ErrorKind::Invalid, "no-such-endpoint") => StatusCode::NOT_FOUND,
        (ErrorKind::Invalid, "method") => StatusCode::METHOD_NOT_ALLOWED,
        (ErrorKind::Invalid, "request-slow") => StatusCode::REQUEST_TIMEOUT,
        (ErrorKind::Limit, "request-bytes") => StatusCode::PAYLOAD_TOO_LARGE,
        (ErrorKind::Unavailable, "queue-full" | "queue-full-for-caller" | "connections" | "agent-stopping") => {
            StatusCode::SERVICE_UNAVAILABLE
        }
        (ErrorKind::Invalid, _) => StatusCode::BAD_REQUEST,
        (ErrorKind::Denied, _) => StatusCode::FORBIDDEN,
        (ErrorKind::NotFound, _) => StatusCode::NOT_FOUND,
        (ErrorKind::Exists | ErrorKind::Cancelled, _) => StatusCode::CONFLICT,
        (ErrorKind::Unsupported | ErrorKind::Limit | ErrorKind::Unhashed, _) => StatusCode::UNPROCESSABLE_ENTITY,
        (ErrorKind::Internal, _) => StatusCode::INTERNAL_SERVER_ERROR,
        (ErrorKind::Unavailable | ErrorKind::Corrupt | ErrorKind::NoSpace | ErrorKind::Io | ErrorKind::Crashed, _) => {
            StatusCode::FAILED_DEPENDENCY
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_overload_and_faults_of_the_agent_are_server_errors() {
        for kind in ErrorKind::ALL {
            let status = status(kind, "some-code");
            assert_eq!(status.is_server_error(), kind == ErrorKind::Internal, "{kind}");
        }
        let full = Error::new(ErrorKind::Unavailable, "queue-full", "full").scoped(Scope::Request);
        let response = error(&full.retried_after(std::time::Duration::from_secs(2)));
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(response.headers()[header::RETRY_AFTER], "2");
    }
}
