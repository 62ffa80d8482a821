//! `[handler.s3]`.

use landfall_handler_api::{Error, ErrorKind, Result};
use landfall_handler_http::{Client, Config as HttpConfig, Url};
use rusty_s3::Credentials;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use crate::object::BucketUrlFormat;
use crate::url::is_bucket;

const HTTPS_PORT: u16 = 443;
/// Bytes of a region's name.
const REGION_MAX: usize = 64;

/// The section: the settings of the HTTP client, of whose redirects none is followed unless it says so, and those
/// below.
///
/// - `access_key`, `secret_key`: what locations without credentials are read with.
/// - `hosts`: the servers that these are for, each `HOST` (port 443) or `HOST:PORT`. Goes together with the keys.
/// - `buckets`: those that may be read with these; a name, or the beginning of one and a `*`. Default
///   `["glance", "glance-*"]`.
/// - `delete_buckets`: those in which `landfall scrub` may delete objects; as `buckets`. Default none.
/// - `region`: what signatures are made for, `us-east-1` unless it is set.
/// - `bucket_url_format`: `"auto"` (default), `"path"` or `"virtual"`.
/// - `secure`: whether `s3` URLs mean HTTPS. They mean HTTP unless this is true: Glance writes `s3+https` for a store that
///   it reaches by HTTPS.
///
/// Not `Debug`: it holds secrets.
#[derive(Clone)]
pub struct Config {
    http: HttpConfig,
    own: Own,
}

/// What the HTTP client knows nothing of.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Own {
    access_key: Option<String>,
    secret_key: Option<String>,
    hosts: Vec<String>,
    buckets: Vec<String>,
    delete_buckets: Vec<String>,
    region: String,
    bucket_url_format: String,
    secure: bool,
}

const SECRET_KEY: &str = "secret_key";

/// Its keys; all others are the HTTP client's to take or refuse.
const OWN: [&str; 8] =
    ["access_key", SECRET_KEY, "hosts", "buckets", "delete_buckets", "region", "bucket_url_format", "secure"];

impl Default for Own {
    fn default() -> Self {
        Self {
            access_key: None,
            secret_key: None,
            hosts: Vec::new(),
            buckets: vec!["glance".to_owned(), "glance-*".to_owned()],
            delete_buckets: Vec::new(),
            region: "us-east-1".to_owned(),
            bucket_url_format: "auto".to_owned(),
            secure: false,
        }
    }
}

impl<'de> Deserialize<'de> for Config {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        let mut theirs = Map::deserialize(deserializer)?;
        let own: Map<_, _> = OWN.iter().filter_map(|&key| theirs.remove_entry(key)).collect();
        // Of anything else than text, the error would show what it is.
        if own.get(SECRET_KEY).is_some_and(|secret| !secret.is_string()) {
            return Err(D::Error::custom("secret_key is no text"));
        }
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
    /// The operator's.
    pub(crate) keys: Option<Keys>,
    pub(crate) buckets: Buckets,
    pub(crate) delete_buckets: Buckets,
    pub(crate) region: String,
    pub(crate) format: BucketUrlFormat,
    /// Whether the scheme `s3` is HTTPS.
    pub(crate) secure: bool,
}

/// The buckets that may be read with the operator's keys.
pub(crate) struct Buckets(Vec<String>);

impl Buckets {
    /// Whether this bucket is one of them.
    pub(crate) fn allow(&self, bucket: &str) -> bool {
        self.0.iter().any(|pattern| match pattern.strip_suffix('*') {
            Some(beginning) => bucket.starts_with(beginning),
            None => bucket == pattern,
        })
    }
}

/// The operator's keys, and the servers that they are for.
pub(crate) struct Keys {
    pub(crate) credentials: Credentials,
    servers: Vec<Server>,
}

impl Keys {
    /// Whether they are for the server of this URL. Nothing but HTTPS is spoken where it has its port.
    pub(crate) fn hold_for(&self, endpoint: &Url) -> bool {
        let in_clear = endpoint.scheme() == "http";
        Server::of(endpoint)
            .is_some_and(|server| self.servers.contains(&server) && !(in_clear && server.port == HTTPS_PORT))
    }
}

/// A host and a port of it.
#[derive(PartialEq, Eq)]
struct Server {
    host: String,
    port: u16,
}

impl Server {
    fn of(url: &Url) -> Option<Self> {
        Some(Self { host: url.host_str()?.to_owned(), port: url.port_or_known_default()? })
    }

    /// Of `HOST` or `HOST:PORT`, read as in a location. Without a port it is HTTPS's: what is not encrypted has to be
    /// said.
    fn parse(text: &str) -> Option<Self> {
        if text
            .contains(|c: char| c.is_whitespace() || c.is_control() || matches!(c, '/' | '\\' | '@' | '?' | '#' | '*'))
        {
            return None;
        }
        Self::of(&Url::parse(&format!("https://{text}")).ok()?)
    }
}

impl Config {
    /// Fails with `invalid` and a code that begins with `config-`. Without I/O.
    pub(crate) fn check(self) -> Result<Settings> {
        let Self { http, own } = self;
        let is_pattern = |text: &String| {
            let beginning = text.strip_suffix('*').unwrap_or(text);
            text == "*" || (is_bucket(beginning) && !beginning.contains('*'))
        };
        if !own.buckets.iter().all(is_pattern) {
            return Err(bad("buckets", "names what can be no bucket's name; a * stands at the end alone"));
        }
        if !own.delete_buckets.iter().all(is_pattern) {
            return Err(bad("delete_buckets", "names what can be no bucket's name; a * stands at the end alone"));
        }
        let is_region = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if !(1..=REGION_MAX).contains(&own.region.len()) || !own.region.chars().all(is_region) {
            return Err(bad("region", "is no region's name"));
        }
        let format = BucketUrlFormat::parse(&own.bucket_url_format);
        Ok(Settings {
            client: Client::new(&http)?,
            keys: keys(own.access_key.as_deref(), own.secret_key.as_deref(), &own.hosts)?,
            buckets: Buckets(own.buckets),
            delete_buckets: Buckets(own.delete_buckets),
            region: own.region,
            format: format.ok_or_else(|| bad("bucket_url_format", "is neither auto nor path nor virtual"))?,
            secure: own.secure,
        })
    }
}

fn keys(access: Option<&str>, secret: Option<&str>, hosts: &[String]) -> Result<Option<Keys>> {
    let (access, secret) = match (access, secret) {
        (None, None) if hosts.is_empty() => return Ok(None),
        (None, None) => return Err(bad("hosts", "is there without access_key and secret_key")),
        (Some(_), None) => return Err(bad(SECRET_KEY, "is missing, which goes with access_key")),
        (None, Some(_)) => return Err(bad("access_key", "is missing, which goes with secret_key")),
        // A file ends with a newline.
        (Some(access), Some(secret)) => (access, secret.trim_end_matches(['\n', '\r'])),
    };
    let is_text = |text: &str| !text.is_empty() && !text.contains(|c: char| c.is_whitespace() || c.is_control());
    if !is_text(access) || access.contains('/') {
        return Err(bad("access_key", "is empty, or has white space or a slash in it"));
    }
    if !is_text(secret) {
        return Err(bad(SECRET_KEY, "is empty, or has white space in it"));
    }
    if hosts.is_empty() {
        return Err(bad("hosts", "is missing: the servers that access_key and secret_key are for"));
    }
    let servers = hosts.iter().map(|text| Server::parse(text)).collect::<Option<_>>();
    let servers = servers.ok_or_else(|| bad("hosts", "has what is neither HOST nor HOST:PORT"))?;
    Ok(Some(Keys { credentials: Credentials::new(access, secret), servers }))
}

fn bad(key: &str, what: &str) -> Error {
    let code = format!("config-{}", key.replace('_', "-"));
    Error::new(ErrorKind::Invalid, code, format!("{key} {what}"))
}

#[cfg(test)]
mod tests;
