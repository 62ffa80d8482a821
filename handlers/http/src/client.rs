//! The client of a handler: what its settings say, in the form in which it is used.

use std::sync::Arc;
use std::time::Duration;

use landfall_handler_api::{Error, ErrorKind, Result};
use reqwest::Url;

use crate::address::AddressPolicy;
use crate::config::Config;
use crate::names::{Lookup, SystemLookup};
use crate::tls::Tls;

const REDIRECTS_MAX: u32 = 20;
const CONNECT_SECONDS_MAX: u32 = 300;

/// The HTTP client of a handler, made once of its settings. Cheap to clone.
///
/// It has no connections: those belong to a source, and go only to the addresses that were checked for that source.
#[derive(Clone)]
pub struct Client {
    pub(crate) shared: Arc<Shared>,
}

/// The settings, checked.
pub(crate) struct Shared {
    pub(crate) policy: Arc<AddressPolicy>,
    pub(crate) tls: Tls,
    pub(crate) proxy: Option<Url>,
    pub(crate) redirects: usize,
    pub(crate) connect_timeout: Duration,
    pub(crate) lookup: Arc<dyn Lookup>,
}

impl Client {
    /// Of the settings; fails with `invalid` and a code that begins with `config-`. Without I/O.
    pub fn new(config: &Config) -> Result<Self> {
        Self::with_lookup(config, Arc::new(SystemLookup))
    }

    pub(crate) fn with_lookup(config: &Config, lookup: Arc<dyn Lookup>) -> Result<Self> {
        let redirects = usize::try_from(bounded("redirects", config.redirects, 0, REDIRECTS_MAX)?).unwrap_or_default();
        let seconds = bounded("connect_seconds", config.connect_seconds, 1, CONNECT_SECONDS_MAX)?;
        let shared = Shared {
            policy: Arc::new(AddressPolicy::new(&config.allow_addresses)?),
            tls: Tls::new(config)?,
            proxy: config.proxy.as_deref().map(proxy).transpose()?,
            redirects,
            connect_timeout: Duration::from_secs(seconds.into()),
            lookup,
        };
        Ok(Self { shared: Arc::new(shared) })
    }
}

fn bounded(key: &str, value: u32, least: u32, most: u32) -> Result<u32> {
    if (least..=most).contains(&value) {
        return Ok(value);
    }
    let code = format!("config-{}", key.replace('_', "-"));
    Err(Error::new(ErrorKind::Invalid, code, format!("{key} is {value}, and may be {least} to {most}")))
}

fn proxy(text: &str) -> Result<Url> {
    let url = Url::parse(text.trim_end()).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
    url.ok_or_else(|| {
        let message = "proxy is no URL that begins with http:// or https://";
        Error::new(ErrorKind::Invalid, "config-proxy", message)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(change: impl FnOnce(&mut Config)) -> String {
        let mut config = Config::default();
        change(&mut config);
        let error = Client::new(&config).err().unwrap();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert!(!error.message().contains("secret"));
        error.code().to_owned()
    }

    #[test]
    fn settings_that_cannot_be_right() {
        assert!(Client::new(&Config::default()).is_ok());
        assert_eq!(refusal(|config| config.redirects = 21), "config-redirects");
        assert_eq!(refusal(|config| config.connect_seconds = 0), "config-connect-seconds");
        assert_eq!(refusal(|config| config.connect_seconds = 301), "config-connect-seconds");
        assert_eq!(refusal(|config| config.proxy = Some("socks5://secret@host".to_owned())), "config-proxy");
        assert_eq!(refusal(|config| config.proxy = Some("secret".to_owned())), "config-proxy");
        assert_eq!(refusal(|config| config.allow_addresses = vec!["x".to_owned()]), "config-allow-addresses");
        assert_eq!(refusal(|config| config.ca = Some(String::new())), "config-ca");
        assert_eq!(refusal(|config| config.client_key = Some("secret".to_owned())), "config-client-certificate");
    }
}
