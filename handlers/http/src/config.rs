//! `[handler.http]`, and of every handler that has the same client.

use serde::Deserialize;

/// The section. The host puts the text of a file where the operator wrote `ca_file`, `client_certificate_file`,
/// `client_key_file` or `proxy_file`: no path comes here. There is no way to trust a server that cannot be verified.
///
/// Not `Debug`: it holds a private key, and the proxy's password.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct Config {
    /// What records and redirects may lead to although only this machine, or its neighbours on the link, can reach it: IP
    /// addresses, networks as `10.0.0.0/8` or `fe80::/10`, or the words `loopback`, `link-local` and `metadata`.
    pub allow_addresses: Vec<String>,
    /// Certificates in PEM that are trusted instead of the system's.
    pub ca: Option<String>,
    /// The certificate that this node shows to servers that ask for one, in PEM, and those that lead to its issuer.
    pub client_certificate: Option<String>,
    /// The private key of that certificate, in PEM.
    pub client_key: Option<String>,
    /// The proxy for everything, an `http://` or `https://` URL, which may have a user and a password. It then resolves
    /// the names of servers, so that it, and not this node, says which addresses they lead to.
    pub proxy: Option<String>,
    /// The most redirects in a row that are followed; at most 20.
    pub redirects: u32,
    /// Seconds until a connection must be made; at most 300.
    pub connect_seconds: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            allow_addresses: Vec::new(),
            ca: None,
            client_certificate: None,
            client_key: None,
            proxy: None,
            redirects: 5,
            connect_seconds: 10,
        }
    }
}
