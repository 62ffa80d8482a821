//! Headers that expire: tokens and signatures.

use landfall_handler_api::{Result, async_trait};
use reqwest::header::HeaderMap;
use reqwest::{Method, Url};

use crate::tls::SystemTrust;

/// Knows the headers that show a server who asks.
///
/// Asked before each request to the resource's own origin, from any of the source's reads at once; never for a URL that a
/// redirect led to.
#[async_trait]
pub trait Login: Send + Sync {
    /// The headers of a request. `refused`: those that were sent with the same request before and answered with 401; what
    /// comes then should be others, and is the last that is tried. `system` is whom this node trusts.
    async fn headers(
        &self,
        method: &Method,
        url: &Url,
        refused: Option<&HeaderMap>,
        system: &dyn SystemTrust,
    ) -> Result<HeaderMap>;

    /// The URL to be asked instead of `url`, where a signature stands in the query. Made for each request, so that it never
    /// expires in the middle of a download.
    fn signed(&self, method: &Method, url: &Url) -> Option<Url> {
        let _ = (method, url);
        None
    }
}
