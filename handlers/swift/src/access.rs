//! As whom an object is read.
//!
//! A location's own credentials are the location's: what it names is treated like any other host. The operator's, those
//! of references, of the node's login and of the key for signed URLs, would let whoever writes a record read all that
//! the operator may read (Launchpad bug 1334196). So they are used for the containers of the setting `containers`
//! alone, and never shown to a server that the operator's cloud does not name. What they are not used for is read as
//! nobody, as a public container can be.

use std::sync::Arc;

use landfall_handler_api::{Cloud, Error, ErrorKind, Result};
use landfall_handler_http::{Connections, SystemTrust, Url};
use landfall_keystone::Identity;

use crate::account::{Account, Withheld};
use crate::cloud;
use crate::config::Settings;
use crate::url::{AccountUrl, SwiftUrl};

/// The type of service in a catalog.
const SERVICE: &str = "object-store";

impl Settings {
    /// The account of a location. `cloud`: the node's login.
    pub(crate) async fn account(
        &self,
        url: &SwiftUrl,
        cloud: Option<Cloud>,
        named_by_caller: bool,
        system: &dyn SystemTrust,
    ) -> Result<Account> {
        let allowed = self.containers.allow(url.name.container());
        match &url.account {
            AccountUrl::Credentials { user, key, auth_url } => {
                let cloud = cloud::of_location(user, key, auth_url, &self.defaults)?;
                self.login(cloud, named_by_caller, system).await
            }
            AccountUrl::Reference(_) if !allowed => Err(Withheld::Container.error()),
            AccountUrl::Reference(reference) => {
                let reference = self.references.as_ref().and_then(|references| references.get(reference));
                let reference = reference.ok_or_else(|| {
                    let message = "the location's reference is not in store_config of [handler.swift]";
                    Error::new(ErrorKind::Invalid, "no-reference", message)
                })?;
                self.login(cloud::of_reference(reference, &self.defaults)?, true, system).await
            }
            AccountUrl::Storage(storage) => self.storage(storage, allowed, cloud, named_by_caller, system).await,
        }
    }

    /// The account that a login has.
    async fn login(&self, cloud: Cloud, trusted: bool, system: &dyn SystemTrust) -> Result<Account> {
        let identity = self.identity(cloud, trusted)?;
        let url = identity.session(system).await?.endpoint(SERVICE)?;
        Ok(logged_in(identity, storage_url(url)?))
    }

    /// The account that a storage URL names.
    async fn storage(
        &self,
        url: &Url,
        allowed: bool,
        cloud: Option<Cloud>,
        named_by_caller: bool,
        system: &dyn SystemTrust,
    ) -> Result<Account> {
        let mut withheld = None;
        if let Some(cloud) = cloud {
            let identity = self.identity(cloud, true)?;
            withheld = match identity.session(system).await?.may_see(SERVICE, url) {
                true if allowed => return Ok(logged_in(identity, url.clone())),
                true => Some(Withheld::Container),
                false => Some(Withheld::OtherServer),
            };
        }
        let temp_urls = self.temp_urls.as_ref().filter(|temp_urls| temp_urls.hold_for(url));
        if temp_urls.is_some() && !allowed {
            withheld = Some(Withheld::Container);
        }
        let connections = Arc::new(Connections::new(&self.client));
        Ok(match temp_urls.filter(|_| allowed) {
            Some(temp_urls) => Account {
                url: url.clone(),
                connections,
                login: Some(Arc::clone(&temp_urls.key) as _),
                lists: false,
                trusted: true,
                withheld: None,
            },
            None => {
                Account { url: url.clone(), connections, login: None, lists: true, trusted: named_by_caller, withheld }
            }
        })
    }

    fn identity(&self, cloud: Cloud, trusted: bool) -> Result<Arc<Identity>> {
        let connections = Arc::new(Connections::new(&landfall_keystone::client(&self.http, &cloud)?));
        Ok(Identity::new(cloud, connections, trusted))
    }
}

fn logged_in(identity: Arc<Identity>, url: Url) -> Account {
    let (connections, trusted) = (Arc::clone(identity.connections()), identity.is_trusted());
    Account { url, connections, login: Some(identity), lists: true, trusted, withheld: None }
}

/// Of an endpoint, which a server told.
fn storage_url(mut url: Url) -> Result<Url> {
    let plain = url.username().is_empty() && url.password().is_none() && url.query().is_none();
    if !plain || !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        let message = "the store's endpoint is no URL to which objects can be added";
        return Err(Error::new(ErrorKind::Corrupt, "bad-endpoint", message));
    }
    url.set_fragment(None);
    Ok(url)
}

#[cfg(test)]
mod tests;
