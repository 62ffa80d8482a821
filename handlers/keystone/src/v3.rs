//! The login at Keystone v3.

use std::time::Instant;

use jiff::Timestamp;
use landfall_handler_api::{Cloud, CloudLogin, Result};
use landfall_handler_http::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use landfall_handler_http::{Connections, Exchange, Method, StatusCode, SystemTrust};

use crate::endpoints::Endpoints;
use crate::refusal::Asked;
use crate::session::{Session, TOKEN_HEADER, token};
use crate::{answer, auth_url, request};

/// Bytes of an answer. Catalogs of clouds with many regions have some hundred KiB.
const ANSWER_MAX: usize = 2 << 20;
const SUBJECT_TOKEN: &str = "x-subject-token";
const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// Logs in, once.
pub(crate) async fn log_in(
    cloud: &Cloud,
    connections: &Connections,
    trusted: bool,
    system: &dyn SystemTrust,
) -> Result<Session> {
    let url = auth_url::keystone(cloud.auth_url.as_deref())?;
    let body = Some(request::body(cloud)?);
    let headers = HeaderMap::from_iter([(ACCEPT, JSON), (CONTENT_TYPE, JSON)]);
    let exchange = Exchange { method: Method::POST, url, headers, body, most: ANSWER_MAX, trusted };
    let asked = Instant::now();
    let reply = connections.exchange(exchange, system).await.map_err(|error| Asked::Keystone.unreached(error))?;
    if reply.status == StatusCode::NOT_FOUND && matches!(cloud.login, CloudLogin::Token { .. }) {
        return Err(Asked::Keystone.unknown_token(reply.status));
    }
    if !matches!(reply.status, StatusCode::CREATED | StatusCode::OK) {
        return Err(Asked::Keystone.refused(reply.status, &reply.headers));
    }
    let token = reply.headers.get(SUBJECT_TOKEN).and_then(|value| token(value.as_bytes()));
    let token = token.ok_or_else(|| Asked::Keystone.bad_answer("without a token that can be used"))?;
    let granted = answer::read(&reply.body, Timestamp::now()).map_err(|what| Asked::Keystone.bad_answer(what))?;
    Ok(Session::new(Some(token), Endpoints::new(cloud, granted.catalog), asked, granted.life))
}

/// A session with a token that there is: Keystone says which services it is for. It cannot be renewed, so that how long it
/// lives is for the services to say. Every token may ask that of itself (`GET /v3/auth/tokens`, policy `identity:validate_token`).
pub(crate) async fn keep(
    cloud: &Cloud,
    own: HeaderValue,
    connections: &Connections,
    trusted: bool,
    system: &dyn SystemTrust,
) -> Result<Session> {
    let url = auth_url::keystone(cloud.auth_url.as_deref())?;
    let subject = HeaderName::from_static(SUBJECT_TOKEN);
    let headers = HeaderMap::from_iter([(ACCEPT, JSON), (TOKEN_HEADER, own.clone()), (subject, own.clone())]);
    let exchange = Exchange { method: Method::GET, url, headers, body: None, most: ANSWER_MAX, trusted };
    let reply = connections.exchange(exchange, system).await.map_err(|error| Asked::Keystone.unreached(error))?;
    // Of a token that it does not know Keystone says either, depending on what it tells whom.
    if matches!(reply.status, StatusCode::NOT_FOUND | StatusCode::UNAUTHORIZED) {
        return Err(Asked::Keystone.unknown_token(reply.status));
    }
    if reply.status != StatusCode::OK {
        return Err(Asked::Keystone.refused(reply.status, &reply.headers));
    }
    let granted = answer::read(&reply.body, Timestamp::now()).map_err(|what| Asked::Keystone.bad_answer(what))?;
    Ok(Session::new(Some(own), Endpoints::new(cloud, granted.catalog), Instant::now(), None))
}
