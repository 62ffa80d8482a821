//! Logins to OpenStack clouds: what Swift, Glance and whatever else wants a token have in common.
//!
//! A [`Cloud`] says how to log in; the host made it, of the configuration, `clouds.yaml` or `OS_*`. An [`Identity`]
//! logs in when it is first needed, keeps the [`Session`] and renews it before it expires and when a server no longer
//! takes its token.
//!
//! What goes wrong, each of it ruling out the location alone:
//!
//! | code | kind | when |
//! | --- | --- | --- |
//! | `bad-login` | invalid | the cloud's entry lacks something or contradicts itself: a name without a domain |
//! | `bad-auth-url` | invalid | `auth_url` is no plain `http://` or `https://` URL |
//! | `keystone-v2` | invalid | `auth_url` is that of Keystone's version 2.0 |
//! | `keystone-denied`, `keystone-forbidden` | denied | 401: a wrong or expired password, a locked user; 403 |
//! | `keystone-mfa` | unsupported | Keystone wants a second factor |
//! | `keystone-refused` | invalid | 400, 404, 300 and other statuses that say that the question was wrong |
//! | `keystone-redirect` | invalid | a redirect, which is not followed: it could lead the password anywhere |
//! | `keystone-unavailable` | unavailable | 429 and 5xx, with the pause of `Retry-After` |
//! | `keystone-bad-answer` | corrupt | no token, no JSON, or a catalog that cannot be read |
//! | `swift-auth-...` | | the same of Swift's v1 login |
//! | `token-expired` | denied | a server refuses a token that nobody can renew, or Keystone one to be exchanged |
//! | `no-login` | denied | a server wants a token where the cloud's entry has no login |
//! | `token-not-for-url` | denied | a URL is not beneath an endpoint, so that the token is not shown there |
//! | `no-endpoint` | invalid | neither the cloud's entry nor the catalog has the endpoint |
//! | `bad-endpoint` | invalid, corrupt | the endpoint is no plain URL: in the entry, in the catalog |
//!
//! A server that cannot be reached has the codes of the HTTP layer; its message says that it was about a login.

mod answer;
mod auth_url;
mod endpoint;
mod endpoints;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod identity;
mod refusal;
mod request;
mod session;
#[cfg(test)]
mod test_server;
mod v1;
mod v3;

pub use identity::{Identity, client};
pub use session::Session;

use landfall_handler_api::{Call, Cloud, Error, ErrorKind, Request, Result};

/// The login of this name, where the request has it.
pub fn cloud(call: &Call, request: &Request, name: &str) -> Result<Option<Cloud>> {
    if !request.secrets.iter().any(|known| known == name) {
        return Ok(None);
    }
    let secret = call.secret(name)?;
    serde_json::from_slice(secret.bytes())
        .map(Some)
        .map_err(|_| Error::new(ErrorKind::Invalid, "bad-cloud", format!("the login {name} cannot be read")))
}
