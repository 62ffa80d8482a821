//! From a URL to the answer, through redirects.

use std::ops::Range;
use std::sync::Arc;

use landfall_handler_api::{Error, ErrorKind, Result};
use reqwest::header::{ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, HeaderMap, HeaderValue, RANGE};
use reqwest::{Method, Response, StatusCode, Url};

use crate::connections::Connections;
use crate::elsewhere::refuse_elsewhere;
use crate::login::Login;
use crate::resource::{Resource, bad_url};
use crate::tls::SystemTrust;
use crate::{fault, redirect};

/// A URL as it is asked for, without a user and password.
#[derive(Clone)]
pub(crate) struct Target {
    pub(crate) url: Url,
    /// The resource's own, as long as no redirect led away from its origin.
    headers: HeaderMap,
    /// As the headers.
    login: Option<Arc<dyn Login>>,
    /// Whether it is where the calling person pointed.
    trusted: bool,
    /// Whether the server may not answer with what is elsewhere.
    stays: bool,
}

/// What is asked for.
pub(crate) struct Ask {
    range: Option<Range<u64>>,
    conditions: HeaderMap,
}

impl Ask {
    /// The bytes of `range`, or all of them.
    pub(crate) fn new(range: Option<Range<u64>>, conditions: HeaderMap) -> Self {
        Self { range, conditions }
    }
}

/// A resource, and the connections to wherever it leads.
pub(crate) struct Chain {
    connections: Arc<Connections>,
    first: Target,
}

impl Chain {
    /// Nothing is sent yet.
    pub(crate) fn new(connections: Arc<Connections>, resource: Resource, system: &dyn SystemTrust) -> Result<Self> {
        let Resource { mut url, mut headers, named_by_caller: trusted, login, stays, bare_etags: _ } = resource;
        if !url.username().is_empty() || url.password().is_some() {
            let request = connections.to(&url, system)?.get(url.clone()).build();
            let authorization = request.ok().and_then(|request| request.headers().get(AUTHORIZATION).cloned());
            let authorization = authorization.ok_or_else(|| bad_url("has a user or password that is no text"))?;
            headers.insert(AUTHORIZATION, authorization);
            if url.set_username("").is_err() || url.set_password(None).is_err() {
                return Err(bad_url("has a user, and nowhere to send it to"));
            }
        }
        for value in headers.values_mut() {
            value.set_sensitive(true);
        }
        url.set_fragment(None);
        Ok(Self { connections, first: Target { url, headers, login, trusted, stays } })
    }

    /// The resource's own URL, once its host was let through.
    pub(crate) async fn admit(&self) -> Result<Target> {
        self.connections.names().admit(&self.first.url, self.first.trusted).await?;
        Ok(self.first.clone())
    }

    /// Asks the resource's own URL, and whatever it redirects to.
    pub(crate) async fn follow(&self, ask: &Ask, system: &dyn SystemTrust) -> Result<(Target, Response)> {
        let mut target = self.admit().await?;
        let mut visited = vec![target.url.clone()];
        let most = self.connections.redirects();
        loop {
            let response = self.ask(&target, ask, system).await?;
            if !redirect::is_redirect(response.status()) {
                return Ok((target, response));
            }
            let next = redirect::target(&target.url, response.headers())?;
            if visited.len() > most {
                return Err(redirect::refused(&format!("is one more than the {most} that are followed")));
            }
            if visited.contains(&next) {
                return Err(redirect::refused("leads in a circle"));
            }
            if next.origin() != target.url.origin() {
                // For good, also if the chain leads back: who sends it there is not who was trusted.
                target.headers.clear();
                target.login = None;
                target.trusted = false;
            }
            self.connections.names().admit(&next, target.trusted).await.map_err(as_redirect)?;
            visited.push(next.clone());
            target.url = next;
        }
    }

    /// Asks a URL that was let through before. Redirects are answers like others.
    pub(crate) async fn ask(&self, target: &Target, ask: &Ask, system: &dyn SystemTrust) -> Result<Response> {
        let Some(login) = &target.login else { return self.send(target, ask, &HeaderMap::new(), system).await };
        let shown = login.headers(&Method::GET, &target.url, None, system).await?;
        let response = self.send(target, ask, &shown, system).await?;
        if response.status() != StatusCode::UNAUTHORIZED {
            return Ok(response);
        }
        let others = login.headers(&Method::GET, &target.url, Some(&shown), system).await?;
        if others == shown {
            return Ok(response);
        }
        drop(response);
        self.send(target, ask, &others, system).await
    }

    async fn send(&self, target: &Target, ask: &Ask, shown: &HeaderMap, system: &dyn SystemTrust) -> Result<Response> {
        let mut headers = target.headers.clone();
        headers.extend(shown.iter().map(|(name, value)| {
            let mut value = value.clone();
            value.set_sensitive(true);
            (name.clone(), value)
        }));
        headers.insert(ACCEPT, HeaderValue::from_static("*/*"));
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        headers.extend(ask.conditions.clone());
        if let Some(range) = &ask.range {
            headers.insert(RANGE, range_header(range)?);
        }
        let signed = target.login.as_ref().and_then(|login| login.signed(&Method::GET, &target.url));
        let url = signed.filter(|signed| signed.origin() == target.url.origin()).unwrap_or_else(|| target.url.clone());
        let request = self.connections.to(&url, system)?.get(url).headers(headers);
        let response = request.send().await.map_err(fault::in_request)?;
        if target.stays {
            refuse_elsewhere(&target.url, response.headers())?;
        }
        Ok(response)
    }

    /// Whether a redirect led here.
    pub(crate) fn led_to(&self, target: &Target) -> bool {
        target.url != self.first.url
    }
}

fn range_header(range: &Range<u64>) -> Result<HeaderValue> {
    let last = range.end.checked_sub(1).filter(|&last| last >= range.start);
    last.and_then(|last| HeaderValue::from_str(&format!("bytes={}-{last}", range.start)).ok())
        .ok_or_else(|| Error::new(ErrorKind::Internal, "empty-range", "no bytes were asked for"))
}

fn as_redirect(error: Error) -> Error {
    match error.code() {
        "address-refused" => redirect::refused(&format!("is not followed: {}", error.message())),
        _ => error,
    }
}
