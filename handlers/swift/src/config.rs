//! `[handler.swift]`.

use std::collections::BTreeMap;
use std::sync::Arc;

use landfall_handler_api::{Error, ErrorKind, Result};
use landfall_handler_http::{Client, Config as HttpConfig, Url};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use crate::cloud::{AuthVersion, Defaults, Domain, Reference};
use crate::name::is_container;
use crate::store_config;
use crate::temp_url::TempUrlKey;

/// The section: the settings of the HTTP client, of whose redirects none is followed unless it says so, and those
/// below.
///
/// - `store_config`: the text of Glance's `swift_store_config_file`, for `swift+config` URLs.
/// - `containers`: those that may be read with the operator's credentials; a name, or the beginning of one and a `*`.
///   Default `["glance", "glance_*"]`.
/// - `delete_containers`: those in which `landfall scrub` may delete objects, those of segments included; as `containers`. Default none.
/// - `accounts`: those that the node's login may be shown for beside its own, at the endpoint of its own; as
///   `containers`. Default none.
/// - `auth_version`: of authentication URLs that do not say it, `"3"` (default) or `"1"`.
/// - `user_domain_id`, `user_domain_name`, `project_domain_id`, `project_domain_name`: where neither of a pair is set,
///   the id is `default`.
/// - `region`, `interface`: which of a catalog's endpoints is used; `interface` is `public` (default), `internal` or
///   `admin`.
/// - `temp_url_key`, `temp_url_digest` (`sha256`, `sha1` or `sha512`), `temp_url_storage`: what URLs are signed with,
///   and the storage URLs of the accounts whose key it is.
///
/// Not `Debug`: it holds passwords and keys.
#[derive(Clone)]
pub struct Config {
    http: HttpConfig,
    own: Own,
}

/// What the HTTP client knows nothing of.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Own {
    store_config: Option<String>,
    containers: Vec<String>,
    delete_containers: Vec<String>,
    accounts: Vec<String>,
    auth_version: String,
    user_domain_id: Option<String>,
    user_domain_name: Option<String>,
    project_domain_id: Option<String>,
    project_domain_name: Option<String>,
    region: Option<String>,
    interface: String,
    temp_url_key: Option<String>,
    temp_url_digest: String,
    temp_url_storage: Vec<String>,
}

/// Its keys; all others are the HTTP client's to take or refuse.
const OWN: [&str; 14] = [
    "store_config",
    "containers",
    "delete_containers",
    "accounts",
    "auth_version",
    "user_domain_id",
    "user_domain_name",
    "project_domain_id",
    "project_domain_name",
    "region",
    "interface",
    "temp_url_key",
    "temp_url_digest",
    "temp_url_storage",
];

impl Default for Own {
    fn default() -> Self {
        Self {
            store_config: None,
            containers: vec!["glance".to_owned(), "glance_*".to_owned()],
            delete_containers: Vec::new(),
            accounts: Vec::new(),
            auth_version: "3".to_owned(),
            user_domain_id: None,
            user_domain_name: None,
            project_domain_id: None,
            project_domain_name: None,
            region: None,
            interface: "public".to_owned(),
            temp_url_key: None,
            temp_url_digest: "sha256".to_owned(),
            temp_url_storage: Vec::new(),
        }
    }
}

impl<'de> Deserialize<'de> for Config {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        let mut theirs = Map::deserialize(deserializer)?;
        let own: Map<_, _> = OWN.iter().filter_map(|&key| theirs.remove_entry(key)).collect();
        theirs.entry("redirects").or_insert(0.into());
        Ok(Self {
            http: HttpConfig::deserialize(Value::Object(theirs)).map_err(D::Error::custom)?,
            own: Own::deserialize(Value::Object(own)).map_err(D::Error::custom)?,
        })
    }
}

/// The settings, checked.
pub(crate) struct Settings {
    pub(crate) client: Client,
    /// Of which the clients of clouds are made, that have certificates of their own.
    pub(crate) http: HttpConfig,
    /// `None` where there is no file of references.
    pub(crate) references: Option<BTreeMap<String, Reference>>,
    pub(crate) containers: Arc<Containers>,
    pub(crate) delete_containers: Containers,
    pub(crate) accounts: Accounts,
    pub(crate) defaults: Defaults,
    pub(crate) temp_urls: Option<TempUrls>,
}

/// The containers that may be read with the operator's credentials.
pub(crate) struct Containers(Vec<String>);

impl Containers {
    /// Whether this container is one of them.
    pub(crate) fn allow(&self, container: &str) -> bool {
        self.0.iter().any(|pattern| matches(pattern, container))
    }
}

/// Whether a name is this one, or begins as one that ends with a `*`.
fn matches(pattern: &str, name: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(beginning) => name.starts_with(beginning),
        None => name == pattern,
    }
}

/// The accounts beside the login's own that it may be shown for.
pub(crate) struct Accounts(Vec<String>);

impl Accounts {
    /// Whether a login whose own storage URL is `own` may be shown for that of `other`.
    pub(crate) fn allow(&self, own: &Url, other: &Url) -> bool {
        if own == other {
            return true;
        }
        let plain = |account: &str| {
            let is_version =
                account.strip_prefix('v').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
            let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.~:".contains(&byte);
            !account.is_empty()
                && !is_version
                && account.bytes().all(is_plain)
                && account.bytes().any(|byte| byte != b'.')
        };
        let parts =
            |url: &Url| url.path().rsplit_once('/').map(|(root, account)| (root.to_owned(), account.to_owned()));
        let (Some((root, account)), Some((there, theirs))) = (parts(own), parts(other)) else { return false };
        let is_nobodys = other.username().is_empty() && other.password().is_none() && other.query().is_none();
        own.origin() == other.origin()
            && is_nobodys
            && root == there
            && plain(&account)
            && plain(&theirs)
            && self.0.iter().any(|pattern| matches(pattern, &theirs))
    }
}

/// A key for signed URLs, and where it holds.
pub(crate) struct TempUrls {
    pub(crate) key: Arc<TempUrlKey>,
    storage: Vec<Url>,
}

impl TempUrls {
    /// Whether the key is that of the account with this storage URL.
    pub(crate) fn hold_for(&self, storage: &Url) -> bool {
        self.storage.contains(storage)
    }
}

impl Config {
    /// Fails with `invalid` and a code that begins with `config-`. Without I/O.
    pub(crate) fn check(self) -> Result<Settings> {
        let Self { http, own } = self;
        let version = AuthVersion::parse(&own.auth_version);
        let version = version.ok_or_else(|| bad("auth_version", "is neither \"1\" nor \"3\""))?;
        if !["public", "internal", "admin"].contains(&own.interface.as_str()) {
            return Err(bad("interface", "is neither public nor internal nor admin"));
        }
        let is_pattern = |text: &String| {
            let beginning = text.strip_suffix('*').unwrap_or(text);
            text == "*" || (is_container(beginning) && !beginning.contains('*'))
        };
        if !own.containers.iter().all(is_pattern) {
            return Err(bad("containers", "names what can be no container's name; a * stands at the end alone"));
        }
        if !own.delete_containers.iter().all(is_pattern) {
            return Err(bad("delete_containers", "names what can be no container's name; a * stands at the end alone"));
        }
        if !own.accounts.iter().all(is_pattern) {
            return Err(bad("accounts", "names what can be no account's name; a * stands at the end alone"));
        }
        Ok(Settings {
            client: Client::new(&http)?,
            http,
            references: own.store_config.as_deref().map(store_config::parse).transpose()?,
            containers: Arc::new(Containers(own.containers)),
            delete_containers: Containers(own.delete_containers),
            accounts: Accounts(own.accounts),
            defaults: Defaults {
                version,
                user_domain: Domain::or_default(own.user_domain_id, own.user_domain_name),
                project_domain: Domain::or_default(own.project_domain_id, own.project_domain_name),
                region: own.region,
                interface: own.interface,
            },
            temp_urls: temp_urls(own.temp_url_key.as_deref(), &own.temp_url_digest, &own.temp_url_storage)?,
        })
    }
}

fn temp_urls(key: Option<&str>, digest: &str, storage: &[String]) -> Result<Option<TempUrls>> {
    // It may come of a file, which ends with a newline.
    let key = key.map(|key| key.trim_end_matches(['\n', '\r']));
    let made = TempUrlKey::new(digest, key.unwrap_or_default());
    let made = made.ok_or_else(|| bad("temp_url_digest", "is neither sha256 nor sha512 nor sha1"))?;
    match key {
        None if storage.is_empty() => return Ok(None),
        None => return Err(bad("temp_url_storage", "is there without a temp_url_key")),
        Some("") => return Err(bad("temp_url_key", "is empty")),
        Some(_) if storage.is_empty() => {
            return Err(bad(
                "temp_url_key",
                "needs temp_url_storage, the storage URLs of the accounts whose key it is",
            ));
        }
        Some(_) => {}
    }
    let storage = storage.iter().map(|text| storage_url(text)).collect::<Option<_>>();
    let storage =
        storage.ok_or_else(|| bad("temp_url_storage", "has what is no storage URL, as https://host/v1/AUTH_x"))?;
    Ok(Some(TempUrls { key: Arc::new(made), storage }))
}

/// As a location's storage URL is read.
fn storage_url(text: &str) -> Option<Url> {
    let url = Url::parse(text.trim_end_matches('/')).ok()?;
    let plain =
        url.username().is_empty() && url.password().is_none() && url.query().is_none() && url.fragment().is_none();
    (matches!(url.scheme(), "http" | "https") && plain && url.path().len() > 1).then_some(url)
}

fn bad(key: &str, what: &str) -> Error {
    let code = format!("config-{}", key.replace('_', "-"));
    Error::new(ErrorKind::Invalid, code, format!("{key} {what}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(section: Value) -> std::result::Result<Settings, String> {
        let config = serde_json::from_value::<Config>(section).map_err(|error| error.to_string())?;
        config.check().map_err(|error| {
            assert_eq!(error.kind(), ErrorKind::Invalid);
            assert!(!error.message().contains("secret"));
            error.code().to_owned()
        })
    }

    #[test]
    fn both_layers_take_their_keys() {
        let settings = check(json!({})).unwrap();
        assert!(settings.references.is_none() && settings.temp_urls.is_none());
        assert_eq!((settings.http.redirects, settings.defaults.version), (0, AuthVersion::V3));
        assert_eq!(settings.defaults.user_domain.id.as_deref(), Some("default"));
        let settings = check(json!({
            "redirects": 2, "allow_addresses": ["loopback"], "connect_seconds": 5, "auth_version": "1", "region": "r",
            "interface": "admin", "user_domain_name": "U", "store_config": "[ref]\nuser = a:b\n",
            "containers": ["c", "x*"], "temp_url_key": "secret\n", "temp_url_storage": ["https://host/v1/AUTH_x/"],
        }))
        .unwrap();
        assert_eq!((settings.http.redirects, settings.defaults.version), (2, AuthVersion::V1));
        assert_eq!(
            (settings.defaults.user_domain.id, settings.defaults.user_domain.name),
            (None, Some("U".to_owned()))
        );
        assert!(settings.references.unwrap().contains_key("ref"));
        let temp_urls = settings.temp_urls.unwrap();
        let storage = |text| temp_urls.hold_for(&Url::parse(text).unwrap());
        assert!(storage("https://host/v1/AUTH_x") && storage("https://HOST:443/v1/AUTH_x"));
        assert!(!storage("http://host/v1/AUTH_x") && !storage("https://other/v1/AUTH_x"));
        assert!(!storage("https://host/v1/AUTH_xy") && !storage("https://host:444/v1/AUTH_x"));
    }

    #[test]
    fn every_key_of_its_own_is_listed() {
        for key in OWN {
            let error = check(json!({ key: {} })).err().unwrap();
            assert!(!error.contains("unknown field"), "{key}: {error}");
        }
        let error = check(json!({"contianers": []})).err().unwrap();
        assert!(error.contains("unknown field `contianers`"), "{error}");
    }

    #[test]
    fn settings_that_cannot_be_right() {
        for (section, code) in [
            (json!({"auth_version": "2"}), "config-auth-version"),
            (json!({"interface": "secret"}), "config-interface"),
            (json!({"containers": ["*secret"]}), "config-containers"),
            (json!({"containers": ["secret**"]}), "config-containers"),
            (json!({"containers": ["a/b"]}), "config-containers"),
            (json!({"containers": [""]}), "config-containers"),
            (json!({"store_config": "[secret"}), "config-store-config"),
            (json!({"temp_url_key": "secret"}), "config-temp-url-key"),
            (json!({"temp_url_key": "\n", "temp_url_storage": ["https://h/v1/a"]}), "config-temp-url-key"),
            (json!({"temp_url_storage": ["https://h/v1/a"]}), "config-temp-url-storage"),
            (json!({"temp_url_key": "secret", "temp_url_storage": ["https://h"]}), "config-temp-url-storage"),
            (json!({"temp_url_key": "secret", "temp_url_storage": ["swift://h/v1/a"]}), "config-temp-url-storage"),
            (json!({"temp_url_key": "secret", "temp_url_storage": ["https://u:p@h/v1/a"]}), "config-temp-url-storage"),
            (json!({"temp_url_digest": "md5"}), "config-temp-url-digest"),
            (json!({"redirects": 21}), "config-redirects"),
        ] {
            assert_eq!(check(section.clone()).err().as_deref(), Some(code), "{section}");
        }
    }

    #[test]
    fn containers_are_names_or_beginnings() {
        let settings = check(json!({})).unwrap();
        for (name, allowed) in [
            ("glance", true),
            ("glance_3a", true),
            ("glance_", true),
            ("glance-x", false),
            ("Glance", false),
            ("", false),
            ("x", false),
        ] {
            assert_eq!(settings.containers.allow(name), allowed, "{name}");
        }
        assert!(check(json!({"containers": ["*"]})).unwrap().containers.allow("anything"));
        assert!(!check(json!({"containers": []})).unwrap().containers.allow("glance"));
    }
}
