//! Texts for people: one line, bounded, printable, free of URLs.

use serde_json::Value;

/// The longest reason or note, in characters.
pub const MAX_REASON: usize = 200;

/// How much of a value from the record is shown, in characters without the quotes.
const MAX_QUOTED: usize = 48;

/// How much of a node's name is shown, in characters.
const MAX_NAME: usize = 64;

/// What stands for text that holds a URL.
const URL: &str = "[url]";

/// Makes any text a reason.
pub(crate) fn line(text: &str) -> String {
    let text = text.trim();
    let text = if text.is_empty() { "no reason given" } else { text };
    printable(text, MAX_REASON, |c| matches!(c, '"' | '\'' | '\\'))
}

/// A text from the record in quotes, so that it cannot be taken for the reason's own words.
pub(crate) fn quote(text: &str) -> String {
    format!("\"{}\"", printable(text, MAX_QUOTED, |c| c == '\''))
}

/// A node's name as part of a path into the record.
pub(crate) fn name(text: &str) -> String {
    printable(text, MAX_NAME, |_| false)
}

/// A place in a list, counted from 0, in words.
pub(crate) fn ordinal(at: usize) -> String {
    let place = at.saturating_add(1);
    let ending = match (place % 10, place % 100) {
        (_, 11..=13) => "th",
        (1, _) => "st",
        (2, _) => "nd",
        (3, _) => "rd",
        _ => "th",
    };
    format!("{place}{ending}")
}

/// A JSON value that should have been something else.
pub(crate) fn describe(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(value) => value.to_string(),
        Value::Number(_) => "a number".to_owned(),
        Value::String(text) => quote(text),
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "an object".to_owned(),
    }
}

/// Escapes what does not print (which covers control and direction marks), except where `plain` says
/// that a character may stand as it is; cuts at the first word that holds a URL, and at `max`.
fn printable(text: &str, max: usize, plain: impl Fn(char) -> bool) -> String {
    // All that follows goes too: an unescaped secret may hold a blank.
    let (shown, end) = match text.split_once("://") {
        Some((before, _)) => (before.trim_end_matches(|c: char| !c.is_whitespace()), URL),
        None => (text, ""),
    };
    let mut out = String::new();
    let mut room = max.saturating_sub(end.len());
    for c in shown.chars() {
        let piece: String = if plain(c) { c.to_string() } else { c.escape_debug().collect() };
        let width = piece.chars().count();
        // One stays free for the mark that something was cut.
        if width >= room {
            out.push('…');
            return out;
        }
        room -= width;
        out.push_str(&piece);
    }
    out.push_str(end);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_bounded_printable_and_never_empty() {
        assert_eq!(line(""), "no reason given");
        assert_eq!(line(" \n\t "), "no reason given");
        assert_eq!(line("a\nb\u{1b}[31m\u{202e}"), "a\\nb\\u{1b}[31m\\u{202e}");
        assert_eq!(line("said \"no\" \\ 'so'"), "said \"no\" \\ 'so'");
        let long = line(&"é".repeat(1000));
        assert_eq!(long.chars().count(), MAX_REASON);
        assert!(long.ends_with('…'));
        assert!(line(&"\u{7}".repeat(1000)).chars().count() <= MAX_REASON);
    }

    #[test]
    fn places_are_counted_from_the_first() {
        let shown: Vec<String> = [0, 1, 2, 3, 10, 11, 12, 20, 111].into_iter().map(ordinal).collect();
        assert_eq!(shown, ["1st", "2nd", "3rd", "4th", "11th", "12th", "13th", "21st", "112th"]);
    }

    #[test]
    fn a_url_and_all_after_it_are_cut() {
        assert_eq!(line("near http://u:p@h/x is slow"), "near [url]");
        assert_eq!(line("<https://u:my password@h>"), "[url]");
        assert_eq!(quote("://secret"), "\"[url]\"");
        let far = format!("{} s3://key:secret@h", "x".repeat(500));
        assert!(!line(&far).contains("secret"));
    }

    #[test]
    fn a_quoted_value_keeps_its_quotes_apart() {
        assert_eq!(quote("a\" (b"), "\"a\\\" (b\"");
        assert_eq!(quote(&"x".repeat(500)).chars().count(), MAX_QUOTED + 2);
    }
}
