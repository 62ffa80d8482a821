//! A login as OpenStack's clients write it: options with names, of whatever source; and what they mean together.
//!
//! The names are keystoneauth's (`keystoneauth1/loading`, `identity/v3`), with os-client-config's for the rest.

use std::collections::BTreeMap;
use std::path::Path;

use landfall_handler_api::{Cloud, CloudLogin, CloudScope, CloudUser, Error, ErrorKind, Result, Scope};

use super::file;
use crate::config::CloudOptions;

/// What `auth` may have.
const AUTH: [&str; 24] = [
    "application_credential_id",
    "application_credential_name",
    "application_credential_secret",
    "auth_url",
    "default_domain_id",
    "default_domain_name",
    "domain_id",
    "domain_name",
    "endpoint",
    "password",
    "project_domain_id",
    "project_domain_name",
    "project_id",
    "project_name",
    "system_scope",
    "tenant_id",
    "tenant_name",
    "token",
    "trust_id",
    "url",
    "user_domain_id",
    "user_domain_name",
    "user_id",
    "username",
];
/// The domain of users and projects that have none, as `openstack` has it.
const DEFAULT_DOMAIN: &str = "default";

/// What `auth` may have.
pub(crate) fn auth_options() -> &'static [&'static str] {
    &AUTH
}

/// Whether `auth` may have it.
pub(crate) fn is_auth_option(name: &str) -> bool {
    AUTH.contains(&name)
}

/// Options of one login. Not `Debug`: they hold secrets.
#[derive(Default)]
pub(super) struct Options {
    /// Of [`AUTH`].
    pub(super) auth: BTreeMap<String, String>,
    pub(super) auth_type: Option<String>,
    pub(super) region: Option<String>,
    pub(super) interface: Option<String>,
    /// Certificates and the key: text, in PEM.
    pub(super) ca: Option<String>,
    pub(super) certificate: Option<String>,
    pub(super) key: Option<String>,
    /// By the type of service.
    pub(super) endpoints: BTreeMap<String, String>,
    /// Somebody wanted servers not to be verified.
    pub(super) insecure: bool,
}

fn refused(code: &'static str, message: String) -> Error {
    Error::new(ErrorKind::Invalid, code, message).scoped(Scope::Request)
}

impl Options {
    /// Those of the configuration, whose files are read.
    pub(super) fn of_config(written: &CloudOptions) -> Result<Self> {
        let text = |path: &Option<std::path::PathBuf>| path.as_deref().map(file::read).transpose();
        let mut auth = BTreeMap::new();
        for (key, value) in &written.auth {
            match key.strip_suffix("_file") {
                Some(name) => auth.insert(name.to_owned(), without_line_end(&file::read(Path::new(value))?).to_owned()),
                None => auth.insert(key.clone(), value.clone()),
            };
        }
        Ok(Self {
            auth,
            auth_type: written.auth_type.clone(),
            region: written.region_name.clone(),
            interface: written.interface.clone(),
            ca: text(&written.ca_file)?,
            certificate: text(&written.client_certificate_file)?,
            key: text(&written.client_key_file)?,
            endpoints: written.endpoints.clone(),
            insecure: false,
        })
    }

    /// What they mean together.
    pub(super) fn cloud(mut self, name: &str) -> Result<Cloud> {
        if self.insecure {
            let message = format!("cloud {name} is not to be verified, which Landfall has no way to do; set its CA");
            return Err(refused("cloud-insecure", message));
        }
        if self.take("trust_id").is_some() {
            return Err(refused("cloud-login", format!("cloud {name} logs in by a trust, which is not supported")));
        }
        let mut cloud = Cloud::default();
        cloud.name = name.to_owned();
        cloud.region = self.region.take();
        cloud.interface = interface(name, self.interface.take())?;
        cloud.endpoints = std::mem::take(&mut self.endpoints);
        (cloud.ca, cloud.client_certificate, cloud.client_key) =
            (self.ca.take(), self.certificate.take(), self.key.take());
        cloud.auth_url = self.take("auth_url");
        if let Some(endpoint) = self.take("endpoint").or_else(|| self.take("url")) {
            cloud.endpoints.entry("image".to_owned()).or_insert(endpoint);
        }
        cloud.login = self.login(name)?;
        cloud.scope = match &cloud.login {
            CloudLogin::Password { .. } | CloudLogin::Token { .. } => self.scope(),
            _ => CloudScope::default(),
        };
        let asks_nobody = matches!(&cloud.login, CloudLogin::None | CloudLogin::Token { .. });
        let knows_where = asks_nobody && !cloud.endpoints.is_empty();
        if cloud.auth_url.is_none() && !knows_where {
            return Err(refused("cloud-login", format!("cloud {name} has no auth_url")));
        }
        Ok(cloud)
    }

    fn take(&mut self, name: &str) -> Option<String> {
        self.auth.remove(name).filter(|value| !value.is_empty())
    }

    fn needs(&mut self, cloud: &str, name: &str) -> Result<String> {
        self.take(name).ok_or_else(|| refused("cloud-login", format!("cloud {cloud} has no {name}")))
    }

    fn login(&mut self, cloud: &str) -> Result<CloudLogin> {
        let has = |name: &str| self.auth.get(name).is_some_and(|value| !value.is_empty());
        let guessed = match () {
            () if has("application_credential_secret") => "v3applicationcredential",
            () if has("token") => "token",
            () => "password",
        };
        let written = self.auth_type.take();
        Ok(match written.as_deref().unwrap_or(guessed) {
            "password" | "v3password" => {
                let user = self.user();
                if user.user_id.is_none() && user.username.is_none() {
                    return Err(refused("cloud-login", format!("cloud {cloud} has no username")));
                }
                CloudLogin::Password { user, password: self.needs(cloud, "password")? }
            }
            "v3applicationcredential" => {
                let (id, name) = (self.take("application_credential_id"), self.take("application_credential_name"));
                if id.is_none() && name.is_none() {
                    return Err(refused("cloud-login", format!("cloud {cloud} has no application_credential_id")));
                }
                let user = if id.is_some() { CloudUser::default() } else { self.user() };
                let secret = self.needs(cloud, "application_credential_secret")?;
                CloudLogin::ApplicationCredential { id, name, user, secret }
            }
            "token" | "v3token" | "admin_token" => {
                CloudLogin::Token { token: self.needs(cloud, "token")?, keep: false }
            }
            // As python-swiftclient's plugin of this name puts them together.
            "v1password" => {
                let user = self.needs(cloud, "username")?;
                let user = match self.take("project_name").or_else(|| self.take("tenant_name")) {
                    Some(account) => format!("{account}:{user}"),
                    None => user,
                };
                CloudLogin::V1 { user, key: self.needs(cloud, "password")? }
            }
            "none" => CloudLogin::None,
            other => {
                let other = crate::redact::printable(other);
                let message = format!(
                    "cloud {cloud} logs in by {other}; known are password, token, v3applicationcredential, v1password and none"
                );
                return Err(refused("cloud-login", message));
            }
        })
    }

    fn default_domain(&self) -> (Option<String>, Option<String>) {
        let given = |name: &str| self.auth.get(name).filter(|value| !value.is_empty()).cloned();
        match (given("default_domain_id"), given("default_domain_name")) {
            (None, None) => (Some(DEFAULT_DOMAIN.to_owned()), None),
            (Some(id), _) => (Some(id), None),
            (None, name) => (None, name),
        }
    }

    fn user(&mut self) -> CloudUser {
        let (user_id, username) = (self.take("user_id"), self.take("username"));
        let domain = (self.take("user_domain_id"), self.take("user_domain_name"));
        let (user_domain_id, user_domain_name) = match (&user_id, &domain) {
            (None, (None, None)) => self.default_domain(),
            _ => domain,
        };
        CloudUser { user_id, username, user_domain_id, user_domain_name }
    }

    fn scope(&mut self) -> CloudScope {
        let project_id = self.take("project_id").or_else(|| self.take("tenant_id"));
        let project_name = self.take("project_name").or_else(|| self.take("tenant_name"));
        let domain = (self.take("project_domain_id"), self.take("project_domain_name"));
        let (project_domain_id, project_domain_name) = match (&project_id, &project_name, &domain) {
            (None, Some(_), (None, None)) => self.default_domain(),
            _ => domain,
        };
        CloudScope {
            project_id,
            project_name,
            project_domain_id,
            project_domain_name,
            domain_id: self.take("domain_id"),
            domain_name: self.take("domain_name"),
            system: self.take("system_scope").is_some_and(|scope| scope == "all"),
        }
    }
}

/// A password may end with a blank.
fn without_line_end(text: &str) -> &str {
    let text = text.strip_suffix('\n').unwrap_or(text);
    text.strip_suffix('\r').unwrap_or(text)
}

/// Also by its older names: `publicURL`.
fn interface(cloud: &str, written: Option<String>) -> Result<String> {
    let Some(written) = written.filter(|written| !written.is_empty()) else { return Ok("public".to_owned()) };
    let name = written.strip_suffix("URL").unwrap_or(&written);
    if ["public", "internal", "admin"].contains(&name) {
        return Ok(name.to_owned());
    }
    Err(refused("cloud-interface", format!("cloud {cloud}: {} is no interface", crate::redact::printable(&written))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cloud(auth_type: Option<&str>, auth: &[(&str, &str)]) -> Result<Cloud> {
        let auth = auth.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Options { auth, auth_type: auth_type.map(str::to_owned), ..Options::default() }.cloud("site")
    }

    const AT: (&str, &str) = ("auth_url", "https://keystone/v3");

    #[test]
    fn the_login_follows_from_what_there_is() {
        let password = cloud(None, &[AT, ("username", "u"), ("password", "p"), ("project_name", "x")]).unwrap();
        let CloudLogin::Password { user, password: given } = &password.login else { panic!("no password") };
        assert_eq!(
            (user.username.as_deref(), user.user_domain_id.as_deref(), given.as_str()),
            (Some("u"), Some("default"), "p")
        );
        assert_eq!(password.scope.project_domain_id.as_deref(), Some("default"));
        assert_eq!(password.interface, "public");

        let id = [AT, ("application_credential_id", "i"), ("application_credential_secret", "s"), ("project_id", "x")];
        let credential = cloud(None, &id).unwrap();
        assert!(
            matches!(&credential.login, CloudLogin::ApplicationCredential { id: Some(id), user, .. } if id == "i" && user.username.is_none())
        );
        assert!(credential.scope == CloudScope::default(), "it has its own");

        assert!(matches!(cloud(None, &[AT, ("token", "t")]).unwrap().login, CloudLogin::Token { .. }));
        let ready = cloud(Some("admin_token"), &[("token", "t"), ("endpoint", "http://glance")]).unwrap();
        assert_eq!(ready.endpoints.get("image").map(String::as_str), Some("http://glance"));
        let v1 = cloud(Some("v1password"), &[AT, ("username", "tester"), ("project_name", "test"), ("password", "p")]);
        assert!(matches!(v1.unwrap().login, CloudLogin::V1 { user, .. } if user == "test:tester"));
        assert!(matches!(cloud(Some("none"), &[("endpoint", "http://glance")]).unwrap().login, CloudLogin::None));
    }

    #[test]
    fn a_domain_that_is_given_is_no_default() {
        let given = cloud(
            Some("password"),
            &[
                AT,
                ("username", "u"),
                ("password", "p"),
                ("user_domain_name", "D"),
                ("default_domain_name", "E"),
                ("project_name", "x"),
            ],
        );
        let given = given.unwrap();
        let CloudLogin::Password { user, .. } = &given.login else { panic!("no password") };
        assert_eq!((user.user_domain_id.as_deref(), user.user_domain_name.as_deref()), (None, Some("D")));
        assert_eq!(given.scope.project_domain_name.as_deref(), Some("E"));
        let id = cloud(None, &[AT, ("user_id", "u"), ("password", "p"), ("project_id", "x")]).unwrap();
        assert!(matches!(&id.login, CloudLogin::Password { user, .. } if user.user_domain_id.is_none()));
        assert!(id.scope.project_domain_id.is_none());
    }

    #[test]
    fn what_is_missing_is_named_and_no_secret_is() {
        let code = |auth_type: Option<&str>, auth: &[(&str, &str)]| {
            let error = cloud(auth_type, auth).unwrap_err();
            assert!(!error.message().contains("CANARY"), "{error}");
            assert_eq!((error.kind(), error.scope()), (ErrorKind::Invalid, Scope::Request));
            error.message().to_owned()
        };
        assert!(code(None, &[("username", "u"), ("password", "CANARY")]).contains("auth_url"));
        assert!(code(None, &[AT, ("password", "CANARY")]).contains("username"));
        assert!(code(None, &[AT, ("username", "u")]).contains("password"));
        assert!(
            code(Some("v3applicationcredential"), &[AT, ("application_credential_secret", "CANARY")]).contains("_id")
        );
        assert!(code(Some("v3oidcpassword"), &[AT, ("password", "CANARY")]).contains("v3oidcpassword"));
        assert!(code(None, &[AT, ("trust_id", "t")]).contains("trust"));
        assert!(code(Some("none"), &[]).contains("auth_url"));
        assert_eq!(["a \n", "a \r\n", "a \n\n", "a "].map(without_line_end), ["a ", "a ", "a \n", "a "]);
        let insecure = Options { insecure: true, ..Options::default() }.cloud("site").unwrap_err();
        assert_eq!(insecure.code(), "cloud-insecure");
        assert!(interface("site", Some("internalURL".to_owned())).is_ok_and(|name| name == "internal"));
        assert_eq!(interface("site", Some("private".to_owned())).unwrap_err().code(), "cloud-interface");
    }
}
