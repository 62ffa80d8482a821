//! Keeping secrets of a configuration out of everything that is shown.
//!
//! Handler sections may hold passwords, and URLs may hold them anywhere. What looks like a secret is hidden; hiding too much
//! costs a reader little.

use std::ops::Range;

use serde_json::Value;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::redact;

/// What stands for a secret where values are shown.
const HIDDEN: &str = "***";

/// Whether values of this key are secrets.
pub(crate) fn is_secret_key(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    // Where a secret is, is none.
    if key.ends_with("_file") {
        return false;
    }
    // Glance's file of references to stores has their passwords.
    let words = ["passw", "passphrase", "secret", "token", "credential", "store_config"];
    // A keystone is no key, but an api_key, an access-key-id and an apikey are.
    let mut parts = key.split(|c: char| !c.is_ascii_alphanumeric());
    words.iter().any(|word| key.contains(word)) || parts.any(|part| part.ends_with("key") || part.ends_with("keys"))
}

/// The same value to be shown: what is beneath a secret key, and the secret parts of URLs, are `***`.
pub(super) fn hidden(value: &Value) -> Value {
    match value {
        Value::String(text) => Value::String(hidden_in_url(text)),
        Value::Array(items) => Value::Array(items.iter().map(hidden).collect()),
        Value::Object(members) => {
            let hide = |(key, value): (&String, &Value)| {
                let value = if is_secret_key(key) { all_hidden(value) } else { hidden(value) };
                (key.clone(), value)
            };
            Value::Object(members.iter().map(hide).collect())
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
    }
}

/// A setting's text to be shown, by its key.
pub(super) fn shown(key: &str, text: &str) -> String {
    if is_secret_key(key) { HIDDEN.to_owned() } else { hidden_in_url(text) }
}

/// Text that is no URL with a secret stays as it is, control characters included: it is to be read again.
fn hidden_in_url(text: &str) -> String {
    if redact::has_secret(text) { redact::url(text) } else { text.to_owned() }
}

/// The structure stays, so that a reader sees which keys are set.
fn all_hidden(value: &Value) -> Value {
    match value {
        Value::Object(members) => {
            Value::Object(members.iter().map(|(key, value)| (key.clone(), all_hidden(value))).collect())
        }
        _ => Value::String(HIDDEN.to_owned()),
    }
}

/// The file's text for error messages: as long as the original and with the same lines, secrets replaced by asterisks.
/// `broken` says that the parser gave up somewhere, so that `tree` may lack what the text holds.
pub(super) fn blotted(text: &str, tree: &DeTable<'_>, broken: bool) -> String {
    let mut secrets = Vec::new();
    in_table(tree, false, &mut secrets);
    if broken {
        secrets.extend(secret_looking_lines(text));
    }
    let mut bytes = text.as_bytes().to_vec();
    for secret in secrets {
        let covered = bytes.get_mut(secret).into_iter().flatten();
        covered.filter(|byte| !matches!(byte, b'\n' | b'\r')).for_each(|byte| *byte = b'*');
    }
    // Spans of a parser begin and end between characters; should one not, nothing of the text is shown.
    String::from_utf8(bytes).unwrap_or_default()
}

/// The places of values beneath secret keys, or of all when `all` says so, and of URLs with secrets.
fn in_table(table: &DeTable<'_>, all: bool, secrets: &mut Vec<Range<usize>>) {
    for (key, value) in table {
        // A login's options: a name that is misspelt may be a password's.
        in_value(value, all || is_secret_key(key.get_ref()) || key.get_ref() == "auth", secrets);
    }
}

fn in_value(value: &Spanned<DeValue<'_>>, all: bool, secrets: &mut Vec<Range<usize>>) {
    match value.get_ref() {
        DeValue::Table(inner) => in_table(inner, all, secrets),
        DeValue::Array(items) => items.iter().for_each(|item| in_value(item, all, secrets)),
        DeValue::String(text) if redact::has_secret(text) => secrets.push(value.span()),
        _ if all => secrets.push(value.span()),
        _ => {}
    }
}

/// What follows a secret-looking key, for text that does not parse: to the line's end; for strings of several lines to
/// their closing quotes; for brackets and braces to the next line that sets a key or opens a table. And URLs with secrets.
fn secret_looking_lines(text: &str) -> Vec<Range<usize>> {
    enum Inside {
        Nothing,
        SecretTable,
        Brackets,
        Quotes(&'static str),
    }
    let mut secrets = Vec::new();
    let mut inside = Inside::Nothing;
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        let end = start + line.len();
        let header = line.trim_start().starts_with('[') && !line.contains('=');
        if redact::has_secret(line) {
            let url = line.find("://").unwrap_or(0);
            secrets.push(start + url..end);
        }
        let equals = line.find('=').filter(|at| sets_a_key(&line[..*at]));
        match inside {
            Inside::Quotes(quotes) => {
                secrets.push(start..end);
                if line.contains(quotes) {
                    inside = Inside::Nothing;
                }
            }
            _ if header => {
                inside = if is_secret_key(line) { Inside::SecretTable } else { Inside::Nothing };
            }
            Inside::Brackets if equals.is_none() => secrets.push(start..end),
            _ => {
                let whole_table = matches!(inside, Inside::SecretTable);
                // The first `=` whose left side names a secret: an inline table has several.
                let named =
                    line.match_indices('=').find(|(at, _)| whole_table || is_secret_key(last_key(&line[..*at])));
                if let Some((at, _)) = named {
                    secrets.push(start + at + 1..end);
                    let value = line[at + 1..].trim_start();
                    inside = match value.get(..3) {
                        Some("\"\"\"") if !value[3..].contains("\"\"\"") => Inside::Quotes("\"\"\""),
                        Some("'''") if !value[3..].contains("'''") => Inside::Quotes("'''"),
                        _ if value.starts_with(['[', '{']) => Inside::Brackets,
                        _ if whole_table => Inside::SecretTable,
                        _ => Inside::Nothing,
                    };
                } else if matches!(inside, Inside::Brackets) {
                    inside = Inside::Nothing;
                }
            }
        }
        start = end;
    }
    secrets
}

/// Whether text before an `=` is a key that begins a line, rather than padding of encoded bytes.
fn sets_a_key(before: &str) -> bool {
    let key = before.trim();
    !key.is_empty() && key.chars().all(|c| c.is_alphanumeric() || "_-. \"'".contains(c))
}

/// The key in front of an `=`: what follows the last brace or comma.
fn last_key(before: &str) -> &str {
    before.rsplit(['{', ',']).next().unwrap_or(before)
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use toml::de::DeTable;

    use super::*;

    #[test]
    fn secret_keys() {
        for key in ["password", "Secret", "auth_token", "api_key", "temp-url-key", "apikey", "passwd", "access.key.id"]
        {
            assert!(is_secret_key(key), "{key}");
        }
        for key in ["keystone", "user", "client_key_file", "keyring_path", "url", "isolation", ""] {
            assert!(!is_secret_key(key), "{key}");
        }
    }

    #[test]
    fn values_beneath_secret_keys_and_in_urls_are_hidden() {
        let value = json!({
            "url": "swift+https://u:p/x@auth/v3?sig=abc",
            "secrets": { "a": 1, "b": ["x", { "c": "y" }] },
            "list": [{ "token": "t" }, "plain\u{1b}"],
        });
        let expected = json!({
            "url": "swift+https://***@auth/v3?sig=***",
            "secrets": { "a": "***", "b": "***" },
            "list": [{ "token": "***" }, "plain\u{1b}"],
        });
        assert_eq!(hidden(&value), expected);
    }

    #[test]
    fn error_text_loses_its_secrets_and_keeps_its_shape() {
        let table = [
            "password = \"geheim",
            "x = { user = \"u\", token = \"geheim\", }}",
            "[handler.s]\nkey = '''\nabc=geheim\n''' x\nb = 1",
            "[handler.s.secrets]\na = \"geheim\nb = [\n\"geheim\"\n]\n",
            "tokens = [\n  \"geheim\",\n  \"geheim==\",\n",
            "url = \"http://u:geheim@h/\"\n=",
            "# http://u:geheim@h/\nx = [{ url = 'http://h/?a=geheim' }\n",
            "[[handler.s.tokens]]\na = 'geheim'\nb = [[{ c = 'geheim' }]]\n",
            "secret = { a = 1,\n",
            "ключ_secret = \"geheim é",
            "secret = \"\"\"\nauch geheim\n\"\"\"\nx = 1\nx = 2\n",
        ];
        for text in table {
            let (tree, errors) = DeTable::parse_recoverable(text);
            let shown = blotted(text, tree.get_ref(), !errors.is_empty());
            assert!(!shown.contains("geheim"), "{text:?} shows {shown:?}");
            assert_eq!(shown.len(), text.len());
            assert_eq!(shown.lines().count(), text.lines().count());
        }
    }

    #[test]
    fn what_is_no_secret_stays() {
        let text = "[handler.swift]\nkeystone = \"https://auth/v3\"\npassword = \"geheim\"\nuser = \"u\"\n";
        let (tree, _) = DeTable::parse_recoverable(text);
        assert_eq!(blotted(text, tree.get_ref(), false), text.replace("\"geheim\"", "********"));
        assert_eq!(blotted(text, tree.get_ref(), true), text.replace(" \"geheim\"", "*********"));
    }
}
