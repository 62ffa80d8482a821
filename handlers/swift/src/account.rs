//! An account of a store, and how its objects are asked for.

use std::sync::Arc;

use landfall_handler_api::{Error, ErrorKind, Result};
use landfall_handler_http::header::HeaderMap;
use landfall_handler_http::{
    Connections, Exchange, Login, Method, Reply, Resource, StatusCode, SystemTrust, Url, refuse_elsewhere,
};

use crate::config::Containers;
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
    /// The containers that it may be read in, where it is read with the operator's credentials: a large object's segments are in no
    /// others, and no link of the store leads elsewhere.
    pub(crate) only: Option<Arc<Containers>>,
    /// Why it is read as nobody, where this node could be somebody.
    pub(crate) withheld: Option<Withheld>,
}

/// Why the operator's credentials are not shown.
#[derive(Debug, Clone)]
pub(crate) enum Withheld {
    /// The URL is not that of an account that the operator lets be read.
    OtherServer,
    /// The container is none of those that the operator lets be read.
    Container,
    /// There could be no login.
    Failed(Error),
}

impl Withheld {
    /// The error that it comes to where the object cannot be read without.
    pub(crate) fn error(&self) -> Error {
        let (code, message) = match self {
            Self::Failed(error) => return error.clone(),
            Self::OtherServer => (
                "login-not-for-server",
                "the object is not public, and the node's login is for its own account at its cloud's endpoint, and for those of accounts \
                 in [handler.swift]",
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
            stays: self.only.is_some(),
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
        let reply = self.connections.exchange(exchange, system).await?;
        if self.only.is_some() {
            refuse_elsewhere(url, &reply.headers)?;
        }
        Ok(reply)
    }

    /// Refuses a container that the operator's credentials are not for.
    pub(crate) fn admit(&self, container: &str) -> Result<()> {
        match &self.only {
            Some(only) if !only.allow(container) => Err(Withheld::Container.error()),
            _ => Ok(()),
        }
    }

    /// What a refusal comes to.
    pub(crate) fn explain(&self, error: Error) -> Error {
        match &self.withheld {
            Some(withheld) if is_denied(&error) || error.code() == "address-refused" => withheld.error(),
            _ => error,
        }
    }
}

/// Whether a server wants other credentials.
pub(crate) fn is_denied(error: &Error) -> bool {
    matches!(error.code(), "http-401" | "http-403")
}
