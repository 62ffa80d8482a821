//! A login to an OpenStack cloud: the JSON of the secrets `cloud`, `catalog.cloud` and `catalog.service`.
//!
//! The host reads the configuration, `clouds.yaml` and `OS_*`, and says here what they come to; a handler opens no file and
//! reads no environment variable. Members have the meaning of the options of OpenStack's own clients (keystoneauth,
//! os-client-config) that have their names.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

/// How to log in to a cloud, and which of its endpoints to use. Its `Debug` shows the name alone.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct Cloud {
    /// Its name in the configuration, for messages.
    pub name: String,
    /// Keystone's URL, with or without `/v3`; for the login `v1` that of its `/auth/v1.0`. Absent for the logins that ask nobody.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auth_url: Option<String>,
    /// Who logs in.
    pub login: CloudLogin,
    /// What the token is for.
    pub scope: CloudScope,
    /// The region whose endpoints are used. Absent: there is but one, or any will do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// Which of a service's endpoints are used: `public` (also when empty), `internal` or `admin`.
    pub interface: String,
    /// URLs that are used whatever the catalog says, by the type of service: `image`, `object-store`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub endpoints: BTreeMap<String, String>,
    /// Certificates in PEM that are trusted instead of the handler's own or the system's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca: Option<String>,
    /// The certificate that this node shows, in PEM, and its private key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_certificate: Option<String>,
    /// The key of that certificate, in PEM.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_key: Option<String>,
}

/// Who logs in, and how.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub enum CloudLogin {
    /// Nobody: the services want no token.
    #[default]
    None,
    /// A user of Keystone v3 with a password.
    Password {
        /// Who.
        #[serde(flatten)]
        user: CloudUser,
        /// The password.
        password: String,
    },
    /// An application credential of Keystone v3, which has its own scope.
    ApplicationCredential {
        /// Its id; or its name, with the user that it belongs to.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<String>,
        /// Its name.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        name: Option<String>,
        /// Whose it is, where it is named.
        #[serde(flatten)]
        user: CloudUser,
        /// Its secret.
        secret: String,
    },
    /// A token of Keystone v3. With an `auth_url` another one is got for it, for the scope; without, it is used as it is.
    Token {
        /// The token.
        token: String,
        /// Whether it is used as it is all the same: then Keystone is only asked for its services, and the scope is its own.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        keep: bool,
    },
    /// A user of Swift's own v1 authentication.
    V1 {
        /// Who, as `account:user`.
        user: String,
        /// The key.
        key: String,
    },
}

/// A user of Keystone: its id, or its name and domain.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct CloudUser {
    /// The user's id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_id: Option<String>,
    /// The user's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// The id of the user's domain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_domain_id: Option<String>,
    /// The name of the user's domain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_domain_name: Option<String>,
}

/// What a token is for: a project, a domain, the whole system, or nothing in particular.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct CloudScope {
    /// The project's id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub project_id: Option<String>,
    /// The project's name, with its domain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub project_name: Option<String>,
    /// The id of the project's domain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub project_domain_id: Option<String>,
    /// The name of the project's domain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub project_domain_name: Option<String>,
    /// A domain's id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub domain_id: Option<String>,
    /// A domain's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub domain_name: Option<String>,
    /// The whole system.
    pub system: bool,
}

/// Without what it holds.
impl fmt::Debug for Cloud {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cloud").field("name", &self.name).finish_non_exhaustive()
    }
}
