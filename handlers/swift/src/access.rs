//! As whom an object is read.
//!
//! A location's own credentials are the location's: what it names is treated like any other host. The operator's, those
//! of references, of the node's login and of the key for signed URLs, would let whoever writes a record read all that
//! the operator may read (Launchpad bug 1334196). So they are used for the containers of the setting `containers`
//! alone, segments and links included, and a login at its own endpoint alone, for its own account and those of the
//! setting `accounts`. What they are not used for is read as nobody, as a public container can be.

use std::sync::Arc;

use landfall_handler_api::{Cloud, Error, ErrorKind, Result};
use landfall_handler_http::{Connections, SystemTrust, Url};
use landfall_keystone::Identity;

use crate::account::{Account, Withheld};
use crate::cloud;
use crate::config::{Containers, Settings};
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
                let (identity, url) = self.login(cloud, named_by_caller, system).await?;
                Ok(logged_in(identity, url, None))
            }
            AccountUrl::Reference(_) if !allowed => Err(Withheld::Container.error()),
            AccountUrl::Reference(reference) => {
                let reference = self.references.as_ref().and_then(|references| references.get(reference));
                let reference = reference.ok_or_else(|| {
                    let message = "the location's reference is not in store_config of [handler.swift]";
                    Error::new(ErrorKind::Invalid, "no-reference", message)
                })?;
                let cloud = cloud::of_reference(reference, &self.defaults)?;
                let (identity, url) = self.login(cloud, true, system).await?;
                Ok(self.operators(identity, url))
            }
            AccountUrl::Storage(storage) => self.storage(storage, allowed, cloud, named_by_caller, system).await,
        }
    }

    /// The account that a login has.
    async fn login(&self, cloud: Cloud, trusted: bool, system: &dyn SystemTrust) -> Result<(Arc<Identity>, Url)> {
        let identity = self.identity(cloud, trusted)?;
        let url = identity.session(system).await?.endpoint(SERVICE)?;
        Ok((identity, storage_url(url)?))
    }

    /// An account that is read with the operator's credentials.
    fn operators(&self, identity: Arc<Identity>, url: Url) -> Account {
        logged_in(identity, url, Some(Arc::clone(&self.containers)))
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
        let mut withheld = cloud.is_some().then_some(Withheld::Container);
        // Nobody logs in for what would not be read with the login.
        if let Some(cloud) = cloud.filter(|_| allowed) {
            let identity = self.identity(cloud, true)?;
            let own = match identity.session(system).await {
                Ok(session) => session.endpoint(SERVICE).and_then(storage_url),
                Err(error) => Err(error),
            };
            withheld = Some(match own {
                Ok(own) if self.accounts.allow(&own, url) => return Ok(self.operators(identity, url.clone())),
                Ok(_) => Withheld::OtherServer,
                // What is public can be read all the same.
                Err(error) if error.kind() != ErrorKind::Cancelled => Withheld::Failed(error),
                Err(cancelled) => return Err(cancelled),
            });
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
                only: Some(Arc::clone(&self.containers)),
                withheld: None,
            },
            None => Account {
                url: url.clone(),
                connections,
                login: None,
                lists: true,
                trusted: named_by_caller,
                only: None,
                withheld,
            },
        })
    }

    fn identity(&self, cloud: Cloud, trusted: bool) -> Result<Arc<Identity>> {
        let connections = Arc::new(Connections::new(&landfall_keystone::client(&self.http, &cloud)?));
        Ok(Identity::new(cloud, connections, trusted))
    }
}

fn logged_in(identity: Arc<Identity>, url: Url, only: Option<Arc<Containers>>) -> Account {
    let (connections, trusted) = (Arc::clone(identity.connections()), identity.is_trusted());
    Account { url, connections, login: Some(identity), lists: true, trusted, only, withheld: None }
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
