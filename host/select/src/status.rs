//! A location's status: may it be used?

use serde_json::Value;

use crate::reason;

/// Says nothing for a location that may be used, else why it may not.
pub(crate) fn refusal(status: Option<&Value>) -> Option<String> {
    match status {
        None | Some(Value::Null) => None,
        Some(Value::String(status)) => match status.as_str() {
            "active" => None,
            known @ ("pending" | "pending_delete" | "deleted") => Some(format!("status {known}")),
            unknown => Some(format!("status unknown: {}", reason::quote(unknown))),
        },
        Some(other) => Some(format!("status unreadable: {}", reason::describe(other))),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_active_is_used() {
        let long = "x".repeat(500);
        let table = [
            (json!(null), None),
            (json!("active"), None),
            (json!("pending"), Some("status pending")),
            (json!("pending_delete"), Some("status pending_delete")),
            (json!("deleted"), Some("status deleted")),
            (json!("Active"), Some("status unknown: \"Active\"")),
            (json!(""), Some("status unknown: \"\"")),
            (json!("a\nb"), Some("status unknown: \"a\\nb\"")),
            (json!("see http://u:p@h"), Some("status unknown: \"see [url]\"")),
            (json!(1), Some("status unreadable: a number")),
            (json!(true), Some("status unreadable: true")),
            (json!([]), Some("status unreadable: a list")),
            (json!({}), Some("status unreadable: an object")),
        ];
        for (status, expected) in table {
            assert_eq!(refusal(Some(&status)).as_deref(), expected, "{status}");
        }
        assert_eq!(refusal(None), None);
        let cut = refusal(Some(&json!(long))).unwrap();
        assert!(cut.chars().count() < 100 && cut.ends_with("…\""));
    }
}
