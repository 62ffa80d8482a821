//! Takes secrets out of URLs before anybody sees them.

/// What stands where a secret was.
const HIDDEN: &str = "***";

/// `url` without credentials: no userinfo, and no values of query parameters, whatever their names; signatures have too
/// many. Control characters are escaped, so that a URL cannot write to a terminal or begin a log line.
pub(crate) fn url(url: &str) -> String {
    let (scheme, rest) = match url.split_once("://") {
        Some((scheme, rest)) if is_scheme(scheme) => (format!("{scheme}://"), rest),
        // The first `://` is somewhere behind what may be a secret.
        Some(_) => (String::new(), url),
        // No URL as it stands, but what somebody took for one: `http:user:password@host`, `//user:password@host`.
        None if url.contains('@') && (url.starts_with("//") || url.contains(':')) => (String::new(), url),
        None => return printable(url),
    };
    if scheme.eq_ignore_ascii_case("file://") || scheme.eq_ignore_ascii_case("filesystem://") {
        return printable(url);
    }
    // Credentials end at the last `@`, wherever it is: an s3 secret may hold slashes, and a badly quoted password anything.
    // A path or query that holds an `@` loses its beginning here, which is only a matter of looks.
    let (hidden, rest) = match rest.rsplit_once('@') {
        Some((_, rest)) => (format!("{HIDDEN}@"), rest),
        None => (String::new(), rest),
    };
    let (rest, fragment) = split(rest, '#');
    let (place, query) = split(rest, '?');
    let query = query.map(|query| {
        let parts = query.split('&').map(|part| match part.split_once('=') {
            Some((name, _)) => format!("{name}={HIDDEN}"),
            None => HIDDEN.to_owned(),
        });
        format!("?{}", parts.collect::<Vec<_>>().join("&"))
    });
    let fragment = fragment.map(|_| format!("#{HIDDEN}"));
    printable(&format!("{scheme}{hidden}{place}{}{}", query.unwrap_or_default(), fragment.unwrap_or_default()))
}

/// RFC 3986, 3.1.
fn is_scheme(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'))
}

fn split(text: &str, at: char) -> (&str, Option<&str>) {
    match text.split_once(at) {
        Some((before, after)) => (before, Some(after)),
        None => (text, None),
    }
}

/// Whether showing `url` as it is would show a secret: it has userinfo or a query.
pub(crate) fn has_secret(text: &str) -> bool {
    url(text) != printable(text)
}

/// `text` with control characters escaped.
pub(crate) fn printable(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut shown, character| {
        if character.is_control() || is_unseen(character) {
            shown.extend(character.escape_unicode());
        } else {
            shown.push(character);
        }
        shown
    })
}

/// JSON with the characters that [`printable`] escapes as JSON's own escapes: the same values, safe to look at.
pub(crate) fn visible_json(json: &str) -> String {
    json.chars().fold(String::with_capacity(json.len()), |mut shown, character| {
        // Outside of strings there are line feeds, and none of the others.
        if character != '\n' && (character.is_control() || is_unseen(character)) {
            for unit in character.encode_utf16(&mut [0; 2]) {
                shown.push_str(&format!("\\u{unit:04x}"));
            }
        } else {
            shown.push(character);
        }
        shown
    })
}

/// Characters that are not seen, end lines, or turn the direction of the text around them, and so can make a line read as
/// another: Unicode's format and separator characters.
fn is_unseen(character: char) -> bool {
    matches!(
        character,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn secrets_go_and_the_rest_stays() {
        for (given, shown) in [
            ("file:///a/b@c?d", "file:///a/b@c?d"),
            ("http://h/p", "http://h/p"),
            ("http://u:p@h/p", "http://***@h/p"),
            ("s3://KEY:se/cr@et/x@host/b/k", "s3://***@host/b/k"),
            ("https://h/p?temp_url_sig=ab&temp_url_expires=1", "https://h/p?temp_url_sig=***&temp_url_expires=***"),
            ("https://h/p?token#frag", "https://h/p?***#***"),
            ("swift+https://t:u:pw@auth/v1/c/o", "swift+https://***@auth/v1/c/o"),
            ("http://u:p?q#r@h/p?a=b", "http://***@h/p?a=***"),
            ("http:/u:p@h/p", "***@h/p"),
            ("/srv/a@b", "/srv/a@b"),
            ("http://h/\u{1b}[31m", "http://h/\\u{1b}[31m"),
            ("http://u:SEC?x@h/p", "http://***@h/p"),
            ("http://u:SEC#x@h/p", "http://***@h/p"),
            ("http:u:p@h", "***@h"),
            ("//u:p@h/x", "***@h/x"),
            ("http:u:p@h/x?next=http://y", "***@h/x?next=***"),
            ("//u:p@h/x://y", "***@h/x://y"),
            ("u:p@h/a?sig=b&c=d://e", "***@h/a?sig=***&c=***"),
            ("/srv/a@b", "/srv/a@b"),
        ] {
            assert_eq!(url(given), shown);
        }
        assert!(has_secret("http://u:p@h/") && has_secret("http://h/?a=b") && !has_secret("http://h/p"));
    }

    proptest! {
        #[test]
        fn visible_json_has_the_same_values(text: String, unseen in "[\\u{80}-\\u{a0}\\u{200b}-\\u{2064}\\u{e0000}-\\u{e007f}]{0,9}") {
            let value = serde_json::json!({ text.as_str(): [&unseen, "é"] });
            let shown = visible_json(&serde_json::to_string_pretty(&value).unwrap());
            prop_assert_eq!(serde_json::from_str::<serde_json::Value>(&shown).unwrap(), value);
            prop_assert_eq!(printable(&shown.replace('\n', "")), shown.replace('\n', ""));
        }

        #[test]
        fn a_secret_never_shows(user in "[a-z]{1,8}", secret in "[A-Z0-9/]{8,20}", path in "[a-z/]{0,20}") {
            for given in [
                format!("http://{user}:{secret}@host/{path}"),
                format!("https://host/{path}?x={secret}&y={secret}"),
                format!("https://host/{path}#{secret}"),
            ] {
                prop_assert!(given.contains(&secret));
                prop_assert!(!url(&given).contains(&secret));
            }
        }

        /// Wherever something that looks like a URL begins, what stands before an @ is hidden.
        #[test]
        fn nothing_before_an_at_shows(before in "[a-z:/?&=@]{0,20}", after in "[a-z:/?&=@]{0,20}") {
            let given = format!("{before}user:SECRET@{after}");
            prop_assume!(!given.starts_with("file://") && !given.starts_with("filesystem://"));
            prop_assert!(!url(&given).contains("SECRET"), "{}", url(&given));
        }
    }
}
