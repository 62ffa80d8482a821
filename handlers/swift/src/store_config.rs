//! The operator's references: Glance's `swift_store_config_file`, an INI file with one section for each.
//!
//! As Python's `configparser` reads it for Glance: names of sections are case-sensitive, those of keys are not; a
//! comment is a line of its own; `[DEFAULT]` holds for every section; a value may stand in quotes of either kind. Keys
//! that mean nothing here are passed over, since Glance has more of them.

use std::collections::{BTreeMap, HashMap};

use configparser::ini::{Ini, IniDefault};
use landfall_handler_api::{Error, ErrorKind, Result};
use landfall_handler_http::Url;

use crate::cloud::{AuthVersion, Domain, Reference};

/// The section whose keys hold for all others.
const DEFAULT: &str = "DEFAULT";

type Section = HashMap<String, String>;

/// The references, by their names.
pub(crate) fn parse(text: &str) -> Result<BTreeMap<String, Reference>> {
    let mut rules = IniDefault::default();
    rules.case_sensitive = true;
    rules.multiline = false;
    rules.enable_inline_comments = false;
    DEFAULT.clone_into(&mut rules.default_section);
    // What the parser says may quote a line, and a line may have a key.
    let unreadable = |_| bad("is no INI file");
    let sections = Ini::new_from_defaults(rules).read(text.to_owned()).map_err(unreadable)?;
    let common = sections.get(DEFAULT).map(|common| values(DEFAULT, common)).transpose()?.unwrap_or_default();
    let mut references = BTreeMap::new();
    for (name, section) in sections.iter().filter(|(name, _)| *name != DEFAULT) {
        let mut merged = common.clone();
        merged.extend(values(name, section)?);
        references.insert(name.clone(), reference(name, merged)?);
    }
    Ok(references)
}

fn values(name: &str, section: &HashMap<String, Option<String>>) -> Result<Section> {
    let pairs = section.iter().filter_map(|(key, value)| value.as_ref().map(|value| (key, value)));
    pairs
        .map(|(key, value)| {
            let value = unquoted(value).ok_or_else(|| bad(&format!("has an open quote in section {name:?}")))?;
            Ok((key.to_ascii_lowercase(), value.to_owned()))
        })
        .collect()
}

/// Without the quotes around it; `None` where only one end has one.
fn unquoted(value: &str) -> Option<&str> {
    match value.chars().next() {
        Some(quote @ ('"' | '\'')) => value.get(1..)?.strip_suffix(quote),
        _ => Some(value),
    }
}

fn reference(name: &str, mut section: Section) -> Result<Reference> {
    let mut take = |key: &str| section.remove(key).filter(|value| !value.is_empty());
    let domain = |id: Option<String>, name: Option<String>| {
        (id.is_some() || name.is_some()).then(|| Domain::or_default(id, name))
    };
    let version = take("auth_version").map(|version| {
        let unknown = || bad(&format!("says an auth_version other than 1 and 3 in section {name:?}"));
        AuthVersion::parse(&version).ok_or_else(unknown)
    });
    let auth_url = take("auth_address").map(|address| {
        auth_url(&address).ok_or_else(|| bad(&format!("has an auth_address that is no URL in section {name:?}")))
    });
    Ok(Reference {
        name: name.to_owned(),
        auth_url: auth_url.transpose()?,
        version: version.transpose()?,
        user: take("user"),
        key: take("key"),
        user_domain: domain(take("user_domain_id"), take("user_domain_name")),
        project_domain: domain(take("project_domain_id"), take("project_domain_name")),
        project_id: take("project_id"),
        project_name: take("project_name"),
        application_credential_id: take("application_credential_id"),
        application_credential_secret: take("application_credential_secret"),
    })
}

/// An address without a scheme is one of HTTPS, as for Glance.
fn auth_url(address: &str) -> Option<Url> {
    let url = if address.contains("://") { Url::parse(address) } else { Url::parse(&format!("https://{address}")) };
    url.ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
}

fn bad(what: &str) -> Error {
    Error::new(ErrorKind::Invalid, "config-store-config", format!("store_config {what}"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TEXT: &str = r#"
# what all have in common
[DEFAULT]
auth_version = 3
user_domain_id = users

[ref1]
user = service:glance
key = "pa#ss;word=1:2 "
auth_address = http://keystone:5000/v3
; the end
[Ref1]
USER: 'demo:demo'
key = se"cret
auth_address = keystone.example/identity
auth_version = '1'
project_domain_name = Projects
application_credential_id = a
application_credential_secret = b
project_id =
unknown = x
"#;

    #[test]
    fn references_are_read_as_glance_does() {
        let references = parse(TEXT).unwrap();
        assert_eq!(references.keys().collect::<Vec<_>>(), ["Ref1", "ref1"]);
        let first = &references["ref1"];
        assert_eq!(first.user.as_deref(), Some("service:glance"));
        assert_eq!(first.key.as_deref(), Some("pa#ss;word=1:2 "));
        assert_eq!(first.auth_url.as_ref().unwrap().as_str(), "http://keystone:5000/v3");
        assert_eq!(first.version, Some(AuthVersion::V3));
        assert_eq!(first.user_domain.as_ref().unwrap().id.as_deref(), Some("users"));
        assert!(first.project_domain.is_none());
        let second = &references["Ref1"];
        assert_eq!((second.user.as_deref(), second.key.as_deref()), (Some("demo:demo"), Some("se\"cret")));
        assert_eq!(second.auth_url.as_ref().unwrap().as_str(), "https://keystone.example/identity");
        assert_eq!(second.version, Some(AuthVersion::V1));
        let domain = second.project_domain.as_ref().unwrap();
        assert_eq!((domain.id.as_deref(), domain.name.as_deref()), (None, Some("Projects")));
        assert_eq!(second.application_credential_secret.as_deref(), Some("b"));
        assert!(second.project_id.is_none());
        assert!(parse("").unwrap().is_empty());
    }

    #[test]
    fn what_glance_would_not_read_is_refused() {
        for text in [
            "[a\nuser = secret",
            "[a]\nkey = \"secret",
            "[a]\nkey = '",
            "[a]\nkey = 'secret\"",
            "[a]\nauth_version = 2",
            "[a]\nauth_address = ftp://secret",
            "[a]\nauth_address = https://secret:x",
        ] {
            let error = parse(text).err().unwrap_or_else(|| panic!("{text:?} was read"));
            assert_eq!((error.kind(), error.code()), (ErrorKind::Invalid, "config-store-config"), "{text:?}");
            assert!(!error.message().contains("secret"), "{}", error.message());
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "([\\[\\]a-z=:'\" \n]|.){0,200}") {
            let _ = parse(&text);
        }
    }
}
