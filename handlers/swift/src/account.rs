//! An account of a store, and how its objects are asked for.

use std::sync::Arc;

use landfall_handler_api::{Error, ErrorKind, Result};
use landfall_handler_http::header::HeaderMap;
use landfall_handler_http::{Connections, Exchange, Login, Method, Reply, Resource, StatusCode, SystemTrust, Url};

use crate::name::ObjectName;

/// An account.
///
/// Not `Debug`: its login holds secrets.
pub(crate) struct Account {
    /// Its storage URL.
    pub(crate) url: Url,
    pub(crate) connections: Arc<Connections>,
    pub(crate) login: Option<Arc<dyn Login>>,
    /// Whether more than single objects can be asked for: signatures are for these alone.
    pub(crate) lists: bool,
    /// Whether the operator or the calling person named the URL's host, or whom it was learnt from.
    pub(crate) trusted: bool,
    /// Why it is read as nobody, where this node could be somebody.
    pub(crate) withheld: Option<Withheld>,
}

/// Why the operator's credentials are not shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Withheld {
    /// The URL is none of the cloud's.
    OtherServer,
    /// The container is none of those that the operator lets be read.
    Container,
}

impl Withheld {
    /// The error that it comes to where the object cannot be read without.
    pub(crate) fn error(self) -> Error {
        let (code, message) = match self {
            Self::OtherServer => (
                "login-not-for-server",
                "the object is not public, and the node's login is not shown to servers outside its cloud's catalog",
            ),
            Self::Container => (
                "container-not-allowed",
                "the operator's credentials are not for this container: see containers in [handler.swift]",
            ),
        };
        Error::new(ErrorKind::Denied, code, message)
    }
}

impl Account {
    /// An object, to be read.
    pub(crate) fn resource(&self, name: &ObjectName) -> Resource {
        Resource {
            url: name.within(&self.url),
            headers: HeaderMap::new(),
            named_by_caller: self.trusted,
            login: self.login.clone(),
            bare_etags: true,
        }
    }

    /// A question whose answer is held in memory; asked again, once, with another token where one is refused.
    pub(crate) async fn ask(&self, method: Method, url: &Url, most: usize, system: &dyn SystemTrust) -> Result<Reply> {
        let Some(login) = &self.login else { return self.send(&method, url, &HeaderMap::new(), most, system).await };
        let shown = login.headers(&method, url, None, system).await?;
        let url = &login.signed(&method, url).unwrap_or_else(|| url.clone());
        let reply = self.send(&method, url, &shown, most, system).await?;
        if reply.status != StatusCode::UNAUTHORIZED {
            return Ok(reply);
        }
        let others = login.headers(&method, url, Some(&shown), system).await?;
        if others == shown {
            return Ok(reply);
        }
        self.send(&method, url, &others, most, system).await
    }

    async fn send(
        &self,
        method: &Method,
        url: &Url,
        shown: &HeaderMap,
        most: usize,
        system: &dyn SystemTrust,
    ) -> Result<Reply> {
        let mut exchange = Exchange::get(url.clone(), most);
        exchange.method = method.clone();
        exchange.headers.clone_from(shown);
        exchange.trusted = self.trusted;
        self.connections.exchange(exchange, system).await
    }

    /// What a refusal comes to.
    pub(crate) fn explain(&self, error: Error) -> Error {
        match self.withheld {
            Some(withheld) if is_denied(&error) => withheld.error(),
            _ => error,
        }
    }
}

/// Whether a server wants other credentials.
pub(crate) fn is_denied(error: &Error) -> bool {
    matches!(error.code(), "http-401" | "http-403")
}
