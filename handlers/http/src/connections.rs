//! The connections of one job.

use std::sync::{Arc, OnceLock};

use landfall_handler_api::{Error, ErrorKind, Result};
use reqwest::{Proxy, Url, redirect};
use rustls::ClientConfig;

use crate::client::Client;
use crate::names::Names;
use crate::tls::SystemTrust;

/// Twice as many as the host reads ranges at once.
const IDLE_MAX: usize = 32;

/// The connections of one job, and the addresses that they go to: names are looked up once for all of it.
///
/// A plain source has its own; one that is put together of many requests shares one among them.
pub struct Connections {
    client: Client,
    names: Arc<Names>,
    /// Without TLS, so that nobody has to be trusted.
    plain: OnceLock<reqwest::Client>,
    secure: OnceLock<reqwest::Client>,
}

impl Connections {
    /// None yet.
    pub fn new(client: &Client) -> Self {
        let shared = &client.shared;
        let names = Names::new(Arc::clone(&shared.lookup), Arc::clone(&shared.policy), shared.proxy.clone());
        Self { client: client.clone(), names: Arc::new(names), plain: OnceLock::new(), secure: OnceLock::new() }
    }

    /// How many redirects in a row are followed.
    pub(crate) fn redirects(&self) -> usize {
        self.client.shared.redirects
    }

    /// Where names lead to.
    pub(crate) fn names(&self) -> &Names {
        &self.names
    }

    /// Those for a URL. What is trusted is only asked for when it is needed.
    pub(crate) fn to(&self, url: &Url, system: &dyn SystemTrust) -> Result<&reqwest::Client> {
        let shared = &self.client.shared;
        let is_secure = |url: &Url| url.scheme() == "https";
        let secure = is_secure(url) || shared.proxy.as_ref().is_some_and(is_secure);
        let slot = if secure { &self.secure } else { &self.plain };
        if let Some(made) = slot.get() {
            return Ok(made);
        }
        let tls = if secure { shared.tls.trusting(system)? } else { shared.tls.blind()? };
        let made = self.make(tls)?;
        Ok(slot.get_or_init(|| made))
    }

    fn make(&self, tls: ClientConfig) -> Result<reqwest::Client> {
        let failed = |error: reqwest::Error| {
            let message = format!("make an HTTP client: {}", error.without_url());
            Error::new(ErrorKind::Internal, "http-client", message)
        };
        let shared = &self.client.shared;
        // Before everything else: otherwise the environment would name a proxy.
        let mut builder = reqwest::Client::builder().no_proxy();
        if let Some(proxy) = &shared.proxy {
            builder = builder.proxy(Proxy::all(proxy.clone()).map_err(failed)?);
        }
        builder
            .tls_backend_preconfigured(tls)
            .http1_only()
            .redirect(redirect::Policy::none())
            .referer(false)
            .dns_resolver(Arc::clone(&self.names))
            .connect_timeout(shared.connect_timeout)
            .tcp_nodelay(true)
            .pool_max_idle_per_host(IDLE_MAX)
            .user_agent(concat!("landfall/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(failed)
    }
}
