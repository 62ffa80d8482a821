//! A login in the environment: `OS_*` as OpenStack's clients have it, or `ST_*` as Swift's own.

use std::env;
use std::path::Path;

use landfall_handler_api::{Error, ErrorKind, Result, Scope};

use super::options::{Options, auth_options};
use super::{clouds_yaml, file};

/// Whether the environment says how to log in to a cloud.
pub(crate) fn is_in_environment() -> bool {
    has_cloud(&|name| env::var(name).ok())
}

/// Those of the environment.
pub(super) fn options() -> Result<Options> {
    read(&|name| env::var(name).ok())
}

pub(super) type Variables<'a> = dyn Fn(&str) -> Option<String> + 'a;

fn has_cloud(variables: &Variables<'_>) -> bool {
    ["OS_CLOUD", "OS_AUTH_URL", "ST_AUTH"].iter().any(|name| given(variables, name).is_some())
        || ["OS_IMAGE_ENDPOINT_OVERRIDE", "OS_STORAGE_URL"].iter().any(|name| given(variables, name).is_some())
}

fn given(variables: &Variables<'_>, name: &str) -> Option<String> {
    variables(name).filter(|value| !value.is_empty())
}

pub(super) fn read(variables: &Variables<'_>) -> Result<Options> {
    let given = |name: &str| given(variables, name);
    let mut options = match given("OS_CLOUD") {
        Some(entry) => clouds_yaml::entry(None, &entry)?,
        None => Options::default(),
    };
    if given("OS_CLOUD").is_none() && given("OS_AUTH_URL").is_none() && given("ST_AUTH").is_some() {
        let pairs = [("auth_url", "ST_AUTH"), ("username", "ST_USER"), ("password", "ST_KEY")];
        options.auth.extend(pairs.into_iter().filter_map(|(name, from)| Some((name.to_owned(), given(from)?))));
        options.auth_type = Some("v1password".to_owned());
        return Ok(options);
    }
    // What is set beside an entry beats it, as in OpenStack's own clients.
    for name in auth_options() {
        if let Some(value) = given(&format!("OS_{}", name.to_ascii_uppercase())) {
            options.auth.insert((*name).to_owned(), value);
        }
    }
    if let Some(domain) = given("OS_DEFAULT_DOMAIN") {
        options.auth.entry("default_domain_id".to_owned()).or_insert(domain);
    }
    if let Some(token) = given("OS_AUTH_TOKEN") {
        options.auth.entry("token".to_owned()).or_insert(token);
    }
    let or = |name: &str, before: Option<String>| given(name).or(before);
    options.auth_type = or("OS_AUTH_TYPE", options.auth_type);
    options.region = or("OS_REGION_NAME", options.region);
    options.interface = given("OS_INTERFACE").or_else(|| given("OS_ENDPOINT_TYPE")).or(options.interface);
    let endpoints = [
        ("OS_IMAGE_ENDPOINT_OVERRIDE", "image"),
        ("OS_STORAGE_URL", "object-store"),
        ("OS_OBJECT_STORE_ENDPOINT_OVERRIDE", "object-store"),
    ];
    for (name, service) in endpoints {
        if let Some(url) = given(name) {
            options.endpoints.insert(service.to_owned(), url);
        }
    }
    let text = |name: &str| given(name).map(|path| file::read(Path::new(&path))).transpose();
    options.ca = text("OS_CACERT")?.or(options.ca);
    options.certificate = text("OS_CERT")?.or(options.certificate);
    options.key = text("OS_KEY")?.or(options.key);
    options.insecure |= given("OS_INSECURE").is_some_and(|value| is_true(&value));
    if let Some(version) =
        given("OS_IDENTITY_API_VERSION").filter(|version| !version.trim_start_matches('v').starts_with('3'))
    {
        let message =
            format!("OS_IDENTITY_API_VERSION is {}, and only 3 is spoken", crate::redact::printable(&version));
        return Err(Error::new(ErrorKind::Invalid, "cloud-login", message).scoped(Scope::Request));
    }
    Ok(options)
}

fn is_true(value: &str) -> bool {
    ["1", "true", "yes", "on", "t", "y"].iter().any(|word| value.eq_ignore_ascii_case(word))
}

#[cfg(test)]
mod tests {
    use landfall_handler_api::CloudLogin;

    use super::*;

    fn of<'a>(variables: &'a [(&'a str, &'a str)]) -> impl Fn(&str) -> Option<String> + 'a {
        |name| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
    }

    #[test]
    fn an_openrc_is_a_login() {
        let variables = [
            ("OS_AUTH_URL", "http://keystone/v3"),
            ("OS_USERNAME", "demo"),
            ("OS_PASSWORD", "p"),
            ("OS_PROJECT_NAME", "demo"),
            ("OS_USER_DOMAIN_ID", "default"),
            ("OS_PROJECT_DOMAIN_ID", "default"),
            ("OS_IDENTITY_API_VERSION", "3"),
            ("OS_REGION_NAME", "RegionOne"),
            ("OS_INTERFACE", "internal"),
            ("OS_TOKEN", ""),
        ];
        assert!(has_cloud(&of(&variables)));
        let cloud = read(&of(&variables)).unwrap().cloud("environment").unwrap();
        assert!(matches!(&cloud.login, CloudLogin::Password { user, .. } if user.username.as_deref() == Some("demo")));
        assert_eq!((cloud.region.as_deref(), cloud.interface.as_str()), (Some("RegionOne"), "internal"));
    }

    #[test]
    fn a_token_or_swift_s_own_variables_are_logins_too() {
        let token = [("OS_AUTH_URL", "http://keystone"), ("OS_TOKEN", "t")];
        assert!(matches!(read(&of(&token)).unwrap().cloud("x").unwrap().login, CloudLogin::Token { .. }));
        let swift = [("ST_AUTH", "http://swift/auth/v1.0"), ("ST_USER", "test:tester"), ("ST_KEY", "k")];
        assert!(has_cloud(&of(&swift)));
        let cloud = read(&of(&swift)).unwrap().cloud("x").unwrap();
        assert!(matches!(&cloud.login, CloudLogin::V1 { user, .. } if user == "test:tester"));
        let ready = [("OS_STORAGE_URL", "http://swift/v1/AUTH_x"), ("OS_AUTH_TOKEN", "t")];
        assert!(read(&of(&ready)).unwrap().cloud("x").is_ok());
    }

    #[test]
    fn what_is_not_done_is_refused() {
        let refused =
            |variables: &[(&str, &str)]| read(&of(variables)).and_then(|options| options.cloud("x")).unwrap_err();
        let at = ("OS_AUTH_URL", "http://keystone");
        assert_eq!(refused(&[at, ("OS_IDENTITY_API_VERSION", "2.0")]).code(), "cloud-login");
        assert_eq!(refused(&[at, ("OS_INSECURE", "true"), ("OS_TOKEN", "t")]).code(), "cloud-insecure");
        assert_eq!(refused(&[at, ("OS_CACERT", "/none"), ("OS_TOKEN", "t")]).code(), "cloud-file");
        assert!(!has_cloud(&of(&[])) && !has_cloud(&of(&[("OS_CLOUD", ""), ("OS_USERNAME", "u")])));
    }
}
