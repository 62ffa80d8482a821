//! What `config show` and debug output say of secrets.

use super::read;
use crate::config::render_effective;

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
fn debug_output_hides_them_too() {
    let shown = format!("{:?}", read(TEXT).unwrap());
    assert!(shown.contains("glance") && !shown.contains("geheim"), "{shown}");
}
