//! Locations of the Swift driver, in the forms of `glance_store/_drivers/swift/store.py`:
//!
//! - `swift[+http[s]]://[PROJECT:]USER:KEY@AUTH-URL/CONTAINER/OBJECT`
//! - `swift[+http[s]]://STORAGE-URL/CONTAINER/OBJECT`
//! - `swift+config://REFERENCE/CONTAINER/OBJECT`
//!
//! `swift+http` is HTTP, `swift` and `swift+https` are HTTPS. Credentials are percent-decoded as one text and split at
//! its last colon, so that a key has no colon in it. Container and object stand as they are: a `%41` in them is these
//! three characters.
//!
//! Glance's objects have no slash in their names, and it reads the path's last two parts as container and object,
//! whatever the form. So does this with credentials, where the path begins with that of an authentication URL.
//! Otherwise more is known, and objects may have slashes: a reference is one part; a storage URL ends with the part
//! that follows `v1` (`/v1/AUTH_x`), unless only two parts follow, as where a gateway has the account in no URL
//! (`/swift/v1`). Each way reads what Glance writes alike.

use landfall_handler_api::{Error, ErrorKind, Result};
use landfall_handler_http::Url;

use crate::name::ObjectName;
use crate::percent;

/// Bytes of a URL, and of a reference in it.
const URL_MAX: usize = 16 << 10;
const REFERENCE_MAX: usize = 256;

/// A location.
///
/// Not `Debug`: it may hold a key.
#[derive(Clone, PartialEq, Eq)]
#[cfg_attr(test, derive(Debug))]
pub(crate) struct SwiftUrl {
    pub(crate) account: AccountUrl,
    pub(crate) name: ObjectName,
}

/// How a location says which account has the object.
#[derive(Clone, PartialEq, Eq)]
#[cfg_attr(test, derive(Debug))]
pub(crate) enum AccountUrl {
    /// By credentials, and where to log in with them.
    Credentials {
        /// `USER`, or `PROJECT:USER`.
        user: String,
        key: String,
        auth_url: Url,
    },
    /// By its storage URL.
    Storage(Url),
    /// By a name in the operator's configuration.
    Reference(String),
}

impl SwiftUrl {
    /// Of a URL as a record or a person writes it; fails with `bad-url`, and with `other-scheme` where it is no Swift
    /// URL.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let scheme = scheme_of(text).ok_or_else(|| {
            let message = "the location is no swift:// URL, nor one of swift+http, swift+https and swift+config";
            Error::new(ErrorKind::Unsupported, "other-scheme", message)
        })?;
        let rest = text.split_once("://").map_or("", |(_, rest)| rest);
        if text.len() > URL_MAX {
            return Err(bad_url("is too long"));
        }
        if rest.contains("://") {
            return Err(bad_url("has another URL in it"));
        }
        if rest.contains(|c: char| c.is_whitespace() || c.is_control() || matches!(c, '\\' | '?' | '#')) {
            return Err(bad_url("has white space, control characters, a backslash, a query or a fragment in it"));
        }
        let (authority, path) = rest.split_once('/').ok_or_else(|| bad_url("has no container and object"))?;
        let (credentials, host) = match authority.split_once('@') {
            None => (None, authority),
            Some((credentials, host)) => (Some(credentials), host),
        };
        if host.is_empty() || host.contains('@') {
            return Err(bad_url("has no host, or more than one"));
        }
        match (scheme, credentials) {
            (Scheme::Config, None) => of_reference(host, path),
            (Scheme::Config, Some(_)) => Err(bad_url("has both a reference and credentials")),
            (Scheme::Service(protocol), None) => of_storage(protocol, host, path),
            (Scheme::Service(protocol), Some(credentials)) => of_credentials(protocol, credentials, host, path),
        }
    }
}

/// What a scheme means.
#[derive(Clone, Copy)]
enum Scheme {
    Service(&'static str),
    Config,
}

fn scheme_of(text: &str) -> Option<Scheme> {
    let (scheme, _) = text.split_once("://")?;
    Some(match scheme.to_ascii_lowercase().as_str() {
        "swift" | "swift+https" => Scheme::Service("https"),
        "swift+http" => Scheme::Service("http"),
        "swift+config" => Scheme::Config,
        _ => return None,
    })
}

fn of_reference(reference: &str, path: &str) -> Result<SwiftUrl> {
    if reference.len() > REFERENCE_MAX {
        return Err(bad_url("has too long a reference"));
    }
    let (container, object) = path.split_once('/').ok_or_else(no_object)?;
    Ok(SwiftUrl { account: AccountUrl::Reference(reference.to_owned()), name: name(container, object)? })
}

fn of_storage(protocol: &str, host: &str, path: &str) -> Result<SwiftUrl> {
    let parts: Vec<_> = path.split('/').collect();
    let after_version = parts.iter().position(|&part| part == "v1").and_then(|at| at.checked_add(1));
    let account = match after_version {
        Some(after) if parts.len().saturating_sub(after) > 2 => after.saturating_add(1),
        _ => parts.len().checked_sub(2).ok_or_else(no_object)?,
    };
    let (account, names) = parts.split_at(account.min(parts.len()));
    let (container, object) = names.split_first().ok_or_else(no_object)?;
    let storage = AccountUrl::Storage(service_url(protocol, host, account)?);
    Ok(SwiftUrl { account: storage, name: name(container, &object.join("/"))? })
}

fn of_credentials(protocol: &str, credentials: &str, host: &str, path: &str) -> Result<SwiftUrl> {
    let parts: Vec<_> = path.split('/').collect();
    let &[ref auth @ .., container, object] = parts.as_slice() else { return Err(no_object()) };
    let credentials = Some(credentials).filter(|credentials| credentials.contains(':')).map(percent::decode);
    let credentials = credentials.and_then(|credentials| String::from_utf8(credentials).ok());
    let credentials = credentials.filter(|credentials| !credentials.contains(char::is_control));
    let pair = credentials.as_deref().and_then(|credentials| credentials.rsplit_once(':'));
    let Some((user, key)) = pair.filter(|(user, key)| !user.is_empty() && !key.is_empty()) else {
        return Err(bad_url("has credentials that are not USER:KEY"));
    };
    let auth_url = service_url(protocol, host, auth)?;
    let account = AccountUrl::Credentials { user: user.to_owned(), key: key.to_owned(), auth_url };
    Ok(SwiftUrl { account, name: name(container, object)? })
}

/// The URL of a service, without a slash at its end.
fn service_url(protocol: &str, host: &str, parts: &[&str]) -> Result<Url> {
    // `%2e` is a dot to whoever resolves the path.
    let plain = |part: &&str| {
        let part = percent::decode(part);
        !part.is_empty() && part != b"." && part != b".." && !part.contains(&b'@')
    };
    if !parts.iter().all(plain) {
        return Err(bad_url("has empty parts, dots for parts or an @ in its path"));
    }
    let mut text = format!("{protocol}://{host}");
    for part in parts {
        text.push('/');
        text.push_str(part);
    }
    Url::parse(&text).map_err(|error| bad_url(&format!("cannot be read: {error}")))
}

/// A record's names are stricter than a manifest's: nobody writes empty parts, and others who read the URL drop them.
fn name(container: &str, object: &str) -> Result<ObjectName> {
    let name = ObjectName::new(container, object).filter(|_| object.split('/').all(|part| !part.is_empty()));
    name.ok_or_else(|| {
        bad_url("has a container or object whose name is empty, too long, or has empty parts or dots for parts")
    })
}

fn no_object() -> Error {
    bad_url("has no container and object")
}

/// A URL that cannot be right; what it is stays unsaid.
fn bad_url(what: &str) -> Error {
    Error::new(ErrorKind::Invalid, "bad-url", format!("the URL {what}"))
}

#[cfg(test)]
mod tests;
