//! Logins of locations and of the operator's references, with what the settings add to them.

use landfall_handler_api::{Cloud, CloudLogin, CloudScope, CloudUser, Error, ErrorKind, Result, Scope};
use landfall_handler_http::Url;

/// What a login needs and neither a location nor, always, a reference says.
#[derive(Clone)]
pub(crate) struct Defaults {
    pub(crate) version: AuthVersion,
    pub(crate) user_domain: Domain,
    pub(crate) project_domain: Domain,
    pub(crate) region: Option<String>,
    pub(crate) interface: String,
}

/// The ways to log in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AuthVersion {
    /// Swift's own.
    V1,
    /// Keystone's.
    V3,
}

impl AuthVersion {
    /// Of a setting: `1`, `1.0`, `3`. `None` for others; Keystone has no version 2 any longer.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        match text {
            "1" | "1.0" => Some(Self::V1),
            "3" | "3.0" => Some(Self::V3),
            _ => None,
        }
    }

    /// What the path of an authentication URL says: `/v3`; `/v1`, `/v1.0`, `/auth/v1.0`.
    fn of_path(url: &Url) -> Option<Result<Self>> {
        let last = url.path().trim_end_matches('/').rsplit('/').next()?;
        let number = last.strip_prefix('v').filter(|number| number.starts_with(|c: char| c.is_ascii_digit()))?;
        Some(Self::parse(number).ok_or_else(|| {
            let message = "the location's authentication URL is of a version other than v1 and v3";
            Error::new(ErrorKind::Unsupported, "auth-version", message).scoped(Scope::Location)
        }))
    }
}

/// A domain of Keystone: its id, its name, or both.
#[derive(Clone, Default)]
pub(crate) struct Domain {
    pub(crate) id: Option<String>,
    pub(crate) name: Option<String>,
}

impl Domain {
    /// The domain that Glance takes where nobody names one.
    pub(crate) fn or_default(id: Option<String>, name: Option<String>) -> Self {
        let id = id.or_else(|| name.is_none().then(|| "default".to_owned()));
        Self { id, name }
    }
}

/// The login of a location's credentials.
pub(crate) fn of_location(user: &str, key: &str, auth_url: &Url, defaults: &Defaults) -> Result<Cloud> {
    let version = AuthVersion::of_path(auth_url).transpose()?.unwrap_or(defaults.version);
    let mut cloud = blank("of the location", auth_url.to_string(), defaults);
    cloud.login = match version {
        AuthVersion::V1 => CloudLogin::V1 { user: user.to_owned(), key: key.to_owned() },
        AuthVersion::V3 => {
            let (project, user) = user
                .split_once(':')
                .filter(|(project, user)| !project.is_empty() && !user.is_empty())
                .ok_or_else(|| {
                    let message = "the URL names a user without a project, which PROJECT:USER would be";
                    Error::new(ErrorKind::Invalid, "bad-url", message)
                })?;
            cloud.scope = project_scope(None, Some(project.to_owned()), &defaults.project_domain);
            password(user, key, &defaults.user_domain)
        }
    };
    Ok(cloud)
}

/// A reference in `swift_store_config_file`; Glance's names.
#[derive(Clone, Default)]
pub(crate) struct Reference {
    pub(crate) name: String,
    pub(crate) auth_url: Option<Url>,
    pub(crate) version: Option<AuthVersion>,
    pub(crate) user: Option<String>,
    pub(crate) key: Option<String>,
    pub(crate) user_domain: Option<Domain>,
    pub(crate) project_domain: Option<Domain>,
    pub(crate) project_id: Option<String>,
    pub(crate) project_name: Option<String>,
    pub(crate) application_credential_id: Option<String>,
    pub(crate) application_credential_secret: Option<String>,
}

/// The login of a reference; fails with `config-store-config`.
pub(crate) fn of_reference(reference: &Reference, defaults: &Defaults) -> Result<Cloud> {
    let lacks = |what: &str| {
        let message = format!("reference {:?} of store_config has no {what}", reference.name);
        Error::new(ErrorKind::Invalid, "config-store-config", message)
    };
    let auth_url = reference.auth_url.as_ref().ok_or_else(|| lacks("auth_address"))?;
    let version = match reference.version {
        Some(version) => version,
        None => AuthVersion::of_path(auth_url).transpose()?.unwrap_or(defaults.version),
    };
    let mut cloud = blank(&reference.name, auth_url.to_string(), defaults);
    if let (Some(id), Some(secret)) = (&reference.application_credential_id, &reference.application_credential_secret) {
        cloud.login = CloudLogin::ApplicationCredential {
            id: Some(id.clone()),
            name: None,
            user: CloudUser::default(),
            secret: secret.clone(),
        };
        return Ok(cloud);
    }
    let user = reference.user.as_ref().ok_or_else(|| lacks("user"))?;
    let key = reference.key.as_ref().ok_or_else(|| lacks("key"))?;
    if version == AuthVersion::V1 {
        cloud.login = CloudLogin::V1 { user: user.clone(), key: key.clone() };
        return Ok(cloud);
    }
    let project_domain = reference.project_domain.as_ref().unwrap_or(&defaults.project_domain);
    let (named, user) = match user.split_once(':') {
        Some((project, user)) => (Some(project.to_owned()), user),
        None => (None, user.as_str()),
    };
    let project_name = reference.project_name.clone().or(named).filter(|_| reference.project_id.is_none());
    if reference.project_id.is_none() && project_name.is_none() {
        return Err(lacks("project: user is PROJECT:USER, or there is a project_name or project_id"));
    }
    cloud.scope = project_scope(reference.project_id.clone(), project_name, project_domain);
    cloud.login = password(user, key, reference.user_domain.as_ref().unwrap_or(&defaults.user_domain));
    Ok(cloud)
}

fn blank(name: &str, auth_url: String, defaults: &Defaults) -> Cloud {
    let mut cloud = Cloud::default();
    name.clone_into(&mut cloud.name);
    cloud.auth_url = Some(auth_url);
    cloud.region.clone_from(&defaults.region);
    cloud.interface.clone_from(&defaults.interface);
    cloud
}

fn password(user: &str, key: &str, domain: &Domain) -> CloudLogin {
    let user = CloudUser {
        user_id: None,
        username: Some(user.to_owned()),
        user_domain_id: domain.id.clone(),
        user_domain_name: domain.name.clone(),
    };
    CloudLogin::Password { user, password: key.to_owned() }
}

fn project_scope(id: Option<String>, name: Option<String>, domain: &Domain) -> CloudScope {
    // An id needs no domain.
    let domain = if id.is_some() { &Domain::default() } else { domain };
    CloudScope {
        project_id: id,
        project_name: name,
        project_domain_id: domain.id.clone(),
        project_domain_name: domain.name.clone(),
        ..CloudScope::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn defaults(version: AuthVersion) -> Defaults {
        Defaults {
            version,
            user_domain: Domain::or_default(None, None),
            project_domain: Domain::or_default(None, Some("projects".to_owned())),
            region: Some("r1".to_owned()),
            interface: "internal".to_owned(),
        }
    }

    fn json(cloud: Result<Cloud>) -> std::result::Result<serde_json::Value, String> {
        cloud.map(|cloud| serde_json::to_value(cloud).unwrap()).map_err(|error| error.code().to_owned())
    }

    fn location(user: &str, auth_url: &str, version: AuthVersion) -> std::result::Result<serde_json::Value, String> {
        json(of_location(user, "secret", &Url::parse(auth_url).unwrap(), &defaults(version)))
    }

    #[test]
    fn the_path_says_the_version_and_else_the_setting() {
        use AuthVersion::{V1, V3};
        for (path, setting, expected) in [
            ("/v3", V1, Ok("password")),
            ("/identity/v3/", V1, Ok("password")),
            ("/v1", V3, Ok("v1")),
            ("/v1.0", V3, Ok("v1")),
            ("/auth/v1.0", V3, Ok("v1")),
            ("/", V3, Ok("password")),
            ("/identity", V3, Ok("password")),
            ("/vault", V3, Ok("password")),
            ("/identity", V1, Ok("v1")),
            ("/v2.0", V3, Err("auth-version")),
            ("/v2", V1, Err("auth-version")),
            ("/v30", V3, Err("auth-version")),
        ] {
            let found = location("p:u", &format!("https://host{path}"), setting);
            let found = found.as_ref().map(|cloud| cloud["login"]["type"].as_str().unwrap()).map_err(String::as_str);
            assert_eq!(found, expected, "{path}");
        }
    }

    #[test]
    fn a_location_logs_in_with_the_settings_domains() {
        let cloud = location("p:u", "https://host:5000/v3", AuthVersion::V3).unwrap();
        assert_eq!(
            cloud["login"],
            serde_json::json!({"type": "password", "username": "u", "user_domain_id": "default", "password": "secret"})
        );
        assert_eq!(
            cloud["scope"],
            serde_json::json!({"project_name": "p", "project_domain_name": "projects", "system": false})
        );
        assert_eq!((&cloud["region"], &cloud["interface"]), (&"r1".into(), &"internal".into()));
        assert_eq!(cloud["auth_url"], "https://host:5000/v3");
        for user in ["u", ":u", "p:"] {
            assert_eq!(location(user, "https://host/v3", AuthVersion::V3), Err("bad-url".to_owned()), "{user}");
        }
        let cloud = location("test:tester", "https://host/auth/v1.0", AuthVersion::V3).unwrap();
        assert_eq!(cloud["login"], serde_json::json!({"type": "v1", "user": "test:tester", "key": "secret"}));
    }

    #[test]
    fn a_reference_says_what_it_likes() {
        let full = Reference {
            name: "ref".to_owned(),
            auth_url: Some(Url::parse("https://host/identity").unwrap()),
            user: Some("p:u".to_owned()),
            key: Some("secret".to_owned()),
            ..Reference::default()
        };
        let read = |change: &dyn Fn(&mut Reference)| {
            let mut reference = full.clone();
            change(&mut reference);
            json(of_reference(&reference, &defaults(AuthVersion::V3)))
        };
        let cloud = read(&|_| ()).unwrap();
        assert_eq!((&cloud["name"], &cloud["scope"]["project_name"]), (&"ref".into(), &"p".into()));
        let cloud = read(&|reference| reference.project_name = Some("other".to_owned())).unwrap();
        assert_eq!((&cloud["login"]["username"], &cloud["scope"]["project_name"]), (&"u".into(), &"other".into()));
        let cloud = read(&|reference| reference.project_id = Some("id".to_owned())).unwrap();
        assert_eq!(cloud["scope"], serde_json::json!({"project_id": "id", "system": false}));
        let cloud = read(&|reference| reference.version = Some(AuthVersion::V1)).unwrap();
        assert_eq!(cloud["login"], serde_json::json!({"type": "v1", "user": "p:u", "key": "secret"}));
        let cloud = read(&|reference| {
            reference.application_credential_id = Some("a".to_owned());
            reference.application_credential_secret = Some("secret".to_owned());
            reference.user = None;
        });
        assert_eq!(
            cloud.unwrap()["login"],
            serde_json::json!({"type": "application-credential", "id": "a", "secret": "secret"})
        );
        let missing = Err("config-store-config".to_owned());
        assert_eq!(read(&|reference| reference.user = None), missing);
        assert_eq!(read(&|reference| reference.user = Some("u".to_owned())), missing);
        assert_eq!(read(&|reference| reference.key = None), missing);
        assert_eq!(read(&|reference| reference.auth_url = None), missing);
    }
}
