//! Names and the addresses they lead to: looked up once for a source, checked, and kept.
//!
//! A name that answers with a harmless address first and with another one later (DNS rebinding) gets nowhere: every
//! connection of a source goes to the addresses that were checked.

use std::collections::HashMap;
use std::future::{Future, ready};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use landfall_handler_api::{Error, ErrorKind, Result};
use reqwest::Url;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use crate::address::AddressPolicy;

/// Addresses of one name that are kept.
const ADDRESSES_MAX: usize = 64;

/// Who knows names.
pub(crate) trait Lookup: Send + Sync {
    /// All addresses of a name, their ports 0.
    fn lookup(&self, name: String) -> Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send>>;
}

/// The system's resolver.
pub(crate) struct SystemLookup;

impl Lookup for SystemLookup {
    fn lookup(&self, name: String) -> Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send>> {
        Box::pin(async move { Ok(tokio::net::lookup_host((name, 0)).await?.take(ADDRESSES_MAX).collect()) })
    }
}

/// The names of one source.
pub(crate) struct Names {
    lookup: Arc<dyn Lookup>,
    policy: Arc<AddressPolicy>,
    /// The proxy, which the operator named, and which resolves the names of servers.
    proxy: Option<Url>,
    known: Mutex<HashMap<String, Vec<SocketAddr>>>,
}

impl Names {
    pub(crate) fn new(lookup: Arc<dyn Lookup>, policy: Arc<AddressPolicy>, proxy: Option<Url>) -> Self {
        Self { lookup, policy, proxy, known: Mutex::default() }
    }

    /// Lets a URL's host through, or fails with `address-refused`. A `trusted` one may be anywhere.
    pub(crate) async fn admit(&self, url: &Url, trusted: bool) -> Result<()> {
        if let Some(address) = literal(url) {
            return match self.policy.refusal(address).filter(|_| !trusted) {
                Some(place) => Err(refused(format_args!("{address} is {place}"))),
                None => self.find_proxy().await,
            };
        }
        let Some(name) = url.domain() else {
            return Err(Error::new(ErrorKind::Invalid, "bad-url", "the URL has no host"));
        };
        if self.proxy.is_some() {
            return self.find_proxy().await;
        }
        let found = self.find(name).await?;
        if trusted {
            return Ok(());
        }
        let (refusals, good): (Vec<_>, Vec<_>) =
            found.into_iter().partition(|address| self.policy.refusal(address.ip()).is_some());
        match refusals.first() {
            Some(first) if good.is_empty() => {
                let place = self.policy.refusal(first.ip()).map_or_else(String::new, |place| place.to_string());
                Err(refused(format_args!("{name} is {}, {place}", first.ip())))
            }
            Some(_) => {
                self.known().insert(name.to_owned(), good);
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// The proxy's own addresses, whatever they are.
    async fn find_proxy(&self) -> Result<()> {
        match self.proxy.as_ref().and_then(|proxy| proxy.domain()) {
            Some(name) => self.find(name).await.map(drop),
            None => Ok(()),
        }
    }

    /// The addresses of a name, looked up if that was not done yet.
    async fn find(&self, name: &str) -> Result<Vec<SocketAddr>> {
        if let Some(known) = self.known().get(name) {
            return Ok(known.clone());
        }
        let unknown = |why: String| Error::new(ErrorKind::Unavailable, "name-not-found", format!("find {name}: {why}"));
        let found = self.lookup.lookup(name.to_owned()).await.map_err(|error| unknown(error.to_string()))?;
        if found.is_empty() {
            return Err(unknown("it has no address".to_owned()));
        }
        // Whoever was first.
        Ok(self.known().entry(name.to_owned()).or_insert(found).clone())
    }

    fn known(&self) -> std::sync::MutexGuard<'_, HashMap<String, Vec<SocketAddr>>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// For connections: nothing but what was looked up, and let through, before.
impl Resolve for Names {
    fn resolve(&self, name: Name) -> Resolving {
        let known = self.known().get(name.as_str()).cloned();
        Box::pin(ready(match known {
            Some(known) => Ok(Box::new(known.into_iter()) as Addrs),
            None => Err("the name was not looked up".into()),
        }))
    }
}

/// The host when it is an address. The URL's parser has turned every way to write an IPv4 address into the usual one.
fn literal(url: &Url) -> Option<IpAddr> {
    if url.domain().is_some() {
        return None;
    }
    let host = url.host_str()?;
    host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host).parse().ok()
}

fn refused(what: std::fmt::Arguments<'_>) -> Error {
    let message = format!("{what}, which only allow_addresses can allow");
    Error::new(ErrorKind::Denied, "address-refused", message)
}

#[cfg(test)]
mod tests;
