//! What `config show` and debug output say of secrets.

use super::{read, somewhere};
use crate::config::surroundings::Surroundings;
use crate::config::{Catalog, CloudSource, interpret, render_effective};

const TEXT: &str = r#"
[handler.swift]
user = "glance"
password = "geheim"
auth_url = "https://u:geheim@auth/v3?token=geheim"
stores = [{ name = "a", access_key = "geheim" }]
tokens = { first = "geheim", second = ["geheim"] }
"#;

#[test]
fn show_keeps_the_keys_and_hides_the_values() {
    let shown = render_effective(&read(TEXT).unwrap());
    let section = shown.split("[handler.swift]").nth(1).unwrap();
    let expected = r#"
auth_url = "https://***@auth/v3?token=***"
isolation = "auto"
password = "***"
user = "glance"

[[handler.swift.stores]]
access_key = "***"
name = "a"

[handler.swift.tokens]
first = "***"
second = "***"
"#;
    assert_eq!(section, expected);
}

#[test]
fn a_cloud_s_login_is_hidden_where_it_is_secret() {
    let text = "[cloud.a]\nauth_type = 'password'\nregion_name = 'r'\n[cloud.a.auth]\nauth_url = 'https://u:geheim@k/v3'\n\
                username = 'u'\npassword = 'geheim'\ntoken = 'geheim'\napplication_credential_secret = 'geheim'\n";
    let config = read(text).unwrap();
    let shown = render_effective(&config);
    for kept in ["username = \"u\"", "region_name = \"r\"", "https://***@k/v3", "password = \"***\""] {
        assert!(shown.contains(kept), "{shown}");
    }
    assert!(!shown.contains("geheim") && !format!("{config:?}").contains("geheim"), "{shown}");
}

#[test]
fn a_login_in_the_environment_is_a_cloud_and_a_catalog() {
    let at = |text: &str| {
        let surroundings = Surroundings { has_cloud: true, ..somewhere() };
        interpret(text, None, &surroundings).unwrap()
    };
    let config = at("");
    assert_eq!(config.clouds.get("environment"), Some(&CloudSource::Environment));
    let glance = Catalog::Glance { cloud: "environment".to_owned(), service_cloud: None };
    assert_eq!(config.catalogs.get("environment"), Some(&glance));
    let with_directory = at("[catalog.a]\ntype = 'directory'\npath = '/a'");
    assert_eq!((with_directory.clouds.len(), with_directory.catalogs.len()), (1, 1));
    assert!(!at("[cloud.own]\nentry = 'own'").clouds.contains_key("environment"), "what is configured counts");
    assert!(read("").unwrap().clouds.is_empty());
}

#[test]
fn debug_output_hides_them_too() {
    let shown = format!("{:?}", read(TEXT).unwrap());
    assert!(shown.contains("glance") && !shown.contains("geheim"), "{shown}");
}
