//! The body of a request: read within bounds of size and time.

use std::time::Duration;

use axum::body;
use axum::extract::Request;
use http_body_util::BodyExt;
use landfall_handler_api::{Error, ErrorKind, Result, Scope};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::sync::Semaphore;

use super::caller::Caller;
use super::core::Core;
use super::request::wrong;
use super::rights::Trust;

/// Requests of more than [`BODY_MORE`] that are held in memory at once.
pub(super) const LARGE_AT_ONCE: usize = 8;
/// Bytes of a request beside an image's record, and of one by whoever may bring none.
const BODY_MORE: u64 = 64 << 10;
/// How long a request's body may take to arrive.
const BODY_TIME: Duration = Duration::from_secs(30);
/// Bytes beyond what a request may have that are passed over before it is refused.
const PASSED_OVER: usize = 16 << 20;

/// Reads a request's document, within bounds of size and time.
pub(super) async fn read<T: DeserializeOwned>(core: &Core, caller: &Caller, request: Request) -> Result<T> {
    // Whoever may bring no record has nothing to say that is long.
    let brings_records = core.rights(caller).is_ok_and(|rights| rights.trust >= Trust::Records);
    let record = if brings_records { core.setup().config.limits.record_bytes.saturating_mul(2) } else { 0 };
    let most = usize::try_from(record.saturating_add(BODY_MORE)).unwrap_or(usize::MAX);
    let bytes = match tokio::time::timeout(BODY_TIME, take(request.into_body(), most, &core.large_bodies)).await {
        Err(_) => return Err(wrong("request-slow", "the request did not arrive in time")),
        Ok(taken) => taken?,
    };
    if let Ok(document) = serde_json::from_slice(&bytes) {
        refuse_lists(&document)?;
    }
    serde_json::from_slice(&bytes).map_err(|error| {
        // What serde quotes may be secret; the names of keys that nobody knows are no more than what the caller wrote.
        let (line, column) = (error.line(), error.column());
        let what = if error.is_data() { "does not say what this endpoint understands" } else { "is not JSON" };
        let key = unknown_key(&error.to_string()).map(|key| format!(": unknown key {key}")).unwrap_or_default();
        wrong("request", format!("the request {what}{key}: see line {line}, column {column}"))
    })
}

/// Refuses lists where the description has objects: a list of the members in their order would be taken for one.
fn refuse_lists(document: &Value) -> Result<()> {
    let images = document.get("group").and_then(Value::as_array).into_iter().flatten();
    let members = images.clone().filter_map(|member| member.get("image"));
    let mut objects = std::iter::once(document).chain(document.get("image")).chain(images).chain(members);
    match objects.any(Value::is_array) {
        true => Err(wrong("request", "the request has a list where this endpoint wants an object")),
        false => Ok(()),
    }
}

/// Takes a body of at most so many bytes; a large one, if there is room for it. Of a longer one some more are passed over, so that
/// whoever sends them comes to read why.
async fn take(mut body: body::Body, most: usize, large: &Semaphore) -> Result<Vec<u8>> {
    let (mut bytes, mut over, mut room) = (Vec::new(), 0_usize, None);
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| wrong("request", "the request ended early"))?;
        let data = frame.data_ref().map(AsRef::as_ref).unwrap_or_default();
        if bytes.len().saturating_add(data.len()) <= most && over == 0 {
            bytes.extend_from_slice(data);
            if bytes.len() as u64 > BODY_MORE && room.is_none() {
                room = Some(large.try_acquire().map_err(|_| crowded())?);
            }
        } else {
            over = over.saturating_add(data.len());
        }
        if over > PASSED_OVER {
            break;
        }
    }
    if over == 0 {
        return Ok(bytes);
    }
    let message = format!("the request has more than {most} bytes");
    Err(Error::new(ErrorKind::Limit, "request-bytes", message).scoped(Scope::Request))
}

fn crowded() -> Error {
    let message = format!("{LARGE_AT_ONCE} long requests are being read, as many as there may be");
    let error = Error::new(ErrorKind::Unavailable, "queue-full", message).scoped(Scope::Request);
    error.retried_after(Duration::from_secs(1))
}

/// Passes over a body that nobody wants.
pub(super) async fn pass_over(request: Request) {
    // Whoever sends too much, or too slowly, may not come to read the answer.
    let _ = tokio::time::timeout(BODY_TIME, take(request.into_body(), 0, &Semaphore::const_new(0))).await;
}

/// The key of serde's message that a key is not known, unless it could be anything.
fn unknown_key(message: &str) -> Option<&str> {
    let key = message.strip_prefix("unknown field `")?.split('`').next()?;
    let is_word = key.len() <= 40 && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte));
    is_word.then_some(key)
}
