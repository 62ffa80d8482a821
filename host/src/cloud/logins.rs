//! The logins of one image: what its handlers may ask for.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use landfall_handler_api::{Cloud, CloudLogin, Error, ErrorKind, Result, Scope};

use super::resolve;
use crate::complaint::complain;
use crate::config::Config;

/// The login for stores that want one, where a location brings none along.
const STORE_CLOUD: &str = "cloud";
/// The login that the image's catalog was asked with.
const CATALOG_CLOUD: &str = "catalog.cloud";
/// The login that the image's catalog was asked for locations with, if it is another one.
const CATALOG_SERVICE: &str = "catalog.service";

/// Every login that there may be.
pub(crate) const LOGINS: [&str; 3] = [STORE_CLOUD, CATALOG_CLOUD, CATALOG_SERVICE];

/// Logins by the names of the secrets that hold them. Cheap to clone.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct Logins {
    /// Each a [`Cloud`] in JSON.
    known: Arc<Vec<(&'static str, Vec<u8>)>>,
}

impl Logins {
    /// Those for an image that no Glance named. A login that cannot be read is told, and is none: most stores need none.
    pub(crate) fn for_stores(config: &Config) -> Self {
        let mut only = config.clouds.keys();
        let name = config.store_cloud.clone().or_else(|| only.next().filter(|_| only.next().is_none()).cloned());
        let read = |name: &String| -> Result<Vec<u8>> { json(config, name) };
        let known = match name.as_ref().map(read) {
            None => Vec::new(),
            Some(Ok(login)) => vec![(STORE_CLOUD, login)],
            Some(Err(error)) => {
                complain(format_args!("no login for stores: {error}"));
                Vec::new()
            }
        };
        Self { known: Arc::new(known) }
    }

    /// Those for an image of a Glance of this cloud. With a `token`, it is that which the Glance is asked with.
    pub(crate) fn of_catalog(config: &Config, cloud: &str, service: Option<&str>, token: Option<&str>) -> Result<Self> {
        let asking = match token {
            None => json(config, cloud)?,
            Some(token) => with_token(config, cloud, token)?,
        };
        let mut known = vec![(CATALOG_CLOUD, asking)];
        if let Some(service) = service {
            known.push((CATALOG_SERVICE, json(config, service)?));
        }
        let store = config.store_cloud.as_deref().or(service).unwrap_or(cloud);
        known.push((STORE_CLOUD, json(config, store)?));
        Ok(Self { known: Arc::new(known) })
    }

    /// The names of those of `wanted` that there are.
    pub(crate) fn among(&self, wanted: &[String]) -> Vec<String> {
        wanted.iter().filter(|name| self.get(name).is_some()).cloned().collect()
    }

    /// All of them, by name.
    pub(crate) fn into_map(self) -> BTreeMap<String, Vec<u8>> {
        self.known.iter().map(|(name, login)| ((*name).to_owned(), login.clone())).collect()
    }

    /// The login of this name.
    pub(crate) fn get(&self, name: &str) -> Option<&[u8]> {
        self.known.iter().find(|(known, _)| *known == name).map(|(_, login)| login.as_slice())
    }
}

/// Without what they hold.
impl fmt::Debug for Logins {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.known.iter().map(|(name, _)| name)).finish()
    }
}

fn json(config: &Config, name: &str) -> Result<Vec<u8>> {
    written(name, &read(config, name)?)
}

/// The same cloud, as whoever has `token` may use it.
fn with_token(config: &Config, name: &str, token: &str) -> Result<Vec<u8>> {
    let mut cloud = read(config, name)?;
    cloud.login = CloudLogin::Token { token: token.to_owned(), keep: true };
    written(name, &cloud)
}

fn read(config: &Config, name: &str) -> Result<Cloud> {
    resolve(name, config.clouds.get(name).ok_or_else(|| no_cloud(name))?)
}

fn written(name: &str, cloud: &Cloud) -> Result<Vec<u8>> {
    serde_json::to_vec(cloud).map_err(|_| no_cloud(name))
}

fn no_cloud(name: &str) -> Error {
    let message = format!("there is no cloud {}", crate::redact::printable(name));
    Error::new(ErrorKind::Invalid, "cloud-login", message).scoped(Scope::Request)
}
