//! TLS: whom this client trusts, and what it shows of itself.
//!
//! The configuration is made here, explicitly, so that neither a default provider nor the environment has a say in it.

use std::sync::{Arc, Mutex, PoisonError};

use landfall_handler_api::{Call, Error, ErrorKind, Result, Scope};
use rustls::RootCertStore;
use rustls::client::{ClientConfig, ResolvesClientCert};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::{CertifiedKey, SingleCertAndKey};

use crate::config::Config;

/// The secret that has what this node trusts.
const SYSTEM_ROOTS: &str = "tls.roots";

/// Where the certificates come from that this node trusts.
pub trait SystemTrust: Send + Sync {
    /// In PEM; `None` where the node has none.
    fn roots(&self) -> Result<Option<Vec<u8>>>;
}

impl SystemTrust for Call {
    fn roots(&self) -> Result<Option<Vec<u8>>> {
        match self.secret(SYSTEM_ROOTS) {
            Ok(roots) => Ok(Some(roots.bytes().to_vec())),
            Err(error) if error.kind() == ErrorKind::Cancelled => Err(error),
            Err(_) => Ok(None),
        }
    }
}

/// What is made of the settings, and the configuration that trusts, once that was needed.
pub(crate) struct Tls {
    provider: Arc<CryptoProvider>,
    /// The operator's, which replace the system's.
    own_roots: Option<Arc<RootCertStore>>,
    identity: Option<Arc<dyn ResolvesClientCert>>,
    trusting: Mutex<Option<ClientConfig>>,
}

impl Tls {
    /// Of the settings, which are read here so that a mistake is told when the handler is made.
    pub(crate) fn new(config: &Config) -> Result<Self> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let own_roots = config.ca.as_deref().map(own_roots).transpose()?;
        let identity = match (&config.client_certificate, &config.client_key) {
            (None, None) => None,
            (Some(certificate), Some(key)) => Some(identity(certificate, key, &provider)?),
            _ => {
                let message = "client_certificate and client_key go together, and one of them is missing";
                return Err(Error::new(ErrorKind::Invalid, "config-client-certificate", message));
            }
        };
        Ok(Self { provider, own_roots, identity, trusting: Mutex::new(None) })
    }

    /// For connections without TLS: trusts nobody, and costs nothing to make.
    pub(crate) fn blind(&self) -> Result<ClientConfig> {
        self.configuration(Arc::new(RootCertStore::empty()))
    }

    /// For servers that prove who they are. Made once.
    pub(crate) fn trusting(&self, system: &dyn SystemTrust) -> Result<ClientConfig> {
        let mut trusting = self.trusting.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(made) = trusting.as_ref() {
            return Ok(made.clone());
        }
        let roots = match &self.own_roots {
            Some(own) => Arc::clone(own),
            None => Arc::new(usable(&system.roots()?.unwrap_or_default())),
        };
        if roots.is_empty() {
            let message = "this node has no certificates to verify a server by; set ca_file, or install the system's";
            return Err(Error::new(ErrorKind::Unsupported, "tls-no-trust", message).scoped(Scope::Location));
        }
        let made = self.configuration(roots)?;
        *trusting = Some(made.clone());
        Ok(made)
    }

    fn configuration(&self, roots: Arc<RootCertStore>) -> Result<ClientConfig> {
        let builder = ClientConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_safe_default_protocol_versions()
            .map_err(|error| Error::new(ErrorKind::Internal, "tls-settings", format!("set TLS up: {error}")))?
            .with_root_certificates(roots);
        let mut configuration = match &self.identity {
            Some(identity) => builder.with_client_cert_resolver(Arc::clone(identity)),
            None => builder.with_no_client_auth(),
        };
        configuration.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(configuration)
    }
}

/// The certificates of a bundle that can be read; old bundles have some that cannot.
fn usable(pem: &[u8]) -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(CertificateDer::pem_slice_iter(pem).flatten());
    roots
}

fn own_roots(pem: &str) -> Result<Arc<RootCertStore>> {
    let roots = usable(pem.as_bytes());
    if roots.is_empty() {
        return Err(Error::new(ErrorKind::Invalid, "config-ca", "ca has no certificate in PEM that can be used"));
    }
    Ok(Arc::new(roots))
}

fn identity(certificate: &str, key: &str, provider: &CryptoProvider) -> Result<Arc<dyn ResolvesClientCert>> {
    let invalid = |code, message: &str| Error::new(ErrorKind::Invalid, code, message);
    let chain: Vec<_> = CertificateDer::pem_slice_iter(certificate.as_bytes())
        .collect::<Result<_, _>>()
        .ok()
        .filter(|chain: &Vec<_>| !chain.is_empty())
        .ok_or_else(|| invalid("config-client-certificate", "client_certificate is no certificate in PEM"))?;
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes())
        .map_err(|_| invalid("config-client-key", "client_key is no private key in PEM without a password"))?;
    let both = CertifiedKey::from_der(chain, key, provider).map_err(|error| match error {
        rustls::Error::InconsistentKeys(_) => {
            invalid("config-client-key", "client_key is not the key of client_certificate")
        }
        rustls::Error::InvalidCertificate(_) => invalid(
            "config-client-certificate",
            "the first certificate of client_certificate cannot be used; it must be of X.509 version 3",
        ),
        _ => invalid("config-client-key", "client_key is of no kind that can be used"),
    })?;
    Ok(Arc::new(SingleCertAndKey::from(both)))
}

#[cfg(test)]
mod tests;
